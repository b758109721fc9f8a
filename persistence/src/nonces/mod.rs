//! The single use of nonces. Where replicas share a database, its unique index decides. On SQLite the claims are only
//! appended, and what finds them is in memory: a random key is the most expensive thing that a call could write. The rows are
//! the truth and this is no more than their index: it is made from them at the start, what a commit left is read back after it
//! failed, and what another process added is read before anything is claimed.

mod block;
mod index;
mod own;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use domain::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, RuntimeErr};
use tokio::sync::{Mutex, MutexGuard};

use self::index::{Index, Limits};
pub(crate) use self::own::OwnClaims;
use crate::dialect::sqlite_direct::DirectTransaction;
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
    /// The database finds them, but for those that this replica claimed not long ago.
    Shared(OwnClaims),
}

/// The claims of one transaction.
pub(crate) struct Claimed<'n> {
    fresh: HashSet<[u8; 32]>,
    /// Where those that were fresh are taken in once they are committed.
    claims: Vec<NonceClaim>,
    into: TakenInto<'n>,
}

enum TakenInto<'n> {
    Nothing,
    Index(MutexGuard<'n, Index>),
    Own(&'n OwnClaims),
}

impl<'n> Claimed<'n> {
    fn nothing() -> Self {
        Self { fresh: HashSet::new(), claims: Vec::new(), into: TakenInto::Nothing }
    }

    fn appended(index: MutexGuard<'n, Index>, fresh: &[&NonceClaim]) -> Self {
        Self {
            fresh: fresh.iter().map(|claim| claim.hash).collect(),
            claims: fresh.iter().copied().cloned().collect(),
            into: TakenInto::Index(index),
        }
    }

    /// Whether this was fresh; once. Of equal claims of one group the first one has it.
    pub(crate) fn take(&mut self, claim: &NonceClaim) -> bool {
        self.fresh.remove(&claim.hash)
    }

    /// Notes that the transaction is committed. Whatever becomes of a commit without that is read back.
    pub(crate) fn committed(self) {
        match self.into {
            TakenInto::Nothing => {}
            TakenInto::Index(mut index) => {
                for claim in &self.claims {
                    let (expires_at, now) = (claim.expires_at.as_millis(), claim.now.as_millis());
                    index.add(first_half(&claim.hash), expires_at, Some(now));
                    index.last_row += 1;
                }
            }
            TakenInto::Own(own) => own.add(&self.claims),
        }
    }
}

impl Nonces {
    /// Of a SQLite file in this folder.
    pub(crate) fn appended(folder: PathBuf) -> Self {
        Self::Appended(Mutex::new(Index::new(folder, Limits::USUAL)))
    }

    /// Of a database that replicas share.
    pub(crate) fn shared() -> Self {
        Self::Shared(OwnClaims::new())
    }

    /// What this replica claimed not long ago, where the database need not be asked about that.
    pub(crate) fn own(&self) -> Option<&OwnClaims> {
        match self {
            // The index is asked in the transaction, after what others added was read.
            Self::Appended(_) => None,
            Self::Shared(own) => Some(own),
        }
    }

    /// Reads what is there already, which otherwise the first claim does.
    pub(crate) async fn prepare(&self, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
        match self {
            Self::Appended(index) => catch_up(&mut *index.lock().await, connection).await,
            Self::Shared(_) => Ok(()),
        }
    }

    /// Claims nonces in a transaction. Equal ones are one claim.
    pub(crate) async fn claim(
        &self,
        transaction: &DatabaseTransaction,
        claims: &[&NonceClaim],
    ) -> Result<Claimed<'_>, StoreError> {
        if claims.is_empty() {
            return Ok(Claimed::nothing());
        }
        let index = match self {
            Self::Appended(index) => index,
            Self::Shared(own) => {
                let unknown: Vec<&NonceClaim> =
                    claims.iter().copied().filter(|claim| !own.hold(claim)).collect();
                let fresh = nonce_rows::claim_all(transaction, &unknown).await?;
                let claims = unknown.into_iter().filter(|claim| fresh.contains(&claim.hash));
                return Ok(Claimed { claims: claims.cloned().collect(), fresh, into: TakenInto::Own(own) });
            }
        };
        let mut index = index.lock().await;
        // The transaction holds SQLite's lock: nobody else adds to the rows until it ends.
        catch_up(&mut index, transaction).await?;
        let fresh = fresh(&mut index, claims)?;
        appended_nonce_rows::append(transaction, index.last_row, &fresh).await?;
        Ok(Claimed::appended(index, &fresh))
    }

    /// As [`Nonces::claim`], on the thread that has the connection. `None`: there are rows that are not in the index, and
    /// nothing was claimed.
    pub(crate) fn claim_directly(
        &self,
        transaction: &DirectTransaction<'_>,
        claims: &[&NonceClaim],
    ) -> Result<Option<Claimed<'_>>, StoreError> {
        if claims.is_empty() {
            return Ok(Some(Claimed::nothing()));
        }
        let Self::Appended(index) = self else { return Ok(None) };
        let mut index = index.blocking_lock();
        if appended_nonce_rows::last_directly(transaction)? > index.last_row {
            return Ok(None);
        }
        let fresh = fresh(&mut index, claims)?;
        appended_nonce_rows::append_directly(transaction, index.last_row, &fresh)?;
        Ok(Some(Claimed::appended(index, &fresh)))
    }

    /// Removes some of the expired nonces, and returns how many, and whether there are more.
    pub(crate) async fn purge_batch(
        &self,
        connection: &impl ConnectionTrait,
        now: Timestamp,
    ) -> Result<(u64, bool), StoreError> {
        let up_to = match self {
            Self::Shared(_) => return nonce_rows::purge_batch(connection, now).await,
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

/// Those that are not claimed, each once, in the order of their hashes.
fn fresh<'c>(index: &mut Index, claims: &[&'c NonceClaim]) -> Result<Vec<&'c NonceClaim>, StoreError> {
    // The calls of one group came within moments. By the earliest of them none counts as expired too early.
    let Some(now) = claims.iter().map(|claim| claim.now.as_millis()).min() else { return Ok(Vec::new()) };
    let mut by_hash = BTreeMap::new();
    for claim in claims {
        if !index.holds(first_half(&claim.hash), now).map_err(look_up_failed)? {
            by_hash.entry(claim.hash).or_insert(*claim);
        }
    }
    Ok(by_hash.into_values().collect())
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
