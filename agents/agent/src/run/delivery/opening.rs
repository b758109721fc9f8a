//! The first step of a delivery: the control plane is told of a recording, or asked for leave to go on with that of an earlier agent.

use std::sync::Arc;

use agent_protocol::recordings::{OpenRecordingReply, OpenRecordingRequest};
use agent_protocol::succession::{SuccessionReply, SuccessionRequest, prove};
use recording::ContentHash;

use super::{DeliveryError, at, on_disk};
use crate::run::Agent;
use crate::run::session::{Session, Successor};

/// What of a recording is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is open, and takes what there is.
    Open,
    /// It is sealed, with the manifest that lies here: everything has arrived.
    Sealed,
}

/// Opens a session's recording.
pub(super) async fn open(agent: &Agent, session: &Arc<Session>) -> Result<Opened, DeliveryError> {
    let open = OpenRecordingRequest {
        terminal_session_token: session.token().clone(),
        kind: session.note.kind.clone(),
        start: session.start_document.clone().into(),
        configuration: session.note.configuration.clone(),
    };
    if session.is_of_predecessor(agent) {
        return take_over(agent, session, open).await;
    }
    let reply: OpenRecordingReply =
        agent.control_plane.post("/recordings", &open).await.map_err(at("opening the recording"))?;
    tracing::debug!(session = %session.token(), prefix = reply.object_prefix, "the recording is open");
    Ok(Opened::Open)
}

/// Goes on with the recording of an earlier agent. The leave is on the disk before anything else is delivered: what it says had
/// arrived is then what that agent delivered, and nothing of this one.
async fn take_over(
    agent: &Agent,
    session: &Arc<Session>,
    open: OpenRecordingRequest,
) -> Result<Opened, DeliveryError> {
    let predecessor = agent.predecessors.find(&session.start).map_err(DeliveryError::PredecessorUnknown)?;
    let proof = prove(&session.start_document, &agent.identity.agent_id, &predecessor.key);
    let call = format!("/recordings/{}/succession", session.token());
    let reply: SuccessionReply = agent
        .control_plane
        .post(&call, &SuccessionRequest { open, proof })
        .await
        .map_err(at("taking the recording over"))?;
    if let Some(sealed_with) = reply.sealed_with {
        return check_sealed(session, sealed_with).await;
    }
    let successor = Successor::of(agent);
    let asked = successor.clone();
    if on_disk(session, move |session| Ok(session.find_leave(&asked)?.is_some())).await? {
        // What had arrived before is known better by the first one.
        return Ok(Opened::Open);
    }
    let gave_none = || DeliveryError::Unbelievable("it gave no leave, and did not say why".to_owned());
    let leave = reply.leave.ok_or_else(gave_none)?;
    let refused = on_disk(session, move |session| match session.refusal_of_leave(&leave, &successor)? {
        None => session.keep_leave(leave).map(|()| None),
        refused => Ok(refused),
    });
    if let Some(why) = refused.await? {
        return Err(DeliveryError::Unbelievable(format!("its leave is none: {why}")));
    }
    tracing::info!(session = %session.token(), agent = %session.start.agent, "the recording is taken over");
    Ok(Opened::Open)
}

/// A recording that is sealed already takes nothing more: the rest of what lies here can be erased only if it is that.
async fn check_sealed(session: &Arc<Session>, sealed_with: ContentHash) -> Result<Opened, DeliveryError> {
    let kept = on_disk(session, |session| session.find_manifest()).await?;
    match kept {
        Some(kept) if kept.sha256() == sealed_with => Ok(Opened::Sealed),
        Some(_) => Err(DeliveryError::Unbelievable(format!(
            "it is sealed with another manifest (SHA-256 {sealed_with}) than the one that lies here"
        ))),
        None => Err(DeliveryError::Unbelievable(format!(
            "it is sealed with a manifest (SHA-256 {sealed_with}), and none lies here"
        ))),
    }
}
