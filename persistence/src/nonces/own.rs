//! What this replica itself has claimed, and not long ago: its database need not be asked again. It is no more than that:
//! what is not known here may have been claimed all the same.

use std::sync::Mutex;

use crate::NonceClaim;
use crate::generations::{Kept, lock};

/// How many bytes of memory they take at most.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Claims that are committed, each with the moment until which it holds.
pub(crate) struct OwnClaims(Mutex<Kept<[u8; 32], i64>>);

impl OwnClaims {
    pub(super) fn new() -> Self {
        Self::within(KEPT_BYTES)
    }

    fn within(bytes: usize) -> Self {
        Self(Mutex::new(Kept::within(bytes)))
    }

    /// Takes in what was committed. A claim whose commit failed, or whose answer was lost, must not come here: its request
    /// may be sent again.
    pub(crate) fn add<'c>(&self, claims: impl IntoIterator<Item = &'c NonceClaim>) {
        let mut own = lock(&self.0);
        for claim in claims {
            drop(own.replace(claim.hash, claim.expires_at.as_millis(), 0));
        }
    }

    /// Whether this was claimed and has not expired.
    pub(crate) fn hold(&self, claim: &NonceClaim) -> bool {
        lock(&self.0).get(&claim.hash).is_some_and(|expires_at| expires_at > claim.now.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    fn claim(number: usize, now: i64) -> NonceClaim {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        let [expires_at, now] = [1_000, now].map(Timestamp::from_millis);
        NonceClaim { hash, expires_at, now }
    }

    #[test]
    fn what_was_added_is_held_until_it_expires() {
        let own = OwnClaims::new();
        own.add([&claim(1, 0)]);
        assert!(own.hold(&claim(1, 999)));
        assert!(!own.hold(&claim(1, 1_000)) && !own.hold(&claim(2, 0)));
    }

    #[test]
    fn the_newest_of_very_many_are_held_within_the_limit() {
        const LIMIT: usize = 64 * 1024;
        let own = OwnClaims::within(LIMIT);
        for number in 0..10_000 {
            own.add([&claim(number, 0)]);
        }
        assert!(lock(&own.0).checked_bytes() <= LIMIT);
        assert!((9_700..10_000).all(|number| own.hold(&claim(number, 0))));
        assert!(!own.hold(&claim(0, 0)));
    }
}
