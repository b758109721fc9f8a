//! Telling a recorder what the control plane has stored of its spools. Under the delivery mode `sync` it shows nothing more
//! while it does not hear that.
//!
//! The recorder keeps the time. So an agent that was killed has lost nothing but time: the next one tells it first how far
//! everything is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::recorder::{ControlReply, ControlRequest};
use recording::DeliveryMode;

use super::session::Session;

/// How often a recorder that lives and does not answer is told again.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// The longest wait before delivery is tried again, for as long as somebody waits for it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long after the limits it is still tried as often: as long as a control plane may take that is there again.
const GRACE: Duration = Duration::from_secs(10);

/// Tells the recorder of this session for as long as it lives. It never ends by itself: somebody else knows when the session is
/// delivered.
pub(super) async fn tell_recorder(session: Arc<Session>) {
    if session.start.delivery_mode != Some(DeliveryMode::Sync) {
        return std::future::pending().await;
    }
    let mut told = None;
    loop {
        // Before it is looked at, so that what comes meanwhile is not missed.
        let more = session.acknowledged_more.notified();
        let acknowledged = session.acknowledged_spools();
        if told.as_ref() == Some(&acknowledged) {
            more.await;
            continue;
        }
        let request = ControlRequest::Acknowledged { spools: acknowledged.clone() };
        match session.ask_recorder(&request).await {
            Ok(ControlReply::Refused { reason }) => {
                // Not heard. It would refuse the same again; the session is held, or goes on as its policy says.
                tracing::debug!(session = %session.token(), "its recorder takes no acknowledgement: {reason}");
                told = Some(acknowledged);
            }
            Ok(_) => told = Some(acknowledged),
            Err(error) => {
                if !session.is_recorded_now().unwrap_or(true) {
                    return std::future::pending().await;
                }
                tracing::debug!(session = %session.token(), "its recorder does not hear: {error}");
                tokio::time::sleep(TELL_AGAIN_AFTER).await;
            }
        }
    }
}

/// Whether anybody waits for a session's delivery.
pub(super) struct Impatience {
    longest: Duration,
    stalled_since: Option<Instant>,
}

impl Impatience {
    /// `longest`: how long a recorder waits in all.
    pub(super) fn new(session: &Session, longest: Duration) -> Self {
        let waits = session.start.delivery_mode == Some(DeliveryMode::Sync);
        Impatience { longest: if waits { longest + GRACE } else { Duration::ZERO }, stalled_since: None }
    }

    /// Something was delivered, or there is nothing to deliver.
    pub(super) fn goes_on(&mut self) {
        self.stalled_since = None;
    }

    /// How long to wait after a failure, where one would wait so long if nobody waited. Nobody waits once the session
    /// has ended: its recorder is gone.
    pub(super) fn shorten(&mut self, wait: Duration, has_ended: bool, now: Instant) -> Duration {
        if has_ended {
            return wait;
        }
        let since = *self.stalled_since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.longest { wait.min(LONGEST_WAIT) } else { wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_is_tried_often_only_while_somebody_waits() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut waits = Impatience { longest: 50 * second, stalled_since: None };
        assert_eq!(waits.shorten(second / 2, false, began), second / 2);
        assert_eq!(waits.shorten(8 * second, false, began + 49 * second), second);
        assert_eq!(waits.shorten(8 * second, false, began + 50 * second), 8 * second);
        waits.goes_on();
        assert_eq!(waits.shorten(8 * second, false, began + 60 * second), second);
        assert_eq!(waits.shorten(8 * second, true, began + 60 * second), 8 * second, "the recorder is gone");
        let mut nobody = Impatience { longest: Duration::ZERO, stalled_since: None };
        assert_eq!(nobody.shorten(8 * second, false, began), 8 * second);
    }
}
