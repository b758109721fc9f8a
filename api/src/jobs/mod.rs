//! The jobs of the control plane. They are idempotent and take no input; a round that failed is made good by the next.

mod sweep;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Hansard;

/// How often a job runs.
const EVERY: Duration = Duration::from_secs(30);

/// The running jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    stop: watch::Sender<bool>,
    sweeper: JoinHandle<()>,
}

impl Jobs {
    /// Starts the jobs; each runs at once, then by its timer.
    pub(crate) fn start(hansard: Data<Hansard>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let sweeper = tokio::spawn(run(hansard.into_inner(), stopped));
        Self { stop, sweeper }
    }

    /// Lets what is running end, and starts nothing more.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.sweeper.await {
            tracing::error!(%error, "the sweeper did not end in order");
        }
    }
}

async fn run(hansard: Arc<Hansard>, mut stopped: watch::Receiver<bool>) {
    loop {
        sweep::sweep(&hansard).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            // An error means that the sender is gone, and with it everybody who could say stop.
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}
