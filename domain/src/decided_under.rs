//! The revisions under which a decision was made.

use crate::AccountId;

/// The revision of each account whose facts a decision was made from, as it was before any of them was read. The
/// decision holds for as long as none of these accounts has another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecidedUnder(Vec<(AccountId, i64)>);

impl DecidedUnder {
    /// Adds a fact that was read under this revision. Of two revisions of one account the older one counts: the decision
    /// then holds under neither.
    pub fn add(&mut self, account: &AccountId, revision: i64) {
        match self.0.iter_mut().find(|(known, _)| known == account) {
            Some((_, oldest)) => *oldest = revision.min(*oldest),
            None => self.0.push((account.clone(), revision)),
        }
    }

    /// The accounts with their revisions.
    pub fn iter(&self) -> impl Iterator<Item = (&AccountId, i64)> {
        self.0.iter().map(|(account, revision)| (account, *revision))
    }

    /// Whether it was made from no account's facts, so that it holds always: that of a fixed rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_revisions_of_one_account_the_older_one_counts() {
        let [one, two]: [AccountId; 2] =
            ["1609982529000000", "1609982529000001"].map(|id| id.parse().unwrap());
        let mut under = DecidedUnder::default();
        assert!(under.is_empty());
        for (account, revision) in [(&one, 5), (&two, 1), (&one, 7), (&one, 4)] {
            under.add(account, revision);
        }
        assert_eq!(under.iter().collect::<Vec<_>>(), [(&one, 4), (&two, 1)]);
    }
}
