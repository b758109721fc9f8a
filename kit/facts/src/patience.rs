//! Waiting for a condition. The deadline is generous, because the machine may be busy; only a test that fails waits that
//! long.

use std::time::{Duration, Instant};

/// How long a test waits for what should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long it pauses between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls `look` until it finds something. A test that waits too long fails and names what it waited for.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}

/// The same in an asynchronous task. A call of `look` that never ends counts as one that finds nothing.
pub async fn until_async<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain until {what}"))
}
