//! When access keys last signed a request. This is noted in memory and written every few seconds, so that no call costs
//! a write of its own: at most one write for each key and round.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use domain::actions::Product;
use domain::identity::{AccessKeyId, AccessKeyUse};

use sea_orm::DatabaseTransaction;

use super::Store;
use super::begun_anew::begun_anew;
use crate::StoreError;
use crate::error::COMMIT;
use crate::rows::access_key_rows;

/// How many keys one transaction writes, for which all calls wait on SQLite.
const MOST_AT_ONCE: usize = 64;

type Uses = BTreeMap<AccessKeyId, AccessKeyUse>;

/// What has been noted and not yet written.
#[derive(Debug, Default)]
pub(super) struct KeyUsage(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    unwritten: Uses,
    /// The uses that a transaction is writing, which may fail.
    being_written: Uses,
}

impl KeyUsage {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        // A map of moments is consistent at any time, so that poisoning is ignored.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest use of a key that is noted in memory.
    pub(super) fn noted_of(&self, id: &AccessKeyId) -> Option<AccessKeyUse> {
        let noted = self.noted();
        let known = [noted.unwritten.get(id), noted.being_written.get(id)];
        known.into_iter().flatten().max_by_key(|used| used.at).cloned()
    }
}

impl Noted {
    fn note(&mut self, id: AccessKeyId, used: AccessKeyUse) {
        if self.unwritten.get(&id).is_none_or(|before| before.at <= used.at) {
            self.unwritten.insert(id, used);
        }
    }
}

impl Store {
    /// Notes that a key has signed a call, and the product that was called, where that is known. Nothing is written yet.
    pub fn note_key_used(&self, id: &AccessKeyId, at: Timestamp, product: Option<Product>) {
        let service = product.map(|product| product.ram_code().to_owned());
        self.inner.key_usage.noted().note(id.clone(), AccessKeyUse { at, service });
    }

    /// Writes what was noted; returns for how many keys. What cannot be written stays noted for the next time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn write_key_usage(&self) -> Result<usize, StoreError> {
        let uses = {
            let mut noted = self.inner.key_usage.noted();
            noted.being_written = std::mem::take(&mut noted.unwritten);
            noted.being_written.clone()
        };
        if uses.is_empty() {
            return Ok(0);
        }
        let written = self.write_key_uses(&uses).await;
        let mut noted = self.inner.key_usage.noted();
        for (id, used) in std::mem::take(&mut noted.being_written) {
            if written.is_err() {
                noted.note(id, used);
            }
        }
        written.map(|()| uses.len())
    }

    /// Written in the order of the ids, so that replicas wait for one another but never in a circle.
    async fn write_key_uses(&self, noted: &Uses) -> Result<(), StoreError> {
        let (connections, noted) = (&self.inner.connections, noted.iter().collect::<Vec<_>>());
        for piece in noted.chunks(MOST_AT_ONCE) {
            let write = |transaction: DatabaseTransaction| async move {
                for (id, used) in piece {
                    access_key_rows::set_last_used(&transaction, id, used).await?;
                }
                transaction.commit().await.map_err(StoreError::at(COMMIT))
            };
            begun_anew(connections, || connections.write(write)).await?;
        }
        Ok(())
    }
}
