//! DeletePolicy: a policy of the account that nobody has.

use domain::actions::DeletePolicy;
use domain::gate::{Granted, Resource};
use openapi::ram::{DeletePolicyRequest, DoneReply};

use super::policy;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeletePolicy {
    type Request = DeletePolicyRequest;
    type Reply = DoneReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(policy::located(policy::custom(&asked.policy_name)?))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
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
