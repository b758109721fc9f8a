//! Sessions of roles: who may start one, starting it, and the identity that its key has.

use std::sync::Arc;

use domain::access_key::{AccessKey, AccessKeySecret, AccessKeyStatus};
use domain::actions::StartsRoleSession;
use domain::audit::{AuditEvent, ForeignRoleAssumed};
use domain::gate::Granted;
use domain::identity::{
    AccessKeyId, AttachmentTarget, Entity, IdentityRefused, NewRoleSession, Role, RoleSessionName,
    SessionCredentials, SourceIdentity,
};
use domain::principal::Principal;
use domain::role::{RoleArn, SecurityToken, SessionValidity};
use domain::{AccountId, Timestamp};
use policies::{DocumentKind, Layers, PolicySet};
use sea_orm::ConnectionTrait;

use super::{AuditRows, Revision, Store};
use crate::compiled_policies::CompiledPolicies;
use crate::rows::attachment_rows;
use crate::rows::role_rows::Roles;
use crate::rows::role_session_rows::{self, StoredSession};
use crate::{CorruptRow, StoreError};

impl Store {
    /// The role that an ARN names, read before it is known whether the caller may assume it, with its trust policy ready
    /// for evaluation.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`] when its trust policy cannot be read: it might deny, so that nothing can be decided.
    pub async fn find_assumable_role(&self, arn: &RoleArn) -> Result<Option<(Role, PolicySet)>, StoreError> {
        let found = Roles::find(self.inner.connections.reader(), &arn.account, &arn.name).await?;
        let Some(role) = found else { return Ok(None) };
        let compiled = &self.inner.compiled;
        let trust =
            compiled.document(role.trust_policy.clone(), DocumentKind::Trust).map_err(|why| CorruptRow {
                table: "roles",
                column: "trust_policy",
                id: role.id.to_string(),
                why: why.to_string(),
            })?;
        let trust = compiled.set(vec![(Arc::from(role.name.as_str()), trust)]);
        Ok(Some((role, trust)))
    }

