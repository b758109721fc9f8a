//! What a simulation asks: the policies of somebody who does not call.

use domain::actions::ReadsIdentity;
use domain::gate::{Granted, PrincipalPolicies};
use domain::policy_bearer::PolicyBearer;
use policies::Layers;

use super::Store;
use super::policy_steps::admits;
use crate::StoreError;
use crate::rows::{attachment_rows, control_policy_rows, policy_bearer_rows};

impl Store {
    /// The policies that would decide for a user, with those of its groups, for a role, or for somebody who is in this
    /// group alone.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is for somebody else; [`StoreError::Identity`] when there is no such
    /// one; [`StoreError::CorruptRow`].
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
