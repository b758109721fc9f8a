//! Table `audit_events`, for what the trail states about openings, take-overs and seals of recordings.

use domain::{AccountId, InstanceId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::audit_rows::row;
use crate::StoreError;
use crate::audit::chain::ChainedEvent;

/// The index of such rows is for exactly this condition.
const ABOUT_RECORDINGS: &str = "action IN ('OpenRecording', 'SealRecording', 'TakeOverRecording')";
const ACTIONS: [&str; 3] = ["OpenRecording", SEALED, "TakeOverRecording"];
const SEALED: &str = "SealRecording";
const SUCCEEDED: &str = "OK";

/// What a row states. Texts are as they are stored.
#[derive(Debug)]
pub(crate) struct Said {
    place: (String, i64),
    pub(crate) at: i64,
    pub(crate) principal: String,
    pub(crate) sealed: bool,
    pub(crate) recording: Option<String>,
    pub(crate) how: String,
    pub(crate) instance: Option<String>,
}

/// Whether a row is about a successful opening, take-over or seal.
pub(crate) fn is_about_recordings(row: &ChainedEvent) -> bool {
    ACTIONS.contains(&row.event.action.as_str()) && row.event.result == SUCCEEDED
}

/// What such a row states that is no longer in the database, if it is about this account and instance.
pub(crate) fn said_by(
    row: &ChainedEvent,
    account: &AccountId,
    instance: Option<&InstanceId>,
) -> Option<Said> {
    let event = &row.event;
    let of_instance = instance.is_none_or(|of| event.instance_id.as_deref() == Some(of.as_str()));
    (event.account_id == account.as_str() && of_instance).then(|| Said {
        place: (row.writer_id.clone(), i64::try_from(row.sequence).unwrap_or(i64::MAX)),
        at: event.at,
        principal: event.principal.clone(),
        sealed: event.action == SEALED,
        recording: event.recording.clone(),
        how: event.how.clone(),
        instance: event.instance_id.clone(),
    })
}

/// Rows about successful calls, after one of them.
pub(crate) async fn after(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    last: Option<&Said>,
    limit: u64,
) -> Result<Vec<Said>, StoreError> {
    let mut select = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(Expr::cust(ABOUT_RECORDINGS))
        .filter(row::Column::Result.eq(SUCCEEDED));
    if let Some(instance) = instance {
        select = select.filter(row::Column::InstanceId.eq(instance.as_str()));
    }
    if let Some(Said { place: (writer, sequence), .. }) = last {
        let same_writer = row::Column::WriterId.eq(writer).and(row::Column::Sequence.gt(*sequence));
        select = select.filter(Condition::any().add(row::Column::WriterId.gt(writer)).add(same_writer));
    }
    let rows = select
        .order_by_asc(row::Column::WriterId)
        .order_by_asc(row::Column::Sequence)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("read audit rows"))?;
    let said = |model: row::Model| Said {
        place: (model.writer_id, model.sequence),
        at: model.at,
        principal: model.principal,
        sealed: model.action == SEALED,
        recording: model.recording,
        how: model.how,
        instance: model.instance_id,
    };
    Ok(rows.into_iter().map(said).collect())
}