    /// The source identity of a caller that is itself a session: it stays the same in every session that it starts.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_source_identity(
        &self,
        principal: &Principal,
    ) -> Result<Option<SourceIdentity>, StoreError> {
        let Principal::AssumedRole { session_key, .. } = principal else { return Ok(None) };
        let session = role_session_rows::find(self.inner.connections.reader(), session_key).await?;
        Ok(session.and_then(|session| session.source_identity))
    }

    /// Starts a session of the role that the grant is about, in the role's own account. The secret and the token can be
    /// read from the result and never again. The audit row identifies the session by its name, its key's id and its
    /// source identity. A row is also written in the role's account, if that is another one.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when the role no longer exists; [`StoreError::Conflict`] when it was changed after the
    /// grant was made; [`StoreError::OutsideGrant`] when the grant is not about a role.
    pub async fn start_role_session<A: StartsRoleSession>(
        &self,
        granted: &Granted<A>,
        new: NewRoleSession,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<SessionCredentials, StoreError> {
        let Some(assumable) = granted.resource().assumable_role() else {
            return Err(StoreError::OutsideGrant { what: "role" });
        };
        let assumable = assumable.clone();
        let Some(role) = assumable.id.clone() else {
            return Err(IdentityRefused::not_exist(Entity::Role, &assumable.arn.name).into());
        };
        let (key, secret) = (AccessKeyId::generate_for_session(), AccessKeySecret::generate());
        let token = SecurityToken::generate();
        let sealed_secret = self.inner.keys.seal(&sealing_context(&key), secret.reveal().as_bytes());
        let session = StoredSession {
            key: key.clone(),
            account: assumable.arn.account.clone(),
            role: role.clone(),
            name: new.name,
            sealed_secret: sealed_secret
                .map_err(|source| StoreError::Keys { what: key.to_string(), source })?,
            token_hash: token.hash(),
            policy: new.policy,
            source_identity: assumable.source_identity.clone(),
            assumed_by: granted.principal().arn(),
            created_at: now,
            expires_at: new.expires_at,
        };
        let audit = audit.with_more(&told(&session));
        let told_at_the_role = ForeignRoleAssumed::of(&audit, &assumable.arn);
        let audit = AuditRows::from(Some(audit)).with_foreign_role(told_at_the_role);
        self.transact(granted, Revision::Kept, audit, move |transaction| {
            Box::pin(async move {
                let standing = Roles::find_by_id_kept(transaction, &session.account, &session.role).await?;
                assumable.start_from(standing.as_ref())?;
                role_session_rows::insert(transaction, session).await
            })
        })
        .await?;
        Ok(SessionCredentials { role, key, secret, token })
    }

    /// The key of a session with its secret unsealed. The caller checks whether the session has ended.
    pub(super) async fn find_session_key(&self, id: &AccessKeyId) -> Result<Option<AccessKey>, StoreError> {
        let reader = self.inner.connections.reader();
        let Some(session) = role_session_rows::find(reader, id).await? else { return Ok(None) };
        let role = Roles::find_by_id(reader, &session.account, &session.role).await?;
        // The role was deleted between the two reads, and the session with it.
        let Some(role) = role else { return Ok(None) };
        let secret = self.inner.keys.open(&sealing_context(id), &session.sealed_secret);
        let secret = secret.map_err(|source| StoreError::Keys { what: id.to_string(), source })?;
        let secret = String::from_utf8(secret)
            .map_err(|_| corrupt(id, "sealed_secret", "what was sealed is no text"))?;
        let validity = SessionValidity { token_hash: session.token_hash, expires_at: session.expires_at };
        let principal = Principal::AssumedRole {
            account: session.account,
            role_id: role.id,
            role_name: role.name,
            session_name: session.name,
            session_key: session.key.clone(),
        };
        Ok(Some(AccessKey {
            id: session.key,
            secret: AccessKeySecret::new(secret),
            status: AccessKeyStatus::Active,
            principal,
            session: Some(validity),
        }))
    }
}

/// The policy layers of a session: what its role may do now, narrowed by the session policy.
pub(super) async fn layers_of(
    connection: &impl ConnectionTrait,
    compiled: &CompiledPolicies,
    account: &AccountId,
    target: &AttachmentTarget,
    key: &AccessKeyId,
) -> Result<Layers, StoreError> {
    let identity = compiled.set(attachment_rows::documents_of(connection, compiled, account, target).await?);
    let session = match role_session_rows::find(connection, key).await? {
        // The session has ended, and an ended session may do nothing.
        None => Some(PolicySet::default()),
        Some(StoredSession { policy: None, .. }) => None,
        Some(StoredSession { policy: Some(document), name, .. }) => {
            Some(session_policy(compiled, key, &name, document)?)
        }
    };
    Ok(Layers { session, identity, ..Layers::default() })
}

/// A session policy that cannot be read is an error, not an absence: it might deny.
fn session_policy(
    compiled: &CompiledPolicies,
    key: &AccessKeyId,
    name: &RoleSessionName,
    text: String,
) -> Result<PolicySet, StoreError> {
    let document = compiled
        .document(text, DocumentKind::Session)
        .map_err(|why| corrupt(key, "session_policy", &why.to_string()))?;
    Ok(compiled.set(vec![(Arc::from(name.as_str()), document)]))
}

/// The identity of a session, for readers of the audit trail who look for what its key did.
fn told(session: &StoredSession) -> String {
    let mut told = format!("session {}, key {}", session.name, session.key);
    if let Some(who) = &session.source_identity {
        told.push_str(&format!(", source identity {who}"));
    }
    told
}

fn corrupt(key: &AccessKeyId, column: &'static str, why: &str) -> CorruptRow {
    CorruptRow { table: "role_sessions", column, id: key.to_string(), why: why.to_owned() }
}

/// The context that keeps a sealed secret from being moved to another session.
fn sealing_context(id: &AccessKeyId) -> String {
    format!("role_sessions:{id}")
}
