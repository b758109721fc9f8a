//! Table `accounts`.

use domain::{AccountId, Timestamp};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryOrder, QuerySelect};

use super::Reading;
use crate::StoreError;
use crate::dialect::{Dialect, insert_unless_taken};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn ensure(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let model =
        row::ActiveModel { account_id: Set(account.as_str().to_owned()), created_at: Set(now.as_millis()) };
    insert_unless_taken(connection, row::Entity::insert(model), [row::Column::AccountId])
        .await
        .map(drop)
        .map_err(StoreError::at("make an account"))
}

/// Whether the deployment has this account.
pub(crate) async fn exists(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<bool, StoreError> {
    let found = row::Entity::find_by_id(account.as_str()).one(connection).await;
    found.map(|found| found.is_some()).map_err(StoreError::at("look for an account"))
}

pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<AccountId>, StoreError> {
    let rows = row::Entity::find()
        .order_by_asc(row::Column::AccountId)
        .all(connection)
        .await
        .map_err(StoreError::at("list accounts"))?;
    let read = |model: row::Model| {
        Reading { table: "accounts", id: &model.account_id }.text("account_id", &model.account_id)
    };
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// Makes concurrent transactions about the whole account take turns.
pub(crate) async fn lock(transaction: &DatabaseTransaction, account: &AccountId) -> Result<(), StoreError> {
    row::Entity::find_by_id(account.as_str())
        .lock(Dialect::of(transaction).turn_lock())
        .one(transaction)
        .await
        .map_err(StoreError::at("lock an account"))?
        .map(drop)
        .ok_or(StoreError::NotFound { what: "account" })
}
