//! Tables `users`, `groups` and `roles`, as far as attachments need them: the id of a name, and the entities that the
//! ids of a policy's attachments refer to.

use std::collections::BTreeMap;

use domain::identity::{
    AttachmentTarget, BearingGroup, BearingRole, BearingUser, IdentityRefused, PolicyBearers, PolicyKind,
    PolicyName,
};
use domain::policy_bearer::PolicyBearer;
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Reading, attachment_rows};
use crate::StoreError;

/// The id of the bearer of this name.
pub(crate) async fn target(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    bearer: &PolicyBearer,
) -> Result<AttachmentTarget, StoreError> {
    #[derive(FromQueryResult)]
    struct Found {
        id: String,
    }
    let (table, column) = match bearer {
        PolicyBearer::User(_) => ("users", "user_id"),
        PolicyBearer::Group(_) => ("groups", "group_id"),
        PolicyBearer::Role(_) => ("roles", "role_id"),
    };
    let query = Query::select()
        .expr_as(Expr::col(column), "id")
        .from(table)
        .and_where(Expr::col("account_id").eq(account.as_str()))
        .and_where(Expr::col("name").eq(bearer.name()))
        .to_owned();
    let statement = connection.get_database_backend().build(&query);
    let found = Found::find_by_statement(statement)
        .one(connection)
        .await
        .map_err(StoreError::at("look for a user, group or role"))?;
    let absent = || IdentityRefused::NotExist { entity: bearer.entity(), name: bearer.name().to_owned() };
    let id = found.ok_or_else(absent)?.id;
    let reading = Reading { table, id: &id };
    Ok(match bearer {
        PolicyBearer::User(_) => AttachmentTarget::User(reading.text(column, &id)?),
        PolicyBearer::Group(_) => AttachmentTarget::Group(reading.text(column, &id)?),
        PolicyBearer::Role(_) => AttachmentTarget::Role(reading.text(column, &id)?),
    })
}

/// All bearers of a policy of this kind, or of this one policy, by the policy's name; each list is ordered by the
/// bearers' names.
pub(crate) async fn of_policies(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    kind: PolicyKind,
    only: Option<&PolicyName>,
) -> Result<BTreeMap<String, PolicyBearers>, StoreError> {
    let mut bearers: BTreeMap<String, PolicyBearers> = BTreeMap::new();
    let of_table = |table, id, about| found(connection, bearing(account, kind, only, [table, id, about]));
    for row in of_table("users", "user_id", "display_name").await? {
        let reading = Reading { table: "users", id: &row.id };
        let user = BearingUser {
            id: reading.text("user_id", &row.id)?,
            name: reading.text("name", &row.name)?,
            display_name: row.about,
            attached_at: Timestamp::from_millis(row.attached_at),
        };
        bearers.entry(row.policy_name).or_default().users.push(user);
    }
    for row in of_table("groups", "group_id", "comments").await? {
        let group = BearingGroup {
            name: Reading { table: "groups", id: &row.id }.text("name", &row.name)?,
            comments: row.about,
            attached_at: Timestamp::from_millis(row.attached_at),
        };
        bearers.entry(row.policy_name).or_default().groups.push(group);
    }
    for row in of_table("roles", "role_id", "description").await? {
        let reading = Reading { table: "roles", id: &row.id };
        let role = BearingRole {
            id: reading.text("role_id", &row.id)?,
            name: reading.text("name", &row.name)?,
            description: row.about,
            attached_at: Timestamp::from_millis(row.attached_at),
        };
        bearers.entry(row.policy_name).or_default().roles.push(role);
    }
    Ok(bearers)
}

#[derive(FromQueryResult)]
struct Bearing {
    policy_name: String,
    id: String,
    name: String,
    about: String,
    attached_at: i64,
}

async fn found(
    connection: &impl ConnectionTrait,
    query: SelectStatement,
) -> Result<Vec<Bearing>, StoreError> {
    let statement = connection.get_database_backend().build(&query);
    Bearing::find_by_statement(statement)
        .all(connection)
        .await
        .map_err(StoreError::at("list who has a policy"))
}

/// The bearers in one table, given by its name and by its columns of ids and descriptions.
fn bearing(
    account: &AccountId,
    kind: PolicyKind,
    only: Option<&PolicyName>,
    [table, id, about]: [&'static str; 3],
) -> SelectStatement {
    let attachments = attachment_rows::TABLE;
    let mut query = Query::select();
    query
        .expr_as(Expr::col((attachments, "policy_name")), "policy_name")
        .expr_as(Expr::col((table, id)), "id")
        .expr_as(Expr::col((table, "name")), "name")
        .expr_as(Expr::col((table, about)), "about")
        .expr_as(Expr::col((attachments, "attached_at")), "attached_at")
        .from(attachments)
        .inner_join(table, Expr::col((attachments, id)).equals((table, id)))
        .and_where(Expr::col((attachments, "account_id")).eq(account.as_str()))
        .and_where(Expr::col((attachments, "policy_kind")).eq(kind.as_str()))
        .order_by((table, "name"), Order::Asc);
    if let Some(name) = only {
        query.and_where(Expr::col((attachments, "policy_name")).eq(name.as_str()));
    }
    query
}
