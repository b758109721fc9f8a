//! CreatePolicyVersion: adds a version to a policy, as its default or not.

use domain::actions::CreatePolicyVersion;
use domain::gate::Granted;
use domain::identity::{NewPolicyVersion, PolicyName};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreatePolicyVersionReply, RotateStrategy};
use policies::DocumentKind;

use super::policy;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for CreatePolicyVersion {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input {
            policy: request.policy_name?,
            as_default: request.set_as_default.unwrap_or(false),
            rotate: request.rotate_strategy.transpose(),
            document: request.policy_document.into(),
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
        let Input { policy, as_default, rotate, document } = input;
        let rotate = rotate? == Some(RotateStrategy::DeleteOldest);
        let how = NewPolicyVersion { as_default, rotate };
        let seen = policy::seen(call, &granted, &policy).await?;
        let findings = policy_findings::about(call.hansard, &document, DocumentKind::Identity).await?;
        let audit = call.audit_of_change(&granted, "");
        let store = call.store;
        let made =
            store.create_policy_version(&granted, &policy, &document, how, seen, call.now(), audit).await?;
        Ok(Done::changed(CreatePolicyVersionReply {
            request_id: call.request_id().to_string(),
            policy_version: policy::version_item(made),
            findings,
        }))
    }
}

/// The new version, and the policy that gets it.
pub(crate) struct Input {
    policy: PolicyName,
    as_default: bool,
    rotate: Deferred<Option<RotateStrategy>>,
    document: String,
}
