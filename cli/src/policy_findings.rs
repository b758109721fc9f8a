//! The linter's findings about a policy that was just written. The policy is stored all the same; the findings go to
//! standard error, where they are seen even if the output is redirected.

use domain::vocabulary::vocabulary;
use openapi::policy_tools;
use openapi::workbench::PolicyFinding;
use policies::{DocumentKind, check};
use serde_json::{Value, json};

use crate::terminal;

/// The findings about a document.
pub(crate) fn about(document: &str, kind: DocumentKind) -> Vec<PolicyFinding> {
    check(document.as_bytes(), kind, &vocabulary()).iter().map(policy_tools::finding).collect()
}

/// The findings in a reply. Anything that cannot be read as a finding is skipped.
pub(crate) fn of_reply(reply: &Value) -> Vec<PolicyFinding> {
    let findings = reply.get("Findings").and_then(Value::as_array).into_iter().flatten();
    findings.filter_map(|finding| serde_json::from_value(finding.clone()).ok()).collect()
}

/// Prints each on standard error.
pub(crate) fn note(findings: &[PolicyFinding]) {
    for finding in findings {
        terminal::note(&line(finding));
    }
}

/// The same, as JSON.
pub(crate) fn json(findings: &[PolicyFinding]) -> Value {
    json!(findings)
}

fn line(finding: &PolicyFinding) -> String {
    let PolicyFinding { severity, rule, line, column, pointer, message, mend } = finding;
    format!("{line}:{column}: {severity} {rule}: {message}; {mend} ({pointer})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_here_and_from_a_reply() {
        let document = r#"{"Version": "1", "Statement": [{"Effect": "Deny", "Action": "ram:*", "Resource": "*",
            "Condition": {"StringEquals": {"acs:SourceVpc": "x"}}}]}"#;
        let findings = about(document, DocumentKind::Identity);
        let [finding] = &*findings else { panic!("{findings:?}") };
        let said = line(finding);
        assert!(said.starts_with("2:44: Security Warning ConditionKeyNeverSet: "), "{said}");
        assert!(said.ends_with(" (/Statement/0/Condition/StringEquals/acs:SourceVpc)"), "{said}");
        assert_eq!(of_reply(&json!({ "Findings": json(&findings) })), findings);
        assert!(of_reply(&json!({ "Findings": "none" })).is_empty() && of_reply(&json!(null)).is_empty());
    }
}
