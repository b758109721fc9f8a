//! Anchoring, which binds the chains to each other and to the server keys (`audit`, DECISIONS A2).

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Timestamp;
use domain::server_keys::ServerKeys;
use sea_orm::DatabaseTransaction;

use super::begun_anew::begun_anew;
use super::{Inner, Store};
use crate::StoreError;
use crate::audit::anchor::{Anchor, Claim, SignedAnchor};
use crate::audit::chain::Link;
use crate::error::COMMIT;
use crate::rows::audit_writer_rows::OpenWriter;
use crate::rows::{audit_anchor_rows, audit_writer_rows};

/// How long a writer from which nothing was heard is still watched. A control plane is heard once a minute.
const SILENT_AFTER: Duration = Duration::from_secs(60 * 60);
/// How many other writers one anchor names; a larger number, as at a first start, takes several anchors.
const MOST_OTHERS: usize = 500;

/// What was last anchored of each writer, so that nothing is anchored twice.
#[derive(Debug, Default)]
pub(super) struct Anchored(tokio::sync::Mutex<BTreeMap<String, u64>>);

impl Store {
    /// Anchors the heads of all unfinished chains, if one of them has moved since the last time. To be called once a
    /// minute.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the next call makes up for it.
    pub async fn anchor_audit(&self, now: Timestamp) -> Result<(), StoreError> {
        self.anchor(now, false).await
    }

    /// Ends this store's audit chain, if it has one: a last anchor states that nothing follows. Rows that are written
    /// nevertheless begin another chain.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the chain then ends like that of a control plane that was killed.
    pub async fn end_audit(&self, now: Timestamp) -> Result<(), StoreError> {
        self.anchor(now, true).await
    }

    async fn anchor(&self, now: Timestamp, end: bool) -> Result<(), StoreError> {
        begun_anew(&self.inner.connections, || self.anchor_once(now, end)).await
    }

    async fn anchor_once(&self, now: Timestamp, end: bool) -> Result<(), StoreError> {
        let inner = &self.inner;
        let mut anchored = inner.anchored.0.lock().await;
        let open = audit_writer_rows::open(inner.connections.reader()).await?;
        let (anchored, open) = (&mut *anchored, &open);
        inner.connections.write_shortly(|on| inner.write_anchors(on, anchored, open, now, end)).await
    }
}

impl Inner {
    async fn write_anchors(
        &self,
        transaction: DatabaseTransaction,
        anchored: &mut BTreeMap<String, u64>,
        open: &[OpenWriter],
        now: Timestamp,
        end: bool,
    ) -> Result<(), StoreError> {
        let inner = self;
        // In the same order as a call: first the transaction, then the chain; otherwise each could wait for what the
        // other holds.
        let mut own = inner.audit.chain().await;
        let head = own.head(&transaction).await?;
        // Nothing to end, unless a chain that was given up still waits for its final anchor.
        if own.ended || (end && head.sequence == 0 && own.given_up.is_empty()) {
            return Ok(());
        }
        let mut made = Vec::new();
        for (writer_id, last) in &own.given_up {
            made.push(sign_off(&inner.keys, &transaction, writer_id, *last, now).await?);
        }
        let writer_id = own.writer_id.clone();
        let others: Vec<Claim> = open
            .iter()
            .filter(|writer| writer.writer_id != writer_id)
            .filter_map(|writer| Some(Claim { writer_id: writer.writer_id.clone(), link: writer.head? }))
            .filter(|claim| anchored.get(&claim.writer_id) != Some(&claim.link.sequence))
            .collect();
        let moved = head.sequence > 0 && anchored.get(&writer_id) != Some(&head.sequence);
        let mut last_anchor = match own.last_anchor.take() {
            Some(last) => last,
            None => find_last_anchor(&transaction, &writer_id).await?,
        };
        if end || moved || !others.is_empty() {
            let origin = inner.audit.origin.get().map(String::as_str);
            audit_writer_rows::register(&transaction, &writer_id, origin, now.as_millis()).await?;
            let parts: Vec<&[Claim]> =
                if others.is_empty() { vec![&[]] } else { others.chunks(MOST_OTHERS).collect() };
            let last_part = parts.len() - 1;
            for (part, others) in parts.into_iter().enumerate() {
                let anchor = Anchor {
                    writer_id: writer_id.clone(),
                    number: last_anchor.0 + 1,
                    at: now.as_millis(),
                    previous: last_anchor.1,
                    head,
                    end: end && part == last_part,
                    others: others.to_vec(),
                    pruned: Vec::new(),
                }
                .signed(&inner.keys);
                audit_anchor_rows::insert(&transaction, &anchor).await?;
                last_anchor = (anchor.number, anchor.hash());
                made.push(anchor);
            }
        }
        audit_writer_rows::heard(&transaction, &writer_id, now).await?;
        if end {
            audit_writer_rows::close(&transaction, &writer_id, now).await?;
        }
        // Their last heads are in an anchor by now.
        let silent_since = now.minus(SILENT_AFTER).as_millis();
        let silent = |writer: &&OpenWriter| writer.writer_id != writer_id && writer.heard_at < silent_since;
        for writer in open.iter().filter(silent) {
            audit_writer_rows::close(&transaction, &writer.writer_id, now).await?;
        }
        transaction.commit().await.map_err(StoreError::at(COMMIT))?;
        inner.exports.kept.add(made);
        own.last_anchor = Some(last_anchor);
        own.given_up.clear();
        own.ended = end;
        drop(own);
        anchored.extend(others.into_iter().map(|claim| (claim.writer_id, claim.link.sequence)));
        anchored.insert(writer_id.clone(), head.sequence);
        for writer in open.iter().filter(silent) {
            anchored.remove(&writer.writer_id);
        }
        inner.audit.written.notify_one();
        Ok(())
    }
}

/// Writes the final anchor of a chain that was given up.
async fn sign_off(
    keys: &ServerKeys,
    transaction: &DatabaseTransaction,
    writer_id: &str,
    head: Link,
    now: Timestamp,
) -> Result<SignedAnchor, StoreError> {
    let (number, previous) = find_last_anchor(transaction, writer_id).await?;
    let anchor = Anchor {
        writer_id: writer_id.to_owned(),
        number: number + 1,
        at: now.as_millis(),
        previous,
        head,
        end: true,
        others: Vec::new(),
        pruned: Vec::new(),
    }
    .signed(keys);
    audit_anchor_rows::insert(transaction, &anchor).await?;
    audit_writer_rows::close(transaction, writer_id, now).await?;
    Ok(anchor)
}

pub(super) async fn find_last_anchor(
    transaction: &DatabaseTransaction,
    writer_id: &str,
) -> Result<(u64, [u8; 32]), StoreError> {
    let last = audit_anchor_rows::last(transaction, writer_id).await?;
    Ok(last.map_or((0, [0; 32]), |anchor| (anchor.number, anchor.hash())))
}
