//! Attachments as lists show them: with the names of the bearers of a policy, and with the policy's description.

use domain::identity::{AttachmentFilter, BearerKind, ListedAttachment, PolicyKind, PolicyName, PolicyRef};
use domain::{AccountId, Timestamp, system_policies};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Reading, attachment_rows};
use crate::{CorruptRow, StoreError};

/// The tables of possible bearers of policies, each with the column of its id.
const BEARERS: [(BearerKind, &str, &str); 3] = [
    (BearerKind::User, "users", "user_id"),
    (BearerKind::Group, "groups", "group_id"),
    (BearerKind::Role, "roles", "role_id"),
];

#[derive(FromQueryResult)]
struct Row {
    policy_kind: String,
    policy_name: String,
    description: Option<String>,
    user_id: Option<String>,
    group_id: Option<String>,
    bearer_name: Option<String>,
    attached_at: i64,
}

#[derive(FromQueryResult)]
struct Count {
    count: i64,
}

/// This many attachments of the list, by the policy's kind and name, and the total number.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    filter: &AttachmentFilter,
    skipped: u64,
    limit: u64,
) -> Result<(Vec<ListedAttachment>, u64), StoreError> {
    let step = "list attachments";
    let backend = connection.get_database_backend();
    let mut count = matching(account, filter);
    count.expr_as(Func::count(Expr::col((attachment_rows::TABLE, "target_id"))), "count");
    let count = Count::find_by_statement(backend.build(&count)).one(connection).await;
    let count = count.map_err(StoreError::at(step))?.map_or(0, |found| found.count);
    let page = page(account, filter, skipped, limit);
    let rows = Row::find_by_statement(backend.build(&page)).all(connection).await;
    let rows = rows.map_err(StoreError::at(step))?.into_iter().map(|row| from_row(account, row));
    Ok((rows.collect::<Result<_, _>>()?, u64::try_from(count).unwrap_or(0)))
}

fn matching(account: &AccountId, filter: &AttachmentFilter) -> SelectStatement {
    let attachments = attachment_rows::TABLE;
    let mut query = Query::select();
    query.from(attachments).and_where(Expr::col((attachments, "account_id")).eq(account.as_str()));
    for (_, table, id) in BEARERS {
        query.left_join(table, Expr::col((attachments, id)).equals((table, id)));
    }
    if let Some(kind) = filter.kind {
        query.and_where(Expr::col((attachments, "policy_kind")).eq(kind.as_str()));
    }
    if let Some(policy) = &filter.policy {
        query.and_where(Expr::col((attachments, "policy_name")).eq(policy.as_str()));
    }
    if let Some(bearer) = filter.bearer {
        for (_, _, id) in BEARERS.iter().filter(|(kind, ..)| *kind == bearer) {
            query.and_where(Expr::col((attachments, *id)).is_not_null());
        }
    }
    if let Some(name) = &filter.bearer_name {
        query.and_where(bearer_name().eq(name.as_str()));
    }
    query
}

/// Exactly one of the three names is present.
fn bearer_name() -> sea_orm::sea_query::SimpleExpr {
    Func::coalesce(BEARERS.map(|(_, table, _)| Expr::col((table, "name")))).into()
}

fn page(account: &AccountId, filter: &AttachmentFilter, skipped: u64, limit: u64) -> SelectStatement {
    let attachments = attachment_rows::TABLE;
    let mut query = matching(account, filter);
    let same_policy = Expr::col(("policies", "account_id"))
        .equals((attachments, "account_id"))
        .and(Expr::col(("policies", "name")).equals((attachments, "custom_policy")));
    query.left_join("policies", same_policy);
    for column in ["policy_kind", "policy_name", "user_id", "group_id", "attached_at"] {
        query.expr_as(Expr::col((attachments, column)), column);
    }
    query
        .expr_as(Expr::col(("policies", "description")), "description")
        .expr_as(bearer_name(), "bearer_name")
        .order_by((attachments, "policy_kind"), Order::Asc)
        .order_by((attachments, "policy_name"), Order::Asc)
        .order_by((attachments, "target_id"), Order::Asc)
        .offset(skipped)
        .limit(limit);
    query
}

fn from_row(account: &AccountId, row: Row) -> Result<ListedAttachment, CorruptRow> {
    let id = format!("{account} {} {}", row.policy_kind, row.policy_name);
    let reading = Reading { table: attachment_rows::TABLE, id: &id };
    let policy = PolicyRef {
        kind: reading.text("policy_kind", &row.policy_kind)?,
        name: reading.text::<PolicyName>("policy_name", &row.policy_name)?,
    };
    let description = match policy.kind {
        PolicyKind::Custom => row.description,
        PolicyKind::System => {
            system_policies::find(policy.name.as_str()).map(|found| found.description.to_owned())
        }
    };
    let bearer = match (&row.user_id, &row.group_id) {
        (Some(_), _) => BearerKind::User,
        (None, Some(_)) => BearerKind::Group,
        (None, None) => BearerKind::Role,
    };
    Ok(ListedAttachment {
        description: description.ok_or_else(|| reading.corrupt("policy_name", "there is no such policy"))?,
        bearer,
        bearer_name: row.bearer_name.ok_or_else(|| reading.corrupt("target_id", "nobody has this id"))?,
        attached_at: Timestamp::from_millis(row.attached_at),
        policy,
    })
}
