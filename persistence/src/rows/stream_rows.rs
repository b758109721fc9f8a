//! Table `recording_streams`: what has arrived of each stream of a recording. Callers that read or change it have found
//! the recording first; callers that change it hold the lock of the recording's row.

use std::collections::BTreeMap;

use domain::TerminalSessionToken;
use domain::recording_life::ArrivedStream;
use recording::{ChainValue, Micros, Stream};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder,
};

use super::{Reading, column_number};
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recording_streams")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub stream: String,
        pub segments: i64,
        pub stored_bytes: i64,
        pub chain: String,
        pub last_at_micros: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    token: &TerminalSessionToken,
    streams: &[ArrivedStream],
) -> Result<(), StoreError> {
    if streams.is_empty() {
        return Ok(());
    }
    row::Entity::insert_many(streams.iter().map(|stream| to_row(token, stream).into_active_model()))
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::unique("stream", "the recording has it already", "open a recording"))
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    token: &TerminalSessionToken,
    stream: Stream,
) -> Result<Option<ArrivedStream>, StoreError> {
    let found = row::Entity::find_by_id((token.as_str().to_owned(), stream.name().to_owned()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a stream"))?;
    Ok(found.map(from_row).transpose()?)
}

pub(crate) async fn get(
    connection: &impl ConnectionTrait,
    token: &TerminalSessionToken,
    stream: Stream,
) -> Result<ArrivedStream, StoreError> {
    find(connection, token, stream).await?.ok_or(StoreError::NotFound { what: "stream" })
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    token: &TerminalSessionToken,
) -> Result<Vec<ArrivedStream>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::Token.eq(token.as_str()))
        .order_by_asc(row::Column::Stream)
        .all(connection)
        .await
        .map_err(StoreError::at("list streams"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// The streams of several recordings, by their tokens.
pub(crate) async fn of_recordings(
    connection: &impl ConnectionTrait,
    tokens: impl IntoIterator<Item = &TerminalSessionToken>,
) -> Result<BTreeMap<String, Vec<ArrivedStream>>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::Token.is_in(tokens.into_iter().map(TerminalSessionToken::as_str)))
        .all(connection)
        .await
        .map_err(StoreError::at("list streams"))?;
    let mut streams: BTreeMap<String, Vec<ArrivedStream>> = BTreeMap::new();
    for model in rows {
        streams.entry(model.token.clone()).or_default().push(from_row(model)?);
    }
    Ok(streams)
}

pub(crate) async fn save(
    transaction: &DatabaseTransaction,
    token: &TerminalSessionToken,
    stream: &ArrivedStream,
) -> Result<(), StoreError> {
    let model = to_row(token, stream);
    let saved = row::Entity::update_many()
        .set(row::ActiveModel {
            segments: Set(model.segments),
            stored_bytes: Set(model.stored_bytes),
            chain: Set(model.chain),
            last_at_micros: Set(model.last_at_micros),
            ..Default::default()
        })
        .filter(row::Column::Token.eq(model.token))
        .filter(row::Column::Stream.eq(model.stream))
        .exec(transaction)
        .await
        .map_err(StoreError::at("write a stream"))?;
    if saved.rows_affected == 1 { Ok(()) } else { Err(StoreError::NotFound { what: "stream" }) }
}

fn to_row(token: &TerminalSessionToken, stream: &ArrivedStream) -> row::Model {
    row::Model {
        token: token.as_str().to_owned(),
        stream: stream.stream.name().to_owned(),
        segments: i64::from(stream.segments),
        stored_bytes: column_number(stream.stored_bytes),
        chain: stream.chain.to_string(),
        last_at_micros: column_number(stream.last_at.get()),
    }
}

fn from_row(model: row::Model) -> Result<ArrivedStream, CorruptRow> {
    let id = format!("{} {}", model.token, model.stream);
    let reading = Reading { table: "recording_streams", id: &id };
    Ok(ArrivedStream {
        stream: reading.text("stream", &model.stream)?,
        segments: reading.number("segments", model.segments)?,
        stored_bytes: reading.number("stored_bytes", model.stored_bytes)?,
        chain: ChainValue::parse(&model.chain).map_err(|why| reading.corrupt("chain", why))?,
        last_at: Micros::new(reading.number("last_at_micros", model.last_at_micros)?),
    })
}
