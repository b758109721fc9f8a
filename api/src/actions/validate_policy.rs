//! ValidatePolicy: what there is to say about a policy document.

use domain::actions::ValidatePolicy;
use domain::gate::{Granted, Resource};
use domain::vocabulary::vocabulary;
use openapi::error_codes::WireError;
use openapi::workbench::{Envelope, PolicyFindings, ValidatePolicyReply, ValidatePolicyRequest};
use policies::{DocumentKind, Severity, check};

use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;
use crate::limits::turns::PATIENCE;
use openapi::policy_tools;

impl RpcAction for ValidatePolicy {
    type Request = ValidatePolicyRequest;
    type Reply = ValidatePolicyReply;

    async fn locate(_: &Call<'_>, _: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Everything)
    }

    async fn run(
        call: &Call<'_>,
        _: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let kind = kind(asked.policy_kind.as_deref())?;
        let checked = move || check(asked.policy_document.as_bytes(), kind, &vocabulary());
        let findings = call
            .hansard
            .simulating
            .turn_within(PATIENCE)
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

fn kind(text: Option<&str>) -> Result<DocumentKind, WireError> {
    match text {
        None | Some("identity") => Ok(DocumentKind::Identity),
        Some("session") => Ok(DocumentKind::Session),
        Some("control") => Ok(DocumentKind::Control),
        Some("trust") => Ok(DocumentKind::Trust),
        Some(_) => Err(WireError::invalid("PolicyKind", "it is identity, session, control or trust")),
    }
}
