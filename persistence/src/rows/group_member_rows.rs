//! Table `group_members`: which users are in which groups.

use std::collections::BTreeMap;

use domain::identity::{GroupId, UserId, UserJoinedGroup, UserLeftGroup};
use domain::{AccountId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    Select,
};

use super::Reading;
use crate::StoreError;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "group_members")]
    pub struct Model {
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub group_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        pub joined_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The ids of the groups that a user is in, as a subquery.
pub(crate) fn groups_of(account: &AccountId, user: &UserId) -> Select<row::Entity> {
    of_user(account, user).select_only().column(row::Column::GroupId)
}

/// The ids of the users that are in a group, as a subquery.
pub(crate) fn users_of(account: &AccountId, group: &GroupId) -> Select<row::Entity> {
    of_group(account, group).select_only().column(row::Column::UserId)
}

/// Adds a user to a group; the decision has found that the user is not in it.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    joined: &UserJoinedGroup,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        group_id: Set(joined.group.as_str().to_owned()),
        user_id: Set(joined.user.as_str().to_owned()),
        joined_at: Set(joined.at.as_millis()),
    };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("put a user into a group"))
}

/// Removes a user from a group.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    left: &UserLeftGroup,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::GroupId.eq(left.group.as_str()))
        .filter(row::Column::UserId.eq(left.user.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("take a user out of a group"))
}

/// The ids of the groups that a user is in.
pub(crate) async fn groups_of_user(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<Vec<GroupId>, StoreError> {
    let rows =
        of_user(account, user).all(connection).await.map_err(StoreError::at("list the groups of a user"))?;
    let id = |model: row::Model| {
        let row = format!("{} {}", model.group_id, model.user_id);
        Reading { table: "group_members", id: &row }.text("group_id", &model.group_id)
    };
    Ok(rows.into_iter().map(id).collect::<Result<_, _>>()?)
}

/// Removes a user from all its groups.
pub(crate) async fn delete_of_user(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(user.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("take a user out of its groups"))
}

/// How many groups a user is in.
pub(crate) async fn count_of_user(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<u64, StoreError> {
    of_user(account, user).count(connection).await.map_err(StoreError::at("count the groups of a user"))
}

/// How many users are in a group.
pub(crate) async fn count_of_group(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    group: &GroupId,
) -> Result<u64, StoreError> {
    of_group(account, group).count(connection).await.map_err(StoreError::at("count the users of a group"))
}

/// When a user joined each of its groups, by the group's id.
pub(crate) async fn joined_by_group(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let rows =
        of_user(account, user).all(connection).await.map_err(StoreError::at("list the groups of a user"))?;
    Ok(rows.into_iter().map(|model| (model.group_id, Timestamp::from_millis(model.joined_at))).collect())
}

/// When each of these users joined the group, by the user's id.
pub(crate) async fn joined_by_user(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    group: &GroupId,
    users: impl Iterator<Item = &str>,
) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let rows = of_group(account, group)
        .filter(row::Column::UserId.is_in(users))
        .all(connection)
        .await
        .map_err(StoreError::at("list the users of a group"))?;
    Ok(rows.into_iter().map(|model| (model.user_id, Timestamp::from_millis(model.joined_at))).collect())
}

fn of_user(account: &AccountId, user: &UserId) -> Select<row::Entity> {
    row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(user.as_str()))
}

fn of_group(account: &AccountId, group: &GroupId) -> Select<row::Entity> {
    row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::GroupId.eq(group.as_str()))
}
