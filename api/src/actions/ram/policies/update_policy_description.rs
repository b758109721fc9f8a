//! UpdatePolicyDescription: changes what a policy of the account is said to be for.

use domain::actions::UpdatePolicyDescription;
use domain::gate::Granted;
use domain::identity::PolicyName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::PolicyDescriptionReply;

use super::policy;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdatePolicyDescription {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { policy: request.policy_name?, description: request.new_description.into() })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(policy::located((&input.policy).into()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { policy, description } = input;
        let audit = call.audit_of_change(&granted, "");
        let store = call.store;
        let changed = store.describe_policy(&granted, &policy, &description, call.now(), audit).await?;
        Ok(Done::changed(PolicyDescriptionReply {
            request_id: call.request_id().to_string(),
            policy: policy::item(&changed),
        }))
    }
}

/// The policy, and what it is for.
pub(crate) struct Input {
    policy: PolicyName,
    description: String,
}
