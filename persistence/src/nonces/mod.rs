//! The single use of nonces. Where replicas share a database, its unique index decides. On SQLite the claims are only
//! appended, and what finds them is in memory: a random key is the most expensive thing that a call could write. The rows are
//! the truth and this is no more than their index: it is made from them at the start, what a commit left is read back after it
//! failed, and what another process added is read before anything is claimed.

mod block;
mod index;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use domain::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, RuntimeErr};
use tokio::sync::{Mutex, MutexGuard};

use self::index::{Index, Limits};
use crate::rows::appended_nonce_rows::{self, READ_BYTES};
use crate::rows::nonce_rows;
use crate::{NonceClaim, StoreError};

/// How many rows are read at once.
const READ_AT_ONCE: u32 = 10_000;
/// How many expired rows one statement removes, so that no claim waits long behind it.
const PURGE_BATCH: u64 = 2_000;

/// What claims nonces.
pub(crate) enum Nonces {
    /// Rows are appended, and found by this index.
    Appended(Mutex<Index>),
    /// The database finds them.
    Shared,
}

/// The claims of one transaction.
pub(crate) struct Claimed<'n> {
    fresh: HashSet<[u8; 32]>,
    appended: Option<(MutexGuard<'n, Index>, Vec<NonceClaim>)>,
}

impl Claimed<'_> {
    /// Whether this was fresh; once. Of equal claims of one group the first one has it.
    pub(crate) fn take(&mut self, claim: &NonceClaim) -> bool {
        self.fresh.remove(&claim.hash)
    }

    /// Notes that the transaction is committed. Whatever becomes of a commit without that is read back.
    pub(crate) fn committed(self) {
        let Some((mut index, claims)) = self.appended else { return };
        for claim in claims {
            index.add(first_half(&claim.hash), claim.expires_at.as_millis(), Some(claim.now.as_millis()));
            index.last_row += 1;
        }
    }
}

impl Nonces {
    /// Of a SQLite file in this folder.
    pub(crate) fn appended(folder: PathBuf) -> Self {
        Self::Appended(Mutex::new(Index::new(folder, Limits::USUAL)))
    }

    /// Reads what is there already, which otherwise the first claim does.
    pub(crate) async fn prepare(&self, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
        match self {
            Self::Appended(index) => catch_up(&mut *index.lock().await, connection).await,
            Self::Shared => Ok(()),
        }
    }

    /// Claims nonces in a transaction. Equal ones are one claim.
    pub(crate) async fn claim(
        &self,
        transaction: &DatabaseTransaction,
        claims: &[&NonceClaim],
    ) -> Result<Claimed<'_>, StoreError> {
        // The calls of one group came within moments. By the earliest of them none counts as expired too early.
        let Some(now) = claims.iter().map(|claim| claim.now.as_millis()).min() else {
            return Ok(Claimed { fresh: HashSet::new(), appended: None });
        };
        let index = match self {
            Self::Appended(index) => index,
            Self::Shared => {
                let fresh = nonce_rows::claim_all(transaction, claims).await?;
                return Ok(Claimed { fresh, appended: None });
            }
        };
        let mut index = index.lock().await;
        // The transaction holds SQLite's lock: nobody else adds to the rows until it ends.
        catch_up(&mut index, transaction).await?;
        let mut by_hash = BTreeMap::new();
        for claim in claims {
            if !index.holds(first_half(&claim.hash), now).map_err(look_up_failed)? {
                by_hash.entry(claim.hash).or_insert(*claim);
            }
        }
        let fresh: Vec<&NonceClaim> = by_hash.into_values().collect();
        appended_nonce_rows::append(transaction, index.last_row, &fresh).await?;
        Ok(Claimed {
            fresh: fresh.iter().map(|claim| claim.hash).collect(),
            appended: Some((index, fresh.into_iter().cloned().collect())),
        })
    }

    /// Removes some of the expired nonces, and returns how many, and whether there are more.
    pub(crate) async fn purge_batch(
        &self,
        connection: &impl ConnectionTrait,
        now: Timestamp,
    ) -> Result<(u64, bool), StoreError> {
        let up_to = match self {
            Self::Shared => return nonce_rows::purge_batch(connection, now).await,
            Self::Appended(index) => {
                let mut index = index.lock().await;
                index.forget(now.as_millis());
                index.lapsed_up_to
            }
        };
        let removed = appended_nonce_rows::remove_up_to(connection, up_to, PURGE_BATCH).await?;
        Ok((removed, removed == PURGE_BATCH))
    }
}

async fn catch_up(index: &mut Index, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
    while let Some(page) = appended_nonce_rows::after(connection, index.last_row, READ_AT_ONCE).await? {
        for (hash, expires_at) in &page.claims {
            index.add(hash, *expires_at, None);
        }
        // Only now: a block that was closed in between ends before this page, and is removed that far.
        index.last_row = page.last;
        if page.claims.len() < READ_AT_ONCE as usize {
            break;
        }
    }
    Ok(())
}

fn first_half(hash: &[u8; 32]) -> &[u8; READ_BYTES] {
    hash.first_chunk().expect("a hash is longer")
}

fn look_up_failed(error: std::io::Error) -> StoreError {
    StoreError::at("look up a nonce in a file")(DbErr::Conn(RuntimeErr::Internal(error.to_string())))
}
