//! Requests that were found to be repeated. Only the database knows which were used; but a call that only reads has run
//! by the time it says so, and whoever captured one request could have it run as often as they like. So what was found
//! once is remembered for a while, and is refused before it runs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use persistence::NonceClaim;

/// How many are remembered. Each costs its sender a request that another one has signed.
const MOST: usize = 4_096;

/// What was found on this replica. It is no more than a hint: what is forgotten is found again.
#[derive(Debug, Default)]
pub(crate) struct Repeated(Mutex<HashMap<[u8; 32], Timestamp>>);

impl Repeated {
    // A map of moments is consistent at any time, so that poisoning is ignored.
    fn found(&self) -> MutexGuard<'_, HashMap<[u8; 32], Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the database refused.
    pub(crate) fn note(&self, refused: &NonceClaim) {
        let mut found = self.found();
        if found.len() >= MOST {
            found.retain(|_, expires_at| *expires_at > refused.now);
        }
        if found.len() >= MOST {
            found.clear();
        }
        found.insert(refused.hash, refused.expires_at);
    }

    /// Whether it is a repetition of what was refused. It is, for as long as that would have been kept.
    pub(crate) fn knows(&self, claim: &NonceClaim) -> bool {
        self.found().get(&claim.hash).is_some_and(|expires_at| *expires_at > claim.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(number: usize, now: i64) -> NonceClaim {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        let [now, expires_at] = [now, now + 1_000].map(Timestamp::from_millis);
        NonceClaim { hash, expires_at, now }
    }

    #[test]
    fn what_was_found_is_known_until_it_lapses() {
        let repeated = Repeated::default();
        assert!(!repeated.knows(&claim(1, 0)));
        repeated.note(&claim(1, 0));
        assert!(repeated.knows(&claim(1, 999)) && !repeated.knows(&claim(2, 999)));
        assert!(!repeated.knows(&claim(1, 1_000)));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let repeated = Repeated::default();
        for number in 0..MOST {
            repeated.note(&claim(number, if number % 2 == 0 { 0 } else { 500 }));
        }
        repeated.note(&claim(MOST, 1_000));
        assert_eq!(repeated.found().len(), MOST / 2 + 1, "what has lapsed makes room");
        for number in MOST..3 * MOST {
            repeated.note(&claim(number, 1_000));
            assert!(repeated.found().len() <= MOST);
        }
        assert!(repeated.knows(&claim(3 * MOST - 1, 1_000)));
    }
}
