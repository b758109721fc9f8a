//! Whether the database answers, as far as that is known without asking it for each call. While it does not, a call that
//! needs a row could only wait; it is refused at once, and one that waits already is answered.

use std::future::Future;

use tokio::sync::watch;

/// What was last found of the database.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Whether it is gone.
    gone: watch::Sender<bool>,
}

impl Default for Reach {
    fn default() -> Self {
        Self { gone: watch::Sender::new(false) }
    }
}

impl Reach {
    /// Notes whether the database is gone; returns whether that is new.
    pub(crate) fn note(&self, gone: bool) -> bool {
        self.gone.send_replace(gone) != gone
    }

    /// Whether it is gone.
    pub(crate) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Resolves when it is gone.
    pub(crate) fn lost(&self) -> impl Future<Output = ()> + use<> {
        let mut gone = self.gone.subscribe();
        async move {
            if gone.wait_for(|gone| *gone).await.is_err() {
                // The sender lives as long as the server.
                std::future::pending::<()>().await;
            }
        }
    }
}
