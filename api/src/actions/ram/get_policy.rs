//! GetPolicy: a policy with its deciding document.

use domain::actions::GetPolicy;
use domain::gate::{Granted, Resource};
use openapi::ram::{GetPolicyReply, PolicyRequest};

use super::policy;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetPolicy {
    type Request = PolicyRequest;
    type Reply = GetPolicyReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(policy::located(policy::policy(&asked.policy_type, &asked.policy_name)?))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let policy = policy::policy(&asked.policy_type, &asked.policy_name)?;
        let (policy, deciding) = call.hansard.store.policy(&granted, &policy).await?;
        Ok(Done::read(GetPolicyReply {
            request_id: call.request_id().to_string(),
            policy: policy::item(&policy),
            default_policy_version: policy::version_item(deciding),
        }))
    }
}
