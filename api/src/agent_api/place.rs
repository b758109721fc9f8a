//! Finding a recording of the calling agent, and the names of its objects.

use agent_protocol::AgentErrorCode;
use domain::TerminalSessionToken;
use domain::actions::ReadsRecording;
use domain::gate::Granted;
use domain::recording_life::{Recording, RecordingState};
use recording::{EvidenceName, ObjectName};

use super::call::AgentCall;
use super::refusal::AgentRefusal;

/// The token in a path.
pub(crate) fn token(text: &str) -> Result<TerminalSessionToken, AgentRefusal> {
    // Whatever it is, it names no recording.
    TerminalSessionToken::parse(text).map_err(|_| not_found())
}

/// The recording, when it is the calling agent's own.
pub(crate) async fn own_recording<A: ReadsRecording>(
    call: &AgentCall,
    granted: &Granted<A>,
    token: &TerminalSessionToken,
) -> Result<Recording, AgentRefusal> {
    let found = call.hansard.store.find_recording(granted, token).await?;
    found.filter(|recording| recording.agent == call.agent.id).ok_or_else(not_found)
}

/// The whole name of a piece of evidence.
pub(crate) fn object(recording: &Recording, evidence: EvidenceName) -> Result<ObjectName, AgentRefusal> {
    recording.folder.join(&evidence.to_object_name()).map_err(AgentRefusal::internal)
}

/// Whether something can still be added.
pub(crate) fn is_open(recording: &Recording) -> bool {
    match recording.state {
        RecordingState::Open | RecordingState::Abandoned { .. } => true,
        RecordingState::Sealed { .. } | RecordingState::Delivered { .. } => false,
    }
}

pub(crate) fn sealed() -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::RecordingSealed, "the recording is sealed; nothing can be added to it")
}

fn not_found() -> AgentRefusal {
    AgentRefusal::new(
        AgentErrorCode::RecordingNotFound,
        "there is no such recording of this agent; open it first",
    )
}
