//! ValidatePolicy: the findings about a policy document.

use domain::actions::ValidatePolicy;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use domain::vocabulary::vocabulary;
use openapi::error_codes::WireError;
use openapi::workbench::{Envelope, PolicyFindings, ValidatePolicyReply};
use policies::{DocumentKind, Severity, check};

use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::limits::concurrency::LONGEST_WAIT;
use openapi::policy_tools;

impl RpcAction for ValidatePolicy {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let kind = request.policy_kind.unwrap_or(Ok(DocumentKind::Identity));
        Ok(Input { document: request.policy_document.into(), kind })
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Everything.into())
    }

    async fn run(
        call: &Call<'_>,
        _: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { document, kind } = input;
        let kind = kind?;
        let checked = move || check(document.as_bytes(), kind, &vocabulary());
        let findings = call
            .hansard
            .work
            .simulating
            .acquire_within(LONGEST_WAIT)
            .await?
            .run(checked)
            .await
            .map_err(|panic| ActionError::unexpected("a check of a policy ended early", panic))?;
        Ok(Done::read(ValidatePolicyReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: PolicyFindings {
                valid: !findings.iter().any(|finding| finding.severity == Severity::Error),
                findings: findings.iter().map(policy_tools::finding).collect(),
            },
        }))
    }
}

/// The document that is to be checked.
pub(crate) struct Input {
    document: String,
    kind: Deferred<DocumentKind>,
}
