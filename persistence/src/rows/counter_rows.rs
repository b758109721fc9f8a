//! Table `recording_counters`: how many recordings there are, for each instance and for the whole account.
//!
//! `visible` still includes what has expired since the last sweep; the reader subtracts that (DECISIONS F10).

use std::collections::{BTreeMap, BTreeSet};

use domain::{AccountId, InstanceId};
use sea_orm::sea_query::{Expr, ExprTrait, Func, OnConflict, SimpleExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QuerySelect,
};

use super::Reading;
use crate::dialect::Dialect;
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

/// The sum of the counters of several instances, and the counter of the account. The database adds: there may be thousands.
pub(crate) async fn read_sum(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instances: &BTreeSet<&InstanceId>,
) -> Result<(Counter, Counter), StoreError> {
    let dialect = Dialect::of(connection);
    let instance_id = || Expr::col((row::Entity, row::Column::InstanceId));
    let counted = instances.iter().map(|instance| instance.as_str()).chain([WHOLE_ACCOUNT]);
    let counted = dialect.is_one_of(instance_id(), counted, false);
    // In PostgreSQL and MariaDB the sum of BIGINTs is a NUMERIC.
    let sum = |column: row::Column, of: SimpleExpr| {
        let numbers: SimpleExpr = Expr::case(of, Expr::col(column)).finally(0).into();
        Func::sum(numbers).cast_as(dialect.whole_number())
    };
    let of_instances = || instance_id().ne(WHOLE_ACCOUNT);
    let of_account = || instance_id().eq(WHOLE_ACCOUNT);
    let sums: Option<[Option<i64>; 4]> = row::Entity::find()
        .select_only()
        .column_as(sum(row::Column::Visible, of_instances()), "visible_sum")
        .column_as(sum(row::Column::Total, of_instances()), "total_sum")
        .column_as(sum(row::Column::Visible, of_account()), "visible_whole")
        .column_as(sum(row::Column::Total, of_account()), "total_whole")
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(counted)
        .into_tuple::<(Option<i64>, Option<i64>, Option<i64>, Option<i64>)>()
        .one(connection)
        .await
        .map_err(StoreError::at("read counters"))?
        .map(|(visible, total, visible_whole, total_whole)| [visible, total, visible_whole, total_whole]);
    // Without any row a sum is NULL.
    let [visible, total, visible_whole, total_whole] =
        sums.unwrap_or_default().map(Option::unwrap_or_default);
    let id = format!("{account}, of several instances");
    let reading = Reading { table: "recording_counters", id: &id };
    let counter = |visible, total| -> Result<Counter, CorruptRow> {
        Ok(Counter { visible: reading.number("visible", visible)?, total: reading.number("total", total)? })
    };
    Ok((counter(visible, total)?, counter(visible_whole, total_whole)?))
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
