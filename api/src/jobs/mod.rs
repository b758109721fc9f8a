//! The jobs of the control plane. They are idempotent and take no input; a round that failed is made good by the next.

mod audit;
mod continuity;
mod key_usage;
mod sweep;
mod tallies;
mod unclaimed;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Hansard;

/// How often the sweep runs, and what is idle is forgotten.
const EVERY: Duration = Duration::from_secs(30);
/// How often it is written down when access keys last signed.
const KEY_USAGE_EVERY: Duration = Duration::from_secs(5);

/// The running jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    stop: watch::Sender<bool>,
    sweeper: JoinHandle<()>,
    teller: JoinHandle<()>,
    key_usage: JoinHandle<()>,
    searcher: JoinHandle<()>,
    auditor: JoinHandle<()>,
    stop_auditor: watch::Sender<bool>,
}

impl Jobs {
    /// Starts the jobs; each runs at once, then by its timer.
    pub(crate) fn start(hansard: Data<Hansard>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let hansard = hansard.into_inner();
        // The auditor is stopped after the others, so that it also exports what these write at their end.
        let (stop_auditor, auditor_stopped) = watch::channel(false);
        let sweeper = tokio::spawn(sweep(Arc::clone(&hansard), stopped.clone()));
        let teller = tokio::spawn(tell(Arc::clone(&hansard), stopped.clone()));
        let searcher = tokio::spawn(search(Arc::clone(&hansard), stopped.clone()));
        let key_usage = tokio::spawn(write_key_usage(Arc::clone(&hansard), stopped));
        let auditor = tokio::spawn(audit::run(hansard, auditor_stopped));
        Self { stop, sweeper, teller, key_usage, searcher, auditor, stop_auditor }
    }

    /// Lets what is running end, and starts nothing more. No call is answered any more by now.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.sweeper.await {
            tracing::error!(%error, "the sweeper did not end in order");
        }
        if let Err(error) = self.teller.await {
            tracing::error!(%error, "the job that writes counts down did not end in order");
        }
        if let Err(error) = self.key_usage.await {
            tracing::error!(%error, "the job that notes the use of access keys did not end in order");
        }
        if let Err(error) = self.searcher.await {
            tracing::error!(%error, "the search for missing recordings did not end in order");
        }
        self.stop_auditor.send_replace(true);
        if let Err(error) = self.auditor.await {
            tracing::error!(%error, "the audit trail was not ended in order");
        }
    }
}

async fn sweep(hansard: Arc<Hansard>, mut stopped: watch::Receiver<bool>) {
    loop {
        sweep::sweep(&hansard).await;
        unclaimed::remove(&hansard).await;
        hansard.throttle.forget_the_idle();
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            // An error means that the sender is gone, and with it everybody who could say stop.
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// A search may ask for many objects, and none is waited for at the end: it changes nothing before it is done.
async fn search(hansard: Arc<Hansard>, mut stopped: watch::Receiver<bool>) {
    loop {
        let wait = async {
            continuity::look(&hansard).await;
            tokio::time::sleep(continuity::EVERY).await;
        };
        tokio::select! {
            () = wait => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn tell(hansard: Arc<Hansard>, mut stopped: watch::Receiver<bool>) {
    loop {
        tallies::write_due(&hansard).await;
        tokio::select! {
            () = tokio::time::sleep(tallies::EVERY) => {}
            () = hansard.tally.minute_is_over() => {}
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
    tallies::write_all(&hansard).await;
}

/// Once more at the end, for the calls that were answered last.
async fn write_key_usage(hansard: Arc<Hansard>, mut stopped: watch::Receiver<bool>) {
    let mut stops = false;
    while !stops {
        tokio::select! {
            () = tokio::time::sleep(KEY_USAGE_EVERY) => {}
            _ = stopped.wait_for(|stop| *stop) => stops = true,
        }
        key_usage::write(&hansard).await;
    }
}
