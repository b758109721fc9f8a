//! Table `instance_tags`.

use std::collections::BTreeMap;
use std::fmt::Display;

use domain::instance_tags::{InstanceTags, TagKey, TagValue};
use domain::{AccountId, InstanceId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::Reading;
use crate::dialect::text_rows;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "instance_tags")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub instance_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tag_key: String,
        pub tag_value: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn of_instance(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<InstanceTags, StoreError> {
    let rows = of_account(account)
        .filter(row::Column::InstanceId.eq(instance.as_str()))
        .order_by_asc(row::Column::TagKey)
        .all(connection)
        .await
        .map_err(StoreError::at("read tags"))?;
    let read = |model: &row::Model| read(account, &model.instance_id, &model.tag_key, &model.tag_value);
    let tags: Vec<_> = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(InstanceTags::of(tags.into_iter().map(|(_, key, value)| (key, value))))
}

pub(crate) async fn all(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<BTreeMap<InstanceId, InstanceTags>, StoreError> {
    let select = of_account(account)
        .select_only()
        .column(row::Column::InstanceId)
        .column(row::Column::TagKey)
        .column(row::Column::TagValue)
        .order_by_asc(row::Column::InstanceId)
        .order_by_asc(row::Column::TagKey)
        .into_query();
    let rows = text_rows(connection, ["instance_id", "tag_key", "tag_value"], select).await;
    let mut tags: BTreeMap<InstanceId, Vec<(TagKey, TagValue)>> = BTreeMap::new();
    for [instance, key, value] in rows.map_err(StoreError::at("read tags"))? {
        let (instance, key, value) = read(account, &instance, &key, &value)?;
        tags.entry(instance).or_default().push((key, value));
    }
    Ok(tags.into_iter().map(|(instance, tags)| (instance, InstanceTags::of(tags))).collect())
}

/// Replaces all tags of an instance.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    instance: &InstanceId,
    tags: &InstanceTags,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::InstanceId.eq(instance.as_str()))
        .exec(transaction)
        .await
        .map_err(StoreError::at("write tags"))?;
    let rows: Vec<_> = tags
        .iter()
        .map(|(key, value)| row::ActiveModel {
            account_id: Set(account.as_str().to_owned()),
            instance_id: Set(instance.as_str().to_owned()),
            tag_key: Set(key.as_str().to_owned()),
            tag_value: Set(value.as_str().to_owned()),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    row::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("write tags"))
}

fn of_account(account: &AccountId) -> Select<row::Entity> {
    row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()))
}

fn read(
    account: &AccountId,
    instance: &str,
    key: &str,
    value: &str,
) -> Result<(InstanceId, TagKey, TagValue), CorruptRow> {
    let corrupt = |column, why: &dyn Display| {
        let id = format!("{account} {instance} {key}");
        Reading { table: "instance_tags", id: &id }.corrupt(column, why)
    };
    Ok((
        instance.parse().map_err(|why| corrupt("instance_id", &why))?,
        key.parse().map_err(|why| corrupt("tag_key", &why))?,
        value.parse().map_err(|why| corrupt("tag_value", &why))?,
    ))
}
