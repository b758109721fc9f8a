//! What an administrator does to a running control plane without going through its API.

use domain::access_key::AccessKeyStatus;
use domain::actions::ReachAgents;
use domain::audit::AuditEvent;
use domain::clock::Clock as _;
use domain::gate::Granted;
use domain::identity::{AccessKeyId, PolicyName, UserName};
use test_facts::{as_operator, operator_event};

use crate::key::Key;
use crate::running::Running;

impl Running {
    /// A RAM user that may do what `document` says, with an access key. The policy has the user's name.
    pub async fn user(&self, name: &str, document: &str) -> Key {
        self.user_with(name, &[(name, document)]).await
    }

    /// A RAM user with these policies, each a name and a document, and with an access key.
    pub async fn user_with(&self, name: &str, policies: &[(&str, &str)]) -> Key {
        let now = self.clock.now();
        let (id, secret) = test_facts::user(&self.store, &self.account, name, policies, now).await;
        Key { id: id.as_str().to_owned(), secret: secret.reveal().to_owned(), token: None }
    }

    /// Switches an access key on or off.
    pub async fn switch_key(&self, key: &Key, status: AccessKeyStatus) {
        let (granted, id) = (as_operator(&self.account), AccessKeyId::parse(&key.id).unwrap());
        self.store.set_access_key_status(&granted, &id, status, self.event("SwitchKey")).await.unwrap();
    }

    /// Deletes an access key.
    pub async fn delete_key(&self, key: &Key) {
        let (granted, id) = (as_operator(&self.account), AccessKeyId::parse(&key.id).unwrap());
        self.store.delete_access_key(&granted, &id, self.event("DeleteKey")).await.unwrap();
    }

    /// Deletes a RAM user with everything that belongs to it.
    pub async fn delete_user(&self, name: &str) {
        let (granted, user) = (as_operator(&self.account), UserName::parse(name).unwrap());
        self.store.purge_user(&granted, &user, self.event("DeleteUser")).await.unwrap();
    }

    /// Replaces the document of a policy.
    pub async fn policy(&self, name: &str, document: &str) {
        let (granted, policy) = (as_operator(&self.account), PolicyName::parse(name).unwrap());
        let now = self.clock.now();
        self.store.put_policy(&granted, &policy, document, now, self.event("PutPolicy")).await.unwrap();
    }

    /// The whole audit trail, the oldest event first.
    pub async fn audit_rows(&self) -> Vec<AuditEvent> {
        let granted = as_operator(&self.account);
        let mut rows = self.store.latest_audit_events(&granted, 1_000).await.unwrap();
        rows.reverse();
        rows
    }

    /// A grant for what the control plane does with agents on its own initiative.
    #[must_use]
    pub fn reaching(&self) -> Granted<ReachAgents> {
        test_facts::reaching(&self.account)
    }

    fn event(&self, action: &str) -> AuditEvent {
        operator_event(&self.account, action, self.clock.now())
    }
}
