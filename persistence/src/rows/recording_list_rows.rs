//! Table `recordings`, many rows at a time: pages, counts, and the rows that a sweep looks for.

use std::collections::BTreeMap;

use domain::agent::AgentRemoved;
use domain::condition_keys::SessionOwner;
use domain::recording_life::Recording;
use domain::{AccountId, InstanceId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Order, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::recording_rows::{ABANDONED, CLOSED, INTERRUPTED, OPEN, from_row, held_by, of_account, row};
use super::recording_scope::{self, Listed};
use super::{Reading, agent_rows, column_text, recording_filter};
use crate::StoreError;
use crate::dialect::Dialect;
use crate::pages::{Cursor, Slice};

/// How many rows one transaction of a sweep touches, so that no call waits long behind it.
const SWEEP_BATCH: u64 = 500;

/// One slice, newest first. The tokens are found in an index alone, however deep the slice is; only then are the rows of
/// the slice read, and no others.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    slice: &Slice,
) -> Result<Vec<Recording>, StoreError> {
    let dialect = Dialect::of(connection);
    let tokens: Vec<String> = tokens_of_slice(account, listed, visible_at, slice, dialect)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("list recordings"))?;
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = with_tokens(&tokens).all(connection).await.map_err(StoreError::at("list recordings"))?;
    rows.sort_by(|a, b| (b.listed_at, &b.token).cmp(&(a.listed_at, &a.token)));
    let mut recordings = Vec::with_capacity(rows.len());
    for model in rows {
        recordings.push(from_row(model)?.recording);
    }
    Ok(recordings)
}

fn tokens_of_slice(
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    slice: &Slice,
    dialect: Dialect,
) -> Select<row::Entity> {
    let mut select = shown(account, listed, visible_at, dialect);
    if let Some(Cursor { at, id }) = &slice.after {
        // The first condition is the one that an index can seek to.
        let further = Condition::any().add(row::Column::ListedAt.lt(*at)).add(row::Column::Token.lt(id));
        select = select.filter(row::Column::ListedAt.lte(*at)).filter(further);
    }
    // As for the instance in recording_scope, with the reverse effect.
    let listed_at = Expr::col(row::Column::ListedAt);
    let listed_at = if listed.few { dialect.without_index(listed_at) } else { listed_at };
    select
        .select_only()
        .column(row::Column::Token)
        .order_by(listed_at, Order::Desc)
        .order_by_desc(row::Column::Token)
        .offset(slice.offset)
        .limit(slice.limit)
}

/// The recordings that a list holds.
fn shown(
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    dialect: Dialect,
) -> Select<row::Entity> {
    let mut select = of_account(account, listed.instance);
    if let Some(now) = visible_at {
        let runs = row::Column::ExpiresAt.is_null();
        select = select.filter(Condition::any().add(runs).add(row::Column::ExpiresAt.gt(now.as_millis())));
    }
    if !listed.filter.is_empty() {
        select = select.filter(recording_filter::condition(account, listed.filter));
    }
    match recording_scope::condition(listed, dialect) {
        Some(admitted) => select.filter(admitted),
        None => select,
    }
}

/// How many recordings a list holds, counted row by row where there is no counter.
pub(crate) async fn count(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
) -> Result<u64, StoreError> {
    shown(account, listed, visible_at, Dialect::of(connection))
        .count(connection)
        .await
        .map_err(StoreError::at("count recordings"))
}

/// How many recordings a list holds, at most `most`.
pub(crate) async fn count_up_to(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    most: u64,
) -> Result<u64, StoreError> {
    let some = shown(account, listed, visible_at, Dialect::of(connection))
        .select_only()
        .column(row::Column::Token)
        .limit(most)
        .into_query();
    let count = Query::select()
        .expr_as(Expr::cust("COUNT(*)"), "counted")
        .from_subquery(some, "some_recordings")
        .to_owned();
    let counted = connection.query_one(&count).await.map_err(StoreError::at("count recordings"))?;
    let counted = counted.map(|row| row.try_get::<i64>("", "counted")).transpose();
    let counted = counted.map_err(StoreError::at("count recordings"))?;
    Ok(counted.and_then(|counted| u64::try_from(counted).ok()).unwrap_or(0))
}

/// The proven owners of recordings, by id and ARN.
pub(crate) async fn owners(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    limit: u64,
) -> Result<Vec<SessionOwner>, StoreError> {
    let found: Vec<(String, String)> = of_account(account, instance)
        .filter(row::Column::SessionOwner.is_not_null())
        .filter(row::Column::SessionOwnerId.is_not_null())
        .select_only()
        .column(row::Column::SessionOwnerId)
        .column(row::Column::SessionOwner)
        .distinct()
        .order_by_asc(row::Column::SessionOwnerId)
        .order_by_asc(row::Column::SessionOwner)
        .limit(limit)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("list owners"))?;
    Ok(found.into_iter().map(|(id, arn)| SessionOwner { arn, id }).collect())
}

