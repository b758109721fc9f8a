//! Table `access_keys`. Secrets are sealed before they come here.

use domain::access_key::AccessKeyStatus;
use domain::identity::{AccessKeyId, UserId};
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use super::Reading;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "access_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub access_key_id: String,
        pub account_id: String,
        pub user_id: Option<String>,
        pub sealed_secret: String,
        pub status: String,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A key as it is stored.
pub(crate) struct StoredKey {
    pub(crate) id: AccessKeyId,
    pub(crate) account: AccountId,
    /// `None`: the account's owner.
    pub(crate) user: Option<UserId>,
    pub(crate) sealed_secret: String,
    pub(crate) status: AccessKeyStatus,
    pub(crate) created_at: Timestamp,
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, key: &StoredKey) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        access_key_id: Set(key.id.as_str().to_owned()),
        account_id: Set(key.account.as_str().to_owned()),
        user_id: Set(key.user.as_ref().map(|user| user.as_str().to_owned())),
        sealed_secret: Set(key.sealed_secret.clone()),
        status: Set(key.status.as_str().to_owned()),
        created_at: Set(key.created_at.as_millis()),
    };
    row::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(StoreError::unique(
        "access key",
        "there is a key of this id already",
        "write an access key",
    ))
}

/// The key that a request names; the request has yet to be authenticated by what is found here.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    id: &AccessKeyId,
) -> Result<Option<StoredKey>, StoreError> {
    let found = row::Entity::find_by_id(id.as_str())
        .one(connection)
        .await
        .map_err(StoreError::at("read an access key"))?;
    Ok(found.map(from_row).transpose()?)
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<StoredKey>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_asc(row::Column::CreatedAt)
        .order_by_asc(row::Column::AccessKeyId)
        .all(connection)
        .await
        .map_err(StoreError::at("list access keys"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

pub(crate) async fn set_status(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &AccessKeyId,
    status: AccessKeyStatus,
) -> Result<(), StoreError> {
    let changed = row::Entity::update_many()
        .col_expr(row::Column::Status, Expr::value(status.as_str()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AccessKeyId.eq(id.as_str()))
        .exec(connection)
        .await
        .map_err(StoreError::at("change an access key"))?;
    if changed.rows_affected == 0 { Err(StoreError::NotFound { what: "access key" }) } else { Ok(()) }
}

pub(crate) async fn set_sealed_secret(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &AccessKeyId,
    sealed_secret: &str,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::SealedSecret, Expr::value(sealed_secret))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AccessKeyId.eq(id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("change an access key"))
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &AccessKeyId,
) -> Result<(), StoreError> {
    let deleted = row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AccessKeyId.eq(id.as_str()))
        .exec(connection)
        .await
        .map_err(StoreError::at("delete an access key"))?;
    if deleted.rows_affected == 0 { Err(StoreError::NotFound { what: "access key" }) } else { Ok(()) }
}

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
        .map_err(StoreError::at("delete a user's access keys"))
}

fn from_row(model: row::Model) -> Result<StoredKey, CorruptRow> {
    let reading = Reading { table: "access_keys", id: &model.access_key_id };
    Ok(StoredKey {
        id: reading.text("access_key_id", &model.access_key_id)?,
        account: reading.text("account_id", &model.account_id)?,
        user: model.user_id.as_deref().map(|id| reading.text("user_id", id)).transpose()?,
        status: AccessKeyStatus::parse(&model.status)
            .ok_or_else(|| reading.corrupt("status", "it is neither Active nor Inactive"))?,
        created_at: Timestamp::from_millis(model.created_at),
        sealed_secret: model.sealed_secret,
    })
}
