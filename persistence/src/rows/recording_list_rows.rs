//! Table `recordings`, many rows at a time: pages, counts, and the rows that a sweep looks for.

use std::collections::BTreeMap;

use domain::agent::AgentRemoved;
use domain::condition_keys::SessionOwner;
use domain::recording_life::Recording;
use domain::{AccountId, InstanceId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Order, Query, SelectStatement, UnionType};
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

/// One slice, newest first. The tokens are found in indexes that are in this order; only then are the rows of the slice read, and no
/// others.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    slice: &Slice,
) -> Result<Vec<Recording>, StoreError> {
    let dialect = Dialect::of(connection);
    let tokens = tokens_of_slice(account, listed, visible_at, slice, dialect);
    let rows = connection.query_all(&tokens).await.map_err(StoreError::at("list recordings"))?;
    let tokens: Vec<String> = rows
        .iter()
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()
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
) -> SelectStatement {
    let parts = Parts::of(account, listed, dialect);
    let mut shown = shown(account, listed, visible_at, parts.as_ref(), dialect);
    if let Some(Cursor { at, id }) = &slice.after {
        // The first condition is the one that an index can seek to.
        let further = Condition::any().add(row::Column::ListedAt.lt(*at)).add(row::Column::Token.lt(id));
        shown = shown.filter(row::Column::ListedAt.lte(*at)).filter(further);
    }
    let newest = |select: Select<row::Entity>| {
        // As for the instance in recording_scope, with the reverse effect.
        let listed_at = Expr::col(row::Column::ListedAt);
        let seeks = parts.is_none() && listed.few || listed.filter.token_prefix.is_some();
        let listed_at = if seeks { dialect.without_index(listed_at) } else { listed_at };
        select
            .select_only()
            .column(row::Column::Token)
            .order_by(listed_at, Order::Desc)
            .order_by_desc(row::Column::Token)
    };
    let Some(parts) = &parts else {
        return newest(shown).offset(slice.offset).limit(slice.limit).into_query();
    };
    // Nothing that is further down in a part can be in the slice.
    let enough = slice.offset.saturating_add(slice.limit);
    let each = parts.each.iter().map(|part| {
        newest(shown.clone().filter(part.clone())).column(row::Column::ListedAt).limit(enough).into_query()
    });
    let mut merged = parts.together(each, &["token", "listed_at"]);
    merged.order_by("listed_at", Order::Desc).order_by("token", Order::Desc);
    merged.offset(slice.offset).limit(slice.limit).to_owned()
}

/// The parts of a list of which each is in the order of an index, where no index is in the order of the whole.
struct Parts {
    each: Vec<Condition>,
    /// How they are put together: a recording may be in several of them, or not.
    union: UnionType,
    /// Whether they say by themselves which recordings policies admit.
    are_scope: bool,
}

impl Parts {
    fn of(account: &AccountId, listed: &Listed<'_>, dialect: Dialect) -> Option<Self> {
        if let Some(each) = recording_filter::of_user(account, listed.filter, dialect) {
            return Some(Self { each, union: UnionType::Distinct, are_scope: false });
        }
        let each = recording_scope::by_instance(listed).filter(|_| listed.few)?;
        Some(Self { each, union: UnionType::All, are_scope: true })
    }

