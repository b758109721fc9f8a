//! The link: one WebSocket to the control plane, over which configurations are pushed, and on which channels to this agent's services
//! are opened. When it is lost it is dialled again, and the channels go on.

mod channels;
mod dial;
mod services;
mod talk;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Agent;
use super::notify::Pulse;
use crate::backoff::Backoff;
use channels::Channels;
use dial::NotDialled;

/// A link that lived so long was a good one: the next dial comes soon.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// The first and the longest step of waiting before a control plane is asked again that has no such agent any more, of which
/// it waits for at least a half: for a minute another one may have answered in its place, and its database may be restored.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// How long a dial may take, with all that is asked for it.
const DIAL_WITHIN: Duration = Duration::from_secs(60);
/// How late the loop may be before it is taken to hang.
const MAY_BE_LATE: Duration = Duration::from_secs(30);
/// How often it is looked for channels that nobody resumed.
const LOOK_AT_CHANNELS_EVERY: Duration = Duration::from_secs(1);

/// Whether the link's parts, which never end, are heard of in time.
#[derive(Debug, Default)]
pub(super) struct LinkPulses {
    /// It dials, waits, or listens on the open link.
    holding: Pulse,
    /// It writes on the open link.
    speaking: Pulse,
}

impl LinkPulses {
    /// The part that should have been heard of.
    pub(super) fn late(&self) -> Option<&'static str> {
        let parts = [("it neither dials nor listens", &self.holding), ("it writes nothing", &self.speaking)];
        parts.into_iter().find_map(|(what, pulse)| pulse.is_late().then_some(what))
    }
}

/// Holds the link for as long as the agent runs.
pub(super) async fn hold(agent: Arc<Agent>) {
    let channels = Channels::default();
    tokio::join!(hold_with(&agent, &channels), expire(&channels));
}

async fn hold_with(agent: &Arc<Agent>, channels: &Channels) {
    let mut backoff = Backoff::new();
    let mut retired = Retired::default();
    loop {
        let dialled = Instant::now();
        agent.link_pulses.holding.lives_for(DIAL_WITHIN + MAY_BE_LATE);
        // A control plane that takes the connection and says nothing must not keep it for ever.
        let dial = tokio::time::timeout(DIAL_WITHIN, dial::dial(agent)).await;
        let why = match dial.unwrap_or_else(|_| Err(nothing_heard())) {
            Ok(link) => {
                tracing::info!("the link is open");
                agent.sessions.link_is_open();
                agent.link_opened.send_modify(|opened| *opened += 1);
                retired = Retired::default();
                let ended = talk::talk(agent, channels, link).await;
                agent.link_pulses.speaking.rests();
                channels.link_is_lost();
                match ended {
                    Ok(()) => "the control plane closed the link".to_owned(),
                    Err(why) => why,
                }
            }
            Err(NotDialled::Failed(why)) => why,
            Err(NotDialled::Retired(why)) => {
                retired.wait(agent, &why).await;
                backoff.reset();
                continue;
            }
        };
        if dialled.elapsed() > GOOD_AFTER {
            backoff.reset();
        }
        let wait = backoff.next();
        tracing::warn!(wait = ?wait, "the link is down: {why}");
        agent.sessions.link_is_down(&why);
        agent.link_pulses.holding.lives_for(wait + MAY_BE_LATE);
        tokio::time::sleep(wait).await;
    }
}

fn nothing_heard() -> NotDialled {
    NotDialled::Failed(format!("the control plane did not answer within {DIAL_WITHIN:?}"))
}

/// The control plane has no such agent any more. Nothing that is kept is given up for that, and sessions are still recorded:
/// a refusal carries no signature, so that whoever sits between could otherwise switch recording off.
#[derive(Debug)]
struct Retired {
    backoff: Backoff,
    /// What was said of it: as long as the answer is the same, it is not said again.
    said: Option<String>,
}

impl Default for Retired {
    fn default() -> Self {
        Retired { backoff: Backoff::between(ASK_AGAIN.0, ASK_AGAIN.1), said: None }
    }
}

impl Retired {
    async fn wait(&mut self, agent: &Agent, why: &str) {
        let wait = self.backoff.next_evenly();
        if self.said.as_deref() == Some(why) {
            tracing::debug!(?wait, "the control plane still has no such agent");
        } else {
            tracing::error!(
                ?wait,
                "the control plane has no such agent any more: {why}. Nothing is delivered; everything that is recorded \
                 stays in {}. To deliver it, stop this agent and enrol this instance again with a new join token: \
                 hansard-agent enrol --replace. The new agent delivers what this one has recorded, too",
                agent.directory.spool().display()
            );
            self.said = Some(why.to_owned());
        }
        agent.sessions.link_is_refused(why);
        agent.link_pulses.holding.lives_for(wait + MAY_BE_LATE);
        tokio::time::sleep(wait).await;
    }
}

/// Also while the link is down, which is when channels wait to be resumed.
async fn expire(channels: &Channels) {
    loop {
        tokio::time::sleep(LOOK_AT_CHANNELS_EVERY).await;
        channels.expire(Instant::now());
    }
}
