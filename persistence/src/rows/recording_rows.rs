//! Table `recordings`, one row at a time. `recording_list_rows.rs` shares the entity and reads many.

use domain::condition_keys::SessionOwner;
use domain::expiration::ExpirationDays;
use domain::recording_life::{Arrived, Recording, RecordingState, SessionEnd};
use domain::storage_target::RecordStorageTarget;
use domain::succession::Succession;
use domain::{AccountId, AgentId, InstanceId, TerminalSessionToken, Timestamp};
use recording::{ArrivedBefore, ContentHash, LedgerSummary, Micros, Recorder};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::{Reading, column_number, column_text};
use crate::{CorruptRow, StoreError};

pub(super) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recordings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token: String,
        pub account_id: String,
        pub instance_id: String,
        pub agent_id: String,
        pub kind: String,
        pub target: String,
        pub folder: String,
        pub start_sha256: String,
        pub started_at: i64,
        pub listed_at: i64,
        pub opened_at: i64,
        pub last_heard_at: i64,
        pub expiration_days: i64,
        pub state: String,
        pub ended_at: Option<i64>,
        pub end_kind: Option<String>,
        pub end_reason: Option<String>,
        pub manifest_sha256: Option<String>,
        pub segments: i64,
        pub stored_bytes: i64,
        pub last_at_micros: i64,
        pub expires_at: Option<i64>,
        pub counted: bool,
        pub session_owner: Option<String>,
        pub session_owner_id: Option<String>,
        pub claimed_owner: Option<String>,
        pub recorder: Option<String>,
        pub failure_policy: Option<String>,
        pub delivery_mode: Option<String>,
        pub command: Option<String>,
        pub ledger: Option<String>,
        pub successor: Option<String>,
        pub taken_over_at: Option<i64>,
        pub arrived_before: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) const OPEN: &str = "open";
pub(super) const ABANDONED: &str = "abandoned";
pub(super) const CLOSED: &str = "closed";
pub(super) const SEALED: &str = "sealed";
pub(super) const DELIVERED: &str = "delivered";
pub(super) const EXITED: &str = "exited";
pub(super) const INTERRUPTED: &str = "interrupted";

/// A recording with the values that only its row holds.
pub(crate) struct StoredRecording {
    pub(crate) recording: Recording,
    /// The manifest that sealed it.
    pub(crate) manifest_sha256: Option<ContentHash>,
    /// Whether `recording_counters.visible` counts it.
    pub(crate) counted: bool,
}

pub(super) fn of_account(account: &AccountId, instance: Option<&InstanceId>) -> Select<row::Entity> {
    let select = row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()));
    match instance {
        Some(instance) => select.filter(row::Column::InstanceId.eq(instance.as_str())),
        None => select,
    }
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    token: &TerminalSessionToken,
) -> Result<Option<StoredRecording>, StoreError> {
    let found = of_account(account, instance)
        .filter(row::Column::Token.eq(token.as_str()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a recording"))?;
    Ok(found.map(from_row).transpose()?)
}

/// Recordings after a token, in the order of their tokens, each with its token, whether or not its row can be read.
pub(crate) async fn after(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    token: &str,
    limit: u64,
) -> Result<Vec<(String, Result<StoredRecording, CorruptRow>)>, StoreError> {
    let rows = of_account(account, instance)
        .filter(row::Column::Token.gt(token))
        .order_by_asc(row::Column::Token)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("read recordings"))?;
    Ok(rows.into_iter().map(|model| (model.token.clone(), from_row(model))).collect())
}

/// The recording, locked until the transaction ends.
pub(crate) async fn get_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    instance: Option<&InstanceId>,
    token: &TerminalSessionToken,
) -> Result<StoredRecording, StoreError> {
    let found = of_account(account, instance)
        .filter(row::Column::Token.eq(token.as_str()))
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(StoreError::at("read a recording"))?;
    Ok(from_row(found.ok_or(StoreError::NotFound { what: "recording" })?)?)
}

pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    recording: &StoredRecording,
) -> Result<(), StoreError> {
    row::Entity::insert(to_row(recording).into_active_model())
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::unique("recording", "its token is taken already", "open a recording"))
}

/// The recordings that an agent holds: those that it has taken over, and of its own those that no other has.
pub(super) fn held_by(agent: &AgentId) -> Condition {
    let own =
        Condition::all().add(row::Column::Successor.is_null()).add(row::Column::AgentId.eq(agent.as_str()));
    Condition::any().add(row::Column::Successor.eq(agent.as_str())).add(own)
}

/// How many of the recordings that an agent holds are open of which something was heard after `since`.
pub(crate) async fn count_open(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    agent: &AgentId,
    since: Timestamp,
) -> Result<u64, StoreError> {
    of_account(account, None)
        .filter(held_by(agent))
        .filter(row::Column::State.eq(OPEN))
        .filter(row::Column::LastHeardAt.gt(since.as_millis()))
        .count(connection)
        .await
        .map_err(StoreError::at("count an agent's open recordings"))
}

