//! The linter's findings about a policy that a call writes, for its reply. The policy is stored all the same, and its
//! author learns at once that, for instance, one of its conditions never holds.

use domain::vocabulary::vocabulary;
use openapi::workbench::PolicyFinding;
use policies::{DocumentKind, check};

use crate::Hansard;
use crate::errors::ActionError;
use openapi::policy_tools;

/// The findings about a document. Asked before the change, so that a call that fails here changes nothing.
pub(crate) async fn about(
    hansard: &Hansard,
    document: &str,
    kind: DocumentKind,
) -> Result<Vec<PolicyFinding>, ActionError> {
    let document = document.to_owned();
    let checked = hansard.work.checking.run(move || check(document.as_bytes(), kind, &vocabulary())).await;
    let findings =
        checked.map_err(|panic| ActionError::unexpected("a check of a policy ended early", panic))?;
    Ok(findings.iter().map(policy_tools::finding).collect())
}

/// The findings about a document that the call may omit.
pub(crate) async fn about_given(
    hansard: &Hansard,
    document: Option<&str>,
    kind: DocumentKind,
) -> Result<Option<Vec<PolicyFinding>>, ActionError> {
    match document {
        Some(document) => about(hansard, document, kind).await.map(Some),
        None => Ok(None),
    }
}
