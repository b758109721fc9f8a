//! The filters of a list of recordings, as conditions on table `recordings`.

use domain::AccountId;
use domain::condition_keys::SessionOwner;
use domain::recording_filter::RecordingFilter;
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, Condition};

use super::column_text;
use super::list_keys::{BEFORE_UID, ListKey};
use super::recording_rows::row;
use crate::dialect::Dialect;

/// Selects the rows that match every given filter, except that for a user.
pub(super) fn condition(filter: &RecordingFilter, dialect: Dialect) -> Condition {
    let RecordingFilter { started_after, started_before, status, user_name: _, token_prefix } = filter;
    let mut all = Condition::all();
    if let Some(from) = started_after {
        all = all.add(row::Column::ListedAt.gte(from.as_millis()));
    }
    if let Some(until) = started_before {
        all = all.add(row::Column::ListedAt.lt(until.as_millis()));
    }
    if let Some(status) = status {
        all = all.add(ListKey::Status.is_that_of(status.as_str(), dialect));
    }
    if let Some(prefix) = token_prefix {
        // A prefix, expressed as a range that an index can seek to. No digit of a token comes after `f`.
        let first = prefix.as_str();
        all = all.add(row::Column::Token.gte(first)).add(row::Column::Token.lt(format!("{first}g")));
    }
    all
}

/// The ways in which a recording can be of the user that is asked for, each of which an index can seek to; `None` when nobody is asked
/// for.
pub(super) fn of_user(
    account: &AccountId,
    filter: &RecordingFilter,
    dialect: Dialect,
) -> Option<Vec<Condition>> {
    let name = column_text(filter.user_name.as_deref()?);
    let proven = SessionOwner::arns_of_name(account, &name).into_iter();
    let proven = proven.map(|arn| Condition::all().add(row::Column::SessionOwner.eq(arn)));
    // Agents claim `ana (uid 1000)`. LIKE would interpret `_` and `%` in a name, and each database compares letters in
    // its own way.
    let with_uid = format!("{name}{BEFORE_UID}");
    let length = i32::try_from(with_uid.chars().count()).unwrap_or(i32::MAX);
    let beginning =
        Func::cust("SUBSTR").args([Expr::col(row::Column::ClaimedOwner), Expr::val(1), Expr::val(length)]);
    let fits =
        Condition::any().add(row::Column::ClaimedOwner.eq(&name)).add(Expr::expr(beginning).eq(with_uid));
    let claimed = Condition::all().add(ListKey::ClaimedUser.is_that_of(&name, dialect)).add(fits);
    Some(proven.chain([claimed]).collect())
}
