//! GetPolicyVersion: one version of a policy.

use domain::actions::GetPolicyVersion;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{GetPolicyVersionRequest, PolicyVersionReply};

use super::{name, policy};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetPolicyVersion {
    type Request = GetPolicyVersionRequest;
    type Input = Self::Request;
    type Reply = PolicyVersionReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(policy::located(policy::policy(&asked.policy_type, &asked.policy_name)?).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
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
