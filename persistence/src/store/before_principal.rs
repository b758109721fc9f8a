//! What authentication reads before the caller is known.

use domain::access_key::{AccessKey, AccessKeySecret, AccessKeyStatus};
use domain::agent::{Agent, JoinToken, JoinTokenSecret};
use domain::audit::DEPLOYMENT_ACCOUNT;
use domain::gate::PrincipalPolicies;
use domain::identity::{AccessKeyId, AttachmentTarget};
use domain::principal::Principal;
use domain::{AccountId, AgentId, Timestamp};
use policies::Layers;

use super::{Revision, Store, role_sessions};
use crate::rows::access_key_rows::{self, StoredKey};
use crate::rows::user_rows::Users;
use crate::rows::{account_rows, agent_rows, attachment_rows, control_policy_rows, join_token_rows};
use crate::{CorruptRow, StoreError};

/// A value that may be used once: a request's nonce, or the `jti` of an agent or a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonceClaim {
    /// SHA-256 of the owner and the value.
    pub hash: [u8; 32],
    /// The moment until which it must not be used again.
    pub expires_at: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

impl Store {
    /// The accounts of this deployment, by id.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn all_accounts(&self) -> Result<Vec<AccountId>, StoreError> {
        account_rows::all(self.inner.connections.reader()).await
    }

    /// Makes sure that the account exists and that its owner has this access key with this secret. The key's status is
    /// left as it is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the key's id belongs to another owner, or the account's id is that of the
    /// deployment.
    pub async fn ensure_root(
        &self,
        account: &AccountId,
        key: &AccessKeyId,
        secret: &AccessKeySecret,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if *account == *DEPLOYMENT_ACCOUNT {
            let why = "its id is kept for the deployment itself";
            return Err(StoreError::Conflict { what: "account", why });
        }
        let found = access_key_rows::find(self.inner.connections.reader(), key).await?;
        if let Some(stored) = &found {
            if stored.account != *account || stored.user.is_some() {
                return Err(StoreError::Conflict {
                    what: "access key",
                    why: "its id stands for somebody else",
                });
            }
            if self.unsealed(stored)?.reveal() == secret.reveal() {
                return Ok(());
            }
        }
        let sealed_secret = self.sealed(key, secret)?;
        let (owner, id, is_there) = (account.clone(), key.clone(), found.is_some());
        self.transact(account.clone(), Revision::BumpedOfNewAccount, None, move |transaction| {
            Box::pin(async move {
                account_rows::ensure(transaction, &owner, now).await?;
                if is_there {
                    return access_key_rows::set_sealed_secret(transaction, &owner, &id, &sealed_secret)
                        .await;
                }
                let status = AccessKeyStatus::Active;
                let key = StoredKey {
                    id,
                    account: owner,
                    user: None,
                    sealed_secret,
                    status,
                    created_at: now,
                    last_used: None,
                };
                access_key_rows::insert(transaction, &key).await
            })
        })
        .await
    }

    /// The access keys with which an account's owner can sign, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn active_root_keys(&self, account: &AccountId) -> Result<Vec<AccessKeyId>, StoreError> {
        let keys = access_key_rows::all(self.inner.connections.reader(), account).await?;
        let of_the_root = |key: &StoredKey| key.user.is_none() && key.status == AccessKeyStatus::Active;
        Ok(keys.into_iter().filter(of_the_root).map(|key| key.id).collect())
    }

    /// The access key with its secret unsealed: a long-term key, or that of a role's session, even of one that has
    /// ended.
    ///
    /// # Errors
    /// [`StoreError::Keys`] when the server keys do not open its secret.
    pub async fn find_access_key(&self, id: &AccessKeyId) -> Result<Option<AccessKey>, StoreError> {
        let reader = self.inner.connections.reader();
        if id.is_of_session()
            && let Some(key) = self.find_session_key(id).await?
        {
            return Ok(Some(key));
        }
        let Some(stored) = access_key_rows::find(reader, id).await? else { return Ok(None) };
        let secret = self.unsealed(&stored)?;
        let account = stored.account;
        let principal = match &stored.user {
            None => Principal::Account { account },
            Some(user_id) => {
                let user = Users::find_by_id(reader, &account, user_id).await?;
                // The user was deleted between the two reads, and the key with it.
                let Some(user) = user else { return Ok(None) };
                Principal::User { account, user_id: user.id, user_name: user.name }
            }
        };
        Ok(Some(AccessKey { id: stored.id, secret, status: stored.status, principal, session: None }))
    }

    /// The agent with this id, including replaced agents.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_agent(&self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        agent_rows::find(self.inner.connections.reader(), id).await
    }

    /// The stored join token for the secret that an agent presents. Whether it is still valid is decided when the
    /// enrolment is applied.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_join_token(
        &self,
        presented: &JoinTokenSecret,
    ) -> Result<Option<JoinToken>, StoreError> {
        let found = join_token_rows::find(self.inner.connections.reader(), presented.hash()).await?;
        Ok(found.map(|stored| stored.token))
    }

    /// The policies that apply to this caller.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`] when one of them cannot be read: it might deny, so that nothing can be decided.
    pub async fn policies_of(&self, principal: &Principal) -> Result<PrincipalPolicies, StoreError> {
        let (reader, compiled) = (self.inner.connections.reader(), &self.inner.compiled);
        let (account, mut layers) = match principal {
            Principal::Account { .. } => {
                return Ok(PrincipalPolicies::new(Layers { owner: true, ..Layers::default() }));
            }
            Principal::Agent { .. } | Principal::System { .. } | Principal::Operator { .. } => {
                return Ok(PrincipalPolicies::none());
            }
            Principal::User { account, user_id, .. } => {
                let target = AttachmentTarget::User(user_id.clone());
                let documents = attachment_rows::documents_of(reader, compiled, account, &target).await?;
                (account, Layers { identity: compiled.set(documents), ..Layers::default() })
            }
            Principal::AssumedRole { account, role_id, session_key, .. } => {
                let target = AttachmentTarget::Role(role_id.clone());
                let layers =
                    role_sessions::layers_of(reader, compiled, account, &target, session_key).await?;
                (account, layers)
            }
        };
        layers.control = control_policy_rows::levels_of(reader, compiled, account).await?;
        Ok(PrincipalPolicies::new(layers))
    }

    pub(super) fn sealed(&self, key: &AccessKeyId, secret: &AccessKeySecret) -> Result<String, StoreError> {
        let keys = |source| StoreError::Keys { what: key.to_string(), source };
        self.inner.keys.seal(&sealing_context(key), secret.reveal().as_bytes()).map_err(keys)
    }

    fn unsealed(&self, stored: &StoredKey) -> Result<AccessKeySecret, StoreError> {
        let keys = |source| StoreError::Keys { what: stored.id.to_string(), source };
        let secret =
            self.inner.keys.open(&sealing_context(&stored.id), &stored.sealed_secret).map_err(keys)?;
        let secret = String::from_utf8(secret).map_err(|_| CorruptRow {
            table: "access_keys",
            column: "sealed_secret",
            id: stored.id.to_string(),
            why: "what was sealed is no text".to_owned(),
        })?;
        Ok(AccessKeySecret::new(secret))
    }
}

/// The context that keeps a sealed secret from being moved to another key.
fn sealing_context(id: &AccessKeyId) -> String {
    format!("access_keys:{id}")
}
