//! The recordings that policies admit to a list, as conditions on table `recordings`.

use std::collections::BTreeSet;

use domain::condition_keys::{DAY_MILLIS, SessionOwner};
use domain::gate::{Admitted, ListScope, OwnerClass, RowClass};
use domain::recording_filter::RecordingFilter;
use domain::{InstanceId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition};

use super::recording_rows::row;
use crate::dialect::Dialect;

/// Which recordings a list is about, besides its account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    /// Only recordings of this instance.
    pub(crate) instance: Option<&'a InstanceId>,
    /// Only recordings that match the caller's filter.
    pub(crate) filter: &'a RecordingFilter,
    /// Only recordings that policies admit.
    pub(crate) scope: &'a ListScope,
    /// The caller, as an owner of sessions.
    pub(crate) caller: Option<&'a SessionOwner>,
    /// The moment at which ages are judged.
    pub(crate) now: Timestamp,
    /// Whether the recordings of the admitted instances are few compared with the account's, or the instances are: they are then
    /// looked up instance by instance.
    pub(crate) few: bool,
}

/// `None` when all recordings are admitted.
pub(crate) fn condition(listed: &Listed<'_>, dialect: Dialect) -> Option<Condition> {
    let ListScope::Some(admitted) = listed.scope else { return None };
    let mut any = Condition::any();
    if admitted.is_empty() {
        return Some(any.add(Expr::val(false)));
    }
    for one in admitted {
        let mut all = Condition::all();
        if let Some(instances) = &one.instances {
            // SQLite does not know how many there are. On its own it may read and sort every row of these instances
            // although only the newest few are wanted, or walk through the account's rows although only a few belong to
            // these instances.
            let names = instances.iter().map(InstanceId::as_str);
            all = all.add(dialect.is_one_of(Expr::col(row::Column::InstanceId), names, listed.few));
        }
        if let Some(rows) = &one.rows {
            let classes = rows.iter().map(|class| class_condition(class, listed));
            all = all.add(classes.fold(Condition::any(), Condition::add));
        }
        any = any.add(all);
    }
    let Some(caller) = listed.caller.filter(|_| admitted.iter().all(only_own)) else { return Some(any) };
    // Repeats the condition on the owner where an index can seek to it.
    Some(Condition::all().add(row::Column::SessionOwnerId.eq(caller.id.as_str())).add(any))
}

/// The most instances of which a list is put together.
pub(crate) const MOST_PARTS: usize = 32;

/// The recordings of each admitted instance by itself; `None` when that is not what is admitted, or when there are none, or many.
pub(super) fn by_instance(listed: &Listed<'_>) -> Option<Vec<Condition>> {
    let ListScope::Some(admitted) = listed.scope else { return None };
    let mut instances = BTreeSet::new();
    for one in admitted {
        instances.extend(one.instances.as_ref().filter(|_| one.rows.is_none())?);
    }
    let each = |instance: &InstanceId| Condition::all().add(row::Column::InstanceId.eq(instance.as_str()));
    (1..=MOST_PARTS).contains(&instances.len()).then(|| instances.into_iter().map(each).collect())
}

fn only_own(admitted: &Admitted) -> bool {
    let own = |class: &RowClass| {
        matches!(
            class.owner,
            Some(OwnerClass::Named { own: true, .. } | OwnerClass::Others { own: true, .. })
        )
    };
    admitted.rows.as_ref().is_some_and(|rows| rows.iter().all(own))
}

fn class_condition(class: &RowClass, listed: &Listed<'_>) -> Condition {
    let mut all = Condition::all();
    let belongs = |all: Condition, own: bool| match (listed.caller, own) {
        (Some(caller), true) => all.add(row::Column::SessionOwnerId.eq(caller.id.as_str())),
        (Some(caller), false) => all.add(row::Column::SessionOwnerId.ne(caller.id.as_str())),
        (None, true) => all.add(Expr::val(false)),
        (None, false) => all,
    };
    match &class.owner {
        None => {}
        Some(OwnerClass::Nobody) => all = all.add(row::Column::SessionOwnerId.is_null()),
        Some(OwnerClass::Named { arn, own }) => {
            all = belongs(all.add(row::Column::SessionOwner.eq(arn.as_str())), *own);
        }
        Some(OwnerClass::Others { but, own }) => {
            all = belongs(all.add(row::Column::SessionOwnerId.is_not_null()), *own);
            if !but.is_empty() {
                all = all.add(row::Column::SessionOwner.is_not_in(but));
            }
        }
    }
    if let Some(kind) = class.kind {
        all = all.add(row::Column::Kind.eq(kind.as_str()));
    }
    if let Some((from, to)) = class.ages {
        let now = listed.now.as_millis();
        let back = |days: i64| now.saturating_sub(days.saturating_mul(DAY_MILLIS));
        // A recording that its agent dates into the future is as old as its arrival at the control plane.
        if from > 0 {
            all = all.add(row::Column::ListedAt.lte(back(from)));
        }
        if let Some(to) = to {
            all = all.add(row::Column::ListedAt.gt(back(to.saturating_add(1))));
        }
    }
    all
}
