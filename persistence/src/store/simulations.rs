//! What a simulation reads: the policies of a bearer that is not the caller.

use domain::actions::ReadsIdentity;
use domain::gate::{Granted, PrincipalPolicies};
use domain::policy_bearer::PolicyBearer;
use policies::Layers;

use super::Store;
use super::policy_steps::admits;
use crate::StoreError;
use crate::rows::{attachment_rows, control_policy_rows, policy_bearer_rows};

impl Store {
    /// The policies that would apply to a user, including those of its groups, to a role, or to a member of only this
    /// group.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is for another bearer; [`StoreError::Identity`] when the bearer does
    /// not exist; [`StoreError::CorruptRow`].
    pub async fn policies_of_bearer<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        bearer: &PolicyBearer,
    ) -> Result<PrincipalPolicies, StoreError> {
        admits(granted, &[bearer.resource()])?;
        let (reader, compiled, account) =
            (self.inner.connections.reader(), &self.inner.compiled, granted.account());
        let target = policy_bearer_rows::target(reader, account, bearer).await?;
        let documents = attachment_rows::documents_of(reader, compiled, account, &target).await?;
        let control = control_policy_rows::levels_of(reader, compiled, account).await?;
        let identity = compiled.set(documents);
        Ok(PrincipalPolicies::new(Layers { identity, control, ..Layers::default() }))
    }
}
