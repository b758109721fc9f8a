//! Table `roles`.

use domain::identity::{Entity as Thing, IdentityRefused, RoleId, RoleName};
use domain::role::MaxSessionDuration;
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::Reading;
use crate::markers::NameSlice;
use crate::{CorruptRow, Role, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "roles")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub role_id: String,
        pub account_id: String,
        pub name: String,
        pub description: String,
        pub trust_policy: String,
        pub max_session_seconds: i64,
        pub created_at: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    role: &Role,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        role_id: Set(role.id.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        name: Set(role.name.as_str().to_owned()),
        description: Set(super::column_text(&role.description)),
        trust_policy: Set(role.trust_policy.clone()),
        max_session_seconds: Set(role.max_session_duration.seconds().into()),
        created_at: Set(role.created_at.as_millis()),
        changed_at: Set(role.changed_at.as_millis()),
    };
    let taken = || IdentityRefused::AlreadyExists { entity: Thing::Role, name: role.name.to_string() };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(taken, "write a role"))
}

/// How many roles the account has.
pub(crate) async fn count(connection: &impl ConnectionTrait, account: &AccountId) -> Result<u64, StoreError> {
    of_account(account).count(connection).await.map_err(StoreError::at("count roles"))
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &RoleName,
) -> Result<Option<Role>, StoreError> {
    let found = named(account, name).one(connection).await.map_err(StoreError::at("read a role"))?;
    Ok(found.map(from_row).transpose()?)
}

pub(crate) async fn find_by_id(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &RoleId,
) -> Result<Option<Role>, StoreError> {
    let found = of_account(account)
        .filter(row::Column::RoleId.eq(id.as_str()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a role"))?;
    Ok(found.map(from_row).transpose()?)
}

/// The role, kept from being changed or deleted until the transaction ends.
pub(crate) async fn find_kept(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    id: &RoleId,
) -> Result<Option<Role>, StoreError> {
    // SQLite has one writer at a time; its builder leaves the lock out.
    let found = of_account(account)
        .filter(row::Column::RoleId.eq(id.as_str()))
        .lock_shared()
        .one(transaction)
        .await
        .map_err(StoreError::at("read a role"))?;
    Ok(found.map(from_row).transpose()?)
}

/// The role, kept from other writers, and from new sessions, until the transaction ends.
pub(crate) async fn get_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    name: &RoleName,
) -> Result<Role, StoreError> {
    // SQLite has one writer at a time; its builder leaves the lock out.
    let found = named(account, name)
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(StoreError::at("read a role"))?;
    found.map(from_row).transpose()?.ok_or_else(|| absent(name))
}

/// A part of the roles, by name.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    slice: &NameSlice,
) -> Result<Vec<Role>, StoreError> {
    let mut select = of_account(account).order_by_asc(row::Column::Name).limit(slice.limit);
    if let Some(after) = &slice.after {
        select = select.filter(row::Column::Name.gt(after.as_str()));
    }
    let rows = select.all(connection).await.map_err(StoreError::at("list roles"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// Writes what may change of a role: its description, its trust policy, its longest session, when.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    role: &Role,
) -> Result<(), StoreError> {
    let saved = row::Entity::update_many()
        .col_expr(row::Column::Description, Expr::value(super::column_text(&role.description)))
        .col_expr(row::Column::TrustPolicy, Expr::value(role.trust_policy.as_str()))
        .col_expr(row::Column::MaxSessionSeconds, Expr::value(i64::from(role.max_session_duration.seconds())))
        .col_expr(row::Column::ChangedAt, Expr::value(role.changed_at.as_millis()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::RoleId.eq(role.id.as_str()))
        .exec(connection)
        .await
        .map_err(StoreError::at("write a role"))?;
    if saved.rows_affected == 0 { Err(absent(&role.name)) } else { Ok(()) }
}

/// Deletes a role that has neither sessions nor policies.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    role: &Role,
) -> Result<(), StoreError> {
    let deleted = row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::RoleId.eq(role.id.as_str()))
        .exec(connection)
        .await
        .map_err(StoreError::referenced("role", "it has sessions or policies", "delete a role"))?;
    if deleted.rows_affected == 0 { Err(absent(&role.name)) } else { Ok(()) }
}

/// There is no such role.
pub(crate) fn absent(name: &RoleName) -> StoreError {
    IdentityRefused::NotExist { entity: Thing::Role, name: name.to_string() }.into()
}

fn of_account(account: &AccountId) -> Select<row::Entity> {
    row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()))
}

fn named(account: &AccountId, name: &RoleName) -> Select<row::Entity> {
    of_account(account).filter(row::Column::Name.eq(name.as_str()))
}

fn from_row(model: row::Model) -> Result<Role, CorruptRow> {
    let reading = Reading { table: "roles", id: &model.role_id };
    let longest = MaxSessionDuration::from_seconds(model.max_session_seconds);
    Ok(Role {
        id: reading.text("role_id", &model.role_id)?,
        name: reading.text("name", &model.name)?,
        description: model.description,
        trust_policy: model.trust_policy,
        max_session_duration: longest.map_err(|why| reading.corrupt("max_session_seconds", why))?,
        created_at: Timestamp::from_millis(model.created_at),
        changed_at: Timestamp::from_millis(model.changed_at),
    })
}
