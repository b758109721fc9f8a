//! What becomes of a session that must be recorded, and whose recording cannot be kept: as its configuration wants it.

use agent_protocol::configuration::EffectiveConfiguration;
use agent_protocol::local::LocalReply;
use recording::{CaptureKind, FailurePolicy, Timestamp};

use super::Agent;
use super::begin::{Beginning, RecordRequest, user_of};
use super::unrecorded::UnrecordedSession;

/// What becomes of a session whose recording cannot be kept.
pub(super) struct CannotBeKept {
    policy: FailurePolicy,
    kind: CaptureKind,
    user_id: u32,
    configuration_revision: u64,
}

impl CannotBeKept {
    pub(super) fn new(request: &RecordRequest, configuration: Option<&EffectiveConfiguration>) -> Self {
        let policy = configuration.and_then(|known| known.failure_policy_of(request.kind.as_str()));
        Self {
            policy: policy.unwrap_or_default(),
            kind: request.kind,
            user_id: request.peer.user_id,
            configuration_revision: configuration.map_or(0, |known| known.revision),
        }
    }

    pub(super) fn policy(&self) -> FailurePolicy {
        self.policy
    }

    pub(super) fn answer(&self, agent: &Agent, reason: String) -> Beginning {
        Beginning::Answered(self.reply(agent, reason))
    }

    /// Under `best_effort` it goes on, and that it does is noted before the person hears of it.
    pub(super) fn reply(&self, agent: &Agent, reason: String) -> LocalReply {
        match self.policy {
            FailurePolicy::Strict => LocalReply::Refused { reason },
            FailurePolicy::BestEffort => {
                let user = user_of(self.user_id);
                tracing::warn!(user_id = self.user_id, "a session goes on unrecorded: {reason}");
                let told = format!(
                    "{reason}. Sessions go on all the same (FailurePolicy best_effort); the control plane is told"
                );
                let session = UnrecordedSession {
                    kind: self.kind.as_str().to_owned(),
                    user_id: self.user_id,
                    user,
                    at: Timestamp::from_millis(agent.control_plane.now_millis()),
                    reason,
                    configuration_revision: self.configuration_revision,
                };
                agent.unrecorded.note(session, &agent.reserve);
                LocalReply::NotRecorded { reason: told }
            }
        }
    }
}
