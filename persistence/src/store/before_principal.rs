//! What authentication asks, before it is known who calls.

use domain::access_key::{AccessKey, AccessKeySecret};
use domain::agent::{Agent, JoinToken, JoinTokenSecret};
use domain::audit::AuditEvent;
use domain::gate::PrincipalPolicies;
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::{AccountId, AgentId, InstanceId, Region, Timestamp};

use super::Store;
use crate::StoreError;

/// Something that may be used once: a request's nonce, an agent's or a ticket's `jti`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonceClaim {
    /// SHA-256 of whose it is and what it is.
    pub hash: [u8; 32],
    /// Until when it must not be used again.
    pub expires_at: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

impl Store {
    /// The accounts of this deployment, by id.
    pub async fn accounts(&self) -> Result<Vec<AccountId>, StoreError> {
        todo!()
    }

    /// Makes sure that the account is there and that its owner has this access key with this secret. The key's
    /// status is left as it is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the key's id stands for somebody else.
    pub async fn ensure_root(&self, account: &AccountId, key: &AccessKeyId, secret: &AccessKeySecret, now: Timestamp) -> Result<(), StoreError> {
        todo!()
    }

    /// The access key with its secret unsealed.
    pub async fn find_access_key(&self, id: &AccessKeyId) -> Result<Option<AccessKey>, StoreError> {
        todo!()
    }

    /// Claims a nonce; committed when it returns. `false`: it was claimed before and has not lapsed.
    pub async fn claim_nonce(&self, claim: NonceClaim) -> Result<bool, StoreError> {
        todo!()
    }

    /// The agent with this id, replaced ones too.
    pub async fn find_agent(&self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        todo!()
    }

    /// The join token that is stored for what an agent presents. Whether it is still good is decided when the
    /// enrolment is applied.
    pub async fn find_join_token(&self, presented: &JoinTokenSecret) -> Result<Option<JoinToken>, StoreError> {
        todo!()
    }

    /// The policies that decide for this caller.
    pub async fn policies_of(&self, principal: &Principal) -> Result<PrincipalPolicies, StoreError> {
        todo!()
    }

    /// The region of an instance that an agent has joined from.
    pub async fn instance_region(&self, account: &AccountId, instance: &InstanceId) -> Result<Option<Region>, StoreError> {
        todo!()
    }

    /// Writes the final row of a call that changed nothing; committed when it returns.
    pub async fn record_audit(&self, event: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }
}
