//! Changes that were decided, and the grants that permit them. [`Store::apply`](crate::Store::apply) is the only entry
//! point.

use domain::Timestamp;
use domain::actions::{Action, IssuesJoinToken, SavesRecordConfig, WritesAgent, WritesRecording};
use domain::agent::{Agent, JoinToken};
use domain::record_config::RecordConfigChanged;
use domain::recording_life::{
    ArrivedStream, Recording, RecordingDelivered, RecordingSealed, SegmentAcknowledged,
};
use domain::unclaimed::UnclaimedObject;

/// A recording that the control plane learns of for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingOpened {
    /// The recording as it is to be stored: open, with nothing arrived.
    pub recording: Recording,
    /// Its streams, with nothing arrived.
    pub streams: Vec<ArrivedStream>,
}

/// An agent is permitted to upload one object, which counts as unclaimed until its recording claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPermitted {
    /// The object.
    pub object: UnclaimedObject,
    /// The moment of the permission.
    pub at: Timestamp,
}

/// A segment is claimed, and at the same time its agent is permitted to upload the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentAcknowledgedAndNextPermitted {
    /// The claim.
    pub acknowledged: SegmentAcknowledged,
    /// The object that the agent may write next.
    pub next: UnclaimedObject,
}

/// A recording is sealed, and all its evidence is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingSealedAndDelivered {
    /// The seal.
    pub sealed: RecordingSealed,
}

/// A join token that an administrator requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenIssued {
    /// The token as it is stored.
    pub token: JoinToken,
}

/// An agent that presents a join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEnrolled {
    /// The agent as it is from now on; `enrolled_at` is the moment at which the token is judged.
    pub agent: Agent,
    /// The [`JoinTokenSecret::hash`](domain::agent::JoinTokenSecret::hash) of the secret that it presented.
    pub token_hash: domain::secret_hash::SecretHash,
    /// Whether it asks to take over an instance that has an agent.
    pub replace: bool,
}

/// A grant of this action permits a change of kind `C`.
#[diagnostic::on_unimplemented(
    message = "a grant of `{Self}` does not permit `{C}`",
    note = "domain/src/actions.rs lists what each action may touch"
)]
pub trait Permits<C>: Action {}

impl<A: SavesRecordConfig> Permits<RecordConfigChanged> for A {}
impl<A: WritesRecording> Permits<RecordingOpened> for A {}
impl<A: WritesRecording> Permits<UploadPermitted> for A {}
impl<A: WritesRecording> Permits<SegmentAcknowledged> for A {}
impl<A: WritesRecording> Permits<SegmentAcknowledgedAndNextPermitted> for A {}
impl<A: WritesRecording> Permits<RecordingSealed> for A {}
impl<A: WritesRecording> Permits<RecordingSealedAndDelivered> for A {}
impl<A: WritesRecording> Permits<RecordingDelivered> for A {}
impl<A: IssuesJoinToken> Permits<JoinTokenIssued> for A {}
impl<A: WritesAgent> Permits<AgentEnrolled> for A {}
