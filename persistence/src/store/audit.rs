//! The one serial audit writer of this start of this replica (DECISIONS A2). It assigns the sequence numbers, without
//! gaps, and links every row to the previous one (`audit::chain`).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use domain::AccountId;
use domain::actions::{AdministersIdentity, ReadsAuditTrail};
use domain::audit::AuditEvent;
use domain::decided_under::Under;
use domain::gate::Granted;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use tokio::sync::{Mutex, MutexGuard, Notify};

use super::audit_recent::Recent;
use super::{NonceClaim, Store};
use crate::audit::chain::{Link, first_link, next_link};
use crate::audit::event::WrittenEvent;
use crate::database::Connections;
use crate::dialect::group_statement::{Group, Written};
use crate::dialect::sqlite_direct::DirectTransaction;
use crate::error::COMMIT;
use crate::pages::{Slice, next_token};
use crate::rows::{audit_list_rows, audit_pruned_rows, audit_rows, audit_writer_rows};
use crate::{AuditFilter, AuditPage, AuditQuery, PageRequest, StoreError};

pub(super) struct AuditWriter {
    chain: Mutex<OwnChain>,
    /// The folder that the rows are exported to, once it is open.
    pub(super) origin: OnceLock<String>,
    /// Notified of each row that was committed.
    pub(super) written: Notify,
    /// What the export has not come to.
    pub(super) recent: Recent,
}

/// The chain that is being written.
pub(super) struct OwnChain {
    pub(super) writer_id: String,
    head: Head,
    /// The number and the hash of the last anchor. `None` when they have to be read from the database.
    pub(super) last_anchor: Option<(u64, [u8; 32])>,
    /// Whether the chain has ended; a later row begins another chain.
    pub(super) ended: bool,
    /// Chains that were given up because another program wrote to them, with their last genuine links.
    pub(super) given_up: Vec<(String, Link)>,
}

#[derive(Debug, Clone)]
enum Head {
    /// The last link that is known to be committed.
    Known(Link),
    /// The outcome of a commit is unknown: only the database knows where the chain ends.
    InDoubt(Doubt),
}

/// Where a chain may end after a commit whose answer was lost. That commit may still become visible after another one
/// was tried, so that none of them is forgotten before one is known to be committed.
#[derive(Debug, Clone)]
struct Doubt {
    /// The last link that was found to be committed.
    last: Link,
    /// The last link of each transaction that was tried after it.
    tried: Vec<Link>,
}

impl Doubt {
    /// Adds an attempt after the link at which the chain was found to end.
    fn trying(mut self, last: Link, tried: Link) -> Self {
        // Two rows cannot have the same number.
        self.tried.retain(|tried| tried.sequence > last.sequence);
        self.tried.push(tried);
        Self { last, ..self }
    }

    /// Whether the chain ends at a link that this writer wrote.
    fn explains(&self, found: Link) -> bool {
        found == self.last || self.tried.contains(&found)
    }
}

impl OwnChain {
    fn fresh() -> Self {
        let mut id = [0_u8; 16];
        SystemRandom::new().fill(&mut id).expect("the operating system's random source works");
        let writer_id = hex::encode(id);
        let head = Head::Known(first_link(&writer_id));
        Self { writer_id, head, last_anchor: Some((0, [0; 32])), ended: false, given_up: Vec::new() }
    }

    /// Begins the chain that a test knows the name of.
    #[cfg(test)]
    pub(super) fn begin_as(&mut self, writer_id: &str) {
        let head = Head::Known(first_link(writer_id));
        *self = Self { writer_id: writer_id.to_owned(), head, ..Self::fresh() };
    }

    /// Begins another chain.
    fn restart(&mut self) -> Link {
        let given_up = std::mem::take(&mut self.given_up);
        *self = Self { given_up, ..Self::fresh() };
        first_link(&self.writer_id)
    }

    /// The last link. If the chain is not as this writer left it, the chain is given up: forged rows must not become
    /// part of what follows.
    pub(super) async fn head(&mut self, connection: &impl ConnectionTrait) -> Result<Link, StoreError> {
        let doubt = match &self.head {
            Head::Known(last) => return Ok(*last),
            Head::InDoubt(doubt) => doubt,
        };
        let found = match audit_rows::last_link(connection, &self.writer_id).await {
            Err(StoreError::CorruptRow(_)) => None,
            found => Some(found?.unwrap_or_else(|| first_link(&self.writer_id))),
        };
        match found {
            // The doubt stays until a commit is known: another attempt may still become visible.
            Some(found) if doubt.explains(found) => Ok(found),
            _ => {
                let last = doubt.last;
                tracing::error!(
                    writer = %self.writer_id,
                    row = last.sequence,
                    "somebody else wrote to this control plane's audit chain; it ends at this row, and another begins. \
                     hansard audit verify names what was forged"
                );
                self.given_up.push((self.writer_id.clone(), last));
                Ok(self.restart())
            }
        }
    }
}

