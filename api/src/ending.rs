//! How a replica ends: first it is announced, so that balancers, which follow `/readyz`, give new work to others while
//! this one still does what comes; then new work is refused, and what was accepted is finished; then connections close.

use std::future::Future;

use tokio::sync::watch;

/// How far a replica is with ending. Each step follows the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// It does not end.
    Serves,
    /// It is announced: replies close their connections, so that callers come again elsewhere.
    Announced,
    /// New work is refused.
    Refuses,
    /// Nothing is being answered any more.
    Closes,
}

/// The end of one replica.
#[derive(Debug)]
pub(crate) struct Ending(watch::Sender<Step>);

impl Default for Ending {
    fn default() -> Self {
        Self(watch::Sender::new(Step::Serves))
    }
}

impl Ending {
    /// The present step.
    pub(crate) fn step(&self) -> Step {
        *self.0.borrow()
    }

    /// Goes on to this step, if it is not further already.
    pub(crate) fn goes_on_to(&self, step: Step) {
        self.0.send_if_modified(|present| {
            let further = *present < step;
            if further {
                *present = step;
            }
            further
        });
    }

    /// Resolves when a connection that is opened now is to close once its reply is written. One that is opened while new
    /// work is refused hears the refusal first.
    pub(crate) fn of_connection(&self) -> impl Future<Output = ()> + use<> {
        let mut step = self.0.subscribe();
        let last = match self.step() {
            Step::Serves | Step::Announced => Step::Refuses,
            Step::Refuses | Step::Closes => Step::Closes,
        };
        async move {
            // The sender lives as long as the server.
            let _ = step.wait_for(|step| *step >= last).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_step_is_never_taken_back() {
        let ending = Ending::default();
        ending.goes_on_to(Step::Refuses);
        ending.goes_on_to(Step::Announced);
        assert_eq!(ending.step(), Step::Refuses);
    }

    #[test]
    fn a_connection_closes_when_work_is_refused_and_a_later_one_after_it_was_told() {
        let ending = Ending::default();
        let mut early = Box::pin(ending.of_connection());
        ending.goes_on_to(Step::Announced);
        let mut announced = Box::pin(ending.of_connection());
        assert_eq!((early.as_mut().now_or_never(), announced.as_mut().now_or_never()), (None, None));
        ending.goes_on_to(Step::Refuses);
        let mut late = Box::pin(ending.of_connection());
        assert_eq!((early.now_or_never(), announced.now_or_never()), (Some(()), Some(())));
        assert_eq!(late.as_mut().now_or_never(), None);
        ending.goes_on_to(Step::Closes);
        assert_eq!(late.now_or_never(), Some(()));
    }
}
