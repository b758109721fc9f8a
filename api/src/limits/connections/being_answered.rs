//! How many requests are being answered, for whoever waits until none is.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A count that every request touches twice, and that is awaited once, when the replica ends. So counting is one atomic
/// step; only the last of those that are being answered tells anybody.
#[derive(Debug, Default)]
pub(super) struct BeingAnswered {
    count: AtomicUsize,
    none: Notify,
}

impl BeingAnswered {
    /// One more.
    pub(super) fn begin(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// One of them is done.
    pub(super) fn end(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.none.notify_waiters();
        }
    }

    /// Waits until there is none.
    pub(super) async fn none(&self) {
        loop {
            let mut told = pin!(self.none.notified());
            // Before the count is read: what ends behind that is told.
            told.as_mut().enable();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn whoever_waits_is_told_when_the_last_one_is_done() {
        let answered = BeingAnswered::default();
        assert!(answered.none().now_or_never().is_some());
        answered.begin();
        answered.begin();
        let mut waits = pin!(answered.none());
        for _ in 0..2 {
            assert!(waits.as_mut().now_or_never().is_none());
            answered.end();
        }
        assert!(waits.now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let answered = BeingAnswered::default();
        answered.begin();
        let ((), ()) = tokio::join!(answered.none(), async { answered.end() });
    }
}
