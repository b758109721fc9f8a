//! Which replicas of the control plane live, by their leases.

use std::time::Duration;

use domain::agent_link::ReplicaId;
use domain::replica_lease::{LEASE_LASTS, LiveReplicas};

use super::Store;
use crate::StoreError;
use crate::dialect::Dialect;
use crate::rows::replica_rows;

/// How long a lease that lapsed is kept: nobody needs it, but a person who looks may.
const KEPT: Duration = Duration::from_secs(3_600);

impl Store {
    /// Whether there can be other replicas: a file belongs to one control plane.
    #[must_use]
    pub fn may_have_replicas(&self) -> bool {
        match self.inner.connections.dialect() {
            Dialect::Sqlite => false,
            Dialect::Postgres | Dialect::MariaDb => true,
        }
    }

    /// Begins a replica's lease or renews it, and returns which replicas live, this one among them. `None`: the lease has
    /// lapsed again before that was read, and nothing is known.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn renew_replica(
        &self,
        replica: &ReplicaId,
        internal_address: Option<&str>,
    ) -> Result<Option<LiveReplicas>, StoreError> {
        // A lease that lapses, because many calls have all connections, would say that the database is gone.
        let connection = self.inner.connections.without_waiting();
        replica_rows::renew(connection, replica, internal_address, LEASE_LASTS).await?;
        let live = replica_rows::live(connection).await?;
        Ok(live.filter(|live| live.replicas.iter().any(|other| other.id == *replica)))
    }

    /// Ends a replica's lease before it lapses, so that the others need not wait for that.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn end_replica(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        replica_rows::remove(self.inner.connections.writer(), replica).await
    }

    /// Removes what is left of replicas that ended long ago without a word.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn forget_replicas(&self) -> Result<(), StoreError> {
        replica_rows::remove_lapsed(self.inner.connections.writer(), KEPT).await
    }
}
