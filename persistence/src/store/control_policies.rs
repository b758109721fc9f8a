//! Control policies: the upper bound of what the users and roles of an account may do. Every change bumps its revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::{ControlPolicy, PolicyName, check_control_document};

use super::{Revision, Scope, Store};
use crate::StoreError;
use crate::rows::{account_rows, control_policy_rows};

impl Store {
    /// Puts a control policy on a level. It replaces the one of the same name that was last put at `seen`; with `None`
    /// it must be new.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the document, and where; [`StoreError::Conflict`] when
    /// another caller put or deleted it meanwhile; [`StoreError::OutsideGrant`] when the grant is not for everything.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a fact of the command, and none belongs to another"
    )]
    pub async fn put_control_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        level: u32,
        document: &str,
        seen: Option<Timestamp>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        Scope::of(granted).admits_everything("control policies")?;
        check_control_document(document).map_err(StoreError::InvalidPolicy)?;
        let account = granted.account().clone();
        let policy = ControlPolicy {
            name: name.clone(),
            level,
            document: document.to_owned(),
            created_at: now,
            changed_at: now,
        };
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let standing = control_policy_rows::find(transaction, &account, &policy.name).await?;
                let put = policy.put(standing.as_ref(), seen)?;
                control_policy_rows::put(transaction, &account, &put).await
            })
        })
        .await
    }

    /// The control policies of the account, by level and name.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is not for everything.
    pub async fn all_control_policies<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<ControlPolicy>, StoreError> {
        Scope::of(granted).admits_everything("control policies")?;
        control_policy_rows::all(self.inner.connections.reader(), granted.account()).await
    }

    /// Deletes a control policy.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it is not there; [`StoreError::OutsideGrant`] when the grant is not for everything.
    pub async fn delete_control_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        Scope::of(granted).admits_everything("control policies")?;
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let standing = control_policy_rows::find(transaction, &account, &name).await?;
                let policy = ControlPolicy::named(&name, standing)?;
                control_policy_rows::delete(transaction, &account, &policy.name).await
            })
        })
        .await
    }
}
