//! Table `audit_events`: append-only, one hash chain for each writer.

use domain::audit::{AuditDecision, AuditEvent};
use domain::{AccountId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::{Reading, column_number};
use crate::{CorruptRow, StoreError};

mod row {
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
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const ALLOWED: &str = "allowed";
const DENIED: &str = "denied";
const NOT_ASKED: &str = "not-asked";

/// A link of a writer's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    pub(crate) chain: [u8; 32],
}

pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    writer_id: &str,
    link: Link,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    let (decision, decided_by) = decision_columns(&event.decision);
    let model = row::ActiveModel {
        writer_id: Set(writer_id.to_owned()),
        sequence: Set(column_number(link.sequence)),
        chain: Set(hex::encode(link.chain)),
        request_id: Set(event.request_id.clone()),
        at: Set(event.at.as_millis()),
        account_id: Set(event.account.as_str().to_owned()),
        principal: Set(event.principal.clone()),
        access_key_id: Set(event.access_key_id.clone()),
        action: Set(event.action.clone()),
        resource: Set(event.resource.clone()),
        decision: Set(decision.to_owned()),
        decided_by: Set(decided_by.map(str::to_owned)),
        result: Set(event.result.clone()),
        source_address: Set(event.source_address.map(|address| address.to_string())),
        user_agent: Set(event.user_agent.clone()),
        recording: Set(event.recording.clone()),
        how: Set(event.how.clone()),
    };
    row::Entity::insert(model)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("write an audit row"))
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
    Ok(found.map(|model| link(&model)).transpose()?)
}

/// The latest rows of an account, the newest first.
pub(crate) async fn latest(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    limit: u64,
) -> Result<Vec<AuditEvent>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_desc(row::Column::At)
        .order_by_desc(row::Column::Sequence)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("read audit rows"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// What of the decision stands in which column.
pub(crate) fn decision_columns(decision: &AuditDecision) -> (&'static str, Option<&str>) {
    match decision {
        AuditDecision::Allowed { by } => (ALLOWED, Some(by)),
        AuditDecision::Denied { by } => (DENIED, by.as_deref()),
        AuditDecision::NotAsked => (NOT_ASKED, None),
    }
}

fn link(model: &row::Model) -> Result<Link, CorruptRow> {
    let id = format!("{} {}", model.writer_id, model.sequence);
    let reading = Reading { table: "audit_events", id: &id };
    let mut chain = [0; 32];
    hex::decode_to_slice(&model.chain, &mut chain).map_err(|why| reading.corrupt("chain", why))?;
    Ok(Link { sequence: reading.number("sequence", model.sequence)?, chain })
}

fn from_row(model: row::Model) -> Result<AuditEvent, CorruptRow> {
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