impl OwnChain {
    /// The last link, where nothing has to be read or begun before a row can follow it.
    fn known_head(&self) -> Option<Link> {
        match self.head {
            Head::Known(last) if last.sequence > 0 && !self.ended => Some(last),
            Head::Known(_) | Head::InDoubt(_) => None,
        }
    }

    /// Links events to the last link. The chain is in doubt until their commit is known: from here to there, any failure may
    /// leave either all of the rows or none.
    fn try_after<'e>(
        &mut self,
        last: Link,
        events: &[&'e Arc<WrittenEvent>],
    ) -> Vec<(Link, &'e Arc<WrittenEvent>)> {
        let mut tried = last;
        let links = events.iter().map(|event| {
            tried = next_link(tried, event);
            (tried, *event)
        });
        let links: Vec<_> = links.collect();
        let before = match std::mem::replace(&mut self.head, Head::Known(last)) {
            Head::Known(_) => Doubt { last, tried: Vec::new() },
            Head::InDoubt(doubt) => doubt,
        };
        self.head = Head::InDoubt(before.trying(last, tried));
        links
    }

    /// Notes that these are committed.
    fn committed(&mut self, links: &[(Link, &Arc<WrittenEvent>)]) {
        if let Some((last, _)) = links.last() {
            self.head = Head::Known(*last);
        }
    }
}

impl AuditWriter {
    pub(super) fn new() -> Self {
        Self {
            chain: Mutex::new(OwnChain::fresh()),
            origin: OnceLock::new(),
            written: Notify::new(),
            recent: Recent::default(),
        }
    }

    /// Locks the chain: nobody else writes to it while the guard is held.
    pub(super) async fn chain(&self) -> MutexGuard<'_, OwnChain> {
        self.chain.lock().await
    }

    /// Writes the last rows of a group's transaction and commits it. Callers take turns here, each with its transaction
    /// already begun: the caller inside needs nothing that a waiting caller holds.
    pub(super) async fn append_and_commit(
        &self,
        transaction: DatabaseTransaction,
        events: &[&Arc<WrittenEvent>],
    ) -> Result<(), StoreError> {
        let own = self.chain.lock().await;
        self.append_in_turn(own, transaction, events).await
    }

    /// Writes a group by one statement: its claims, and its rows if it has any. `None`: the chain needs more than that, and
    /// nothing was done.
    ///
    /// The turn is held while the statement runs, so that the statement waits for nobody else for long.
    pub(super) async fn append_at_once(
        &self,
        connections: &Connections,
        decided_under: &BTreeMap<&AccountId, Under>,
        claims: &BTreeMap<[u8; 32], &NonceClaim>,
        events: &[&Arc<WrittenEvent>],
    ) -> Result<Option<Written>, StoreError> {
        if events.is_empty() {
            let group = Group { decided_under, claims, writer_id: "", rows: &[] };
            return connections.write_group_at_once(&group).await.map(Some);
        }
        let mut own = self.chain.lock().await;
        let Some(last) = own.known_head() else { return Ok(None) };
        let links = own.try_after(last, events);
        let group = Group { decided_under, claims, writer_id: &own.writer_id, rows: &links };
        let written = connections.write_group_at_once(&group).await?;
        match written {
            Written::Committed => self.committed(own, &links),
            // The statement, or nothing, was answered, and wrote nothing.
            Written::Outdated | Written::Unreachable => own.head = Head::Known(last),
            Written::Undone => {}
        }
        Ok(Some(written))
    }

    /// As [`AuditWriter::append_and_commit`], on the thread that has the connection. `false`: the end of the chain has to be
    /// read, or another chain begun, and nothing was written.
    pub(super) fn append_and_commit_directly(
        &self,
        transaction: DirectTransaction<'_>,
        events: &[&Arc<WrittenEvent>],
    ) -> Result<bool, StoreError> {
        let mut own = self.chain.blocking_lock();
        let Some(last) = own.known_head() else { return Ok(false) };
        let links = own.try_after(last, events);
        audit_rows::insert_all_directly(&transaction, &own.writer_id, &links)?;
        transaction.commit()?;
        self.committed(own, &links);
        Ok(true)
    }

    /// The same for a change. Its turn has a limit of its own, because all calls wait for it.
    pub(super) async fn append_change_and_commit(
        &self,
        connections: &Connections,
        transaction: DatabaseTransaction,
        events: &[AuditEvent],
    ) -> Result<(), StoreError> {
        let events: Vec<_> = events.iter().cloned().map(WrittenEvent::of).map(Arc::new).collect();
        let events: Vec<_> = events.iter().collect();
        let own = self.chain.lock().await;
        connections.write_last(self.append_in_turn(own, transaction, &events)).await
    }

    /// Notes that these are committed, and tells the export.
    fn committed(&self, mut own: MutexGuard<'_, OwnChain>, links: &[(Link, &Arc<WrittenEvent>)]) {
        own.committed(links);
        // Without an export nobody would take them.
        if self.origin.get().is_some() {
            self.recent.add(&own.writer_id, links);
        }
        drop(own);
        self.written.notify_one();
    }

    async fn append_in_turn(
        &self,
        mut own: MutexGuard<'_, OwnChain>,
        transaction: DatabaseTransaction,
        events: &[&Arc<WrittenEvent>],
    ) -> Result<(), StoreError> {
        let last = if own.ended { own.restart() } else { own.head(&transaction).await? };
        let links = own.try_after(last, events);
        if let Some((_, event)) = links.first().filter(|(link, _)| link.sequence == 1) {
            let origin = self.origin.get().map(String::as_str);
            audit_writer_rows::register(&transaction, &own.writer_id, origin, event.at).await?;
        }
        audit_rows::insert_all(&transaction, &own.writer_id, &links).await?;
        transaction.commit().await.map_err(StoreError::at(COMMIT))?;
        self.committed(own, &links);
        Ok(())
    }
}

