//! Tables `policies` and `policy_attachments`.

use std::sync::Arc;

use domain::identity::{PolicyName, UserId};
use domain::{AccountId, Timestamp};
use policies::{DocumentKind, PolicyDocument};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use super::Reading;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "policies")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub document: String,
        pub created_at: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod attachment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "policy_attachments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub policy_name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A policy's text.
pub(crate) struct StoredPolicy {
    pub(crate) name: PolicyName,
    pub(crate) document: String,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

pub(crate) async fn put(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
    document: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        name: Set(name.as_str().to_owned()),
        document: Set(document.to_owned()),
        created_at: Set(now.as_millis()),
        changed_at: Set(now.as_millis()),
    };
    let conflict = OnConflict::columns([row::Column::AccountId, row::Column::Name])
        .update_columns([row::Column::Document, row::Column::ChangedAt])
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(conflict)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write a policy"))
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
    let read = |model: row::Model| -> Result<StoredPolicy, CorruptRow> {
        let id = format!("{} {}", model.account_id, model.name);
        Ok(StoredPolicy {
            name: Reading { table: "policies", id: &id }.text("name", &model.name)?,
            document: model.document,
            created_at: Timestamp::from_millis(model.created_at),
            changed_at: Timestamp::from_millis(model.changed_at),
        })
    };
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

pub(crate) async fn exists(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<bool, StoreError> {
    let key = (account.as_str().to_owned(), name.as_str().to_owned());
    let found =
        row::Entity::find_by_id(key).one(connection).await.map_err(StoreError::at("read a policy"))?;
    Ok(found.is_some())
}

/// Deletes a policy that is attached to nobody.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<(), StoreError> {
    let deleted = row::Entity::delete_by_id((account.as_str().to_owned(), name.as_str().to_owned()))
        .exec(connection)
        .await
        .map_err(StoreError::referenced("policy", "it is attached; detach it first", "delete a policy"))?;
    if deleted.rows_affected == 0 { Err(StoreError::NotFound { what: "policy" }) } else { Ok(()) }
}

/// The compiled documents of a user. One that cannot be read is an error, not an absence: it might deny.
pub(crate) async fn of_user(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<Vec<(Arc<str>, Arc<PolicyDocument>)>, StoreError> {
    let attached = attachment::Entity::find()
        .select_only()
        .column(attachment::Column::PolicyName)
        .filter(attachment::Column::AccountId.eq(account.as_str()))
        .filter(attachment::Column::UserId.eq(user.as_str()))
        .into_query();
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Name.in_subquery(attached))
        .order_by_asc(row::Column::Name)
        .all(connection)
        .await
        .map_err(StoreError::at("read the policies of a user"))?;
    let compile = |model: row::Model| {
        let document =
            PolicyDocument::parse(model.document.as_bytes(), DocumentKind::Identity).map_err(|why| {
                CorruptRow {
                    table: "policies",
                    column: "document",
                    id: format!("{} {}", model.account_id, model.name),
                    why: why.to_string(),
                }
            })?;
        Ok((Arc::from(model.name), Arc::new(document)))
    };
    rows.into_iter().map(compile).collect()
}

pub(crate) async fn attach(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
    policy: &PolicyName,
) -> Result<(), StoreError> {
    let model = attachment::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        user_id: Set(user.as_str().to_owned()),
        policy_name: Set(policy.as_str().to_owned()),
    };
    let key = [attachment::Column::AccountId, attachment::Column::UserId, attachment::Column::PolicyName];
    attachment::Entity::insert(model)
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("attach a policy"))
}

pub(crate) async fn detach(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
    policy: &PolicyName,
) -> Result<(), StoreError> {
    let key = (account.as_str().to_owned(), user.as_str().to_owned(), policy.as_str().to_owned());
    let detached = attachment::Entity::delete_by_id(key)
        .exec(connection)
        .await
        .map_err(StoreError::at("detach a policy"))?;
    if detached.rows_affected == 0 { Err(StoreError::NotFound { what: "attachment" }) } else { Ok(()) }
}

pub(crate) async fn detach_all(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<(), StoreError> {
    attachment::Entity::delete_many()
        .filter(attachment::Column::AccountId.eq(account.as_str()))
        .filter(attachment::Column::UserId.eq(user.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("detach a user's policies"))
}

/// Every (user id, policy name) of the account.
pub(crate) async fn attachments(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = attachment::Entity::find()
        .filter(attachment::Column::AccountId.eq(account.as_str()))
        .all(connection)
        .await
        .map_err(StoreError::at("list attachments"))?;
    Ok(rows.into_iter().map(|model| (model.user_id, model.policy_name)).collect())
}
