//! The effects of time on recordings.

use std::time::Duration;

use domain::Timestamp;
use domain::actions::SweepsRecordings;
use domain::gate::Granted;

use super::begun_anew::begun_anew;
use super::{Revision, Store};
use crate::rows::{account_rows, counter_rows, join_token_rows, recording_list_rows, role_session_rows};
use crate::{StoreError, Swept};

/// How long an expired join token is kept, so that its bearer learns that it has expired and not that it never existed.
const LAPSED_TOKENS_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How long a nonce is kept after it has lapsed, so that a clock that runs fast gives none free for another's.
const LAPSED_NONCES_KEPT: Duration = Duration::from_secs(3_600);

/// How long an ended session of a role is kept, so that its bearer learns that it has expired.
const ENDED_SESSIONS_KEPT: Duration = Duration::from_secs(86_400);

impl Store {
    /// Marks recordings as abandoned that have been silent for `abandoned_after` and whose agents have been silent as
    /// long, and removes expired recordings from the counters. It may run at any time and as often as one likes, in any
    /// number of replicas.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account.
    pub async fn sweep<A: SweepsRecordings>(
        &self,
        granted: &Granted<A>,
        now: Timestamp,
        abandoned_after: Duration,
    ) -> Result<Swept, StoreError> {
        let account = granted.account();
        let silent_since = now.minus(abandoned_after);
        let mut swept = Swept::default();
        // In pieces: all calls wait for a transaction that writes on SQLite.
        let mut more = true;
        while more {
            let owner = account.clone();
            let (abandoned, left) = self
                .transact(account.clone(), Revision::Kept, None, move |transaction| {
                    Box::pin(async move {
                        account_rows::lock(transaction, &owner).await?;
                        recording_list_rows::abandon(transaction, &owner, silent_since).await
                    })
                })
                .await?;
            swept.abandoned += abandoned;
            more = left;
        }
        more = true;
        while more {
            let owner = account.clone();
            let (expired, left) = self
                .transact(account.clone(), Revision::Kept, None, move |transaction| {
                    Box::pin(async move {
                        account_rows::lock(transaction, &owner).await?;
                        let (of_instances, more) =
                            recording_list_rows::uncount_expired(transaction, &owner, now).await?;
                        let fewer =
                            of_instances.iter().map(|(instance, expired)| (instance.clone(), (-expired, 0)));
                        counter_rows::add(transaction, &owner, &fewer.collect()).await?;
                        Ok((of_instances.values().sum::<i64>(), more))
                    })
                })
                .await?;
            swept.expired += expired.unsigned_abs();
            more = left;
        }
        Ok(swept)
    }

    /// Removes what has expired in all accounts, and returns how much: nonces, join tokens, sessions of roles. It takes
    /// no grant, because what has expired no longer belongs to anybody. Nonces are removed by the earlier of this time and
    /// that of the database's clock, and not within an hour after they lapse.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn remove_lapsed(&self, now: Timestamp) -> Result<u64, StoreError> {
        let connections = &self.inner.connections;
        let writer = connections.writer();
        let mut removed = 0;
        // The clock of another replica may be the database's rather than this one's.
        let nonces_before = self.clock().await?.map_or(now, |clock| clock.min(now)).minus(LAPSED_NONCES_KEPT);
        loop {
            let lapsed_before = now.minus(LAPSED_TOKENS_KEPT);
            let (tokens, more_tokens) =
                begun_anew(connections, || join_token_rows::purge_batch(writer, lapsed_before)).await?;
            let (nonces, more_nonces) =
                begun_anew(connections, || self.inner.nonces.purge_batch(writer, nonces_before)).await?;
            let ended_before = now.minus(ENDED_SESSIONS_KEPT);
            let (sessions, more_sessions) =
                begun_anew(connections, || role_session_rows::purge_batch(writer, ended_before)).await?;
            removed += tokens + nonces + sessions;
            if !more_tokens && !more_nonces && !more_sessions {
                return Ok(removed);
            }
        }
    }
}
