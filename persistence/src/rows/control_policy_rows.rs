//! Table `control_policies`: the bounds of all users and roles of an account, level by level.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::identity::{ControlPolicy, PolicyName};
use domain::{AccountId, Timestamp};
use policies::{DocumentKind, PolicySet};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use super::Reading;
use crate::compiled_policies::{CompiledPolicies, NamedDocuments};
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "control_policies")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub level: i64,
        pub document: String,
        pub created_at: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Writes a control policy. It replaces one of the same name, of which only the time of creation is kept.
pub(crate) async fn put(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &ControlPolicy,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        name: Set(policy.name.as_str().to_owned()),
        level: Set(policy.level.into()),
        document: Set(policy.document.clone()),
        created_at: Set(policy.created_at.as_millis()),
        changed_at: Set(policy.changed_at.as_millis()),
    };
    let anew = [row::Column::Level, row::Column::Document, row::Column::ChangedAt];
    let taken =
        OnConflict::columns([row::Column::AccountId, row::Column::Name]).update_columns(anew).to_owned();
    row::Entity::insert(model)
        .on_conflict(taken)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write a control policy"))
}

/// The control policy of this name, if it exists.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<Option<ControlPolicy>, StoreError> {
    let found = row::Entity::find_by_id((account.as_str().to_owned(), name.as_str().to_owned()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a control policy"))?;
    Ok(found.map(from_row).transpose()?)
}

/// All of the account, by level and name.
pub(crate) async fn all(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<ControlPolicy>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_asc(row::Column::Level)
        .order_by_asc(row::Column::Name)
        .all(connection)
        .await
        .map_err(StoreError::at("list control policies"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// The compiled levels of the account, from the first. A document that cannot be read is an error, not an absence: it
/// might be the one that forbids.
pub(crate) async fn levels_of(
    connection: &impl ConnectionTrait,
    compiled: &CompiledPolicies,
    account: &AccountId,
) -> Result<Vec<PolicySet>, StoreError> {
    let mut levels: BTreeMap<u32, NamedDocuments> = BTreeMap::new();
    for policy in all(connection, account).await? {
        let name: Arc<str> = Arc::from(policy.name.as_str());
        let document =
            compiled.document(policy.document, DocumentKind::Control).map_err(|why| CorruptRow {
                table: "control_policies",
                column: "document",
                id: format!("{account} {name}"),
                why: why.to_string(),
            })?;
        levels.entry(policy.level).or_default().push((name, document));
    }
    Ok(levels.into_values().map(|documents| compiled.set(documents)).collect())
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &PolicyName,
) -> Result<(), StoreError> {
    row::Entity::delete_by_id((account.as_str().to_owned(), name.as_str().to_owned()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("delete a control policy"))
}

fn from_row(model: row::Model) -> Result<ControlPolicy, CorruptRow> {
    let id = format!("{} {}", model.account_id, model.name);
    let reading = Reading { table: "control_policies", id: &id };
    Ok(ControlPolicy {
        name: reading.text("name", &model.name)?,
        level: reading.number("level", model.level)?,
        document: model.document,
        created_at: Timestamp::from_millis(model.created_at),
        changed_at: Timestamp::from_millis(model.changed_at),
    })
}
