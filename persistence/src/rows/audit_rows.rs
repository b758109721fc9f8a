//! Table `audit_events`: append-only, one hash chain for each writer.

use std::sync::Arc;

use domain::Timestamp;
use domain::audit::{AuditDecision, AuditEvent};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Value,
};

use super::insert_many::InsertMany;
use super::{Reading, column_number};
use crate::audit::chain::{ChainedEvent, Link, hex_32};
use crate::audit::event::{ALLOWED, DENIED, NOT_ASKED, WrittenEvent};
use crate::dialect::sqlite_direct::{Column, DirectTransaction};
use crate::{CorruptRow, StoreError};

pub(super) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub writer_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence: i64,
        pub chain: String,
        pub request_id: String,
        pub at: i64,
        pub account_id: String,
        pub principal: String,
        pub access_key_id: Option<String>,
        pub action: String,
        pub resource: String,
        pub decision: String,
        pub decided_by: Option<String>,
        pub result: String,
        pub source_address: Option<String>,
        pub user_agent: String,
        pub recording: Option<String>,
        pub how: String,
        pub instance_id: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Writes rows that follow each other.
pub(crate) async fn insert_all(
    transaction: &DatabaseTransaction,
    writer_id: &str,
    events: &[(Link, &Arc<WrittenEvent>)],
) -> Result<(), StoreError> {
    let values = |(link, event): &(Link, &Arc<WrittenEvent>)| {
        columns(writer_id, link, &hex::encode(link.chain), event).map(Value::from)
    };
    ROWS.insert(transaction, events, values).await.map_err(StoreError::at("write an audit row"))
}

/// As [`insert_all`], on the thread that has the connection.
pub(crate) fn insert_all_directly(
    transaction: &DirectTransaction<'_>,
    writer_id: &str,
    events: &[(Link, &Arc<WrittenEvent>)],
) -> Result<(), StoreError> {
    let insert = || {
        let mut insert = ROWS.one_by_one(transaction)?;
        events.iter().try_for_each(|(link, event)| {
            insert.run(&columns(writer_id, link, &hex::encode(link.chain), event))
        })
    };
    insert().map_err(StoreError::at("write an audit row"))
}

static ROWS: InsertMany<18> = InsertMany::new(
    "audit_events",
    [
        "writer_id",
        "sequence",
        "chain",
        "request_id",
        "at",
        "account_id",
        "principal",
        "access_key_id",
        "action",
        "resource",
        "decision",
        "decided_by",
        "result",
        "source_address",
        "user_agent",
        "recording",
        "how",
        "instance_id",
    ],
);

fn columns<'v>(writer_id: &'v str, link: &Link, chain: &'v str, event: &'v WrittenEvent) -> [Column<'v>; 18] {
    // Named, so that the compiler asks for each of them.
    let WrittenEvent {
        request_id,
        at,
        account_id,
        principal,
        access_key_id,
        action,
        resource,
        decision,
        decided_by,
        result,
        source_address,
        user_agent,
        recording,
        how,
        instance_id,
    } = event;
    [
        writer_id.into(),
        column_number(link.sequence).into(),
        chain.into(),
        request_id.as_str().into(),
        (*at).into(),
        account_id.as_str().into(),
        principal.as_str().into(),
        access_key_id.as_deref().into(),
        action.as_str().into(),
        resource.as_str().into(),
        decision.as_str().into(),
        decided_by.as_deref().into(),
        result.as_str().into(),
        source_address.as_deref().into(),
        user_agent.as_str().into(),
        recording.as_deref().into(),
        how.as_str().into(),
        instance_id.as_deref().into(),
    ]
}

/// The last link that a writer wrote.
pub(crate) async fn last_link(
    connection: &impl ConnectionTrait,
    writer_id: &str,
) -> Result<Option<Link>, StoreError> {
    let found = row::Entity::find()
        .filter(row::Column::WriterId.eq(writer_id))
        .order_by_desc(row::Column::Sequence)
        .limit(1)
        .one(connection)
        .await
        .map_err(StoreError::at("read an audit row"))?;
    let Some(model) = found else { return Ok(None) };
    let id = format!("{} {}", model.writer_id, model.sequence);
    let reading = Reading { table: "audit_events", id: &id };
    let chain = hex_32(&model.chain).ok_or_else(|| reading.corrupt("chain", "it is no chain value"))?;
    Ok(Some(Link { sequence: reading.number("sequence", model.sequence)?, chain }))
}

/// The number of the last row of a writer; 0 when it has none.
pub(crate) async fn last_sequence(
    connection: &impl ConnectionTrait,
    writer_id: &str,
) -> Result<u64, StoreError> {
    let found: Option<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Sequence)
        .filter(row::Column::WriterId.eq(writer_id))
        .order_by_desc(row::Column::Sequence)
        .limit(1)
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read an audit row"))?;
    Ok(found.map_or(0, i64::unsigned_abs))
}

