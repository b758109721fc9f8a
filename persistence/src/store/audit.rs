//! The one serial audit writer of this start of this replica (DECISIONS A2).
//!
//! It takes the sequence numbers, without holes, and links every row to the one before:
//! `chain_0 = SHA-256("hansard-audit-v1" ‖ writer id)`, `chain_n = SHA-256("hansard-audit-v1" ‖ chain_(n-1) ‖
//! u64be n ‖ fields)`, where a field is `u32be length ‖ bytes` and one that is absent is `u32be 0xFFFFFFFF`.

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use domain::actions::AdministersIdentity;
use domain::audit::AuditEvent;
use domain::gate::Granted;
use sea_orm::DatabaseTransaction;
use tokio::sync::Mutex;

use super::Store;
use crate::StoreError;
use crate::rows::audit_rows::{self, Link};
use crate::rows::column_text;

const DOMAIN: &[u8] = b"hansard-audit-v1";

pub(super) struct AuditWriter {
    writer_id: String,
    /// The last link that is known to be committed; `None` when a commit ended in doubt, and the database has to be
    /// asked.
    head: Mutex<Option<Link>>,
}

impl AuditWriter {
    pub(super) fn new() -> Self {
        let mut id = [0_u8; 16];
        SystemRandom::new().fill(&mut id).expect("the operating system's random source works");
        let writer_id = hex::encode(id);
        let head = first_link(&writer_id);
        Self { writer_id, head: Mutex::new(Some(head)) }
    }

    /// Writes the transaction's last row and commits it. Callers take turns here, each with its transaction at hand:
    /// whoever is inside needs nothing that somebody outside holds.
    pub(super) async fn append_and_commit(
        &self,
        transaction: DatabaseTransaction,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        let event = storable(event);
        let mut head = self.head.lock().await;
        // Taken out while it is in doubt: whatever goes wrong from here to the commit leaves None behind.
        let last = match head.take() {
            Some(last) => last,
            None => audit_rows::last_link(&transaction, &self.writer_id)
                .await?
                .unwrap_or_else(|| first_link(&self.writer_id)),
        };
        let link = next_link(last, &event);
        audit_rows::insert(&transaction, &self.writer_id, link, &event).await?;
        transaction.commit().await.map_err(StoreError::at("commit"))?;
        *head = Some(link);
        Ok(())
    }
}

impl Store {
    /// Writes the final row of a call that changed nothing; committed when it returns.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the call must then not be answered.
    pub async fn record_audit(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.transact(event.account.clone(), super::Revision::Kept, Some(event), |_| {
            Box::pin(async { Ok(()) })
        })
        .await
    }

    /// The latest audit rows of the account, the newest first.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn latest_audit_events<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        audit_rows::latest(self.inner.connections.reader(), granted.account(), u64::from(limit)).await
    }
}

/// The event as the database can keep it; the chain is over what is kept.
fn storable(event: AuditEvent) -> AuditEvent {
    AuditEvent {
        request_id: column_text(&event.request_id),
        principal: column_text(&event.principal),
        access_key_id: event.access_key_id.as_deref().map(column_text),
        action: column_text(&event.action),
        resource: column_text(&event.resource),
        result: column_text(&event.result),
        user_agent: column_text(&event.user_agent),
        recording: event.recording.as_deref().map(column_text),
        how: column_text(&event.how),
        ..event
    }
}

fn first_link(writer_id: &str) -> Link {
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    context.update(writer_id.as_bytes());
    Link { sequence: 0, chain: finish(context) }
}

fn next_link(last: Link, event: &AuditEvent) -> Link {
    let sequence = last.sequence + 1;
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    context.update(&last.chain);
    context.update(&sequence.to_be_bytes());
    let (decision, decided_by) = audit_rows::decision_columns(&event.decision);
    let at = event.at.as_millis().to_string();
    let address = event.source_address.map(|address| address.to_string());
    let fields = [
        Some(event.request_id.as_str()),
        Some(at.as_str()),
        Some(event.account.as_str()),
        Some(event.principal.as_str()),
        event.access_key_id.as_deref(),
        Some(event.action.as_str()),
        Some(event.resource.as_str()),
        Some(decision),
        decided_by,
        Some(event.result.as_str()),
        address.as_deref(),
        Some(event.user_agent.as_str()),
        event.recording.as_deref(),
        Some(event.how.as_str()),
    ];
    for field in fields {
        let length = field.map_or(u32::MAX, |text| u32::try_from(text.len()).unwrap_or(u32::MAX - 1));
        context.update(&length.to_be_bytes());
        context.update(field.unwrap_or_default().as_bytes());
    }
    Link { sequence, chain: finish(context) }
}

fn finish(context: Context) -> [u8; 32] {
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
