//! Table `access_keys`. Secrets are sealed before they come here.

use domain::access_key::AccessKeyStatus;
use domain::identity::{AccessKeyId, AccessKeyUse, UserId};
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

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
        pub last_used_at: Option<i64>,
        pub last_used_service: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A key as it is stored.
pub(crate) struct StoredKey {
    pub(crate) id: AccessKeyId,
    pub(crate) account: AccountId,
    /// `None` for the account's owner.
    pub(crate) user: Option<UserId>,
    pub(crate) sealed_secret: String,
    pub(crate) status: AccessKeyStatus,
    pub(crate) created_at: Timestamp,
    /// When it last signed a request, and to which service.
    pub(crate) last_used: Option<AccessKeyUse>,
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, key: &StoredKey) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        access_key_id: Set(key.id.as_str().to_owned()),
        account_id: Set(key.account.as_str().to_owned()),
        user_id: Set(key.user.as_ref().map(|user| user.as_str().to_owned())),
        sealed_secret: Set(key.sealed_secret.clone()),
        status: Set(key.status.as_str().to_owned()),
        created_at: Set(key.created_at.as_millis()),
        last_used_at: Set(key.last_used.as_ref().map(|used| used.at.as_millis())),
        last_used_service: Set(key.last_used.as_ref().and_then(|used| used.service.clone())),
    };
    row::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(StoreError::unique(
        "access key",
        "there is a key of this id already",
        "write an access key",
    ))
}

/// The key that a request names; the request has yet to be authenticated with it.
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

/// The key, locked until the transaction ends so that nobody can change or delete it.
pub(crate) async fn find_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    id: &AccessKeyId,
) -> Result<Option<StoredKey>, StoreError> {
    // SQLite has one writer at a time; the statement builder omits the lock.
    let found = row::Entity::find_by_id(id.as_str())
        .filter(row::Column::AccountId.eq(account.as_str()))
        .lock(LockType::Update)
        .one(transaction)
        .await
        .map_err(StoreError::at("read an access key"))?;
    Ok(found.map(from_row).transpose()?)
}

/// The keys of the account, the oldest first.
pub(crate) async fn all(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<StoredKey>, StoreError> {
    read(connection, of_account(account)).await
}

/// The keys of a user, or of the account's owner, the oldest first.
pub(crate) async fn of_owner(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: Option<&UserId>,
) -> Result<Vec<StoredKey>, StoreError> {
    read(connection, owned_by(account, user)).await
}

/// How many keys a user, or the account's owner, has.
pub(crate) async fn count_of_owner(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: Option<&UserId>,
) -> Result<u64, StoreError> {
    owned_by(account, user).count(connection).await.map_err(StoreError::at("count access keys"))
}

pub(crate) async fn set_status(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &AccessKeyId,
    status: AccessKeyStatus,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::Status, Expr::value(status.as_str()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AccessKeyId.eq(id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("change an access key"))
}

/// Notes when a key signed a request, unless a later time is noted. A key that no longer exists is ignored.
pub(crate) async fn set_last_used(
    connection: &impl ConnectionTrait,
    id: &AccessKeyId,
    used: &AccessKeyUse,
) -> Result<(), StoreError> {
    let earlier = Condition::any()
        .add(row::Column::LastUsedAt.is_null())
        .add(row::Column::LastUsedAt.lt(used.at.as_millis()));
    row::Entity::update_many()
        .col_expr(row::Column::LastUsedAt, Expr::value(used.at.as_millis()))
        .col_expr(row::Column::LastUsedService, Expr::value(used.service.clone()))
        .filter(row::Column::AccessKeyId.eq(id.as_str()))
        .filter(earlier)
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("note that an access key signed"))
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
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AccessKeyId.eq(id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("delete an access key"))
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

fn of_account(account: &AccountId) -> Select<row::Entity> {
    row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()))
}

fn owned_by(account: &AccountId, user: Option<&UserId>) -> Select<row::Entity> {
    match user {
        Some(user) => of_account(account).filter(row::Column::UserId.eq(user.as_str())),
        None => of_account(account).filter(row::Column::UserId.is_null()),
    }
}

async fn read(
    connection: &impl ConnectionTrait,
    select: Select<row::Entity>,
) -> Result<Vec<StoredKey>, StoreError> {
    let rows = select
        .order_by_asc(row::Column::CreatedAt)
        .order_by_asc(row::Column::AccessKeyId)
        .all(connection)
        .await
        .map_err(StoreError::at("list access keys"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
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
        last_used: model
            .last_used_at
            .map(|at| AccessKeyUse { at: Timestamp::from_millis(at), service: model.last_used_service }),
        sealed_secret: model.sealed_secret,
    })
}
