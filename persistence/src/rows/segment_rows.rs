//! Table `recording_segments`: the claimed segments of recordings. Callers that read it have found the recording first.

use domain::Timestamp;
use domain::recording_life::{Recording, SegmentAcknowledged};
use recording::{Micros, Stream};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};

use super::{Reading, column_number};
use crate::{CorruptRow, SegmentRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recording_segments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub stream: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        pub length: i64,
        pub sha256: String,
        pub chain_after: String,
        pub first_at_micros: i64,
        pub last_at_micros: i64,
        pub claimed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    claimed: &SegmentAcknowledged,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        token: Set(claimed.token.as_str().to_owned()),
        stream: Set(claimed.arrived.stream.name().to_owned()),
        number: Set(i64::from(claimed.number)),
        length: Set(column_number(claimed.length)),
        sha256: Set(claimed.sha256.to_string()),
        chain_after: Set(claimed.arrived.chain.to_string()),
        first_at_micros: Set(column_number(claimed.first_at.get())),
        last_at_micros: Set(column_number(claimed.arrived.last_at.get())),
        claimed_at: Set(claimed.at.as_millis()),
    };
    row::Entity::insert(model)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::unique("segment", "it was claimed already", "claim a segment"))
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    recording: &Recording,
    stream: Stream,
    number: u32,
) -> Result<Option<SegmentRow>, StoreError> {
    let key = (recording.token.as_str().to_owned(), stream.name().to_owned(), i64::from(number));
    let found =
        row::Entity::find_by_id(key).one(connection).await.map_err(StoreError::at("read a segment"))?;
    Ok(found.map(from_row).transpose()?)
}

/// The segments of all streams or of one, in order within each stream.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    recording: &Recording,
) -> Result<Vec<SegmentRow>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::Token.eq(recording.token.as_str()))
        .order_by_asc(row::Column::Stream)
        .order_by_asc(row::Column::Number)
        .all(connection)
        .await
        .map_err(StoreError::at("list segments"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

fn from_row(model: row::Model) -> Result<SegmentRow, CorruptRow> {
    let id = format!("{} {} {}", model.token, model.stream, model.number);
    let reading = Reading { table: "recording_segments", id: &id };
    Ok(SegmentRow {
        stream: reading.text("stream", &model.stream)?,
        number: reading.number("number", model.number)?,
        length: reading.number("length", model.length)?,
        chain_after: reading.text("chain_after", &model.chain_after)?,
        first_at: Micros::new(reading.number("first_at_micros", model.first_at_micros)?),
        last_at: Micros::new(reading.number("last_at_micros", model.last_at_micros)?),
        claimed_at: Timestamp::from_millis(model.claimed_at),
        sha256: reading.text("sha256", &model.sha256)?,
    })
}
