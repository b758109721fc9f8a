//! GetPolicy: a policy with the document of its default version.

use domain::actions::GetPolicy;
use domain::gate::Granted;
use domain::identity::PolicyRef;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::GetPolicyReply;

use super::policy;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetPolicy {
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
        let (policy, deciding) = call.store.get_policy(&granted, &policy).await?;
        Ok(Done::read(GetPolicyReply {
            request_id: call.request_id().to_string(),
            policy: policy::item(&policy),
            default_policy_version: policy::version_item(deciding),
        }))
    }
}