    /// What the queries of the parts find, each row once.
    fn together(
        &self,
        each: impl Iterator<Item = SelectStatement>,
        columns: &[&'static str],
    ) -> SelectStatement {
        let mut each = each.map(|part| {
            Query::select().columns(columns.iter().copied()).from_subquery(part, "part").to_owned()
        });
        let mut all = each.next().expect("a list that has parts has at least one");
        for part in each {
            all.union(self.union, part);
        }
        Query::select().columns(columns.iter().copied()).from_subquery(all, "parts").to_owned()
    }
}

/// The recordings that a list holds, except that they may be of any user.
fn shown(
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    parts: Option<&Parts>,
    dialect: Dialect,
) -> Select<row::Entity> {
    let mut select = if listed.filter.token_prefix.is_some() {
        // Few tokens begin alike; SQLite would read all recordings of the account to sort none of those few.
        let of_account = dialect.without_index(Expr::col(row::Column::AccountId)).eq(account.as_str());
        let of_instance = listed.instance.map(|instance| row::Column::InstanceId.eq(instance.as_str()));
        row::Entity::find().filter(Condition::all().add(of_account).add_option(of_instance))
    } else {
        of_account(account, listed.instance)
    };
    if let Some(now) = visible_at {
        let runs = row::Column::ExpiresAt.is_null();
        select = select.filter(Condition::any().add(runs).add(row::Column::ExpiresAt.gt(now.as_millis())));
    }
    select = select.filter(recording_filter::condition(listed.filter, dialect));
    match recording_scope::condition(listed, dialect) {
        Some(admitted) if parts.is_none_or(|parts| !parts.are_scope) => select.filter(admitted),
        _ => select,
    }
}

/// How many recordings a list holds, at most `most`.
pub(crate) async fn count_up_to(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    most: u64,
) -> Result<u64, StoreError> {
    let count = counted_up_to(account, listed, visible_at, most, Dialect::of(connection));
    let counted = connection.query_one(&count).await.map_err(StoreError::at("count recordings"))?;
    let counted = counted.map(|row| row.try_get::<i64>("", "counted")).transpose();
    let counted = counted.map_err(StoreError::at("count recordings"))?;
    Ok(counted.and_then(|counted| u64::try_from(counted).ok()).unwrap_or(0))
}

fn counted_up_to(
    account: &AccountId,
    listed: &Listed<'_>,
    visible_at: Option<Timestamp>,
    most: u64,
    dialect: Dialect,
) -> SelectStatement {
    let parts = Parts::of(account, listed, dialect);
    let shown = shown(account, listed, visible_at, parts.as_ref(), dialect)
        .select_only()
        .column(row::Column::Token)
        .limit(most);
    let mut some = match &parts {
        Some(parts) => {
            let each = parts.each.iter().map(|part| shown.clone().filter(part.clone()).into_query());
            parts.together(each, &["token"]).limit(most).to_owned()
        }
        None => shown.into_query(),
    };
    Query::select()
        .expr_as(Expr::cust("COUNT(*)"), "counted")
        .from_subquery(some.take(), "some_recordings")
        .to_owned()
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
    shown(account, &Listed { few: false, ..*listed }, None, None, Dialect::of(connection))
        .filter(row::Column::Counted.eq(true))
        .filter(row::Column::ExpiresAt.lte(now.as_millis()))
        .count(connection)
        .await
        .map_err(StoreError::at("count expired recordings"))
}

/// Marks some of the open recordings as abandoned from which nothing was heard after `silent_since`, nor from the agents
/// that hold them; returns how many, and whether more may be left.
pub(crate) async fn abandon(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    silent_since: Timestamp,
) -> Result<(u64, bool), StoreError> {
    let silent = || {
        Condition::all()
            .add(row::Column::State.eq(OPEN))
            .add(row::Column::LastHeardAt.lte(silent_since.as_millis()))
            .add(
                Expr::from(Func::coalesce([
                    Expr::col(row::Column::Successor),
                    Expr::col(row::Column::AgentId),
                ]))
                .not_in_subquery(agent_rows::heard_after(account, silent_since)),
            )
    };
    let found: Vec<String> = of_account(account, None)
        .filter(silent())
        .select_only()
        .column(row::Column::Token)
        .limit(SWEEP_BATCH)
        .into_tuple()
        .all(transaction)
        .await
        .map_err(StoreError::at("find silent recordings"))?;
    if found.is_empty() {
        return Ok((0, false));
    }
    let more = found.len() as u64 == SWEEP_BATCH;
    const DAY_MILLIS: i64 = 86_400_000;
    // The same calculation as ExpirationDays::counted_from; the tests compare the two.
    let expires_at =
        Expr::col(row::Column::ExpirationDays).mul(DAY_MILLIS).add(Expr::col(row::Column::LastHeardAt));
    let abandoned = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(ABANDONED))
        .col_expr(row::Column::ExpiresAt, expires_at)
        .filter(row::Column::AccountId.eq(account.as_str()))
        // As in with_tokens.
        .filter(row::Column::Token.is_in(found))
        // Something may have been heard since they were found.
        .filter(silent())
        .exec(transaction)
        .await
        .map_err(StoreError::at("abandon recordings"))?;
    Ok((abandoned.rows_affected, more))
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
