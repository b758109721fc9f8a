//! CreatePolicyVersion: another version of a policy, which decides at once or not.

use domain::actions::CreatePolicyVersion;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreatePolicyVersionReply, CreatePolicyVersionRequest};
use persistence::NewPolicyVersion;
use policies::DocumentKind;

use super::{invalid, policy};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for CreatePolicyVersion {
    type Request = CreatePolicyVersionRequest;
    type Input = Self::Request;
    type Reply = CreatePolicyVersionReply;

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
        let how = NewPolicyVersion {
            as_default: asked.set_as_default.unwrap_or(false),
            rotate: rotates(asked.rotate_strategy.as_deref())?,
        };
        let seen = policy::seen(call, &granted, &name).await?;
        let findings =
            policy_findings::about(call.hansard, &asked.policy_document, DocumentKind::Identity).await?;
        let audit = call.audit_of_change(&granted, "");
        let (store, document) = (&call.hansard.store, &asked.policy_document);
        let made =
            store.create_policy_version(&granted, &name, document, how, seen, call.now(), audit).await?;
        Ok(Done::changed(CreatePolicyVersionReply {
            request_id: call.request_id().to_string(),
            policy_version: policy::version_item(made),
            findings,
        }))
    }
}

fn rotates(strategy: Option<&str>) -> Result<bool, WireError> {
    match strategy {
        None | Some("None") => Ok(false),
        Some("DeleteOldestNonDefaultVersionWhenLimitExceeded") => Ok(true),
        Some(_) => {
            Err(invalid("RotateStrategy", "it is None or DeleteOldestNonDefaultVersionWhenLimitExceeded"))
        }
    }
}