impl Store {
    /// The audit trail of the account, or of the granted instance, the newest first.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`], [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn list_audit_events<A: ReadsAuditTrail>(
        &self,
        granted: &Granted<A>,
        query: &AuditQuery,
    ) -> Result<AuditPage, StoreError> {
        let (account, instance) = (granted.account(), granted.instance());
        let question = format!("audit {account} {instance:?} {:?}", query.filter);
        let slice = Slice::of(&query.page, &question)?;
        let reader = self.inner.connections.reader();
        let mut rows = audit_list_rows::list(reader, account, instance, &query.filter, &slice).await?;
        let more = slice.cut(&mut rows);
        let next_token = rows.last().filter(|_| more).map(|(cursor, _)| next_token(&question, cursor));
        let pruned_before = match &next_token {
            Some(_) => None,
            None => audit_pruned_rows::rows_before(reader).await?,
        };
        let pruned_before =
            pruned_before.filter(|pruned| query.filter.from.is_none_or(|from| from < *pruned));
        Ok(AuditPage {
            events: rows.into_iter().map(|(_, event)| event).collect(),
            next_token,
            pruned_before,
        })
    }

    /// The latest audit rows of the account, the newest first.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn latest_audit_events<A: AdministersIdentity + ReadsAuditTrail>(
        &self,
        granted: &Granted<A>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let page = PageRequest::Number { number: 1, size: limit };
        let query = AuditQuery { filter: AuditFilter::default(), page };
        Ok(self.list_audit_events(granted, &query).await?.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(sequence: u64, chain: u8) -> Link {
        Link { sequence, chain: [chain; 32] }
    }

    #[test]
    fn a_commit_that_becomes_visible_late_is_this_writers_own() {
        let doubt = Doubt { last: link(4, 1), tried: Vec::new() };
        let doubt = doubt.trying(link(4, 1), link(5, 2));
        // The first was not visible yet, so that another one was tried at the same place.
        let doubt = doubt.trying(link(4, 1), link(5, 3));
        for found in [link(4, 1), link(5, 2), link(5, 3)] {
            assert!(doubt.explains(found), "{found:?}");
        }
        assert!(!doubt.explains(link(5, 4)) && !doubt.explains(link(3, 1)));
        // Once one of them was found, the other can no longer become visible.
        let doubt = doubt.trying(link(5, 2), link(7, 5));
        assert!(doubt.explains(link(5, 2)) && doubt.explains(link(7, 5)));
        assert!(!doubt.explains(link(5, 3)) && !doubt.explains(link(4, 1)));
    }
}
