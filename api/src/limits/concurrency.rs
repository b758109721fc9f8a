//! Limits on how much work that takes long or much memory is done at once, off the threads that answer calls. They limit
//! concurrent work, not the number of calls: a few kilobytes of a segment can decode to megabytes of events,
//! a few policies can be asked thousands of questions, and one password takes megabytes to hash.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// How many permits most limiters have.
const AT_ONCE: usize = 4;
/// How long a call waits for a permit before it is refused.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// No permit became free in time: all are taken by other work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no permit became free in time")]
pub(crate) struct AcquireTimeout;

/// The right to do one piece of work, until it is used or dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    /// Runs `work` off the threads that answer calls. The permit is held until the work is done, even if the caller has
    /// gone by then.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        tokio::task::spawn_blocking(move || {
            let _permit = self;
            work()
        })
        .await
    }
}

/// Limits how much work of one kind is done at once.
#[derive(Debug, Clone)]
pub(crate) struct ConcurrencyLimiter(Arc<Semaphore>);

impl Default for ConcurrencyLimiter {
    fn default() -> Self {
        Self::with_permits(AT_ONCE)
    }
}

impl ConcurrencyLimiter {
    /// A limiter with this many permits.
    pub(crate) fn with_permits(permits: usize) -> Self {
        Self(Arc::new(Semaphore::new(permits)))
    }

    /// Waits for a permit, and runs `work` off the threads that answer calls. The permit is held until the work is done,
    /// even if the caller has gone by then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.acquire().await.run(work).await
    }

    /// A permit, if one becomes free within `longest`.
    ///
    /// # Errors
    /// None became free within `longest`.
    pub(crate) async fn acquire_within(&self, longest: Duration) -> Result<Permit, AcquireTimeout> {
        tokio::time::timeout(longest, self.acquire()).await.map_err(|_| AcquireTimeout)
    }

    /// A permit, however long it takes.
    pub(crate) async fn acquire(&self) -> Permit {
        let permit = Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed");
        Permit { _permit: permit }
    }
}

/// How many claims and seals hold a segment at once, of at most 8 MiB each: what all agents together can make a replica hold.
const CLAIMS_AT_ONCE: usize = 16;

/// The limiter of each kind of work. None waits for another kind.
#[derive(Debug)]
pub(crate) struct WorkLimiters {
    /// Decodes of segments.
    pub(crate) decoding: ConcurrencyLimiter,
    /// Claims of segments, each of which holds a whole one.
    pub(crate) claiming: ConcurrencyLimiter,
    /// Simulations of policies, and checks of policies that are not written.
    pub(crate) simulating: ConcurrencyLimiter,
    /// Checks of agents' recordings.
    pub(crate) verifying: ConcurrencyLimiter,
    /// Checks of policies that are written. They have a limiter of their own, so that no simulation delays them.
    pub(crate) checking: ConcurrencyLimiter,
    /// Hashes of new passwords.
    pub(crate) hashing: ConcurrencyLimiter,
}

impl Default for WorkLimiters {
    fn default() -> Self {
        Self {
            decoding: ConcurrencyLimiter::default(),
            claiming: ConcurrencyLimiter::with_permits(CLAIMS_AT_ONCE),
            simulating: ConcurrencyLimiter::default(),
            verifying: ConcurrencyLimiter::default(),
            checking: ConcurrencyLimiter::default(),
            hashing: ConcurrencyLimiter::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_limit_holds_even_when_callers_leave() {
        let limiter = ConcurrencyLimiter::default();
        let (began, begins) = mpsc::channel();
        let (finish, finishes) = mpsc::channel::<()>();
        let finishes = Arc::new(Mutex::new(finishes));
        let mut callers = Vec::new();
        for _ in 0..3 * AT_ONCE {
            let (limiter, began, finishes) = (limiter.clone(), began.clone(), finishes.clone());
            callers.push(tokio::spawn(async move {
                let work = move || {
                    began.send(()).unwrap();
                    finishes.lock().unwrap().recv().unwrap();
                };
                limiter.run(work).await.unwrap();
            }));
        }
        for _ in 0..AT_ONCE {
            begins.recv().unwrap();
        }
        assert_eq!(limiter.0.available_permits(), 0);
        // A caller who leaves does not free its permit: its work still takes memory.
        for caller in callers.drain(..AT_ONCE) {
            caller.abort();
            let _ = caller.await;
        }
        assert_eq!(limiter.0.available_permits(), 0);
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
    async fn a_caller_that_waits_too_long_is_refused() {
        let limiter = ConcurrencyLimiter::default();
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(limiter.acquire_within(LONGEST_WAIT).await.unwrap());
        }
        assert_eq!(limiter.acquire_within(Duration::ZERO).await.map(drop), Err(AcquireTimeout));
        drop(taken);
        assert_eq!(limiter.acquire_within(Duration::ZERO).await.map(drop), Ok(()));
    }
}
