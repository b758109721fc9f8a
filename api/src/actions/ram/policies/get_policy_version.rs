//! GetPolicyVersion: one version of a policy.

use domain::actions::GetPolicyVersion;
use domain::gate::Granted;
use domain::identity::PolicyRef;
use domain::policy_version::PolicyVersionId;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::PolicyVersionReply;

use super::policy;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetPolicyVersion {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input {
            policy: policy::policy(request.policy_type, request.policy_name)?,
            version: request.version_id,
        })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(policy::located(input.policy.clone()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let version = call.store.get_policy_version(&granted, &input.policy, input.version?).await?;
        Ok(Done::read(PolicyVersionReply {
            request_id: call.request_id().to_string(),
            policy_version: policy::version_item(version),
        }))
    }
}

/// The policy, and which of its versions is wanted.
pub(crate) struct Input {
    policy: PolicyRef,
    version: Deferred<PolicyVersionId>,
}
