//! ListPolicyVersions: the versions of a policy, the oldest first.

use domain::actions::ListPolicyVersions;
use domain::gate::Granted;
use domain::identity::PolicyRef;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListPolicyVersionsReply, PolicyVersionList};

use super::policy;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicyVersions {
    type Input = PolicyRef;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        policy::policy(request.policy_type, request.policy_name)
    }

    async fn locate(_: &Call<'_>, policy: &Self::Input) -> Result<Located, ActionError> {
        Ok(policy::located(policy.clone()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        policy: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let versions = call.store.versions_of_policy(&granted, &policy).await?;
        let policy_version = versions.into_iter().map(policy::version_item).collect();
        Ok(Done::read(ListPolicyVersionsReply {
            request_id: call.request_id().to_string(),
            policy_versions: PolicyVersionList { policy_version },
        }))
    }
}
