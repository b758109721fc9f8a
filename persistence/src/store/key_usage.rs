//! When access keys last signed. It is noted in memory and written every few seconds, so that no call costs a write of
//! its own: at most one for each key and round.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use domain::actions::Product;
use domain::identity::{AccessKeyId, AccessKeyUse};

use super::Store;
use crate::StoreError;
use crate::rows::access_key_rows;

/// What is noted and not yet written.
#[derive(Debug, Default)]
pub(super) struct KeyUsage(Mutex<BTreeMap<AccessKeyId, AccessKeyUse>>);

impl KeyUsage {
    fn noted(&self) -> MutexGuard<'_, BTreeMap<AccessKeyId, AccessKeyUse>> {
        // A map of moments is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, id: AccessKeyId, used: AccessKeyUse) {
        let mut noted = self.noted();
        if noted.get(&id).is_none_or(|before| before.at <= used.at) {
            noted.insert(id, used);
        }
    }
}

impl Store {
    /// Notes that a key has signed a call, of which product it was where that is known. Nothing is written yet.
    pub fn note_key_used(&self, id: &AccessKeyId, at: Timestamp, product: Option<Product>) {
        let service = product.map(|product| product.ram_code().to_owned());
        self.inner.key_usage.note(id.clone(), AccessKeyUse { at, service });
    }

    /// Writes what was noted; says of how many keys. What cannot be written stays noted for the next time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn write_key_usage(&self) -> Result<usize, StoreError> {
        let noted = std::mem::take(&mut *self.inner.key_usage.noted());
        if noted.is_empty() {
            return Ok(0);
        }
        let written = self.write_key_uses(&noted).await;
        if written.is_err() {
            for (id, used) in noted {
                self.inner.key_usage.note(id, used);
            }
            return written.map(|()| 0);
        }
        Ok(noted.len())
    }

    /// In the order of the ids, so that replicas wait for one another and never in a circle.
    async fn write_key_uses(&self, noted: &BTreeMap<AccessKeyId, AccessKeyUse>) -> Result<(), StoreError> {
        let transaction = self.inner.connections.begin_write().await?;
        for (id, used) in noted {
            access_key_rows::set_last_used(&transaction, id, used).await?;
        }
        transaction.commit().await.map_err(StoreError::at("commit"))
    }
}
