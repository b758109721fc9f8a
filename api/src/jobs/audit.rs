//! What makes the audit trail evidence: its rows go to files as they are written, and once a minute the chains are
//! anchored. No call waits for either.

use std::time::Duration;

use tokio::time::Instant;

use super::runner::Job;
use crate::Hansard;
use crate::errors::chain_of;

/// How often the chains are anchored (DECISIONS A2).
const ANCHOR_EVERY: Duration = Duration::from_secs(60);
/// How long rows are gathered, so that many of them cost one write.
const GATHER: Duration = Duration::from_millis(100);

/// Exports rows and anchors them.
#[derive(Default)]
pub(super) struct Audit {
    exporter: Exporter,
    keeper: Keeper,
    anchored_at: Option<Instant>,
}

impl Job for Audit {
    const NAME: &'static str = "audit";
    /// How often the rows of other writers are looked for: those of `hansard admin` and of control planes that have
    /// ended.
    const EVERY: Duration = Duration::from_secs(10);

    async fn run(&mut self, hansard: &Hansard) {
        if self.anchored_at.is_none_or(|at| at.elapsed() >= ANCHOR_EVERY) {
            self.anchored_at = Some(Instant::now());
            if let Err(error) = hansard.store.anchor_audit(hansard.now()).await {
                tracing::warn!(chain = %chain_of(&error), "the audit trail could not be anchored; the next round tries again");
            }
        }
        self.exporter.export(hansard).await;
        self.keeper.keep(hansard).await;
        tokio::time::sleep(GATHER).await;
    }

    async fn woken(&self, hansard: &Hansard) {
        hansard.store.audit_written().await;
    }

    /// Ends the chain and exports the rest.
    async fn end(&mut self, hansard: &Hansard) {
        if let Err(error) = hansard.store.end_audit(hansard.now()).await {
            tracing::warn!(chain = %chain_of(&error), "the audit chain could not be ended; the next start anchors it");
        }
        self.exporter.export(hansard).await;
        self.keeper.keep(hansard).await;
    }
}

/// Exports rows; logs once when that fails and once when it works again.
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

/// Appends anchors to the separate file; logs once when that fails and once when it works again.
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
