//! Tables `policies` and `policy_versions`: the account's own policies. A version is never changed, and its number is
//! never reused.

use domain::identity::{
    Entity as Thing, IdentityRefused, Policy, PolicyName, PolicyVersion, TagFilter, TaggableKind,
};
use domain::policy_version::PolicyVersionId;
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::Reading;
use super::identity_tag_rows::with_tags;
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

/// Writes a new policy; its first version is written separately.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &Policy,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        name: Set(policy.name.as_str().to_owned()),
        description: Set(super::column_text(&policy.description)),
        default_version: Set(policy.default_version.number().into()),
        last_version: Set(policy.last_version.number().into()),
        created_at: Set(policy.created_at.as_millis()),
        changed_at: Set(policy.changed_at.as_millis()),
    };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(|| taken(&policy.name), "write a policy"))
}

pub(crate) async fn insert_version(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
    made: &PolicyVersion,
) -> Result<(), StoreError> {
    let model = version::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        policy_name: Set(name.as_str().to_owned()),
        version: Set(made.id.number().into()),
        document: Set(made.document.clone()),
        created_at: Set(made.created_at.as_millis()),
    };
    version::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(
        StoreError::unique("policy", "another version was made at the same moment", "write a policy version"),
    )
}

/// As [`get`], and locked until the transaction ends.
pub(crate) async fn get_locked(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<Policy, StoreError> {
    // SQLite has one writer at a time; the statement builder omits the lock.
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
) -> Result<Option<Policy>, StoreError> {
    let found = row::Entity::find_by_id(key(account, name))
        .one(connection)
        .await
        .map_err(StoreError::at("read a policy"))?;
    Ok(found.map(from_row).transpose()?)
}

/// The policy; an error when it does not exist.
pub(crate) async fn get(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<Policy, StoreError> {
    find(connection, account, name).await?.ok_or_else(|| absent(name))
}

/// Writes the changed properties of a policy: its description, its default version, the highest version number, the
/// time.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &Policy,
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

pub(crate) async fn all(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<Policy>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_asc(row::Column::Name)
        .all(connection)
        .await
        .map_err(StoreError::at("list policies"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// At most `limit` policies that have these tags and whose names come after this one, by name.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    filter: &TagFilter,
    after: Option<&PolicyName>,
    limit: u64,
) -> Result<Vec<Policy>, StoreError> {
    let mut select = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(with_tags(account, TaggableKind::Policy, filter, row::Column::Name));
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

/// The policies of these names that exist.
pub(crate) async fn named(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    names: impl IntoIterator<Item = &PolicyName>,
) -> Result<Vec<Policy>, StoreError> {
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

/// The existing versions of a policy, the oldest first.
pub(crate) async fn versions(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &Policy,
) -> Result<Vec<PolicyVersion>, StoreError> {
    let rows = version::Entity::find()
        .filter(version::Column::AccountId.eq(account.as_str()))
        .filter(version::Column::PolicyName.eq(policy.name.as_str()))
        .order_by_asc(version::Column::Version)
        .all(connection)
        .await
        .map_err(StoreError::at("list the versions of a policy"))?;
    Ok(rows.into_iter().map(|row| version_from_row(row, policy)).collect::<Result<_, _>>()?)
}

/// One version of a policy, if it exists.
pub(crate) async fn find_version(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &Policy,
    id: PolicyVersionId,
) -> Result<Option<PolicyVersion>, StoreError> {
    let found = version::Entity::find_by_id(version_key(account, &policy.name, id))
        .one(connection)
        .await
        .map_err(StoreError::at("read a policy version"))?;
    Ok(found.map(|row| version_from_row(row, policy)).transpose()?)
}

pub(crate) async fn delete_version(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
    id: PolicyVersionId,
) -> Result<(), StoreError> {
    version::Entity::delete_by_id(version_key(account, name, id))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("delete a policy version"))
}

/// Deletes a policy with its versions. A policy that is attached is kept, and the caller gets an error.
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
    row::Entity::delete_by_id(key(account, name))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::referenced("policy", "it is attached; detach it first", "delete a policy"))
}

fn key(account: &AccountId, name: &PolicyName) -> (String, String) {
    (account.as_str().to_owned(), name.as_str().to_owned())
}

fn version_key(account: &AccountId, name: &PolicyName, id: PolicyVersionId) -> (String, String, i64) {
    (account.as_str().to_owned(), name.as_str().to_owned(), i64::from(id.number()))
}

fn absent(name: &PolicyName) -> StoreError {
    IdentityRefused::not_exist(Thing::Policy, name).into()
}

fn taken(name: &PolicyName) -> IdentityRefused {
    IdentityRefused::already_exists(Thing::Policy, name)
}

fn from_row(model: row::Model) -> Result<Policy, CorruptRow> {
    let id = format!("{} {}", model.account_id, model.name);
    let reading = Reading { table: "policies", id: &id };
    Ok(Policy {
        name: reading.text("name", &model.name)?,
        description: model.description,
        default_version: version_id(&reading, "default_version", model.default_version)?,
        last_version: version_id(&reading, "last_version", model.last_version)?,
        created_at: Timestamp::from_millis(model.created_at),
        changed_at: Timestamp::from_millis(model.changed_at),
    })
}

fn version_from_row(model: version::Model, policy: &Policy) -> Result<PolicyVersion, CorruptRow> {
    let row = format!("{} {} {}", model.account_id, model.policy_name, model.version);
    let id = version_id(&Reading { table: "policy_versions", id: &row }, "version", model.version)?;
    Ok(PolicyVersion {
        id,
        is_default: id == policy.default_version,
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
