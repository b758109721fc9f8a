//! Table `audit_events`, for queries about an account: pages, the newest first.

use domain::audit::AuditEvent;
use domain::{AccountId, InstanceId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::audit_rows::{from_row, row};
use super::list_keys::ListKey;
use crate::audit::event::{ALLOWED, DENIED, NOT_ASKED};
use crate::dialect::Dialect;
use crate::pages::{Cursor, Slice};
use crate::{AuditFilter, DecisionKind, StoreError};

/// One slice, the newest first, each event with its place.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    filter: &AuditFilter,
    slice: &Slice,
) -> Result<Vec<(Cursor, AuditEvent)>, StoreError> {
    let rows = select(account, instance, filter, slice, Dialect::of(connection))
        .all(connection)
        .await
        .map_err(StoreError::at("list audit rows"))?;
    let mut events = Vec::with_capacity(rows.len());
    for model in rows {
        let cursor = Cursor { at: model.at, id: format!("{}-{}", model.writer_id, model.sequence) };
        events.push((cursor, from_row(model)?));
    }
    Ok(events)
}

fn select(
    account: &AccountId,
    instance: Option<&InstanceId>,
    filter: &AuditFilter,
    slice: &Slice,
    dialect: Dialect,
) -> Select<row::Entity> {
    let mut select = row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()));
    if let Some(instance) = instance {
        select = select.filter(row::Column::InstanceId.eq(instance.as_str()));
    }
    // A value that no column can hold matches no row.
    if let Some(principal) = &filter.principal {
        select = select.filter(row::Column::Principal.eq(super::column_text(principal)));
    }
    if let Some(action) = &filter.action {
        select = select.filter(begins(ListKey::Action, row::Column::Action, action, dialect));
    }
    if let Some(resource) = &filter.resource {
        select = select.filter(match domain::audit::instance_of(resource, account.as_str()) {
            Some(instance) => Condition::all()
                .add(row::Column::InstanceId.eq(instance.as_str()))
                .add(row::Column::Resource.eq(super::column_text(resource))),
            None => Condition::all().add(row::Column::InstanceId.is_null()).add(begins(
                ListKey::Resource,
                row::Column::Resource,
                resource,
                dialect,
            )),
        });
    }
    if let Some(decision) = filter.decision {
        // The rare ones are literals and not bound, so that the planner recognizes that an index contains them.
        let literal = |decision| Expr::cust(format!("decision = '{decision}'"));
        select = select.filter(match decision {
            DecisionKind::Allowed => row::Column::Decision.eq(ALLOWED),
            DecisionKind::Denied => literal(DENIED),
            DecisionKind::NotAsked => literal(NOT_ASKED),
        });
    }
    if let Some(from) = filter.from {
        select = select.filter(row::Column::At.gte(from.as_millis()));
    }
    if let Some(until) = filter.until {
        select = select.filter(row::Column::At.lt(until.as_millis()));
    }
    if let Some((at, writer_id, sequence)) = slice.after.as_ref().map(place) {
        let same_writer = Condition::all()
            .add(row::Column::WriterId.eq(&writer_id))
            .add(row::Column::Sequence.lt(sequence));
        let further = Condition::any()
            .add(row::Column::At.lt(at))
            .add(row::Column::WriterId.lt(writer_id))
            .add(same_writer);
        // The first condition is the one that an index can seek to.
        select = select.filter(row::Column::At.lte(at)).filter(further);
    }
    select
        .order_by_desc(row::Column::At)
        .order_by_desc(row::Column::WriterId)
        .order_by_desc(row::Column::Sequence)
        .offset(slice.offset)
        .limit(slice.limit)
}

/// That a column holds this text, by the key of which an index is. Where the key says it, it is not said twice: a planner would take
/// both for rarer than one.
fn begins(key: ListKey, column: row::Column, text: &str, dialect: Dialect) -> Condition {
    let text = super::column_text(text);
    let all = Condition::all().add(key.is_that_of(&text, dialect));
    if ListKey::tells_apart(&text) { all } else { all.add(column.eq(text)) }
}

/// A token that was tampered with continues at another place, but never outside the account.
fn place(cursor: &Cursor) -> (i64, String, i64) {
    let (writer_id, sequence) = cursor.id.rsplit_once('-').unwrap_or((&cursor.id, "0"));
    (cursor.at, writer_id.to_owned(), sequence.parse().unwrap_or(0))
}
