//! Table `audit_events`, for queries about an account: pages, the newest first.

use domain::audit::AuditEvent;
use domain::{AccountId, InstanceId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::audit_rows::{from_row, row};
use crate::audit::event::{ALLOWED, DENIED, NOT_ASKED};
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
    let rows = select(account, instance, filter, slice)
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
) -> Select<row::Entity> {
    let mut select = row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()));
    if let Some(instance) = instance {
        select = select.filter(row::Column::InstanceId.eq(instance.as_str()));
    }
    for (column, wanted) in [
        (row::Column::Principal, &filter.principal),
        (row::Column::Action, &filter.action),
        (row::Column::Resource, &filter.resource),
    ] {
        if let Some(wanted) = wanted {
            // A value that no column can hold matches no row.
            select = select.filter(column.eq(super::column_text(wanted)));
        }
    }
    if let Some(decision) = filter.decision {
        // Written as a literal and not bound, so that the planner recognizes that the index of denials contains them.
        select = select.filter(match decision {
            DecisionKind::Allowed => row::Column::Decision.eq(ALLOWED).into(),
            DecisionKind::Denied => {
                Condition::all().add(sea_orm::sea_query::Expr::cust(format!("decision = '{DENIED}'")))
            }
            DecisionKind::NotAsked => row::Column::Decision.eq(NOT_ASKED).into(),
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

/// A token that was tampered with continues at another place, but never outside the account.
fn place(cursor: &Cursor) -> (i64, String, i64) {
    let (writer_id, sequence) = cursor.id.rsplit_once('-').unwrap_or((&cursor.id, "0"));
    (cursor.at, writer_id.to_owned(), sequence.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use sea_orm::{Database, DbBackend, QueryTrait, Statement};
    use sea_orm_migration::MigratorTrait;

    use super::*;

    /// SQLite's plan for exactly the statements that `list` makes.
    #[tokio::test]
    async fn a_page_is_found_by_an_index() {
        let database = Database::connect("sqlite::memory:").await.unwrap();
        crate::migrations::Migrator::up(&database, None).await.unwrap();
        let account = "1609982529000000".parse().unwrap();
        let instance: InstanceId = "i-web1".parse().unwrap();
        let none = AuditFilter::default();
        let principal = AuditFilter { principal: Some("p".to_owned()), ..none.clone() };
        let denied = AuditFilter { decision: Some(DecisionKind::Denied), ..none.clone() };
        let since = AuditFilter { from: Some(Timestamp::from_millis(5)), ..none.clone() };
        for (of, filter, after, expected) in [
            (None, &none, false, "audit_events_by_time (account_id=?)"),
            (None, &none, true, "audit_events_by_time (account_id=? AND at<?)"),
            (None, &since, false, "audit_events_by_time (account_id=? AND at>?)"),
            (Some(&instance), &none, false, "audit_events_of_instance (account_id=? AND instance_id=?)"),
            (
                Some(&instance),
                &none,
                true,
                "audit_events_of_instance (account_id=? AND instance_id=? AND at<?)",
            ),
            (None, &principal, true, "audit_events_of_principal (account_id=? AND principal=? AND at<?)"),
            (None, &denied, false, "audit_events_denied (account_id=?)"),
        ] {
            let after = after.then(|| Cursor { at: 9, id: "ab-7".to_owned() });
            let slice = Slice { after, offset: 0, limit: 11 };
            let statement = select(&account, of, filter, &slice).build(DbBackend::Sqlite);
            let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement };
            let rows = database.query_all_raw(explain).await.unwrap();
            let plan: Vec<_> = rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect();
            let sorted = "USE TEMP B-TREE FOR LAST 2 TERMS OF ORDER BY";
            assert_eq!(plan, [format!("SEARCH audit_events USING INDEX {expected}"), sorted.to_owned()]);
        }
    }
}
