//! The filters of a list of recordings, as conditions on table `recordings`.

use domain::AccountId;
use domain::condition_keys::SessionOwner;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::WireStatus;
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, Condition};

use super::column_text;
use super::recording_rows::{ABANDONED, CLOSED, DELIVERED, EXITED, INTERRUPTED, OPEN, SEALED, row};

/// Selects the rows that match every given filter.
pub(super) fn condition(account: &AccountId, filter: &RecordingFilter) -> Condition {
    let RecordingFilter { started_after, started_before, status, user_name, token_prefix } = filter;
    let mut all = Condition::all();
    if let Some(from) = started_after {
        all = all.add(row::Column::ListedAt.gte(from.as_millis()));
    }
    if let Some(until) = started_before {
        all = all.add(row::Column::ListedAt.lt(until.as_millis()));
    }
    if let Some(status) = status {
        all = all.add(has_status(*status));
    }
    if let Some(name) = user_name {
        all = all.add(is_of_user(account, name));
    }
    if let Some(prefix) = token_prefix {
        // A prefix, expressed as a range that an index can seek to. No digit of a token comes after `f`.
        let first = prefix.as_str();
        all = all.add(row::Column::Token.gte(first)).add(row::Column::Token.lt(format!("{first}g")));
    }
    all
}

/// As `Recording::status` derives it; the tests compare the two.
fn has_status(status: WireStatus) -> Condition {
    let all = Condition::all();
    let has_ended = || row::Column::State.is_in([CLOSED, SEALED, DELIVERED]);
    let something_arrived = || row::Column::Segments.gt(0);
    match status {
        WireStatus::Running => all.add(row::Column::State.eq(OPEN)),
        WireStatus::Failed => all.add(row::Column::State.ne(OPEN)).add(row::Column::Segments.eq(0)),
        WireStatus::Finished => {
            all.add(something_arrived()).add(has_ended()).add(row::Column::EndKind.eq(EXITED))
        }
        WireStatus::Interrupted => {
            let cut_off = Condition::all().add(has_ended()).add(row::Column::EndKind.eq(INTERRUPTED));
            let silent = row::Column::State.eq(ABANDONED);
            all.add(something_arrived()).add(Condition::any().add(silent).add(cut_off))
        }
    }
}

fn is_of_user(account: &AccountId, name: &str) -> Condition {
    let name = column_text(name);
    // Agents claim `ana (uid 1000)`. LIKE would interpret `_` and `%` in a name, and each database compares letters in
    // its own way.
    let with_uid = format!("{name} (uid ");
    let length = i32::try_from(with_uid.chars().count()).unwrap_or(i32::MAX);
    let beginning =
        Func::cust("SUBSTR").args([Expr::col(row::Column::ClaimedOwner), Expr::val(1), Expr::val(length)]);
    Condition::any()
        .add(row::Column::SessionOwner.is_in(SessionOwner::arns_of_name(account, &name)))
        .add(row::Column::ClaimedOwner.eq(name))
        .add(Expr::expr(beginning).eq(with_uid))
}
