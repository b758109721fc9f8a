//! Work that takes long or much memory, a few at a time and off the threads that answer calls. What limits it is how
//! much is done at once, not how many calls there are: a few kilobytes of a segment can decode to megabytes of events,
//! a few policies can be asked thousands of questions, and one password takes megabytes to hash.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// How many take their turn at once.
const AT_ONCE: usize = 4;
/// How long a call waits for its turn before it is told that there is none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// No turn came soon enough: others' work is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no turn came in time")]
pub(crate) struct NoTurn;

/// A turn of one's own, until it is used or dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Runs `work` off the threads that answer calls. The turn is kept until the work is done, also when the caller is
    /// gone by then.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        tokio::task::spawn_blocking(move || {
            let _turn = self;
            work()
        })
        .await
    }
}

/// The turns that one kind of work takes.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self::of(AT_ONCE)
    }
}

impl Turns {
    /// Turns of which so many are taken at once.
    pub(crate) fn of(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Runs `work` off the threads that answer calls, when its turn has come. The turn is kept until the work is done,
    /// also when the caller is gone by then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.turn().await.run(work).await
    }

    /// A turn, if one comes within `patience`.
    ///
    /// # Errors
    /// None came within `patience`.
    pub(crate) async fn turn_within(&self, patience: Duration) -> Result<Turn, NoTurn> {
        tokio::time::timeout(patience, self.turn()).await.map_err(|_| NoTurn)
    }

    /// A turn, however long it takes to come.
    pub(crate) async fn turn(&self) -> Turn {
        let permit = Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed");
        Turn { _permit: permit }
    }
}

/// How many claims and seals hold a segment at once, of at most 8 MiB each: what all agents together can make a replica hold.
const CLAIMS_AT_ONCE: usize = 16;

/// The turns of each kind of work. None waits for another kind.
#[derive(Debug)]
pub(crate) struct WorkTurns {
    /// Decodes of segments.
    pub(crate) decoding: Turns,
    /// Claims of segments, each of which holds a whole one.
    pub(crate) claiming: Turns,
    /// Simulations of policies, and checks of policies that are not written.
    pub(crate) simulating: Turns,
    /// Checks of agents' recordings.
    pub(crate) verifying: Turns,
    /// Checks of policies which are written: they wait for nobody's simulation.
    pub(crate) checking: Turns,
    /// Hashes of new passwords.
    pub(crate) hashing: Turns,
}

impl Default for WorkTurns {
    fn default() -> Self {
        Self {
            decoding: Turns::default(),
            claiming: Turns::of(CLAIMS_AT_ONCE),
            simulating: Turns::default(),
            verifying: Turns::default(),
            checking: Turns::default(),
            hashing: Turns::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_than_a_few_are_worked_on_at_once_though_their_callers_leave() {
        let turns = Turns::default();
        let (began, begins) = mpsc::channel();
        let (finish, finishes) = mpsc::channel::<()>();
        let finishes = Arc::new(Mutex::new(finishes));
        let mut callers = Vec::new();
        for _ in 0..3 * AT_ONCE {
            let (turns, began, finishes) = (turns.clone(), began.clone(), finishes.clone());
            callers.push(tokio::spawn(async move {
                let work = move || {
                    began.send(()).unwrap();
                    finishes.lock().unwrap().recv().unwrap();
                };
                turns.run(work).await.unwrap();
            }));
        }
        for _ in 0..AT_ONCE {
            begins.recv().unwrap();
        }
        assert_eq!(turns.0.available_permits(), 0);
        // Those who leave do not give their turn away: what they asked for still takes memory.
        for caller in callers.drain(..AT_ONCE) {
            caller.abort();
            let _ = caller.await;
        }
        assert_eq!(turns.0.available_permits(), 0);
        assert!(begins.try_recv().is_err(), "nothing more has begun");
        drop(callers);
        for _ in 0..AT_ONCE {
            finish.send(()).unwrap();
            begins.recv().unwrap();
        }
        for _ in 0..2 * AT_ONCE {
            finish.send(()).unwrap();
        }
    }

    #[tokio::test]
    async fn who_does_not_want_to_wait_for_long_is_told_that_there_is_no_turn() {
        let turns = Turns::default();
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turns.turn_within(PATIENCE).await.unwrap());
        }
        assert_eq!(turns.turn_within(Duration::ZERO).await.map(drop), Err(NoTurn));
        drop(taken);
        assert_eq!(turns.turn_within(Duration::ZERO).await.map(drop), Ok(()));
    }
}