/// The rows of tokens that were just found within an account. The query repeats neither the account nor an order: SQLite
/// would then walk over the whole account instead of looking up the tokens.
fn with_tokens(tokens: &[String]) -> Select<row::Entity> {
    row::Entity::find().filter(row::Column::Token.is_in(tokens))
}

/// How many recordings the counters still include as visible although they have expired.
pub(crate) async fn count_expired(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    listed: &Listed<'_>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    // Only those that expired since the last sweep: few, whatever their instances.
    shown(account, &Listed { few: false, ..*listed }, None, Dialect::of(connection))
        .filter(row::Column::Counted.eq(true))
        .filter(row::Column::ExpiresAt.lte(now.as_millis()))
        .count(connection)
        .await
        .map_err(StoreError::at("count expired recordings"))
}

/// Marks open recordings as abandoned when nothing was heard after `silent_since` from them or from the agents that hold
/// them.
pub(crate) async fn abandon(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    silent_since: Timestamp,
) -> Result<u64, StoreError> {
    const DAY_MILLIS: i64 = 86_400_000;
    // The same calculation as ExpirationDays::counted_from; the tests compare the two.
    let expires_at =
        Expr::col(row::Column::ExpirationDays).mul(DAY_MILLIS).add(Expr::col(row::Column::LastHeardAt));
    let abandoned = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(ABANDONED))
        .col_expr(row::Column::ExpiresAt, expires_at)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::State.eq(OPEN))
        .filter(row::Column::LastHeardAt.lte(silent_since.as_millis()))
        .filter(
            Expr::from(Func::coalesce([Expr::col(row::Column::Successor), Expr::col(row::Column::AgentId)]))
                .not_in_subquery(agent_rows::heard_after(account, silent_since)),
        )
        .exec(transaction)
        .await
        .map_err(StoreError::at("abandon recordings"))?;
    Ok(abandoned.rows_affected)
}

/// Closes the recordings that an agent holds and that are not sealed; returns how many. Those that were abandoned before ended when
/// something last arrived; the others end now. It is one statement, so that none is missed that changes from one state
/// to the other meanwhile.
pub(crate) async fn close(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    AgentRemoved { agent, reason, reason_in_place, at: now }: &AgentRemoved,
) -> Result<u64, StoreError> {
    const DAY_MILLIS: i64 = 86_400_000;
    let unless_abandoned = |ended: Expr, column: row::Column| {
        Expr::case(row::Column::State.eq(OPEN), ended).finally(Expr::col(column))
    };
    // The same calculation as ExpirationDays::counted_from; the tests compare the two.
    let expires_at = Expr::col(row::Column::ExpirationDays).mul(DAY_MILLIS).add(now.as_millis());
    let closed = row::Entity::update_many()
        .col_expr(
            row::Column::EndedAt,
            unless_abandoned(Expr::value(now.as_millis()), row::Column::LastHeardAt).into(),
        )
        .col_expr(row::Column::ExpiresAt, unless_abandoned(expires_at, row::Column::ExpiresAt).into())
        .col_expr(row::Column::EndKind, Expr::value(INTERRUPTED))
        .col_expr(
            row::Column::EndReason,
            Expr::case(row::Column::Successor.is_null(), Expr::value(column_text(reason)))
                .finally(Expr::value(column_text(reason_in_place)))
                .into(),
        )
        // The last one: in MariaDB each assignment sees those before it.
        .col_expr(row::Column::State, Expr::value(CLOSED))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::State.is_in([OPEN, ABANDONED]))
        .filter(held_by(&agent.id))
        .exec(transaction)
        .await
        .map_err(StoreError::at("close recordings"))?;
    Ok(closed.rows_affected)
}

/// Clears `counted` of some expired recordings; returns how many of each instance, and whether more may be left.
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
            // As in with_tokens.
            .filter(row::Column::Token.is_in(expired.into_iter().map(|(token, _)| token)))
            .exec(transaction)
            .await
            .map_err(StoreError::at("count expired recordings"))?;
    }
    Ok((of_instances, more))
}

#[cfg(test)]
mod tests {
    use domain::gate::{Admitted, ListScope, OwnerClass, RowClass};
    use domain::recording_filter::RecordingFilter;
    use sea_orm::{Database, DbBackend, Statement};
    use sea_orm_migration::MigratorTrait;

