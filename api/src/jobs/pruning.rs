//! Removes old audit rows from the database, where an operator wants that. They stay in the exported files.

use std::future::pending;
use std::time::Duration;

use persistence::{AuditPruning, WithheldPruning};

use super::runner::Job;
use crate::Hansard;
use crate::errors::chain_of;

pub(super) struct PruneAudit;

impl Job for PruneAudit {
    const NAME: &'static str = "prune the audit trail";
    const EVERY: Duration = Duration::from_secs(60 * 60);
    /// It may stop anywhere: an anchor says how far rows may go, before the first goes.
    const GIVES_UP: bool = true;

    async fn run(&mut self, hansard: &Hansard) {
        let Some(retention) = hansard.settings.audit_retention else { return };
        let now = hansard.now();
        match hansard.store.prune_audit(now.minus(retention), now).await {
            Ok(AuditPruning { rows, withheld }) => {
                if rows > 0 {
                    tracing::info!(
                        rows,
                        "old audit rows were removed from the database; they are in the exported files"
                    );
                }
                for WithheldPruning { writer_id, why } in withheld {
                    tracing::error!(
                        writer = %writer_id,
                        why,
                        "old audit rows stay in the database, because they cannot be proven; see hansard audit verify"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(chain = %chain_of(&error), "old audit rows could not be removed from the database yet");
            }
        }
    }

    /// A short retention is looked at more often.
    async fn woken(&self, hansard: &Hansard) {
        match hansard.settings.audit_retention {
            Some(retention) => tokio::time::sleep(retention / 24).await,
            None => pending().await,
        }
    }
}