/// Writes the values that change in the life of a recording; the values from its opening stay.
pub(crate) async fn save(
    transaction: &DatabaseTransaction,
    recording: &StoredRecording,
) -> Result<(), StoreError> {
    let model = to_row(recording);
    let saved = row::Entity::update_many()
        .set(row::ActiveModel {
            last_heard_at: Set(model.last_heard_at),
            state: Set(model.state),
            ended_at: Set(model.ended_at),
            end_kind: Set(model.end_kind),
            end_reason: Set(model.end_reason),
            manifest_sha256: Set(model.manifest_sha256),
            segments: Set(model.segments),
            stored_bytes: Set(model.stored_bytes),
            last_at_micros: Set(model.last_at_micros),
            expires_at: Set(model.expires_at),
            counted: Set(model.counted),
            ledger: Set(model.ledger),
            successor: Set(model.successor),
            taken_over_at: Set(model.taken_over_at),
            arrived_before: Set(model.arrived_before),
            ..Default::default()
        })
        .filter(row::Column::AccountId.eq(model.account_id))
        .filter(row::Column::Token.eq(model.token))
        .exec(transaction)
        .await
        .map_err(StoreError::at("write a recording"))?;
    if saved.rows_affected == 1 { Ok(()) } else { Err(StoreError::NotFound { what: "recording" }) }
}

/// When a recording in this state becomes hidden; `None` while it runs.
pub(crate) fn fixed_expiry(recording: &Recording) -> Option<Timestamp> {
    match recording.state {
        RecordingState::Open => None,
        // The moment passed here is used only while a recording is open.
        _ => Some(recording.expires_at(recording.last_heard_at)),
    }
}

fn to_row(stored: &StoredRecording) -> row::Model {
    let recording = &stored.recording;
    let (state, ended_at) = match &recording.state {
        RecordingState::Open => (OPEN, None),
        RecordingState::Abandoned { .. } => (ABANDONED, None),
        RecordingState::Closed { ended_at, .. } => (CLOSED, Some(ended_at)),
        RecordingState::Sealed { ended_at, .. } => (SEALED, Some(ended_at)),
        RecordingState::Delivered { ended_at, .. } => (DELIVERED, Some(ended_at)),
    };
    let (end_kind, end_reason) = match &recording.state {
        RecordingState::Open | RecordingState::Abandoned { .. } => (None, None),
        RecordingState::Closed { reason, .. } => (Some(INTERRUPTED), Some(column_text(reason))),
        RecordingState::Sealed { end, .. } | RecordingState::Delivered { end, .. } => match end {
            SessionEnd::Exited => (Some(EXITED), None),
            SessionEnd::Interrupted { reason } => (Some(INTERRUPTED), Some(column_text(reason))),
        },
    };
    row::Model {
        token: recording.token.as_str().to_owned(),
        account_id: recording.account.as_str().to_owned(),
        instance_id: recording.instance.as_str().to_owned(),
        agent_id: recording.agent.as_str().to_owned(),
        kind: recording.kind.as_str().to_owned(),
        target: recording.target.to_string(),
        folder: recording.folder.as_str().to_owned(),
        start_sha256: recording.start_sha256.to_string(),
        started_at: recording.started_at.as_millis(),
        listed_at: recording.listed_at().as_millis(),
        opened_at: recording.opened_at.as_millis(),
        last_heard_at: recording.last_heard_at.as_millis(),
        expiration_days: i64::from(recording.expiration.get()),
        state: state.to_owned(),
        ended_at: ended_at.map(|at| at.as_millis()),
        end_kind: end_kind.map(str::to_owned),
        end_reason,
        manifest_sha256: stored.manifest_sha256.map(String::from),
        segments: i64::from(recording.arrived.segments),
        stored_bytes: column_number(recording.arrived.stored_bytes),
        last_at_micros: column_number(recording.arrived.last_at.get()),
        expires_at: fixed_expiry(recording).map(Timestamp::as_millis),
        counted: stored.counted,
        session_owner: recording.owner.as_ref().map(|owner| owner.arn.clone()),
        session_owner_id: recording.owner.as_ref().map(|owner| owner.id.clone()),
        claimed_owner: recording.claimed_owner.as_deref().map(column_text),
        recorder: Some(recording.recorder.as_str().to_owned()),
        failure_policy: recording.failure_policy.map(|policy| policy.as_str().to_owned()),
        delivery_mode: recording.delivery_mode.map(|mode| mode.as_str().to_owned()),
        command: recording.command.as_deref().map(column_text),
        ledger: recording.ledger.as_ref().map(ledger_text),
        successor: recording.succession.as_ref().map(|of| of.successor.as_str().to_owned()),
        taken_over_at: recording.succession.as_ref().map(|of| of.at.as_millis()),
        arrived_before: recording.succession.as_ref().map(|of| arrived_text(&of.arrived)),
    }
}

fn arrived_text(arrived: &[ArrivedBefore]) -> String {
    serde_json::to_string(arrived).expect("it is a list of names, numbers and hashes")
}

