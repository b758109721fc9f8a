//! The revisions under which a decision was made.

use crate::AccountId;

/// The numbers of an account that grow with its changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Grows with every change of its keys, its principals, their policies, its settings and its configurations.
    pub account: i64,
    /// Grows with every change of its instances and of their tags, unless [`Revisions::account`] does. They come and go by
    /// themselves in a fleet, and nothing else has to be read again for that.
    pub instances: i64,
}

/// The revisions of one account under which facts of it were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Under {
    /// That of the account.
    pub account: i64,
    /// That of its instances; `None` when none of them was among the facts.
    pub instances: Option<i64>,
}

impl Under {
    /// Whether what was decided under these revisions holds under those that stand.
    #[must_use]
    pub fn holds_under(self, standing: Revisions) -> bool {
        self.account == standing.account
            && self.instances.is_none_or(|instances| instances == standing.instances)
    }

    /// Of two revisions of one kind the older one counts: the decision then holds under neither.
    fn and(self, other: Self) -> Self {
        let instances = match (self.instances, other.instances) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { account: self.account.min(other.account), instances }
    }
}

/// The revisions of each account whose facts a decision was made from, as they were before any of them was read. The
/// decision holds for as long as none of these accounts has other ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecidedUnder(Vec<(AccountId, Under)>);

impl DecidedUnder {
    /// Adds a fact that was read under these revisions.
    pub fn add(&mut self, account: &AccountId, under: Under) {
        match self.0.iter_mut().find(|(known, _)| known == account) {
            Some((_, known)) => *known = known.and(under),
            None => self.0.push((account.clone(), under)),
        }
    }

    /// The accounts with their revisions.
    pub fn iter(&self) -> impl Iterator<Item = (&AccountId, Under)> {
        self.0.iter().map(|(account, under)| (account, *under))
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

    fn under(account: i64, instances: Option<i64>) -> Under {
        Under { account, instances }
    }

    #[test]
    fn of_two_revisions_of_one_account_the_older_one_counts() {
        let [one, two]: [AccountId; 2] =
            ["1609982529000000", "1609982529000001"].map(|id| id.parse().unwrap());
        let mut decided = DecidedUnder::default();
        assert!(decided.is_empty());
        let facts = [
            (&one, under(5, None)),
            (&two, under(1, Some(3))),
            (&one, under(7, Some(2))),
            (&two, under(4, Some(2))),
        ];
        for (account, under) in facts {
            decided.add(account, under);
        }
        decided.add(&one, under(4, None));
        assert_eq!(
            decided.iter().collect::<Vec<_>>(),
            [(&one, under(4, Some(2))), (&two, under(1, Some(2)))]
        );
    }

    #[test]
    fn what_was_decided_without_instances_holds_whatever_becomes_of_them() {
        let standing = Revisions { account: 5, instances: 2 };
        for (decided, holds) in [
            (under(5, None), true),
            (under(5, Some(2)), true),
            (under(5, Some(1)), false),
            (under(4, None), false),
            (under(4, Some(2)), false),
        ] {
            assert_eq!(decided.holds_under(standing), holds, "{decided:?}");
        }
    }
}
