//! Table `audit_pruned`: up to which row each writer was pruned, for the trigger that lets those rows be deleted, and for
//! lists. It is no evidence: that is in the anchor that each row names.

use std::collections::BTreeMap;

use domain::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryOrder, QuerySelect,
};

use super::column_number;
use crate::StoreError;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_pruned")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub writer_id: String,
        pub last_number: i64,
        pub anchor_writer: String,
        pub anchor_number: i64,
        pub rows_before: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The anchor that says what was pruned, and the time before which all of it is.
pub(crate) struct PrunedBy<'a> {
    pub(crate) writer_id: &'a str,
    pub(crate) number: u64,
    pub(crate) rows_before: Timestamp,
}

/// Notes the last pruned row of a writer. The anchor stands in the same transaction.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    writer_id: &str,
    last: u64,
    by: &PrunedBy<'_>,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        writer_id: Set(writer_id.to_owned()),
        last_number: Set(column_number(last)),
        anchor_writer: Set(by.writer_id.to_owned()),
        anchor_number: Set(column_number(by.number)),
        rows_before: Set(by.rows_before.as_millis()),
    };
    let changed = [
        row::Column::LastNumber,
        row::Column::AnchorWriter,
        row::Column::AnchorNumber,
        row::Column::RowsBefore,
    ];
    row::Entity::insert(model)
        .on_conflict(OnConflict::column(row::Column::WriterId).update_columns(changed).to_owned())
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("write down what was pruned"))
}

/// The last pruned row of each writer that was pruned.
pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<BTreeMap<String, u64>, StoreError> {
    let rows: Vec<(String, i64)> = row::Entity::find()
        .select_only()
        .column(row::Column::WriterId)
        .column(row::Column::LastNumber)
        .order_by_asc(row::Column::WriterId)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("read what was pruned"))?;
    Ok(rows.into_iter().map(|(writer_id, last)| (writer_id, last.unsigned_abs())).collect())
}

/// The time before which rows were pruned; `None` when none were.
pub(crate) async fn rows_before(connection: &impl ConnectionTrait) -> Result<Option<Timestamp>, StoreError> {
    let found: Option<Option<i64>> = row::Entity::find()
        .select_only()
        .column_as(row::Column::RowsBefore.max(), "latest")
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read what was pruned"))?;
    Ok(found.flatten().map(Timestamp::from_millis))
}
