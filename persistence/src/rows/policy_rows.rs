//! Tables `policies` and `policy_versions`: the account's own policies. A version is never changed; its number is
//! never used twice.

use domain::identity::{Entity as Thing, IdentityRefused, PolicyName};
use domain::policy_version::PolicyVersionId;
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::Reading;
use crate::{CorruptRow, StoreError};

pub(super) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "policies")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub description: String,
        pub default_version: i64,
        pub last_version: i64,
        pub created_at: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod version {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "policy_versions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub policy_name: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: i64,
        pub document: String,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A policy without its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPolicy {
    pub(crate) name: PolicyName,
    pub(crate) description: String,
    /// The version that decides.
    pub(crate) default_version: PolicyVersionId,
    /// The highest number that was ever used.
    pub(crate) last_version: PolicyVersionId,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredVersion {
    pub(crate) version: PolicyVersionId,
    pub(crate) document: String,
    pub(crate) created_at: Timestamp,
}

/// Makes a policy with its first version.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
    description: &str,
    document: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        name: Set(name.as_str().to_owned()),
        description: Set(super::column_text(description)),
        default_version: Set(1),
        last_version: Set(1),
        created_at: Set(now.as_millis()),
        changed_at: Set(now.as_millis()),
    };
    let taken = || IdentityRefused::AlreadyExists { entity: Thing::Policy, name: name.to_string() };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map_err(StoreError::taken(taken, "write a policy"))?;
    insert_version(
        connection,
        account,
        name,
        &StoredVersion { version: PolicyVersionId::FIRST, document: document.to_owned(), created_at: now },
    )
    .await
}

pub(crate) async fn insert_version(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
    made: &StoredVersion,
) -> Result<(), StoreError> {
    let model = version::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        policy_name: Set(name.as_str().to_owned()),
        version: Set(made.version.number().into()),
        document: Set(made.document.clone()),
        created_at: Set(made.created_at.as_millis()),
    };
    version::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(
        StoreError::unique("policy", "another version was made at the same moment", "write a policy version"),
    )
}

