//! SetDefaultPolicyVersion: makes another version of a policy its default.

use domain::actions::{Action as _, GetPolicyVersion, SetDefaultPolicyVersion};
use domain::gate::{self, Granted};
use domain::identity::{IdentityRefused, PolicyName, PolicyRef};
use domain::policy_version::PolicyVersionId;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::SetDefaultPolicyVersionReply;
use openapi::workbench::PolicyFinding;
use persistence::StoreError;
use policies::DocumentKind;

use super::policy::{VersionOfPolicy, seen};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for SetDefaultPolicyVersion {
    type Input = VersionOfPolicy;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        VersionOfPolicy::read(request)
    }

    async fn locate(_: &Call<'_>, version: &Self::Input) -> Result<Located, ActionError> {
        Ok(version.located())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        version: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let VersionOfPolicy { policy, id } = version;
        let id = id?;
        let based_on = seen(call, &granted, &policy).await?;
        let findings = findings(call, &granted, &policy, id).await?;
        let audit = call.audit_of_change(&granted, &id.to_string());
        let store = call.store;
        store.set_default_policy_version(&granted, &policy, id, based_on, call.now(), audit).await?;
        Ok(Done::changed(SetDefaultPolicyVersionReply {
            request_id: call.request_id().to_string(),
            findings,
        }))
    }
}

/// The findings about the version, for callers who may read it, because a finding repeats what the document says. A
/// version that does not exist has none; the change reports that.
async fn findings(
    call: &Call<'_>,
    granted: &Granted<SetDefaultPolicyVersion>,
    policy: &PolicyName,
    id: PolicyVersionId,
) -> Result<Option<Vec<PolicyFinding>>, ActionError> {
    let store = call.store;
    let policies = call.deciding.policies_of(call.principal()).await?;
    let (resource, facts) = (granted.resource(), call.facts());
    let may_read =
        gate::would_permit(&GetPolicyVersion::ENTRY, call.principal(), resource, &policies, &facts).is_ok();
    if !may_read {
        return Ok(None);
    }
    let version = match store.get_policy_version(granted, &PolicyRef::from(policy), id).await {
        Ok(version) => version,
        Err(StoreError::Identity(IdentityRefused::NotExist { .. })) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    policy_findings::about(call.hansard, &version.document, DocumentKind::Identity).await.map(Some)
}
