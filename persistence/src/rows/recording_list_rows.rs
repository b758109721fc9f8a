//! Table `recordings`, many rows at a time: pages, counts, and what a sweep looks for.

use std::collections::BTreeMap;

use domain::recording_life::Recording;
use domain::{AccountId, InstanceId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::recording_rows::{ABANDONED, OPEN, from_row, of_account, row};
use super::{Reading, agent_rows};
use crate::StoreError;
use crate::pages::{Cursor, Slice};

/// How many rows one transaction of a sweep touches, so that no call waits long behind it.
const SWEEP_BATCH: u64 = 500;

/// One slice, newest first. The tokens are found in an index alone, however deep the slice lies; only then are the
/// rows read, those of the slice and no others.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    visible_at: Option<Timestamp>,
    slice: &Slice,
) -> Result<Vec<Recording>, StoreError> {
    let mut select = of_account(account, instance);
    if let Some(now) = visible_at {
        let runs = row::Column::ExpiresAt.is_null();
        select = select.filter(Condition::any().add(runs).add(row::Column::ExpiresAt.gt(now.as_millis())));
    }
    if let Some(Cursor { at, id }) = &slice.after {
        // The first condition is what an index can seek to.
        let further = Condition::any().add(row::Column::StartedAt.lt(*at)).add(row::Column::Token.lt(id));
        select = select.filter(row::Column::StartedAt.lte(*at)).filter(further);
    }
    let tokens: Vec<String> = select
        .select_only()
        .column(row::Column::Token)
        .order_by_desc(row::Column::StartedAt)
        .order_by_desc(row::Column::Token)
        .offset(slice.offset)
        .limit(slice.limit)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("list recordings"))?;
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let rows = of_account(account, instance)
        .filter(row::Column::Token.is_in(tokens))
        .order_by_desc(row::Column::StartedAt)
        .order_by_desc(row::Column::Token)
        .all(connection)
        .await
        .map_err(StoreError::at("list recordings"))?;
    let mut recordings = Vec::with_capacity(rows.len());
    for model in rows {
        recordings.push(from_row(model)?.recording);
    }
    Ok(recordings)
}

/// How many recordings the counters still count as visible though they have expired.
pub(crate) async fn count_expired(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    of_account(account, instance)
        .filter(row::Column::Counted.eq(true))
        .filter(row::Column::ExpiresAt.lte(now.as_millis()))
        .count(connection)
        .await
        .map_err(StoreError::at("count expired recordings"))
}

/// Marks open recordings as abandoned from which nothing was heard after `silent_since`, nor from their agents.
pub(crate) async fn abandon(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    silent_since: Timestamp,
) -> Result<u64, StoreError> {
    const DAY_MILLIS: i64 = 86_400_000;
    // As ExpirationDays::counted_from counts; the tests compare the two.
    let expires_at =
        Expr::col(row::Column::ExpirationDays).mul(DAY_MILLIS).add(Expr::col(row::Column::LastHeardAt));
    let abandoned = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(ABANDONED))
        .col_expr(row::Column::ExpiresAt, expires_at)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::State.eq(OPEN))
        .filter(row::Column::LastHeardAt.lte(silent_since.as_millis()))
        .filter(row::Column::AgentId.not_in_subquery(agent_rows::heard_after(account, silent_since)))
        .exec(transaction)
        .await
        .map_err(StoreError::at("abandon recordings"))?;
    Ok(abandoned.rows_affected)
}

/// Clears `counted` of some expired recordings; says how many of which instance, and whether more may be left.
pub(crate) async fn uncount_expired(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    now: Timestamp,
) -> Result<(BTreeMap<InstanceId, i64>, bool), StoreError> {
    let expired: Vec<(String, String)> = of_account(account, None)
        .filter(row::Column::Counted.eq(true))
        .filter(row::Column::ExpiresAt.lte(now.as_millis()))
        .select_only()
        .column(row::Column::Token)
        .column(row::Column::InstanceId)
        .limit(SWEEP_BATCH)
        .lock_exclusive()
        .into_tuple()
        .all(transaction)
        .await
        .map_err(StoreError::at("find expired recordings"))?;
    let more = expired.len() as u64 == SWEEP_BATCH;
    let mut of_instances = BTreeMap::new();
    for (token, instance) in &expired {
        let instance = Reading { table: "recordings", id: token }.text("instance_id", instance)?;
        *of_instances.entry(instance).or_insert(0) += 1;
    }
    if !expired.is_empty() {
        row::Entity::update_many()
            .col_expr(row::Column::Counted, Expr::value(false))
            .filter(row::Column::AccountId.eq(account.as_str()))
            .filter(row::Column::Token.is_in(expired.into_iter().map(|(token, _)| token)))
            .exec(transaction)
            .await
            .map_err(StoreError::at("count expired recordings"))?;
    }
    Ok((of_instances, more))
}
