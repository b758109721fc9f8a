//! The signals that stop the server: the first asks for an orderly end, and a second one ends it at once. SIGTERM comes from
//! a supervisor, and the end is announced before, so that balancers find another replica in time; somebody who presses
//! Ctrl-C does not wait for that.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::failure::Failure;

/// Signals this close together are one request: `timeout`, a shell and a supervisor may each pass the same one on, to
/// the process and to its group.
const ONE_INTERRUPT: Duration = Duration::from_millis(250);
/// As [`ONE_INTERRUPT`], for a signal that programs send.
const ONE_TERMINATION: Duration = Duration::from_secs(5);

/// What is listened for.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// What was asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing yet.
    Nothing,
    /// To end once that was announced for a while.
    AnnouncedEnd,
    /// To end.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Terminate,
    Interrupt,
}

/// How the server reacts to a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Stop,
    Nothing,
    Hurry,
}

/// When the first signal of each kind came.
#[derive(Debug, Default)]
struct Heard {
    terminated: Option<Instant>,
    interrupted: Option<Instant>,
}

impl Heard {
    fn hear(&mut self, kind: Kind, now: Instant) -> Reaction {
        let stopping = self.terminated.is_some() || self.interrupted.is_some();
        let (first, one_request) = match kind {
            Kind::Terminate => (&mut self.terminated, ONE_TERMINATION),
            Kind::Interrupt => (&mut self.interrupted, ONE_INTERRUPT),
        };
        match *first {
            Some(first) if now.duration_since(first) > one_request => Reaction::Hurry,
            Some(_) => Reaction::Nothing,
            None => {
                *first = Some(now);
                if stopping { Reaction::Nothing } else { Reaction::Stop }
            }
        }
    }
}

impl Signals {
    /// Handles the signals, which by default would end the process.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn handle() -> Result<Self, Failure> {
        let handle = |kind| {
            signal(kind).map_err(|error| Failure::failed(format!("signals cannot be handled: {error}")))
        };
        Ok(Self { terminate: handle(SignalKind::terminate())?, interrupt: handle(SignalKind::interrupt())? })
    }

    /// Asks for the orderly end, and ends the process when it is hurried.
    pub(super) async fn pass_on(mut self, asked: watch::Sender<Asked>) {
        let mut heard = Heard::default();
        loop {
            let kind = tokio::select! {
                _ = self.terminate.recv() => Kind::Terminate,
                _ = self.interrupt.recv() => Kind::Interrupt,
            };
            match heard.hear(kind, Instant::now()) {
                Reaction::Stop => {
                    asked.send_replace(match kind {
                        Kind::Terminate => Asked::AnnouncedEnd,
                        Kind::Interrupt => Asked::End,
                    });
                }
                Reaction::Nothing => tracing::info!("stopping already; a second interrupt ends at once"),
                Reaction::Hurry => {
                    tracing::warn!("ended at once by a second signal");
                    std::process::exit(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_second_request_ends_the_server_at_once() {
        use Kind::{Interrupt, Terminate};
        use Reaction::{Hurry, Nothing, Stop};
        for signals in [
            &[
                (Terminate, 0, Stop),
                (Terminate, 1, Nothing),
                (Terminate, 5000, Nothing),
                (Terminate, 5001, Hurry),
            ][..],
            &[(Interrupt, 0, Stop), (Interrupt, 2, Nothing), (Interrupt, 400, Hurry)],
            &[(Terminate, 0, Stop), (Interrupt, 9000, Nothing), (Interrupt, 9400, Hurry)],
            &[(Interrupt, 0, Stop), (Terminate, 9000, Nothing), (Terminate, 9001, Nothing)],
        ] {
            let (start, mut heard) = (Instant::now(), Heard::default());
            for (kind, at, asked) in signals {
                let now = start + Duration::from_millis(*at);
                assert_eq!(heard.hear(*kind, now), *asked, "{signals:?}: {kind:?} at {at}");
            }
        }
    }
}