fn ledger_text(ledger: &LedgerSummary) -> String {
    serde_json::to_string(ledger).expect("a ledger has text keys and values that print")
}

pub(super) fn from_row(model: row::Model) -> Result<StoredRecording, CorruptRow> {
    let reading = Reading { table: "recordings", id: &model.token };
    let state = read_state(&reading, &model)?;
    let account: AccountId = reading.text("account_id", &model.account_id)?;
    let owner = match (model.session_owner, model.session_owner_id) {
        (Some(arn), Some(id)) => Some(SessionOwner { arn, id }),
        (None, None) => None,
        _ => return Err(reading.corrupt("session_owner", "an owner has an ARN and an id")),
    };
    let recording = Recording {
        owner,
        claimed_owner: model.claimed_owner,
        command: model.command,
        recorder: match &model.recorder {
            Some(recorder) => reading.text("recorder", recorder)?,
            None => Recorder::default(),
        },
        failure_policy: reading.optional_text("failure_policy", model.failure_policy.as_deref())?,
        delivery_mode: reading.optional_text("delivery_mode", model.delivery_mode.as_deref())?,
        token: reading.text("token", &model.token)?,
        instance: reading.text("instance_id", &model.instance_id)?,
        agent: reading.text("agent_id", &model.agent_id)?,
        target: RecordStorageTarget::parse(&model.target, &account)
            .map_err(|why| reading.corrupt("target", why))?,
        folder: reading.text("folder", &model.folder)?,
        started_at: Timestamp::from_millis(model.started_at),
        opened_at: Timestamp::from_millis(model.opened_at),
        last_heard_at: Timestamp::from_millis(model.last_heard_at),
        expiration: ExpirationDays::new(model.expiration_days)
            .map_err(|why| reading.corrupt("expiration_days", why))?,
        state,
        arrived: Arrived {
            segments: reading.number("segments", model.segments)?,
            stored_bytes: reading.number("stored_bytes", model.stored_bytes)?,
            last_at: Micros::new(reading.number("last_at_micros", model.last_at_micros)?),
        },
        ledger: model
            .ledger
            .map(|text| serde_json::from_str(&text).map_err(|why| reading.corrupt("ledger", why)))
            .transpose()?,
        succession: read_succession(
            &reading,
            model.successor.as_deref(),
            model.taken_over_at,
            model.arrived_before.as_deref(),
        )?,
        kind: reading.text("kind", &model.kind)?,
        start_sha256: reading.text("start_sha256", &model.start_sha256)?,
        account,
    };
    let manifest_sha256 = reading.optional_text("manifest_sha256", model.manifest_sha256.as_deref())?;
    Ok(StoredRecording { recording, manifest_sha256, counted: model.counted })
}

fn read_succession(
    reading: &Reading<'_>,
    successor: Option<&str>,
    at: Option<i64>,
    arrived: Option<&str>,
) -> Result<Option<Succession>, CorruptRow> {
    match (successor, at, arrived) {
        (None, None, None) => Ok(None),
        (Some(successor), Some(at), Some(arrived)) => Ok(Some(Succession {
            successor: reading.text("successor", successor)?,
            at: Timestamp::from_millis(at),
            arrived: serde_json::from_str(arrived).map_err(|why| reading.corrupt("arrived_before", why))?,
        })),
        _ => Err(reading.corrupt(
            "successor",
            "a recording that was taken over says by whom, when, and what had arrived",
        )),
    }
}

fn read_state(reading: &Reading<'_>, model: &row::Model) -> Result<RecordingState, CorruptRow> {
    let ended = || {
        let ended_at =
            model.ended_at.ok_or_else(|| reading.corrupt("ended_at", "a sealed recording has ended"))?;
        let end = match (model.end_kind.as_deref(), &model.end_reason) {
            (Some(EXITED), None) => SessionEnd::Exited,
            (Some(INTERRUPTED), Some(reason)) => SessionEnd::Interrupted { reason: reason.clone() },
            _ => return Err(reading.corrupt("end_kind", "it does not say how a sealed recording ended")),
        };
        Ok((Timestamp::from_millis(ended_at), end))
    };
    match model.state.as_str() {
        OPEN => Ok(RecordingState::Open),
        ABANDONED => {
            Ok(RecordingState::Abandoned { last_heard_at: Timestamp::from_millis(model.last_heard_at) })
        }
        CLOSED => match ended()? {
            (ended_at, SessionEnd::Interrupted { reason }) => Ok(RecordingState::Closed { ended_at, reason }),
            (_, SessionEnd::Exited) => Err(reading.corrupt("end_kind", "a closed recording was interrupted")),
        },
        SEALED => ended().map(|(ended_at, end)| RecordingState::Sealed { ended_at, end }),
        DELIVERED => ended().map(|(ended_at, end)| RecordingState::Delivered { ended_at, end }),
        _ => Err(reading.corrupt("state", "it is no state of a recording")),
    }
}
