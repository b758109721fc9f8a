//! Which replicas of the control plane live: each renews a lease, and what all of them may do together is shared among
//! those whose lease has not lapsed. Leases are measured by the database's clock, which all replicas have in common.

use std::time::Duration;

use crate::Timestamp;
use crate::agent_link::ReplicaId;

/// How long a lease lasts without renewal.
pub const LEASE_LASTS: Duration = Duration::from_secs(3);

/// How often it is renewed.
pub const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// A replica that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveReplica {
    /// Its id.
    pub id: ReplicaId,
    /// When it started, by the database's clock.
    pub started_at: Timestamp,
    /// The address at which other replicas reach it; `None` if it has no internal listener.
    pub internal_address: Option<String>,
}

/// The replicas that live at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveReplicas {
    /// The moment, by the database's clock.
    pub at: Timestamp,
    /// The replicas, in the order in which they started.
    pub replicas: Vec<LiveReplica>,
}

impl LiveReplicas {
    /// Another replica that says that it is reached at this one's address, of which only one can be right. One that ended
    /// without a word, and was started again at the same place, does not count: its lease lapses.
    #[must_use]
    pub fn namesake_of(&self, this: &ReplicaId) -> Option<&LiveReplica> {
        let address = self.replicas.iter().find(|replica| replica.id == *this)?.internal_address.as_ref()?;
        let lived_with = |other: &LiveReplica| {
            let later = self.replicas.iter().filter(|replica| replica.id == *this || replica.id == other.id);
            let both_since = later.map(|replica| replica.started_at).max().unwrap_or(self.at);
            both_since.plus(LEASE_LASTS) < self.at
        };
        self.replicas.iter().find(|other| {
            other.id != *this && other.internal_address.as_ref() == Some(address) && lived_with(other)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_live_on_with_one_address_are_namesakes_and_a_successor_is_none() {
        let (one, two, three) = (ReplicaId::generate(), ReplicaId::generate(), ReplicaId::generate());
        let replica = |id: &ReplicaId, started_at, address: Option<&str>| LiveReplica {
            id: id.clone(),
            started_at: Timestamp::from_millis(started_at),
            internal_address: address.map(str::to_owned),
        };
        let live = |at, replicas| LiveReplicas { at: Timestamp::from_millis(at), replicas };
        let replicas = vec![
            replica(&one, 0, Some("http://10.0.0.7:9")),
            replica(&two, 60_000, Some("http://10.0.0.7:9")),
        ];
        // The first one was killed, and its lease has not lapsed yet.
        assert_eq!(live(63_000, replicas.clone()).namesake_of(&two), None);
        let both = live(63_001, replicas);
        assert_eq!(both.namesake_of(&two).map(|other| &other.id), Some(&one));
        assert_eq!(both.namesake_of(&one).map(|other| &other.id), Some(&two));
        let none =
            vec![replica(&one, 0, None), replica(&two, 0, None), replica(&three, 0, Some("http://h:1"))];
        for id in [&one, &two, &three] {
            assert_eq!(live(99_000, none.clone()).namesake_of(id), None);
        }
    }
}
