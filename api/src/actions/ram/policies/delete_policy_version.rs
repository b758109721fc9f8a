//! DeletePolicyVersion: deletes a version of a policy that is not its default.

use domain::actions::DeletePolicyVersion;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use super::policy::VersionOfPolicy;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeletePolicyVersion {
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
        let audit = call.audit_of_change(&granted, &id.to_string());
        call.store.delete_policy_version(&granted, &policy, id, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
