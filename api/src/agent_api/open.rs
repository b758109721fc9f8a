//! `POST /agent/v1/recordings`: opens a recording. Its `start.json` is stored as an object before the recording gets a
//! row.

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use agent_protocol::recordings::{OpenRecordingReply, OpenRecordingRequest};
use agent_protocol::{AgentErrorCode, SignedConfiguration};
use domain::actions::{OpenRecording, ReadsRecordConfig, WritesRecording};
use domain::agent::Agent;
use domain::displayed_command::displayed_command;
use domain::expiration::ExpirationDays;
use domain::gate::Granted;
use domain::record_config::InstanceSelector;
use domain::recording_life::{Arrived, ArrivedStream, Recording, RecordingState};
use domain::storage_target::RecordStorageTarget;
use persistence::objects::ObjectError;
use persistence::{RecordingOpened, StoreError};
use recording::{
    CaptureKind, ContentHash, EvidenceName, LedgerSummary, MAX_START_BYTES, ObjectPrefix, RecordingLocation,
    Start,
};

use super::call::{AgentCall, UnclaimedCall};
use super::configuration;
use super::own_recordings;
use super::refusal::AgentRefusal;
use crate::road::Done;

pub(crate) async fn post(UnclaimedCall(call): UnclaimedCall) -> HttpResponse {
    let asked = call.parse::<OpenRecordingRequest>();
    let token = asked.as_ref().ok().map(|asked| asked.terminal_session_token.clone());
    call.run::<OpenRecording, _>(token, async move |call, granted| {
        let asked = asked?;
        let start = check_start(&call.agent, &asked)?;
        let opened = match call.hansard.store.find_recording(granted, &start.recording).await? {
            Some(known) => reopen(call, &known, asked.start.0).await,
            None => open(call, granted, &start, asked).await,
        };
        call.note_heard(granted).await?;
        opened
    })
    .await
}

/// Everything that `start.json` says about the agent and its instance must match what is known of the agent.
fn check_start(agent: &Agent, asked: &OpenRecordingRequest) -> Result<Start, AgentRefusal> {
    let refuse = |message: &str| Err(invalid_start(message));
    let start = read_start(agent, asked)?;
    if start.account != agent.account {
        return refuse("start.json: account is not the agent's account");
    }
    if start.instance != agent.instance {
        return refuse("start.json: instance is not the agent's instance");
    }
    if start.agent != agent.id {
        return refuse("start.json: agent is not the agent that calls");
    }
    if start.agent_sealing_key.as_bytes().as_slice() != agent.sealing_key {
        return refuse("start.json: agent_sealing_key is not the sealing key that the agent enrolled with");
    }
    Ok(start)
}

/// The `start.json` of a request of this agent, whose kind was delegated to it.
pub(super) fn read_start(agent: &Agent, asked: &OpenRecordingRequest) -> Result<Start, AgentRefusal> {
    let refuse = |message: &str| Err(invalid_start(message));
    let Ok(kind) = asked.kind.parse::<CaptureKind>() else {
        return refuse("Kind must be terminal, command or desktop");
    };
    if !configuration::is_delegated(agent, kind) {
        return refuse(&format!(
            "the kind {kind} was not delegated to this agent: it must announce {kind}, version 1, among its capabilities"
        ));
    }
    let document = asked.start.as_slice();
    if document.len() > MAX_START_BYTES {
        return refuse(&format!("start.json has more than {MAX_START_BYTES} bytes"));
    }
    let start = match Start::parse(document) {
        Ok(start) => start,
        Err(error) => return refuse(&crate::errors::chain_of(&error)),
    };
    if start.kind != kind {
        return refuse("start.json: kind is not Kind");
    }
    if start.recording != asked.terminal_session_token {
        return refuse("start.json: recording is not TerminalSessionToken");
    }
    Ok(start)
}

pub(super) fn invalid_start(message: &str) -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::InvalidStart, message)
}

