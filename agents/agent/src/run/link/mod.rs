//! The link: one WebSocket to the control plane, over which configurations are pushed. When it is lost it is dialled again.

mod dial;
mod talk;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Agent;
use crate::backoff::Backoff;

/// A link that lived so long was a good one: the next dial comes soon.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Holds the link for as long as the agent runs.
pub(super) async fn hold(agent: Arc<Agent>) {
    let mut backoff = Backoff::new();
    loop {
        let dialled = Instant::now();
        let why = match dial::dial(&agent).await {
            Ok(link) => {
                tracing::info!("the link is open");
                agent.sessions.link_is_open();
                agent.link_opened.send_modify(|opened| *opened += 1);
                match talk::talk(&agent, link).await {
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
