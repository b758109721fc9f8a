//! CreatePolicy: a policy of the account, with its first version.

use domain::actions::CreatePolicy;
use domain::gate::Granted;
use domain::identity::{EntityTags, NewPolicy, PolicyName, Tagged};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreatePolicyReply, CreatedPolicyItem};
use policies::DocumentKind;

use super::policy;
use crate::actions::ram::tags::read as tags;
use crate::actions::wire_time;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for CreatePolicy {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let tags = tags::tags(request.tag);
        Ok(Input {
            policy: request.policy_name?,
            description: request.description.map(String::from).unwrap_or_default(),
            document: request.policy_document.into(),
            tags,
        })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(policy::located((&input.policy).into()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { policy: name, description, document, tags } = input;
        let new = Tagged { thing: NewPolicy { name, description, document }, tags: tags? };
        let findings =
            policy_findings::about(call.hansard, &new.thing.document, DocumentKind::Identity).await?;
        let audit = call.audit_of_change(&granted, "");
        let made = call.store.create_tagged_policy(&granted, new, call.now(), audit).await?;
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

/// The new policy.
pub(crate) struct Input {
    policy: PolicyName,
    description: String,
    document: String,
    tags: Deferred<EntityTags>,
}
