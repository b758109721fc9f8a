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
use crate::backoff::Backoff;
use channels::Channels;

/// A link that lived so long was a good one: the next dial comes soon.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How often it is looked for channels that nobody resumed.
const LOOK_AT_CHANNELS_EVERY: Duration = Duration::from_secs(1);

/// Holds the link for as long as the agent runs.
pub(super) async fn hold(agent: Arc<Agent>) {
    let channels = Channels::default();
    tokio::join!(hold_with(&agent, &channels), expire(&channels));
}

async fn hold_with(agent: &Arc<Agent>, channels: &Channels) {
    let mut backoff = Backoff::new();
    loop {
        let dialled = Instant::now();
        let why = match dial::dial(agent).await {
            Ok(link) => {
                tracing::info!("the link is open");
                agent.sessions.link_is_open();
                agent.link_opened.send_modify(|opened| *opened += 1);
                let ended = talk::talk(agent, channels, link).await;
                channels.link_is_lost();
                match ended {
                    Ok(()) => "the control plane closed the link".to_owned(),
                    Err(why) => why,
                }
            }
            Err(why) => why,
        };
        if dialled.elapsed() > GOOD_AFTER {
            backoff.reset();
        }
        let wait = backoff.next();
        tracing::warn!(wait = ?wait, "the link is down: {why}");
        agent.sessions.link_is_down(&why);
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
