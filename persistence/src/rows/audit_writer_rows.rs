//! Table `audit_writers`: which chains there are, who exports them, and which are finished. None of this is evidence;
//! the evidence is in the rows and the anchors.

use domain::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::column_number;
use crate::StoreError;
use crate::audit::chain::Link;
use crate::dialect::insert_unless_taken;
use crate::rows::{audit_anchor_rows, audit_rows};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_writers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub writer_id: String,
        pub origin: Option<String>,
        pub heard_at: i64,
        pub closed_at: Option<i64>,
        pub exported_events: i64,
        pub exported_anchors: i64,
        pub exported_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A writer that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenWriter {
    pub(crate) writer_id: String,
    pub(crate) heard_at: i64,
    pub(crate) head: Option<Link>,
}

/// A writer whose rows are still being exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExportedWriter {
    pub(crate) writer_id: String,
    pub(crate) closed: bool,
    /// How far it was exported when the export seemed to be finished.
    pub(crate) exported: Exported,
    /// How far it could be exported now.
    pub(crate) head: Exported,
}

/// How far a writer was exported: the numbers of its last row and its last anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Exported {
    pub(crate) events: u64,
    pub(crate) anchors: u64,
}

/// What is stored about a writer's export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriterExport {
    pub(crate) writer_id: String,
    /// The folder; `None` until a control plane takes the writer on.
    pub(crate) origin: Option<String>,
    /// How far it was exported when the export was finished.
    pub(crate) exported: Exported,
    pub(crate) finished: bool,
}

/// The writers after one of them, by id, with their exports.
pub(crate) async fn exports_after(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    limit: u64,
) -> Result<Vec<WriterExport>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::WriterId.gt(writer_id))
        .order_by_asc(row::Column::WriterId)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("find audit writers"))?;
    let export = |model: row::Model| WriterExport {
        writer_id: model.writer_id,
        origin: model.origin,
        exported: Exported {
            events: model.exported_events.unsigned_abs(),
            anchors: model.exported_anchors.unsigned_abs(),
        },
        finished: model.exported_at.is_some(),
    };
    Ok(rows.into_iter().map(export).collect())
}

/// Registers a writer; repeating it has no effect.
pub(crate) async fn register(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    origin: Option<&str>,
    at: i64,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        writer_id: Set(writer_id.to_owned()),
        origin: Set(origin.map(str::to_owned)),
        heard_at: Set(at),
        closed_at: Set(None),
        exported_events: Set(0),
        exported_anchors: Set(0),
        exported_at: Set(None),
    };
    insert_unless_taken(connection, row::Entity::insert(model), [row::Column::WriterId])
        .await
        .map(drop)
        .map_err(StoreError::at("write down an audit writer"))
}

/// Notes that the writer is alive. If it counted as finished, it no longer does.
pub(crate) async fn heard(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::HeardAt, Expr::value(now.as_millis()))
        .col_expr(row::Column::ClosedAt, Expr::value(None::<i64>))
        .col_expr(row::Column::ExportedAt, Expr::value(None::<i64>))
        .filter(row::Column::WriterId.eq(writer_id))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write down that an audit writer lives"))
}

/// Notes that nothing more is expected of the writer.
pub(crate) async fn close(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::ClosedAt, Expr::value(now.as_millis()))
        .filter(row::Column::WriterId.eq(writer_id))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("close an audit writer"))
}

/// The writers that are not finished, by id, with the heads of their chains.
pub(crate) async fn open(connection: &impl ConnectionTrait) -> Result<Vec<OpenWriter>, StoreError> {
    let rows: Vec<(String, i64)> = row::Entity::find()
        .select_only()
        .column(row::Column::WriterId)
        .column(row::Column::HeardAt)
        .filter(row::Column::ClosedAt.is_null())
        .order_by_asc(row::Column::WriterId)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("find audit writers"))?;
    let mut open = Vec::with_capacity(rows.len());
    for (writer_id, heard_at) in rows {
        // A damaged head is not a head that any anchor vouches for; the check reports it.
        let head = match audit_rows::last_link(connection, &writer_id).await {
            Err(StoreError::CorruptRow(_)) => None,
            head => head?,
        };
        open.push(OpenWriter { writer_id, heard_at, head });
    }
    Ok(open)
}

/// Gives this origin to every writer without one.
pub(crate) async fn take_on(connection: &impl ConnectionTrait, origin: &str) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::Origin, Expr::value(origin))
        .filter(row::Column::Origin.is_null())
        .filter(row::Column::ExportedAt.is_null())
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("take on audit writers"))
}

/// Whether there is a writer without an origin.
pub(crate) async fn any_without_origin(connection: &impl ConnectionTrait) -> Result<bool, StoreError> {
    let found: Option<String> = row::Entity::find()
        .select_only()
        .column(row::Column::WriterId)
        .filter(row::Column::Origin.is_null())
        .filter(row::Column::ExportedAt.is_null())
        .limit(1)
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("find audit writers"))?;
    Ok(found.is_some())
}

/// The writers of an origin whose export is not finished, by id.
pub(crate) async fn to_export(
    connection: &impl ConnectionTrait,
    origin: &str,
) -> Result<Vec<ExportedWriter>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::Origin.eq(origin))
        .filter(row::Column::ExportedAt.is_null())
        .order_by_asc(row::Column::WriterId)
        .all(connection)
        .await
        .map_err(StoreError::at("find audit writers"))?;
    // All anchors before all rows: any row that an anchor refers to was committed before it, and is therefore seen here
    // too.
    let mut anchors = Vec::with_capacity(rows.len());
    for model in &rows {
        let last = audit_anchor_rows::last(connection, &model.writer_id).await?;
        anchors.push(last.map_or(0, |anchor| anchor.number));
    }
    let mut writers = Vec::with_capacity(rows.len());
    for (model, anchors) in rows.into_iter().zip(anchors) {
        let events = audit_rows::last_sequence(connection, &model.writer_id).await?;
        writers.push(ExportedWriter {
            closed: model.closed_at.is_some(),
            exported: Exported {
                events: model.exported_events.unsigned_abs(),
                anchors: model.exported_anchors.unsigned_abs(),
            },
            head: Exported { events, anchors },
            writer_id: model.writer_id,
        });
    }
    Ok(writers)
}

/// Notes that the writer's export is finished, unless the writer turns out to be alive.
pub(crate) async fn exported(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    exported: Exported,
    now: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::ExportedEvents, Expr::value(column_number(exported.events)))
        .col_expr(row::Column::ExportedAnchors, Expr::value(column_number(exported.anchors)))
        .col_expr(row::Column::ExportedAt, Expr::value(now.as_millis()))
        .filter(row::Column::WriterId.eq(writer_id).and(row::Column::ClosedAt.is_not_null()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write down an audit export"))
}

/// The writers in the table, from one on, by id.
pub(crate) async fn after(
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
