//! `POST /agent/v1/recordings/{token}/succession`: the agent of an instance takes over a recording that an earlier agent of
//! that instance has left behind, and is given leave to seal it.
//!
//! INVARIANT: from the moment of the leave on, only the successor adds to the recording. What had arrived by then is in the
//! leave, and asked again the same leave is given, so that it never says of the successor's own segments that they had
//! arrived before.

use actix_web::HttpResponse;
use actix_web::web::Path;
use agent_protocol::succession::{SuccessionReply, SuccessionRequest, is_proven};
use domain::TerminalSessionToken;
use domain::actions::TakeOverRecording;
use domain::gate::Granted;
use domain::recording_life::{ArrivedStream, Recording};
use domain::succession::{Succession, SuccessionRefused, TakeOver};
use persistence::{RecordingOpened, StoreError, Taking};
use recording::{ContentHash, Leave, LeaveFormat, SealedBy, Start, StartReference};

use super::call::AgentCall;
use super::own_recordings;
use super::refusal::AgentRefusal;
use super::{open, seal};
use crate::road::Done;

pub(crate) async fn post(call: AgentCall, path: Path<String>) -> HttpResponse {
    let token = own_recordings::token(&path);
    call.run::<TakeOverRecording, _>(token.as_ref().ok().cloned(), async move |call, granted| {
        let asked: SuccessionRequest = call.parse()?;
        let token = token?;
        let start = check(call, &asked, &token).await?;
        call.hansard.store.mark_agent_seen(granted, &call.agent.id, call.now()).await?;
        if call.hansard.store.find_recording(granted, &token).await?.is_none() {
            // Otherwise it was opened at the same moment.
            if let Some(recording) = begin(call, granted, &start, &asked).await? {
                return Ok(Done::changed(reply(call, granted, &recording, &asked).await?));
            }
        }
        let taken = take_over(call, granted, &start, &asked).await?;
        // The audit row was written with the take-over, whatever that changed.
        Ok(Done::changed(reply(call, granted, &taken, &asked).await?))
    })
    .await
}

/// Whether the agent that calls may take over the recording that begins so.
async fn check(
    call: &AgentCall,
    asked: &SuccessionRequest,
    token: &TerminalSessionToken,
) -> Result<Start, AgentRefusal> {
    let start = open::read_start(&call.agent, &asked.open)?;
    if start.recording != *token {
        return Err(open::invalid_start("start.json: recording is not the one in the path"));
    }
    let made_by = call.hansard.store.find_agent(&start.agent).await?;
    SuccessionRefused::check(&start, made_by.as_ref(), &call.agent)?;
    let document = asked.open.start.as_slice();
    if !is_proven(document, &call.agent.id, &start.agent_sealing_key, &asked.proof) {
        return Err(SuccessionRefused::NotProven.into());
    }
    Ok(start)
}

/// Opens a recording that the earlier agent had not opened yet; its successor holds it from the beginning. `None` if it is
/// known by now.
async fn begin(
    call: &AgentCall,
    granted: &Granted<TakeOverRecording>,
    start: &Start,
    asked: &SuccessionRequest,
) -> Result<Option<Recording>, AgentRefusal> {
    let document = asked.open.start.as_slice();
    let streams = ArrivedStream::of_new_recording(document);
    let succession = Succession::new(call.agent.id.clone(), &streams, call.now());
    let recording = open::begin(call, granted, start, &asked.open).await?;
    let recording = Recording { succession: Some(succession), ..recording };
    open::put_start(call, granted, &recording, document.to_vec()).await?;
    let audit = call.audit(granted, Some(&recording.token), &how(start)).with_more("opened");
    let opened = RecordingOpened { recording: recording.clone(), streams };
    match call.apply(granted, opened, vec![audit]).await? {
        Ok(()) => Ok(Some(recording)),
        Err(StoreError::Conflict { .. }) => {
            match call.hansard.store.find_recording(granted, &recording.token).await? {
                Some(_) => Ok(None),
                // Another instance has used the token.
                None => Err(open::conflict()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

async fn take_over(
    call: &AgentCall,
    granted: &Granted<TakeOverRecording>,
    start: &Start,
    asked: &SuccessionRequest,
) -> Result<Recording, AgentRefusal> {
    let taking = Taking {
        token: start.recording.clone(),
        start_sha256: ContentHash::of(asked.open.start.as_slice()),
        successor: call.agent.id.clone(),
        at: call.now(),
    };
    let audit = call.audit(granted, Some(&start.recording), &how(start));
    let taken = call.hansard.store.take_over(granted, taking, audit).await?;
    let (TakeOver::Begins(recording) | TakeOver::Goes(recording) | TakeOver::Sealed(recording)) = taken;
    Ok(*recording)
}

/// What the trail keeps of the recording, even if nothing else of it is left.
fn how(start: &Start) -> String {
    format!("number {}, made by {}", start.agent_recording_number, start.agent)
}

async fn reply(
    call: &AgentCall,
    granted: &Granted<TakeOverRecording>,
    recording: &Recording,
    asked: &SuccessionRequest,
) -> Result<SuccessionReply, AgentRefusal> {
    let sealed_with = call.hansard.store.find_manifest_sha256(granted, &recording.token).await?;
    let leave = match (&sealed_with, &recording.succession) {
        (None, Some(succession)) => {
            Some(leave_for(call, recording, succession, asked.open.start.as_slice())?)
        }
        _ => None,
    };
    Ok(SuccessionReply {
        request_id: call.request_id(),
        terminal_session_token: recording.token.clone(),
        record_storage_target: recording.target.to_string(),
        object_prefix: format!("{}/", recording.folder),
        sealed_with,
        leave,
    })
}

/// Leave for the agent that calls, signed.
fn leave_for(
    call: &AgentCall,
    recording: &Recording,
    succession: &Succession,
    document: &[u8],
) -> Result<SealedBy, AgentRefusal> {
    let leave = Leave {
        format: LeaveFormat::V1,
        recording: recording.token.clone(),
        account: recording.account.clone(),
        instance: recording.instance.clone(),
        start: StartReference::of(document),
        agent: recording.agent.clone(),
        successor: succession.successor.clone(),
        successor_sealing_key: seal::key_of(&call.agent)?,
        arrived: succession.arrived.clone(),
        issued_at: succession.at,
    };
    let (signer, leave) = (call.hansard.keys.leave_signer(), leave.to_document());
    let signature = signer.sign(&Leave::to_be_signed(&leave));
    Ok(SealedBy::new(leave, signer.public_key(), signature))
}
