//! Runs jobs: at once, then by a timer or when they are woken, until they are told to stop.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Hansard;

/// Work that is repeated. It can run at any time, in any number of replicas.
pub(super) trait Job: Send + 'static {
    /// Its name in the log.
    const NAME: &'static str;
    /// How long it rests between two rounds when nothing wakes it.
    const EVERY: Duration;
    /// Whether a round is cancelled when the server stops. Such a round changes nothing before its end, or may stop
    /// anywhere.
    const GIVES_UP: bool = false;

    /// One round. The job reports its own errors.
    fn run(&mut self, hansard: &Hansard) -> impl Future<Output = ()> + Send;

    /// Resolves when there is something to do before the next round is due.
    fn woken(&self, _hansard: &Hansard) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// What is left to do when no other round follows.
    fn end(&mut self, _hansard: &Hansard) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Jobs that are stopped together.
pub(super) struct RunningJobs {
    hansard: Arc<Hansard>,
    stop: watch::Sender<bool>,
    running: Vec<(&'static str, JoinHandle<()>)>,
}

impl RunningJobs {
    pub(super) fn new(hansard: Arc<Hansard>) -> Self {
        Self { hansard, stop: watch::Sender::new(false), running: Vec::new() }
    }

    pub(super) fn start<J: Job>(&mut self, job: J) {
        let running = tokio::spawn(repeat(job, Arc::clone(&self.hansard), self.stop.subscribe()));
        self.running.push((J::NAME, running));
    }

    /// Lets running rounds end, and starts no more.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        for (job, running) in self.running {
            if let Err(error) = running.await {
                tracing::error!(job, %error, "a job did not end in order");
            }
        }
    }
}

async fn repeat<J: Job>(mut job: J, hansard: Arc<Hansard>, mut stop: watch::Receiver<bool>) {
    // An error means that the sender was dropped, which also means stop.
    let mut stopped = async || drop(stop.wait_for(|stop| *stop).await);
    loop {
        if J::GIVES_UP {
            tokio::select! {
                () = job.run(&hansard) => {}
                () = stopped() => break,
            }
        } else {
            job.run(&hansard).await;
        }
        tokio::select! {
            () = tokio::time::sleep(J::EVERY) => {}
            () = job.woken(&hansard) => {}
            () = stopped() => break,
        }
    }
    job.end(&hansard).await;
}
