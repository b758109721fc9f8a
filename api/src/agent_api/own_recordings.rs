//! Finding a recording that the calling agent holds, and the names of its objects.

use actix_web::web::Bytes;
use agent_protocol::AgentErrorCode;
use domain::TerminalSessionToken;
use domain::actions::ReadsRecording;
use domain::gate::Granted;
use domain::recording_life::{ArrivedStream, Recording, RecordingState};
use domain::unclaimed::UnclaimedObject;
use recording::{ContentHash, EvidenceName, ObjectName, Stream};

use super::call::AgentCall;
use super::refusal::AgentRefusal;
use crate::evidence::{self, EvidenceError};

/// The token in a path.
pub(crate) fn token(text: &str) -> Result<TerminalSessionToken, AgentRefusal> {
    // Any other text names no recording.
    TerminalSessionToken::parse(text).map_err(|_| not_found())
}

/// The recording, if the calling agent holds it.
pub(crate) async fn find<A: ReadsRecording>(
    call: &AgentCall,
    granted: &Granted<A>,
    token: &TerminalSessionToken,
) -> Result<Recording, AgentRefusal> {
    let found = call.hansard.store.find_recording(granted, token).await?;
    found.filter(|recording| *recording.holder() == call.agent.id).ok_or_else(not_found)
}

/// What has arrived of a stream of a recording that the calling agent holds.
pub(crate) async fn stream<A: ReadsRecording>(
    call: &AgentCall,
    granted: &Granted<A>,
    recording: &Recording,
    stream: Stream,
) -> Result<ArrivedStream, AgentRefusal> {
    if !stream.is_understood() {
        return Err(AgentRefusal::invalid_request(format!(
            "Stream must be terminal or events: segments of {stream} cannot be checked, and only checked segments are claimed"
        )));
    }
    let found = call.hansard.store.find_stream(granted, &recording.token, stream).await?;
    found.ok_or_else(|| {
        AgentRefusal::invalid_request(format!(
            "the recording has no stream {stream}: it was opened by an earlier version"
        ))
    })
}

/// The whole name of a piece of evidence.
pub(crate) fn object(recording: &Recording, name: EvidenceName) -> Result<ObjectName, AgentRefusal> {
    evidence::name_of(recording, name).map_err(AgentRefusal::internal)
}

/// A piece of evidence that the agent is about to write. It counts as unclaimed until the recording claims it.
pub(crate) fn unclaimed(
    recording: &Recording,
    evidence: EvidenceName,
    length: u64,
) -> Result<UnclaimedObject, AgentRefusal> {
    Ok(UnclaimedObject {
        location: recording.target.location().clone(),
        name: object(recording, evidence)?,
        agent: recording.holder().clone(),
        recording: recording.token.clone(),
        evidence,
        length,
    })
}

/// Reads an object that the recording has claimed with this SHA-256. If it is missing, the target is checked first.
pub(crate) async fn read_claimed(
    call: &AgentCall,
    recording: &Recording,
    name: EvidenceName,
    sha256: ContentHash,
) -> Result<Bytes, AgentRefusal> {
    let error = match evidence::read(&call.hansard, recording, name, sha256).await {
        Ok(bytes) => return Ok(bytes),
        Err(error @ (EvidenceError::Missing | EvidenceError::Objects(_))) => error,
        Err(error @ (EvidenceError::Changed(_) | EvidenceError::Name(_))) => return Err(error.into()),
    };
    match call.hansard.check_target(&recording.target).await {
        Err(unusable) => Err(AgentRefusal::unusable_target(&recording.target, unusable)),
        Ok(()) => Err(error.into()),
    }
}

/// Whether something can still be added.
pub(crate) fn is_open(recording: &Recording) -> bool {
    match recording.state {
        RecordingState::Open | RecordingState::Abandoned { .. } => true,
        RecordingState::Closed { .. } | RecordingState::Sealed { .. } | RecordingState::Delivered { .. } => {
            false
        }
    }
}

pub(crate) fn sealed() -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::RecordingSealed, "the recording is closed; nothing can be added to it")
}

fn not_found() -> AgentRefusal {
    AgentRefusal::new(
        AgentErrorCode::RecordingNotFound,
        "there is no such recording of this agent; open it first",
    )
}
