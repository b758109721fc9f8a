//! Table `role_sessions`. Secrets are sealed before they come here; of a token only the hash is stored.

use domain::identity::{AccessKeyId, RoleId, RoleSessionName, SourceIdentity};
use domain::secret_hash::SecretHash;
use domain::{AccountId, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::Reading;
use crate::dialect::delete_some;
use crate::{CorruptRow, StoreError};

/// How many ended sessions one statement removes, so that no call waits long behind it.
const PURGE_BATCH: u64 = 2_000;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "role_sessions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub access_key_id: String,
        pub account_id: String,
        pub role_id: String,
        pub session_name: String,
        pub sealed_secret: String,
        pub token_hash: String,
        pub session_policy: Option<String>,
        pub source_identity: Option<String>,
        pub assumed_by: String,
        pub created_at: i64,
        pub expires_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A session as it is stored.
#[derive(Clone)]
pub(crate) struct StoredSession {
    pub(crate) key: AccessKeyId,
    /// The role's account.
    pub(crate) account: AccountId,
    pub(crate) role: RoleId,
    pub(crate) name: RoleSessionName,
    pub(crate) sealed_secret: String,
    pub(crate) token_hash: SecretHash,
    /// The session policy, as it was given.
    pub(crate) policy: Option<String>,
    pub(crate) source_identity: Option<SourceIdentity>,
    /// The ARN of the caller that started it.
    pub(crate) assumed_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Starts a session; refused if its role was deleted at the same moment.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    session: StoredSession,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        access_key_id: Set(session.key.as_str().to_owned()),
        account_id: Set(session.account.as_str().to_owned()),
        role_id: Set(session.role.as_str().to_owned()),
        session_name: Set(session.name.as_str().to_owned()),
        sealed_secret: Set(session.sealed_secret),
        token_hash: Set(session.token_hash.to_string()),
        session_policy: Set(session.policy),
        source_identity: Set(session.source_identity.map(|identity| identity.as_str().to_owned())),
        assumed_by: Set(session.assumed_by),
        created_at: Set(session.created_at.as_millis()),
        expires_at: Set(session.expires_at.as_millis()),
    };
    row::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(
        StoreError::referenced("role", "it was deleted at the same moment", "write a session of a role"),
    )
}

/// The session whose key a request names; the request has yet to be authenticated with it.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    key: &AccessKeyId,
) -> Result<Option<StoredSession>, StoreError> {
    let found = row::Entity::find_by_id(key.as_str())
        .one(connection)
        .await
        .map_err(StoreError::at("read a session of a role"))?;
    Ok(found.map(from_row).transpose()?)
}

/// Ends every session of a role.
pub(crate) async fn delete_of_role(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    role: &RoleId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::RoleId.eq(role.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("end the sessions of a role"))
}

/// Removes some of the sessions that have ended; fewer than a batch means that none is left.
pub(crate) async fn purge_batch(
    connection: &impl ConnectionTrait,
    ended_before: Timestamp,
) -> Result<(u64, bool), StoreError> {
    let ended = row::Column::ExpiresAt.lte(ended_before.as_millis());
    let purged = delete_some::<row::Entity>(connection, row::Column::AccessKeyId, ended, PURGE_BATCH)
        .await
        .map_err(StoreError::at("remove ended sessions"))?;
    Ok((purged, purged == PURGE_BATCH))
}

fn from_row(model: row::Model) -> Result<StoredSession, CorruptRow> {
    let reading = Reading { table: "role_sessions", id: &model.access_key_id };
    let source_identity = reading.optional_text("source_identity", model.source_identity.as_deref())?;
    Ok(StoredSession {
        key: reading.text("access_key_id", &model.access_key_id)?,
        account: reading.text("account_id", &model.account_id)?,
        role: reading.text("role_id", &model.role_id)?,
        name: reading.text("session_name", &model.session_name)?,
        source_identity,
        created_at: Timestamp::from_millis(model.created_at),
        expires_at: Timestamp::from_millis(model.expires_at),
        sealed_secret: model.sealed_secret,
        token_hash: reading.text("token_hash", &model.token_hash)?,
        policy: model.session_policy,
        assumed_by: model.assumed_by,
    })
}
