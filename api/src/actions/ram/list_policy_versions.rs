//! ListPolicyVersions: the versions of a policy, the oldest first.

use domain::actions::ListPolicyVersions;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListPolicyVersionsReply, PolicyRequest, PolicyVersionList};

use super::policy;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicyVersions {
    type Request = PolicyRequest;
    type Input = Self::Request;
    type Reply = ListPolicyVersionsReply;

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
        let versions = call.hansard.store.policy_versions(&granted, &policy).await?;
        let policy_version = versions.into_iter().map(policy::version_item).collect();
        Ok(Done::read(ListPolicyVersionsReply {
            request_id: call.request_id().to_string(),
            policy_versions: PolicyVersionList { policy_version },
        }))
    }
}
