//! Table `instances`: where an instance is, according to the join token of its agent.

use std::fmt::Display;

use domain::{AccountId, InstanceId, Region, Timestamp};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use super::Reading;
use crate::StoreError;
use crate::dialect::text_rows;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "instances")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub instance_id: String,
        pub region: String,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn put(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: &InstanceId,
    region: &Region,
    now: Timestamp,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        instance_id: Set(instance.as_str().to_owned()),
        region: Set(region.as_str().to_owned()),
        created_at: Set(now.as_millis()),
    };
    let conflict = OnConflict::columns([row::Column::AccountId, row::Column::InstanceId])
        .update_column(row::Column::Region)
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(conflict)
        .exec_without_returning(connection)
        .await
        .map_err(StoreError::at("write an instance"))?;
    Ok(())
}

/// Instances with their regions, by id.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    limit: u64,
) -> Result<Vec<(InstanceId, Region)>, StoreError> {
    // There may be thousands, and they are read before each list.
    let select = row::Entity::find()
        .select_only()
        .column(row::Column::InstanceId)
        .column(row::Column::Region)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_asc(row::Column::InstanceId)
        .limit(limit)
        .into_query();
    let rows = text_rows(connection, ["instance_id", "region"], select).await;
    let read = |[instance, region]: [String; 2]| {
        let corrupt = |column, why: &dyn Display| {
            let id = format!("{account} {instance}");
            Reading { table: "instances", id: &id }.corrupt(column, why)
        };
        let id = instance.parse().map_err(|why| corrupt("instance_id", &why))?;
        Ok((id, region.parse().map_err(|why| corrupt("region", &why))?))
    };
    rows.map_err(StoreError::at("list instances"))?.into_iter().map(read).collect()
}

pub(crate) async fn region(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<Option<Region>, StoreError> {
    let key = (account.as_str().to_owned(), instance.as_str().to_owned());
    let found =
        row::Entity::find_by_id(key).one(connection).await.map_err(StoreError::at("read an instance"))?;
    let read = |model: row::Model| {
        let id = format!("{} {}", model.account_id, model.instance_id);
        Reading { table: "instances", id: &id }.text("region", &model.region)
    };
    Ok(found.map(read).transpose()?)
}
