//! The rows that policies admit to a list, as conditions on table `recordings`.

use domain::condition_keys::{DAY_MILLIS, SessionOwner};
use domain::gate::{Admitted, ListScope, OwnerClass, RowClass};
use domain::recording_filter::RecordingFilter;
use domain::{InstanceId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition};

use super::recording_rows::row;
use crate::dialect::Dialect;

/// Which recordings a list is about, beside its account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    /// Those of this instance.
    pub(crate) instance: Option<&'a InstanceId>,
    /// Those that fit what the caller asked for.
    pub(crate) filter: &'a RecordingFilter,
    /// Those that policies admit.
    pub(crate) scope: &'a ListScope,
    /// Who asks, as an owner.
    pub(crate) caller: Option<&'a SessionOwner>,
    /// The moment from which ages count.
    pub(crate) now: Timestamp,
    /// The recordings of the admitted instances are few beside the account's: they are looked up instance by instance.
    pub(crate) few: bool,
}

/// `None` when all are admitted.
pub(crate) fn condition(listed: &Listed<'_>, dialect: Dialect) -> Option<Condition> {
    let ListScope::Some(admitted) = listed.scope else { return None };
    let mut any = Condition::any();
    if admitted.is_empty() {
        return Some(any.add(Expr::val(false)));
    }
    for one in admitted {
        let mut all = Condition::all();
        if let Some(instances) = &one.instances {
            let column = Expr::col(row::Column::InstanceId);
            // SQLite does not know how many there are. Left alone it may read and sort every row of these instances
            // though the newest few are wanted, or walk through the account's though there are but a few of them.
            let column = if listed.few { column } else { dialect.without_index(column) };
            all = all.add(column.is_in(instances.iter().map(InstanceId::as_str)));
        }
        if let Some(rows) = &one.rows {
            let classes = rows.iter().map(|class| class_condition(class, listed));
            all = all.add(classes.fold(Condition::any(), Condition::add));
        }
        any = any.add(all);
    }
    let Some(caller) = listed.caller.filter(|_| admitted.iter().all(only_own)) else { return Some(any) };
    // Said once more where an index can seek to it.
    Some(Condition::all().add(row::Column::SessionOwnerId.eq(caller.id.as_str())).add(any))
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
        // What its agent dates into the future is as old as the control plane's knowledge of it.
        if from > 0 {
            all = all.add(row::Column::ListedAt.lte(back(from)));
        }
        if let Some(to) = to {
            all = all.add(row::Column::ListedAt.gt(back(to.saturating_add(1))));
        }
    }
    all
}
