//! Administration of users, access keys and policies. Every change bumps the account's revision.

use domain::Timestamp;
use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::actions::AdministersIdentity;
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::{AccessKeyId, PolicyName, UserName};

use super::Store;
use crate::{AccessKeyEntry, KeyOwner, PolicyEntry, StoreError, User};

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken.
    pub async fn create_user<A: AdministersIdentity>(&self, granted: &Granted<A>, name: &UserName, now: Timestamp, audit: AuditEvent) -> Result<User, StoreError> {
        todo!()
    }

    /// All users, by name.
    pub async fn list_users<A: AdministersIdentity>(&self, granted: &Granted<A>) -> Result<Vec<User>, StoreError> {
        todo!()
    }

    /// Deletes a user with its access keys and attachments.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_user<A: AdministersIdentity>(&self, granted: &Granted<A>, name: &UserName, audit: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }

    /// Makes an access key. The secret can be read here and never again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn create_access_key<A: AdministersIdentity>(&self, granted: &Granted<A>, owner: &KeyOwner, now: Timestamp, audit: AuditEvent) -> Result<(AccessKeyId, AccessKeySecret), StoreError> {
        todo!()
    }

    /// All access keys of the account, the oldest first.
    pub async fn list_access_keys<A: AdministersIdentity>(&self, granted: &Granted<A>) -> Result<Vec<AccessKeyEntry>, StoreError> {
        todo!()
    }

    /// Switches an access key on or off.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_access_key_status<A: AdministersIdentity>(&self, granted: &Granted<A>, id: &AccessKeyId, status: AccessKeyStatus, audit: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }

    /// Deletes an access key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_access_key<A: AdministersIdentity>(&self, granted: &Granted<A>, id: &AccessKeyId, audit: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }

    /// Makes a policy, or gives an existing one a new document.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the document, and where.
    pub async fn put_policy<A: AdministersIdentity>(&self, granted: &Granted<A>, name: &PolicyName, document: &str, now: Timestamp, audit: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }

    /// All policies of the account, by name.
    pub async fn list_policies<A: AdministersIdentity>(&self, granted: &Granted<A>) -> Result<Vec<PolicyEntry>, StoreError> {
        todo!()
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] while it is attached.
    pub async fn delete_policy<A: AdministersIdentity>(&self, granted: &Granted<A>, name: &PolicyName, audit: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }

    /// Attaches a policy to a user; attached already, it stays so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user or policy.
    pub async fn attach_policy<A: AdministersIdentity>(&self, granted: &Granted<A>, user: &UserName, policy: &PolicyName, audit: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }

    /// Detaches a policy from a user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not attached.
    pub async fn detach_policy<A: AdministersIdentity>(&self, granted: &Granted<A>, user: &UserName, policy: &PolicyName, audit: AuditEvent) -> Result<(), StoreError> {
        todo!()
    }
}