/// Rows of one writer from a number on, in their order, as they are stored.
pub(crate) async fn of_writer(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    after: i64,
    limit: u64,
) -> Result<Vec<ChainedEvent>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::WriterId.eq(writer_id))
        .filter(row::Column::Sequence.gt(after))
        .order_by_asc(row::Column::Sequence)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("read audit rows"))?;
    Ok(rows.into_iter().map(chained).collect())
}

/// The chain values at these places, with the places; places that do not exist are left out.
pub(crate) async fn chains_at(
    connection: &impl ConnectionTrait,
    places: &[(String, u64)],
) -> Result<Vec<(String, u64, String)>, StoreError> {
    let mut any = Condition::any();
    for (writer_id, sequence) in places {
        let here = Condition::all()
            .add(row::Column::WriterId.eq(writer_id))
            .add(row::Column::Sequence.eq(column_number(*sequence)));
        any = any.add(here);
    }
    let rows: Vec<(String, i64, String)> = row::Entity::find()
        .select_only()
        .column(row::Column::WriterId)
        .column(row::Column::Sequence)
        .column(row::Column::Chain)
        .filter(any)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("read audit rows"))?;
    Ok(rows.into_iter().map(|(writer, sequence, chain)| (writer, sequence.unsigned_abs(), chain)).collect())
}

/// The earliest and the latest time of rows from one number through another; `None` when none is there.
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
        .filter(row::Column::Sequence.between(column_number(first), column_number(through)))
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read audit rows"))?;
    Ok(found.and_then(|(earliest, latest)| earliest.zip(latest)))
}

/// The first row of a writer that is still there, and its time.
pub(crate) async fn first(
    connection: &impl ConnectionTrait,
    writer_id: &str,
) -> Result<Option<(u64, i64)>, StoreError> {
    let found: Option<(i64, i64)> = row::Entity::find()
        .select_only()
        .column(row::Column::Sequence)
        .column(row::Column::At)
        .filter(row::Column::WriterId.eq(writer_id))
        .order_by_asc(row::Column::Sequence)
        .limit(1)
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read an audit row"))?;
    Ok(found.map(|(sequence, at)| (sequence.unsigned_abs(), at)))
}

/// The first row of a writer, up to a number, that is not older than a moment.
pub(crate) async fn first_since(
    connection: &impl ConnectionTrait,
    writer_id: &str,
    since: i64,
    through: u64,
) -> Result<Option<u64>, StoreError> {
    let found: Option<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Sequence)
        .filter(row::Column::WriterId.eq(writer_id))
        .filter(row::Column::At.gte(since))
        .filter(row::Column::Sequence.lte(column_number(through)))
        .order_by_asc(row::Column::Sequence)
        .limit(1)
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read an audit row"))?;
    Ok(found.map(i64::unsigned_abs))
}

/// Removes rows of a writer from one number through another; returns how many. The database refuses it for rows that no
/// anchor names as pruned.
pub(crate) async fn delete(
    transaction: &DatabaseTransaction,
    writer_id: &str,
    first: u64,
    through: u64,
) -> Result<u64, StoreError> {
    let deleted = row::Entity::delete_many()
        .filter(row::Column::WriterId.eq(writer_id))
        .filter(row::Column::Sequence.between(column_number(first), column_number(through)))
        .exec(transaction)
        .await
        .map_err(StoreError::at("prune audit rows"))?;
    Ok(deleted.rows_affected)
}

/// The next writer, by id, that has rows, so that all writers are found with one index step each.
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

fn chained(model: row::Model) -> ChainedEvent {
    ChainedEvent {
        writer_id: model.writer_id,
        // A negative number was never written; as its absolute value it is out of order.
        sequence: model.sequence.unsigned_abs(),
        chain: model.chain,
        event: WrittenEvent {
            request_id: model.request_id,
            at: model.at,
            account_id: model.account_id,
            principal: model.principal,
            access_key_id: model.access_key_id,
            action: model.action,
            resource: model.resource,
            decision: model.decision,
            decided_by: model.decided_by,
            result: model.result,
            source_address: model.source_address,
            user_agent: model.user_agent,
            recording: model.recording,
            how: model.how,
            instance_id: model.instance_id,
        },
    }
}

pub(super) fn from_row(model: row::Model) -> Result<AuditEvent, CorruptRow> {
    let id = format!("{} {}", model.writer_id, model.sequence);
    let reading = Reading { table: "audit_events", id: &id };
    let decision = match (model.decision.as_str(), model.decided_by) {
        (ALLOWED, Some(by)) => AuditDecision::Allowed { by },
        (DENIED, by) => AuditDecision::Denied { by },
        (NOT_ASKED, None) => AuditDecision::NotAsked,
        _ => return Err(reading.corrupt("decision", "it is no decision, or nobody made it")),
    };
    Ok(AuditEvent {
        account: reading.text("account_id", &model.account_id)?,
        source_address: model
            .source_address
            .as_deref()
            .map(|address| reading.text("source_address", address))
            .transpose()?,
        at: Timestamp::from_millis(model.at),
        decision,
        request_id: model.request_id,
        principal: model.principal,
        access_key_id: model.access_key_id,
        action: model.action,
        resource: model.resource,
        result: model.result,
        user_agent: model.user_agent,
        recording: model.recording,
        how: model.how,
    })
}