/// The policy, kept from other writers until the transaction ends.
pub(crate) async fn get_locked(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<StoredPolicy, StoreError> {
    // SQLite has one writer at a time; its builder leaves the lock out.
    let found = row::Entity::find_by_id(key(account, name))
        .lock_exclusive()
        .one(connection)
        .await
        .map_err(StoreError::at("read a policy"))?;
    found.map(from_row).transpose()?.ok_or_else(|| absent(name))
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<Option<StoredPolicy>, StoreError> {
    let found = row::Entity::find_by_id(key(account, name))
        .one(connection)
        .await
        .map_err(StoreError::at("read a policy"))?;
    Ok(found.map(from_row).transpose()?)
}

/// Writes what changed of a policy: its description, which version decides, the highest number, when.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &StoredPolicy,
) -> Result<(), StoreError> {
    let saved = row::Entity::update_many()
        .col_expr(row::Column::Description, Expr::value(super::column_text(&policy.description)))
        .col_expr(row::Column::DefaultVersion, Expr::value(i64::from(policy.default_version.number())))
        .col_expr(row::Column::LastVersion, Expr::value(i64::from(policy.last_version.number())))
        .col_expr(row::Column::ChangedAt, Expr::value(policy.changed_at.as_millis()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Name.eq(policy.name.as_str()))
        .exec(connection)
        .await
        .map_err(StoreError::at("write a policy"))?;
    if saved.rows_affected == 0 { Err(absent(&policy.name)) } else { Ok(()) }
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<StoredPolicy>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_asc(row::Column::Name)
        .all(connection)
        .await
        .map_err(StoreError::at("list policies"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// At most `limit` policies whose names come after this one, by name.
pub(crate) async fn page(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    after: Option<&PolicyName>,
    limit: u64,
) -> Result<Vec<StoredPolicy>, StoreError> {
    let mut select = row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()));
    if let Some(after) = after {
        select = select.filter(row::Column::Name.gt(after.as_str()));
    }
    let rows = select
        .order_by_asc(row::Column::Name)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("list policies"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// Those of these names that are there.
pub(crate) async fn named(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    names: impl IntoIterator<Item = &PolicyName>,
) -> Result<Vec<StoredPolicy>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Name.is_in(names.into_iter().map(PolicyName::as_str)))
        .all(connection)
        .await
        .map_err(StoreError::at("read policies"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// How many policies the account has.
pub(crate) async fn count(connection: &impl ConnectionTrait, account: &AccountId) -> Result<u64, StoreError> {
    row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .count(connection)
        .await
        .map_err(StoreError::at("count policies"))
}

/// The versions of a policy that stand, the oldest first.
pub(crate) async fn versions(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<Vec<StoredVersion>, StoreError> {
    let rows = version::Entity::find()
        .filter(version::Column::AccountId.eq(account.as_str()))
        .filter(version::Column::PolicyName.eq(name.as_str()))
        .order_by_asc(version::Column::Version)
        .all(connection)
        .await
        .map_err(StoreError::at("list the versions of a policy"))?;
    Ok(rows.into_iter().map(version_from_row).collect::<Result<_, _>>()?)
}

/// One version, if it stands.
pub(crate) async fn find_version(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
    id: PolicyVersionId,
) -> Result<Option<StoredVersion>, StoreError> {
    let key = (account.as_str().to_owned(), name.as_str().to_owned(), i64::from(id.number()));
    let found = version::Entity::find_by_id(key)
        .one(connection)
        .await
        .map_err(StoreError::at("read a policy version"))?;
    Ok(found.map(version_from_row).transpose()?)
}

pub(crate) async fn delete_version(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
    id: PolicyVersionId,
) -> Result<(), StoreError> {
    let key = (account.as_str().to_owned(), name.as_str().to_owned(), i64::from(id.number()));
    let deleted = version::Entity::delete_by_id(key)
        .exec(connection)
        .await
        .map_err(StoreError::at("delete a policy version"))?;
    if deleted.rows_affected > 0 {
        return Ok(());
    }
    Err(IdentityRefused::NotExist { entity: Thing::PolicyVersion, name: id.to_string() }.into())
}

/// Deletes a policy with its versions. What is attached to somebody stays, and the caller is told.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<(), StoreError> {
    version::Entity::delete_many()
        .filter(version::Column::AccountId.eq(account.as_str()))
        .filter(version::Column::PolicyName.eq(name.as_str()))
        .exec(connection)
        .await
        .map_err(StoreError::at("delete the versions of a policy"))?;
    let deleted = row::Entity::delete_by_id(key(account, name))
        .exec(connection)
        .await
        .map_err(StoreError::referenced("policy", "it is attached; detach it first", "delete a policy"))?;
    if deleted.rows_affected == 0 { Err(absent(name)) } else { Ok(()) }
}

fn key(account: &AccountId, name: &PolicyName) -> (String, String) {
    (account.as_str().to_owned(), name.as_str().to_owned())
}

fn absent(name: &PolicyName) -> StoreError {
    IdentityRefused::NotExist { entity: Thing::Policy, name: name.to_string() }.into()
}

fn from_row(model: row::Model) -> Result<StoredPolicy, CorruptRow> {
    let id = format!("{} {}", model.account_id, model.name);
    let reading = Reading { table: "policies", id: &id };
    Ok(StoredPolicy {
        name: reading.text("name", &model.name)?,
        description: model.description,
        default_version: version_id(&reading, "default_version", model.default_version)?,
        last_version: version_id(&reading, "last_version", model.last_version)?,
        created_at: Timestamp::from_millis(model.created_at),
        changed_at: Timestamp::from_millis(model.changed_at),
    })
}

fn version_from_row(model: version::Model) -> Result<StoredVersion, CorruptRow> {
    let id = format!("{} {} {}", model.account_id, model.policy_name, model.version);
    Ok(StoredVersion {
        version: version_id(&Reading { table: "policy_versions", id: &id }, "version", model.version)?,
        document: model.document,
        created_at: Timestamp::from_millis(model.created_at),
    })
}

fn version_id(
    reading: &Reading<'_>,
    column: &'static str,
    number: i64,
) -> Result<PolicyVersionId, CorruptRow> {
    let id = PolicyVersionId::new(reading.number(column, number)?);
    id.ok_or_else(|| reading.corrupt(column, "versions are counted from 1"))
}
