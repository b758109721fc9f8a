//! Limits how much is received at once from each authenticated sender. A key permits megabytes of bodies, and nobody
//! who holds one can make the server hold more than their share. A sender who has used it up waits for its own calls
//! only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::room::{NoRoom, Room};

/// What is received at once of one sender at most, on one replica. Two of the longest bodies fit, so that calls go on
/// while a seal is on its way.
const OF_ONE_SENDER: usize = 32 * 1024 * 1024;

/// The bodies that are on their way.
#[derive(Debug)]
pub(crate) struct InFlight {
    of_one_sender: usize,
    senders: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { of_one_sender: OF_ONE_SENDER, senders: Mutex::default() }
    }
}

impl InFlight {
    /// The room for a body of this sender; none is made yet.
    pub(crate) fn room(self: &Arc<Self>, sender: &str) -> Held {
        Held { in_flight: Arc::clone(self), sender: sender.to_owned(), permit: None }
    }

    fn semaphore(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(self.of_one_sender))
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the table.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts for a body, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    in_flight: Arc<InFlight>,
    sender: String,
    permit: Option<OwnedSemaphorePermit>,
}

impl Room for Held {
    // For the whole body at once: bodies that each had a part could wait for each other for ever.
    const STEP: usize = usize::MAX;
    const WAITS_FOR_ITSELF: bool = true;

    async fn make(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let Self { in_flight, sender, permit } = self;
        let permits = u32::try_from(bytes.min(in_flight.of_one_sender)).unwrap_or(u32::MAX);
        let of_sender =
            in_flight.lock().entry(sender.clone()).or_insert_with(|| in_flight.semaphore()).clone();
        // It is never closed.
        let more = of_sender.acquire_many_owned(permits).await.ok();
        match (permit, more) {
            (Some(permit), Some(more)) => permit.merge(more),
            (permit, more) => *permit = more,
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut senders = self.in_flight.lock();
        drop(self.permit.take());
        // Whoever holds or waits has it too.
        if senders.get(&self.sender).is_some_and(|of_sender| Arc::strong_count(of_sender) == 1) {
            senders.remove(&self.sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn little() -> Arc<InFlight> {
        Arc::new(InFlight { of_one_sender: 100, ..InFlight::default() })
    }

    async fn hold(in_flight: &Arc<InFlight>, sender: &str, bytes: usize) -> Held {
        let mut held = in_flight.room(sender);
        held.make(bytes).await.unwrap();
        held
    }

    #[tokio::test]
    async fn a_sender_waits_only_for_its_own_bodies() {
        let in_flight = little();
        let first = hold(&in_flight, "one", 60).await;
        let mut second = Box::pin(hold(&in_flight, "one", 60));
        assert!((&mut second).now_or_never().is_none());
        let other = hold(&in_flight, "other", 100).now_or_never().unwrap();
        drop(first);
        let second = second.now_or_never().unwrap();
        drop((second, other));
        assert!(in_flight.lock().is_empty());
    }

    #[tokio::test]
    async fn a_body_larger_than_the_share_takes_all_of_it_and_a_cancelled_one_frees_it() {
        let in_flight = little();
        let all = hold(&in_flight, "one", 1_000).await;
        let mut next = Box::pin(hold(&in_flight, "one", 1));
        assert!((&mut next).now_or_never().is_none());
        drop(next);
        drop(all);
        assert!(hold(&in_flight, "one", 100).now_or_never().is_some());
        assert!(in_flight.lock().is_empty());
    }
}
