//! Table `join_tokens`, keyed by the hash of the secret.

use domain::agent::{InstancePattern, JoinToken};
use domain::secret_hash::SecretHash;
use domain::{AgentId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QuerySelect,
};

use super::{Reading, column_text};
use crate::dialect::delete_some;
use crate::{CorruptRow, StoreError};

/// How many expired tokens one statement removes, so that no call waits long behind it.
const PURGE_BATCH: u64 = 2_000;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "join_tokens")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        pub account_id: String,
        pub region: String,
        pub instances: String,
        pub permits_replace: bool,
        pub created_by: String,
        pub created_at: i64,
        pub expires_at: i64,
        pub used_at: Option<i64>,
        pub used_by: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A stored token, and whether it was used.
pub(crate) struct StoredToken {
    pub(crate) token: JoinToken,
    pub(crate) used: bool,
    /// The agent that was enrolled with it.
    pub(crate) used_by: Option<AgentId>,
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, token: &JoinToken) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        hash: Set(token.hash.to_string()),
        account_id: Set(token.account.as_str().to_owned()),
        region: Set(token.region.as_str().to_owned()),
        instances: Set(token.instances.as_str().to_owned()),
        permits_replace: Set(token.permits_replace),
        created_by: Set(column_text(&token.created_by)),
        created_at: Set(token.created_at.as_millis()),
        expires_at: Set(token.expires_at.as_millis()),
        used_at: Set(None),
        used_by: Set(None),
    };
    row::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(StoreError::unique(
        "join token",
        "the same token exists",
        "write a join token",
    ))
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    hash: SecretHash,
) -> Result<Option<StoredToken>, StoreError> {
    let found = row::Entity::find_by_id(hash.to_string())
        .one(connection)
        .await
        .map_err(StoreError::at("read a join token"))?;
    Ok(found.map(from_row).transpose()?)
}

/// As [`find`], and locked until the transaction ends so that nobody else uses it.
pub(crate) async fn find_locked(
    transaction: &DatabaseTransaction,
    hash: SecretHash,
) -> Result<Option<StoredToken>, StoreError> {
    let found = row::Entity::find_by_id(hash.to_string())
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(StoreError::at("read a join token"))?;
    Ok(found.map(from_row).transpose()?)
}

pub(crate) async fn mark_used(
    transaction: &DatabaseTransaction,
    hash: SecretHash,
    agent: &AgentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::UsedAt, Expr::value(now.as_millis()))
        .col_expr(row::Column::UsedBy, Expr::value(agent.as_str()))
        .filter(row::Column::Hash.eq(hash.to_string()))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("use a join token"))
}

/// Removes some of the tokens that expired before this moment; returns how many, and whether more may be left.
pub(crate) async fn purge_batch(
    connection: &impl ConnectionTrait,
    before: Timestamp,
) -> Result<(u64, bool), StoreError> {
    let expired = row::Column::ExpiresAt.lte(before.as_millis());
    let purged = delete_some::<row::Entity>(connection, row::Column::Hash, expired, PURGE_BATCH)
        .await
        .map_err(StoreError::at("purge join tokens"))?;
    Ok((purged, purged == PURGE_BATCH))
}

fn from_row(model: row::Model) -> Result<StoredToken, CorruptRow> {
    let reading = Reading { table: "join_tokens", id: &model.hash };
    let used_by = reading.optional_text("used_by", model.used_by.as_deref())?;
    let token = JoinToken {
        account: reading.text("account_id", &model.account_id)?,
        region: reading.text("region", &model.region)?,
        instances: InstancePattern::parse(&model.instances)
            .map_err(|why| reading.corrupt("instances", why))?,
        permits_replace: model.permits_replace,
        created_at: Timestamp::from_millis(model.created_at),
        expires_at: Timestamp::from_millis(model.expires_at),
        created_by: model.created_by,
        hash: reading.text("hash", &model.hash)?,
    };
    Ok(StoredToken { token, used: model.used_at.is_some(), used_by })
}
