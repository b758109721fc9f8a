//! What makes the audit trail evidence: its rows go to files as they are written, and once a minute the chains are
//! anchored. No call waits for either.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Hansard;
use crate::errors::chain_of;

/// How often the chains are anchored (DECISIONS A2).
const ANCHOR_EVERY: Duration = Duration::from_secs(60);
/// How often other writers are looked after, whose rows nobody here is told of: `hansard admin`, and the dead.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long rows are gathered, so that many of them cost one write.
const GATHER: Duration = Duration::from_millis(100);

/// Runs until it is told to stop; then ends the chain and exports the rest.
pub(super) async fn run(hansard: Arc<Hansard>, mut stopped: watch::Receiver<bool>) {
    let mut exporter = Exporter::default();
    let mut keeper = Keeper::default();
    let mut anchoring = tokio::time::interval(ANCHOR_EVERY);
    anchoring.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looking = tokio::time::interval(LOOK_EVERY);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = anchoring.tick() => {
                if let Err(error) = hansard.store.anchor_audit(hansard.now()).await {
                    tracing::warn!(chain = %chain_of(&error), "the audit trail could not be anchored; the next round tries again");
                }
                keeper.keep(&hansard).await;
            }
            _ = looking.tick() => {
                exporter.export(&hansard).await;
                keeper.keep(&hansard).await;
            }
            () = hansard.store.audit_written() => {
                exporter.export(&hansard).await;
                tokio::time::sleep(GATHER).await;
            }
            () = told_to_stop(&mut stopped) => break,
        }
    }
    if let Err(error) = hansard.store.end_audit(hansard.now()).await {
        tracing::warn!(chain = %chain_of(&error), "the audit chain could not be ended; the next start vouches for it");
    }
    exporter.export(&hansard).await;
    keeper.keep(&hansard).await;
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it everybody who could say stop.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Exports, and says once when it cannot and once when it can again.
#[derive(Default)]
struct Exporter {
    failing_since: Option<Instant>,
}

impl Exporter {
    async fn export(&mut self, hansard: &Hansard) {
        match hansard.store.export_audit(hansard.now()).await {
            Ok(lines) => {
                if let Some(since) = self.failing_since.take() {
                    let seconds = since.elapsed().as_secs();
                    tracing::info!(lines, seconds, "audit rows are exported again; nothing was lost");
                }
            }
            Err(error) if self.failing_since.is_none() => {
                self.failing_since = Some(Instant::now());
                tracing::error!(
                    chain = %chain_of(&error),
                    "audit rows cannot be exported; they are in the database, and follow once it works again"
                );
            }
            Err(_) => {}
        }
    }
}

/// Appends anchors to the file that is kept elsewhere, and says once when it cannot and once when it can again.
#[derive(Default)]
struct Keeper {
    failing: bool,
}

impl Keeper {
    async fn keep(&mut self, hansard: &Hansard) {
        match hansard.store.write_kept_anchors().await {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("anchors are appended to their file again");
            }
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(
                    chain = %chain_of(&error),
                    "anchors cannot be kept elsewhere; they are in the database, and the newest follow once it works again"
                );
            }
            Ok(()) | Err(_) => {}
        }
    }
}
