//! Table `audit_anchors`: append-only; what each writer signed about the heads of chains.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::column_number;
use crate::StoreError;
use crate::audit::anchor::SignedAnchor;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_anchors")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub writer_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        pub at: i64,
        pub anchor: String,
        pub key_id: String,
        pub signature: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    anchor: &SignedAnchor,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        writer_id: Set(anchor.writer_id.clone()),
        number: Set(column_number(anchor.number)),
        at: Set(anchor.at),
        anchor: Set(anchor.text.clone()),
        key_id: Set(anchor.key_id.clone()),
        signature: Set(anchor.signature.clone()),
    };
    row::Entity::insert(model)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("write an audit anchor"))
}

/// The last anchor of a writer.
pub(crate) async fn last(
    connection: &impl ConnectionTrait,
    writer_id: &str,
) -> Result<Option<SignedAnchor>, StoreError> {
    let found = row::Entity::find()
        .filter(row::Column::WriterId.eq(writer_id))
        .order_by_desc(row::Column::Number)
        .limit(1)
        .one(connection)
        .await
        .map_err(StoreError::at("read an audit anchor"))?;
    Ok(found.map(from_row))
}

/// Anchors of one writer from a number on, in their order, as they are stored.
pub(crate) async fn of_writer(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    after: i64,
    limit: u64,
) -> Result<Vec<SignedAnchor>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::WriterId.eq(writer_id))
        .filter(row::Column::Number.gt(after))
        .order_by_asc(row::Column::Number)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("read audit anchors"))?;
    Ok(rows.into_iter().map(from_row).collect())
}

/// The earliest and the latest time of anchors from one number through another; `None` when none is there.
pub(crate) async fn times(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    first: u64,
    through: u64,
) -> Result<Option<(i64, i64)>, StoreError> {
    let found: Option<(Option<i64>, Option<i64>)> = row::Entity::find()
        .select_only()
        .column_as(row::Column::At.min(), "earliest")
        .column_as(row::Column::At.max(), "latest")
        .filter(row::Column::WriterId.eq(writer_id))
        .filter(row::Column::Number.between(column_number(first), column_number(through)))
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read audit anchors"))?;
    Ok(found.and_then(|(earliest, latest)| earliest.zip(latest)))
}

/// The next writer, by id, that has anchors.
pub(crate) async fn writer_after(
    connection: &impl ConnectionTrait,
    writer_id: &str,
) -> Result<Option<String>, StoreError> {
    row::Entity::find()
        .select_only()
        .column(row::Column::WriterId)
        .filter(row::Column::WriterId.gt(writer_id))
        .order_by_asc(row::Column::WriterId)
        .limit(1)
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("find an audit writer"))
}

fn from_row(model: row::Model) -> SignedAnchor {
    SignedAnchor {
        writer_id: model.writer_id,
        number: model.number.unsigned_abs(),
        at: model.at,
        text: model.anchor,
        key_id: model.key_id,
        signature: model.signature,
    }
}
