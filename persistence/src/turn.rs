//! The turn to write to a SQLite file. SQLite lets one connection write at a time, and has the others look again and again
//! until it is free, in no order: who writes all the time keeps them away. So the connections of this process that write,
//! that of the driver and that of the thread which commits groups of calls, queue here, each behind those who came before.
//! Other processes, such as `hansard admin`, still meet them in SQLite's own waiting; and so does, for a moment, a
//! transaction that was given up, and that the driver is about to roll back.
//!
//! INVARIANT: the turn is taken before a transaction is begun, and so before the locks that are taken inside of one (the
//! index of nonces, then the chain). Whoever has it waits for nobody who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// About as many rows as a change writes.
const OF_A_CHANGE: usize = 16;
/// After so many rows somebody looks how long the write-ahead log is.
const MUCH: usize = 1_024;

/// Gives one writer at a time its turn, in the order in which they come.
#[derive(Clone)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    written: Arc<Written>,
}

#[derive(Default)]
struct Written {
    rows: AtomicUsize,
    much: Notify,
}

/// A turn, until it is dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    written: Arc<Written>,
    rows: usize,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(1)), written: Arc::default() }
    }

    /// Returns once much was written since it last returned.
    pub(crate) async fn much_was_written(&self) {
        self.written.much.notified().await;
    }

    fn begun(&self, permit: OwnedSemaphorePermit) -> Turn {
        Turn { _permit: permit, written: Arc::clone(&self.written), rows: OF_A_CHANGE }
    }

    /// Waits for the next turn.
    pub(crate) async fn take(&self) -> Turn {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        self.begun(permit.expect("it is never closed"))
    }

    /// The same, on a thread that runs no tasks.
    pub(crate) fn take_blocking(&self, runtime: &Handle) -> Turn {
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => self.begun(permit),
            Err(_) => runtime.block_on(self.take()),
        }
    }
}

impl Turn {
    /// Says how many rows are written in it, about.
    pub(crate) fn writes(&mut self, rows: usize) {
        self.rows = rows;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let before = self.written.rows.fetch_add(self.rows, Ordering::Relaxed);
        if before / MUCH != before.wrapping_add(self.rows) / MUCH {
            self.written.much.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also behind a thread that comes again at once: nobody who waits is overtaken.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn turns_go_round_in_the_order_in_which_they_were_asked_for() {
        let turns = Turns::new();
        let first = turns.take().await;
        let (order, runtime) = (Arc::new(std::sync::Mutex::new(Vec::new())), Handle::current());
        let mut waiting = Vec::new();
        for number in 0..4 {
            let (turns, order, runtime) = (turns.clone(), Arc::clone(&order), runtime.clone());
            let asked = tokio::sync::oneshot::channel();
            waiting.push(std::thread::spawn(move || {
                runtime.block_on(async {
                    let mut turn = std::pin::pin!(turns.take());
                    // Once it was polled it has its place.
                    let polled = std::future::poll_fn(|context| {
                        std::task::Poll::Ready(turn.as_mut().poll(context).is_pending())
                    });
                    assert!(polled.await);
                    asked.0.send(()).unwrap();
                    let turn = turn.await;
                    order.lock().unwrap().push(number);
                    drop(turn);
                    let again = turns.take().await;
                    order.lock().unwrap().push(number + 10);
                    drop(again);
                });
            }));
            asked.1.await.unwrap();
        }
        drop(first);
        for thread in waiting {
            tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        }
        let order = order.lock().unwrap();
        let place = |number| order.iter().position(|at| *at == number).unwrap();
        let firsts: Vec<_> = order.iter().filter(|number| **number < 10).collect();
        assert_eq!(firsts, [&0, &1, &2, &3]);
        assert!(place(10) > place(2), "it waits behind those who came before: {order:?}");
    }
}
