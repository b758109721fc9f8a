//! Table `groups`.

use domain::identity::{Entity as Thing, GroupId, GroupName, IdentityRefused, UserId};
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::{Reading, column_text, group_member_rows};
use crate::markers::NameSlice;
use crate::{CorruptRow, Group, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "groups")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub group_id: String,
        pub account_id: String,
        pub name: String,
        pub comments: String,
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
    group: &Group,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        group_id: Set(group.id.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        name: Set(group.name.as_str().to_owned()),
        comments: Set(column_text(&group.comments)),
        created_at: Set(group.created_at.as_millis()),
        changed_at: Set(group.changed_at.as_millis()),
    };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(|| taken(&group.name), "write a group"))
}

/// Writes what changed of a group: its name, what is noted about it, when.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    group: &Group,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::Name, Expr::value(group.name.as_str()))
        .col_expr(row::Column::Comments, Expr::value(column_text(&group.comments)))
        .col_expr(row::Column::ChangedAt, Expr::value(group.changed_at.as_millis()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::GroupId.eq(group.id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(|| taken(&group.name), "write a group"))
}

pub(crate) async fn count(connection: &impl ConnectionTrait, account: &AccountId) -> Result<u64, StoreError> {
    of_account(account).count(connection).await.map_err(StoreError::at("count groups"))
}

pub(crate) async fn get_by_name(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &GroupName,
) -> Result<Group, StoreError> {
    one(connection, name, of_account(account).filter(row::Column::Name.eq(name.as_str()))).await
}

/// The group, kept from whoever would change it, delete it or refer to it until the transaction ends.
pub(crate) async fn get_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    name: &GroupName,
) -> Result<Group, StoreError> {
    // SQLite has one writer at a time; its builder leaves the lock out.
    let select = of_account(account).filter(row::Column::Name.eq(name.as_str())).lock(LockType::Update);
    one(transaction, name, select).await
}

/// A part of the list, by name.
pub(crate) async fn slice(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    slice: &NameSlice,
) -> Result<Vec<Group>, StoreError> {
    let mut select = of_account(account);
    if let Some(after) = &slice.after {
        select = select.filter(row::Column::Name.gt(after));
    }
    all(connection, select.limit(slice.limit)).await
}

/// The groups that a user is in, by name.
pub(crate) async fn of_user(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<Vec<Group>, StoreError> {
    let ids = group_member_rows::groups_of(account, user).into_query();
    all(connection, of_account(account).filter(row::Column::GroupId.in_subquery(ids))).await
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &GroupId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::GroupId.eq(id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("delete a group"))
}

fn of_account(account: &AccountId) -> Select<row::Entity> {
    row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()))
}

async fn one(
    connection: &impl ConnectionTrait,
    name: &GroupName,
    select: Select<row::Entity>,
) -> Result<Group, StoreError> {
    let found = select.one(connection).await.map_err(StoreError::at("read a group"))?;
    let absent = || IdentityRefused::NotExist { entity: Thing::Group, name: name.to_string() }.into();
    found.map(from_row).transpose()?.ok_or_else(absent)
}

async fn all(
    connection: &impl ConnectionTrait,
    select: Select<row::Entity>,
) -> Result<Vec<Group>, StoreError> {
    let rows = select
        .order_by_asc(row::Column::Name)
        .all(connection)
        .await
        .map_err(StoreError::at("list groups"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

fn taken(name: &GroupName) -> IdentityRefused {
    IdentityRefused::AlreadyExists { entity: Thing::Group, name: name.to_string() }
}

fn from_row(model: row::Model) -> Result<Group, CorruptRow> {
    let reading = Reading { table: "groups", id: &model.group_id };
    Ok(Group {
        id: reading.text("group_id", &model.group_id)?,
        name: reading.text("name", &model.name)?,
        comments: model.comments,
        created_at: Timestamp::from_millis(model.created_at),
        changed_at: Timestamp::from_millis(model.changed_at),
    })
}
