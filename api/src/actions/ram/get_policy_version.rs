//! GetPolicyVersion: one version of a policy.

use domain::actions::GetPolicyVersion;
use domain::gate::{Granted, Resource};
use openapi::ram::{GetPolicyVersionRequest, PolicyVersionReply};

use super::{name, policy};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetPolicyVersion {
    type Request = GetPolicyVersionRequest;
    type Reply = PolicyVersionReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(policy::located(policy::policy(&asked.policy_type, &asked.policy_name)?))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let policy = policy::policy(&asked.policy_type, &asked.policy_name)?;
        let id = name("VersionId", &asked.version_id)?;
        let version = call.hansard.store.policy_version(&granted, &policy, id).await?;
        Ok(Done::read(PolicyVersionReply {
            request_id: call.request_id().to_string(),
            policy_version: policy::version_item(version),
        }))
    }
}