/// A recording that begins so, where its configuration says. It has no row yet.
pub(super) async fn begin<A: ReadsRecordConfig>(
    call: &AgentCall,
    granted: &Granted<A>,
    start: &Start,
    asked: &OpenRecordingRequest,
) -> Result<Recording, AgentRefusal> {
    let fixed = asked.configuration.as_ref().and_then(|signed| destination_at_start(call, start, signed));
    let document = asked.start.as_slice();
    let (at_start, expiration) = match fixed {
        Some(fixed) => fixed,
        None => destination(call, granted, start).await?,
    };
    let target = usable_target(call, granted, at_start).await?;
    let prefix = match target.prefix() {
        Some(prefix) => Some(ObjectPrefix::parse(prefix.as_str()).map_err(AgentRefusal::internal)?),
        None => None,
    };
    // The day of the earlier of the claimed start and the arrival (DECISIONS F), as lists have it.
    let day = start.started_at.min(call.now());
    let location = RecordingLocation::new(prefix.as_ref(), day, &call.agent.instance, &start.recording);
    Ok(Recording {
        token: start.recording.clone(),
        account: call.agent.account.clone(),
        instance: call.agent.instance.clone(),
        agent: start.agent.clone(),
        kind: start.kind,
        // A signed call to LoginInstance proves an owner; what the agent says is kept apart (DECISIONS I6).
        owner: None,
        claimed_owner: start.claimed_user.clone(),
        command: start.command.as_deref().map(displayed_command),
        recorder: start.recorder,
        failure_policy: start.failure_policy,
        delivery_mode: start.delivery_mode,
        target,
        folder: location.folder().clone(),
        start_sha256: ContentHash::of(document),
        started_at: start.started_at,
        opened_at: call.now(),
        last_heard_at: call.now(),
        expiration,
        state: RecordingState::Open,
        arrived: Arrived::default(),
        ledger: Some(LedgerSummary::default()),
        succession: None,
    })
}

/// Stores the `start.json` of a recording that has no row yet. Until it has one, the object is unclaimed.
pub(super) async fn put_start<A: WritesRecording>(
    call: &AgentCall,
    granted: &Granted<A>,
    recording: &Recording,
    document: Vec<u8>,
) -> Result<(), AgentRefusal> {
    let unclaimed = own_recordings::unclaimed(recording, EvidenceName::Start, document.len() as u64)?;
    // With its single use, before anything is in the bucket.
    call.with_its_use(async |of_agent| {
        call.hansard.store.expect_start(granted, of_agent, unclaimed, call.now()).await
    })
    .await??;
    store_start(call, recording, document).await
}

