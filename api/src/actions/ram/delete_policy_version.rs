//! DeletePolicyVersion: deletes a version of a policy that does not decide.

use domain::actions::DeletePolicyVersion;
use domain::gate::{Granted, Resource};
use openapi::ram::{DoneReply, PolicyVersionRequest};

use super::name;
use super::policy;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeletePolicyVersion {
    type Request = PolicyVersionRequest;
    type Reply = DoneReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(policy::located(policy::custom(&asked.policy_name)?))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let policy = policy::custom(&asked.policy_name)?.name;
        let id = name("VersionId", &asked.version_id)?;
        let audit = call.audit_of_change(&granted, &asked.version_id);
        call.hansard.store.delete_policy_version(&granted, &policy, id, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
