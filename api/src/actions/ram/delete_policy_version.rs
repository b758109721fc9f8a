//! DeletePolicyVersion: deletes a version of a policy that does not decide.

use domain::actions::DeletePolicyVersion;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{DoneReply, PolicyVersionRequest};

use super::name;
use super::policy;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeletePolicyVersion {
    type Request = PolicyVersionRequest;
    type Input = Self::Request;
    type Reply = DoneReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(policy::located(policy::custom(&asked.policy_name)?).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let policy = policy::custom(&asked.policy_name)?.name;
        let id = name("VersionId", &asked.version_id)?;
        let audit = call.audit_of_change(&granted, &asked.version_id);
        call.hansard.store.delete_policy_version(&granted, &policy, id, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
