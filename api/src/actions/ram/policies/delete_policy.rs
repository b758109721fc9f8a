//! DeletePolicy: a policy of the account that is attached to nobody.

use domain::actions::DeletePolicy;
use domain::gate::Granted;
use domain::identity::PolicyName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use super::policy::located;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeletePolicy {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { policy: request.policy_name?, cascading: request.cascading_delete.unwrap_or(false) })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(located((&input.policy).into()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { policy, cascading } = input;
        let (store, audit) = (&call.store, call.audit_of_change(&granted, ""));
        if cascading {
            store.purge_policy(&granted, &policy, audit).await?;
        } else {
            store.delete_policy(&granted, &policy, audit).await?;
        }
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}

/// The policy, and whether its other versions go with it.
pub(crate) struct Input {
    policy: PolicyName,
    cascading: bool,
}
