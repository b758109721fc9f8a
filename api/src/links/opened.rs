//! The channels that this replica opened. Each has a task that carries its frames, and finds a new path when one is
//! lost.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::bus::{self, Channel, ChannelId, End, ResetCode, ServiceName};
use domain::AgentId;
use domain::actions::ReachesAgents;
use domain::gate::Granted;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::carried::{Carried, receive};
use super::relay::Attachment;
use super::remote::Forward;
use super::{Links, NotReached};

/// How soon a new path is looked for at first; the intervals then grow.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The longest of these intervals.
const LOOK_AGAIN_AT_LATEST: Duration = Duration::from_secs(1);

/// A path to an agent's link.
pub(super) enum Way {
    /// The link is held here.
    Here(Attachment),
    /// It is held by another replica.
    There(Box<Forward>),
}

/// Opens a channel and waits until the agent has accepted it.
pub(super) async fn open<A: ReachesAgents>(
    links: &Arc<Links>,
    granted: &Granted<A>,
    agent: &AgentId,
    service: &ServiceName,
) -> Result<Channel, NotReached> {
    let id = ChannelId::generate()?;
    let way = links.find_way(granted, agent, id).await?;
    let wake = Arc::<Notify>::default();
    let sends = Arc::clone(&wake);
    let (mut channel, port) = bus::share(End::opener(id, service.clone()), move || sends.notify_one());
    let carried = Carried { port, wake };
    tokio::spawn(carry(Arc::clone(links), granted.clone(), agent.clone(), carried, way));
    match timeout(links.settings.patience, channel.accepted()).await {
        Ok(Ok(())) => Ok(channel),
        Ok(Err(reset)) => Err(match reset.code {
            ResetCode::NoSuchService => NotReached::NoSuchService { service: service.clone() },
            ResetCode::TooManyChannels => NotReached::TooManyChannels,
            _ => NotReached::NotAccepted(reset),
        }),
        Err(_) => Err(NotReached::NoAnswer),
    }
}

/// Carries a channel's frames until it is over.
async fn carry<A: ReachesAgents>(
    links: Arc<Links>,
    granted: Granted<A>,
    agent: AgentId,
    carried: Carried,
    mut way: Way,
) {
    let channel = carried.port.channel();
    loop {
        carried.port.attach();
        match way {
            Way::Here(attachment) => pass_here(&carried, &attachment).await,
            Way::There(forward) => forward.pass(&carried).await,
        }
        if carried.port.over().is_some() {
            return;
        }
        tracing::debug!(%agent, %channel, "a channel has lost its path to the agent");
        carried.port.detach();
        match find_again(&links, &granted, &agent, &carried).await {
            Some(found) => way = found,
            None => return,
        }
    }
}

/// A new path, within the time that the agent keeps its end open.
async fn find_again<A: ReachesAgents>(
    links: &Links,
    granted: &Granted<A>,
    agent: &AgentId,
    carried: &Carried,
) -> Option<Way> {
    let deadline = Instant::now() + links.settings.resume_within;
    let mut pause = LOOK_AGAIN_AFTER;
    loop {
        let why = match timeout_at(deadline, links.find_way(granted, agent, carried.port.channel())).await {
            Ok(Ok(way)) => return Some(way),
            Ok(Err(why)) => why.to_string(),
            Err(_) => "nobody answered".to_owned(),
        };
        let again = (Instant::now() + pause).min(deadline);
        pause = (pause * 2).min(LOOK_AGAIN_AT_LATEST);
        loop {
            tokio::select! {
                () = sleep_until(again) => break,
                () = carried.wake.notified() => {
                    // Its user may have given it up.
                    if carried.port.over().is_some() {
                        return None;
                    }
                }
            }
        }
        if again == deadline {
            carried.port.lose(&format!("the agent was not reached again in time: {why}"));
            return None;
        }
    }
}

/// Carries frames until the path is lost or the channel is closed.
async fn pass_here(Carried { port, wake }: &Carried, attachment: &Attachment) {
    loop {
        while let Some(frame) = port.next_frame() {
            if attachment.send(&frame).is_err() {
                return;
            }
        }
        if port.over().is_some() {
            return;
        }
        tokio::select! {
            () = wake.notified() => {}
            frame = attachment.next() => match frame {
                Some(frame) => receive(port, &frame),
                None => return,
            }
        }
    }
}
