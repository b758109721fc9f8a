//! DeletePolicy: a policy of the account that nobody has.

use domain::actions::DeletePolicy;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{DeletePolicyRequest, DoneReply};

use super::policy;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeletePolicy {
    type Request = DeletePolicyRequest;
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
        let name = policy::custom(&asked.policy_name)?.name;
        let (store, audit) = (&call.hansard.store, call.audit_of_change(&granted, ""));
        if asked.cascading_delete.unwrap_or(false) {
            store.delete_policy(&granted, &name, audit).await?;
        } else {
            store.delete_bare_policy(&granted, &name, audit).await?;
        }
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
