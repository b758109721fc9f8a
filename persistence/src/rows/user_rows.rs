//! Table `users`.

use domain::identity::{UserId, UserName};
use domain::{AccountId, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use super::Reading;
use crate::{CorruptRow, StoreError, User};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        pub account_id: String,
        pub name: String,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &User,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        user_id: Set(user.id.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        name: Set(user.name.as_str().to_owned()),
        created_at: Set(user.created_at.as_millis()),
    };
    row::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(StoreError::unique(
        "user",
        "there is a user of this name already",
        "write a user",
    ))
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<User>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_asc(row::Column::Name)
        .all(connection)
        .await
        .map_err(StoreError::at("list users"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

pub(crate) async fn get_by_name(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &UserName,
) -> Result<User, StoreError> {
    let found = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Name.eq(name.as_str()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a user"))?;
    Ok(from_row(found.ok_or(StoreError::NotFound { what: "user" })?)?)
}

pub(crate) async fn find_by_id(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &str,
) -> Result<Option<User>, StoreError> {
    let found = row::Entity::find_by_id(id)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a user"))?;
    Ok(found.map(from_row).transpose()?)
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &UserId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("delete a user"))
}

fn from_row(model: row::Model) -> Result<User, CorruptRow> {
    let reading = Reading { table: "users", id: &model.user_id };
    Ok(User {
        id: reading.text("user_id", &model.user_id)?,
        name: reading.text("name", &model.name)?,
        created_at: Timestamp::from_millis(model.created_at),
    })
}