async fn open(
    call: &AgentCall,
    granted: &Granted<OpenRecording>,
    start: &Start,
    asked: OpenRecordingRequest,
) -> Result<Done<OpenRecordingReply>, AgentRefusal> {
    let recording = begin(call, granted, start, &asked).await?;
    let streams = ArrivedStream::of_new_recording(asked.start.as_slice());
    // The object first: a row without its start.json could not be replayed.
    put_start(call, granted, &recording, asked.start.0).await?;
    let reply = reply(call, &recording);
    // The trail keeps the number, even if nothing else of the recording is left.
    let audit =
        call.audit(granted, Some(&recording.token), &format!("number {}", start.agent_recording_number));
    let opened = RecordingOpened { recording: recording.clone(), streams };
    match call.apply(granted, opened, vec![audit]).await? {
        Ok(()) => {}
        // Either the same call was sent twice at once, or another instance has used the token.
        Err(StoreError::Conflict { .. }) => {
            return match call.hansard.store.find_recording(granted, &recording.token).await? {
                Some(known) if same(call, &known, recording.start_sha256) => Ok(Done::read(reply)),
                _ => Err(conflict()),
            };
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Done::changed(reply))
}

/// The same call again: the same answer, and `start.json` is there afterwards. Other bytes are refused.
async fn reopen(
    call: &AgentCall,
    known: &Recording,
    document: Vec<u8>,
) -> Result<Done<OpenRecordingReply>, AgentRefusal> {
    if !same(call, known, ContentHash::of(&document)) {
        return Err(conflict());
    }
    call.claim().await?;
    store_start(call, known, document).await?;
    Ok(Done::read(reply(call, known)))
}

fn same(call: &AgentCall, known: &Recording, start_sha256: ContentHash) -> bool {
    known.agent == call.agent.id && known.start_sha256 == start_sha256
}

pub(super) fn conflict() -> AgentRefusal {
    AgentRefusal::new(
        AgentErrorCode::RecordingConflict,
        "the TerminalSessionToken stands for another start.json already; make a new token",
    )
}

async fn store_start(call: &AgentCall, recording: &Recording, document: Vec<u8>) -> Result<(), AgentRefusal> {
    let name = own_recordings::object(recording, EvidenceName::Start)?;
    match call.hansard.objects_of(recording).put_once(&name, Bytes::from(document)).await {
        Ok(_) => Ok(()),
        Err(ObjectError::AlreadyExists { .. }) => Err(conflict()),
        Err(error) => Err(error.into()),
    }
}

/// Where a recording goes and how long it stays visible.
type Destination = (RecordStorageTarget, ExpirationDays);

/// Uses the configuration that was in force when the session began (contract, section 0), which the agent sends with
/// the control plane's own signature. `None` if it was not signed with one of our keys, or is not the one that
/// `start.json` names.
fn destination_at_start(
    call: &AgentCall,
    start: &Start,
    signed: &SignedConfiguration,
) -> Option<Destination> {
    let configuration = signed.verify(&configuration::server_keys(&call.hansard)).ok()?;
    configuration.check_meant_for(&start.agent, &start.instance).ok()?;
    let recording =
        configuration.recording.filter(|_| configuration.revision == start.configuration_revision)?;
    let target = RecordStorageTarget::parse(&recording.record_storage_target, &call.agent.account).ok()?;
    Some((target, ExpirationDays::new(i64::from(recording.expiration_days)).ok()?))
}

/// The target of the start while it is usable, and otherwise the one that is in force now, so that correcting the
/// configuration also releases the recordings that wait. No other bucket is used: the recording waits in the spool, and
/// the agent asks again.
async fn usable_target<A: ReadsRecordConfig>(
    call: &AgentCall,
    granted: &Granted<A>,
    at_start: RecordStorageTarget,
) -> Result<RecordStorageTarget, AgentRefusal> {
    let Err(unusable) = call.hansard.check_target(&at_start).await else { return Ok(at_start) };
    let selector = InstanceSelector::One(call.agent.instance.clone());
    let now = call.hansard.store.effective_record_config(granted, &selector).await?.config;
    match now.and_then(|config| config.target).filter(|target| *target != at_start) {
        None => Err(AgentRefusal::unusable_target(&at_start, unusable)),
        Some(target) => match call.hansard.check_target(&target).await {
            Ok(()) => Ok(target),
            Err(unusable) => Err(AgentRefusal::unusable_target(&target, unusable)),
        },
    }
}

/// Without such a configuration: the current one, or the deployment's defaults when the agent had never
/// seen one (DECISIONS N3).
///
/// A session that began while the control plane was unreachable may arrive after recording was switched off or
/// redirected. It is accepted all the same, because what was captured must not be lost.
async fn destination<A: ReadsRecordConfig>(
    call: &AgentCall,
    granted: &Granted<A>,
    start: &Start,
) -> Result<Destination, AgentRefusal> {
    let selector = InstanceSelector::One(call.agent.instance.clone());
    let effective = call.hansard.store.effective_record_config(granted, &selector).await?.config;
    let default_target = configuration::default_target(&call.hansard, &call.agent);
    let obeyed = effective.as_ref().filter(|_| start.configuration_revision > 0);
    let configured = obeyed.and_then(|config| config.target.clone());
    let target = configured
        .or(default_target)
        .or_else(|| effective.as_ref().and_then(|config| config.target.clone()))
        .ok_or_else(|| {
            AgentRefusal::new(
                AgentErrorCode::StorageTargetUnusable,
                "nothing says where recordings go: the account has no RecordStorageTarget and this deployment has no default one",
            )
        })?;
    let expiration =
        obeyed.filter(|config| config.enabled).map_or(ExpirationDays::DEFAULT, |config| config.expiration);
    Ok((target, expiration))
}

fn reply(call: &AgentCall, recording: &Recording) -> OpenRecordingReply {
    OpenRecordingReply {
        request_id: call.request_id(),
        terminal_session_token: recording.token.clone(),
        record_storage_target: recording.target.to_string(),
        object_prefix: format!("{}/", recording.folder),
    }
}
