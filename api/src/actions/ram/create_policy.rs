//! CreatePolicy: a policy of the account, with its first version.

use domain::actions::CreatePolicy;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreatePolicyReply, CreatePolicyRequest, CreatedPolicyItem};
use policies::DocumentKind;

use super::{policy, without_tags};
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for CreatePolicy {
    type Request = CreatePolicyRequest;
    type Input = Self::Request;
    type Reply = CreatePolicyReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        without_tags(asked.tag.as_deref())?;
        Ok(policy::located(policy::custom(&asked.policy_name)?).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let name = policy::custom(&asked.policy_name)?.name;
        let description = asked.description.unwrap_or_default();
        let findings =
            policy_findings::about(call.hansard, &asked.policy_document, DocumentKind::Identity).await?;
        let audit = call.audit_of_change(&granted, "");
        let store = &call.hansard.store;
        let made = store
            .create_policy(&granted, &name, &description, &asked.policy_document, call.now(), audit)
            .await?;
        Ok(Done::changed(CreatePolicyReply {
            request_id: call.request_id().to_string(),
            policy: CreatedPolicyItem {
                policy_name: made.policy.name.to_string(),
                policy_type: made.policy.kind.as_str().to_owned(),
                description: made.description,
                default_version: made.default_version.to_string(),
                create_date: wire_time(made.created_at),
            },
            findings,
        }))
    }
}
