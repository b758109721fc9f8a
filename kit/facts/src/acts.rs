//! What the entry points of a control plane do with facts, done directly to a store: each act under the grant of its
//! caller and with an audit event.

use domain::access_key::AccessKeySecret;
use domain::actions::{AcknowledgeSegment, CreateAgentJoinToken, EnrolAgent, OpenRecording, SealRecording};
use domain::agent::{Agent, JoinToken, JoinTokenSecret};
use domain::gate::Resource;
use domain::identity::{AccessKeyId, KeyOwner, PolicyName, UserName};
use domain::recording_life::{RecordingSealed, SegmentAcknowledged};
use domain::{AccountId, Timestamp};
use persistence::{AgentEnrolled, JoinTokenIssued, RecordingOpened, Store, StoreError};

use crate::events::{event, operator_event};
use crate::grants::{as_agent, as_operator, owner};

/// The owner issues a join token.
pub async fn issue(store: &Store, token: JoinToken) {
    let account = token.account.clone();
    let granted = owner::<CreateAgentJoinToken>(&account, Resource::Everything);
    store.apply(&granted, JoinTokenIssued { token }, event(&account, "CreateAgentJoinToken")).await.unwrap();
}

/// An agent enrols.
///
/// # Errors
/// The store's refusal.
pub async fn enrol(
    store: &Store,
    agent: &Agent,
    token: &JoinTokenSecret,
    replace: bool,
) -> Result<(), StoreError> {
    let change = AgentEnrolled { agent: agent.clone(), token_hash: token.hash(), replace };
    store.apply(&as_agent::<EnrolAgent>(agent), change, event(&agent.account, "EnrolAgent")).await
}

/// An agent opens a recording.
///
/// # Errors
/// The store's refusal.
pub async fn open(store: &Store, agent: &Agent, change: RecordingOpened) -> Result<(), StoreError> {
    store.apply(&as_agent::<OpenRecording>(agent), change, event(&agent.account, "OpenRecording")).await
}

/// An agent's segment is claimed.
///
/// # Errors
/// The store's refusal.
pub async fn acknowledge(
    store: &Store,
    agent: &Agent,
    change: SegmentAcknowledged,
) -> Result<(), StoreError> {
    let granted = as_agent::<AcknowledgeSegment>(agent);
    store.apply(&granted, change, event(&agent.account, "AcknowledgeSegment")).await
}

/// An agent seals a recording.
///
/// # Errors
/// The store's refusal.
pub async fn seal(store: &Store, agent: &Agent, change: RecordingSealed) -> Result<(), StoreError> {
    store.apply(&as_agent::<SealRecording>(agent), change, event(&agent.account, "SealRecording")).await
}

/// The administrator makes a RAM user with an access key, and attaches these policies, each given as a name and a
/// document.
pub async fn user(
    store: &Store,
    account: &AccountId,
    name: &str,
    policies: &[(&str, &str)],
    now: Timestamp,
) -> (AccessKeyId, AccessKeySecret) {
    let granted = as_operator(account);
    let event = |action: &str| operator_event(account, action, now);
    let user = UserName::parse(name).unwrap();
    store.create_user(&granted, &user, now, event("CreateUser")).await.unwrap();
    for (policy, document) in policies {
        let policy = PolicyName::parse(policy).unwrap();
        store.put_policy(&granted, &policy, document, now, event("PutPolicy")).await.unwrap();
        store.attach_policy(&granted, &user, &policy, now, event("AttachPolicy")).await.unwrap();
    }
    let owner = KeyOwner::User(user);
    store.create_access_key(&granted, &owner, now, event("CreateAccessKey")).await.unwrap()
}