    use super::*;

    fn all_of(instance: Option<&InstanceId>) -> Listed<'_> {
        const NO_FILTER: RecordingFilter = RecordingFilter {
            started_after: None,
            started_before: None,
            status: None,
            user_name: None,
            token_prefix: None,
        };
        let (scope, now) = (&ListScope::All, Timestamp::from_millis(9));
        Listed { instance, filter: &NO_FILTER, scope, caller: None, now, few: false }
    }

    /// SQLite's plan for exactly the statements that `list` makes.
    #[tokio::test]
    async fn a_page_costs_one_walk_in_an_index_and_its_own_rows() {
        let database = Database::connect("sqlite::memory:").await.unwrap();
        crate::migrations::Migrator::up(&database, None).await.unwrap();
        let plan = async |statement: Statement| {
            let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement };
            let rows = database.query_all_raw(explain).await.unwrap();
            rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>()
        };
        let account = "1609982529000000".parse().unwrap();
        let instance: InstanceId = "i-web1".parse().unwrap();
        let after = Cursor { at: 5, id: "ab".to_owned() };
        for (of, index, columns) in [
            (None, "recordings_newest", "account_id=?"),
            (Some(&instance), "recordings_newest_of_instance", "account_id=? AND instance_id=?"),
        ] {
            for (after, seek) in [(None, ""), (Some(after.clone()), " AND listed_at<?")] {
                let slice = Slice { after, offset: 1_000, limit: 101 };
                let listed = all_of(of);
                let now = Some(Timestamp::from_millis(9));
                let select = tokens_of_slice(&account, &listed, now, &slice, Dialect::Sqlite);
                let expected = format!("SEARCH recordings USING COVERING INDEX {index} ({columns}{seek})");
                assert_eq!(plan(select.build(DbBackend::Sqlite)).await, [expected]);
            }
        }
        // The index also contains what policies refer to in a row, and there is an index that begins with the owner.
        let newest = "SEARCH recordings USING COVERING INDEX recordings_newest (account_id=?)";
        let of_owner = "SEARCH recordings USING COVERING INDEX recordings_of_owner (account_id=? AND session_owner_id=?)";
        let of_owner_then = format!("{} AND listed_at>? AND listed_at<?)", &of_owner[..of_owner.len() - 1]);
        let by_instance = "SEARCH recordings USING COVERING INDEX recordings_newest_of_instance (account_id=? AND instance_id=?)";
        let caller = SessionOwner { arn: "acs:ram::1:user/ana".to_owned(), id: "user/1".to_owned() };
        let class = |owner, ages| RowClass { owner, kind: Some(recording::CaptureKind::Terminal), ages };
        let own = Some(OwnerClass::Others { but: Vec::new(), own: true });
        let others = Some(OwnerClass::Others { but: vec!["acs:ram::1:user/ben".to_owned()], own: false });
        let instances = || Some(["i-web1", "i-web2"].map(|name| name.parse().unwrap()).into());
        let some =
            |instances, rows: Option<Vec<RowClass>>| ListScope::Some(vec![Admitted { instances, rows }]);
        for (scope, few, expected) in [
            (some(instances(), None), false, vec![newest]),
            (some(instances(), None), true, vec![by_instance, "USE TEMP B-TREE FOR ORDER BY"]),
            (some(None, Some(vec![class(own.clone(), None)])), false, vec![of_owner]),
            (some(instances(), Some(vec![class(own, Some((2, Some(5))))])), false, vec![&of_owner_then]),
            (
                some(instances(), Some(vec![class(others, None), class(None, Some((2, None)))])),
                false,
                vec![newest],
            ),
        ] {
            let slice = Slice { after: None, offset: 0, limit: 11 };
            let now = Timestamp::from_millis(9);
            let listed = Listed { scope: &scope, caller: Some(&caller), few, ..all_of(None) };
            let select = tokens_of_slice(&account, &listed, Some(now), &slice, Dialect::Sqlite);
            assert_eq!(plan(select.build(DbBackend::Sqlite)).await, expected, "{scope:?}");
            let counted = shown(&account, &listed, Some(now), Dialect::Sqlite)
                .select_only()
                .expr(Expr::cust("COUNT(*)"));
            let counted = plan(counted.build(DbBackend::Sqlite)).await;
            assert!(counted[0].contains("USING COVERING INDEX"), "{counted:?} {scope:?}");
        }
        let tokens: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        let expected = "SEARCH recordings USING INDEX sqlite_autoindex_recordings_1 (token=?)";
        assert_eq!(plan(with_tokens(&tokens).build(DbBackend::Sqlite)).await, [expected]);
    }
}
