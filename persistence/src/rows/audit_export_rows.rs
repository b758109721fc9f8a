//! Table `audit_exports`: which rows and anchors were written to which day's file of which folder. It is written after
//! the file, so that its contents were once in the file.

use domain::Timestamp;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::{Reading, column_number};
use crate::audit::days::Day;
use crate::dialect::insert_unless_taken;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_exports")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub origin: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub day: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub writer_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        pub first_number: i64,
        pub last_number: i64,
        pub exported_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The kind of line that was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LineKind {
    Event,
    Anchor,
}

/// A range of a writer's numbers that is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExportedRange {
    pub(crate) day: Day,
    pub(crate) writer_id: String,
    pub(crate) kind: LineKind,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl LineKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Anchor => "anchor",
        }
    }
}

/// Notes what was written to the file of a day; a range that follows the previous one extends it.
pub(crate) async fn note(
    connection: &impl ConnectionTrait,
    origin: &str,
    range: &ExportedRange,
    now: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::insert(model(origin, range, now))
        .on_conflict(
            OnConflict::columns([
                row::Column::Origin,
                row::Column::Day,
                row::Column::WriterId,
                row::Column::Kind,
            ])
            .update_columns([row::Column::LastNumber, row::Column::ExportedAt])
            .to_owned(),
        )
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write down an audit export"))
}

/// Notes what was found in the file of a day, unless something is noted of this writer and day already.
pub(crate) async fn note_found(
    connection: &impl ConnectionTrait,
    origin: &str,
    range: &ExportedRange,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = [row::Column::Origin, row::Column::Day, row::Column::WriterId, row::Column::Kind];
    insert_unless_taken(connection, row::Entity::insert(model(origin, range, now)), key)
        .await
        .map(drop)
        .map_err(StoreError::at("write down an audit export"))
}

fn model(origin: &str, range: &ExportedRange, now: Timestamp) -> row::ActiveModel {
    row::ActiveModel {
        origin: Set(origin.to_owned()),
        day: Set(range.day.as_str().to_owned()),
        writer_id: Set(range.writer_id.clone()),
        kind: Set(range.kind.as_str().to_owned()),
        first_number: Set(column_number(range.first)),
        last_number: Set(column_number(range.last)),
        exported_at: Set(now.as_millis()),
    }
}

/// What was exported to a folder, in the order of its keys, after one of them.
pub(crate) async fn of_origin(
    connection: &impl ConnectionTrait,
    origin: &str,
    after: Option<&ExportedRange>,
    limit: u64,
) -> Result<Vec<ExportedRange>, StoreError> {
    let mut rows = row::Entity::find().filter(row::Column::Origin.eq(origin));
    if let Some(after) = after {
        let (day, writer, kind) = (after.day.as_str(), after.writer_id.as_str(), after.kind.as_str());
        let same_day = row::Column::Day.eq(day);
        let same_writer = same_day.clone().and(row::Column::WriterId.eq(writer));
        rows = rows.filter(
            Condition::any()
                .add(row::Column::Day.gt(day))
                .add(same_day.and(row::Column::WriterId.gt(writer)))
                .add(same_writer.and(row::Column::Kind.gt(kind))),
        );
    }
    let rows = rows
        .order_by_asc(row::Column::Day)
        .order_by_asc(row::Column::WriterId)
        .order_by_asc(row::Column::Kind)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("read audit exports"))?;
    rows.into_iter().map(|model| Ok(from_row(model)?)).collect()
}

fn from_row(model: row::Model) -> Result<ExportedRange, CorruptRow> {
    let id = format!("{} {} {} {}", model.origin, model.day, model.writer_id, model.kind);
    let reading = Reading { table: "audit_exports", id: &id };
    Ok(ExportedRange {
        day: Day::parse(&model.day).ok_or_else(|| reading.corrupt("day", "it is no day"))?,
        kind: match model.kind.as_str() {
            "event" => LineKind::Event,
            "anchor" => LineKind::Anchor,
            _ => return Err(reading.corrupt("kind", "it is neither event nor anchor")),
        },
        first: reading.number("first_number", model.first_number)?,
        last: reading.number("last_number", model.last_number)?,
        writer_id: model.writer_id,
    })
}
