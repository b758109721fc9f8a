//! Table `recording_counters`: how many recordings there are, for each instance and for the whole account.
//!
//! `visible` still includes what has expired since the last sweep; the reader subtracts that (DECISIONS F10).

use std::collections::{BTreeMap, BTreeSet};

use domain::{AccountId, InstanceId};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
};

use super::Reading;
use crate::{CorruptRow, StoreError};

/// Stands for the whole account in the column of an instance.
const WHOLE_ACCOUNT: &str = "*";

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recording_counters")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub instance_id: String,
        pub visible: i64,
        pub total: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The two numbers of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counter {
    pub(crate) visible: u64,
    pub(crate) total: u64,
}

/// Adds to the counters of instances (visible, total), and the sum to that of the account.
///
/// Always in this order, the instances by id and the account last: transactions that add to the same counters then wait
/// for one another, but never in a circle.
pub(crate) async fn add(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    of_instances: &BTreeMap<InstanceId, (i64, i64)>,
) -> Result<(), StoreError> {
    let mut sum = (0, 0);
    for (instance, more) in of_instances {
        add_to(transaction, account, instance.as_str(), *more).await?;
        sum = (sum.0 + more.0, sum.1 + more.1);
    }
    if of_instances.is_empty() { Ok(()) } else { add_to(transaction, account, WHOLE_ACCOUNT, sum).await }
}

async fn add_to(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    counted: &str,
    (visible, total): (i64, i64),
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        instance_id: Set(counted.to_owned()),
        visible: Set(visible),
        total: Set(total),
    };
    let more = |column, number: i64| Expr::col((row::Entity, column)).add(number);
    let conflict = OnConflict::columns([row::Column::AccountId, row::Column::InstanceId])
        .value(row::Column::Visible, more(row::Column::Visible, visible))
        .value(row::Column::Total, more(row::Column::Total, total))
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(conflict)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("count recordings"))
}

/// The sum of the counters of several instances.
pub(crate) async fn read_sum(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instances: &BTreeSet<&InstanceId>,
) -> Result<Counter, StoreError> {
    let counters = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::InstanceId.is_in(instances.iter().map(|instance| instance.as_str())))
        .all(connection)
        .await
        .map_err(StoreError::at("read counters"))?;
    let mut sum = Counter::default();
    for model in counters {
        let counter = from_row(&model)?;
        sum.visible += counter.visible;
        sum.total += counter.total;
    }
    Ok(sum)
}

pub(crate) async fn read(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
) -> Result<Counter, StoreError> {
    let counted = instance.map_or(WHOLE_ACCOUNT, InstanceId::as_str);
    let found = row::Entity::find_by_id((account.as_str().to_owned(), counted.to_owned()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a counter"))?;
    Ok(found.as_ref().map(from_row).transpose()?.unwrap_or_default())
}

fn from_row(model: &row::Model) -> Result<Counter, CorruptRow> {
    let id = format!("{} {}", model.account_id, model.instance_id);
    let reading = Reading { table: "recording_counters", id: &id };
    Ok(Counter {
        visible: reading.number("visible", model.visible)?,
        total: reading.number("total", model.total)?,
    })
}
