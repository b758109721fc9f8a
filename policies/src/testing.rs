//! Tests that policy authors write: cases in JSON, run against the document reader and the evaluation.
//!
//! A file is a list of cases. A case with `expect` checks a decision:
//!
//! | member | holds |
//! |--------|-------|
//! | `id`, `note` | how the case is called; both may be left out |
//! | `policies` | the identity policies, a list of documents |
//! | `session_policy`, `trust_policy` | one document each, if there is such a layer |
//! | `control_policies` | a list of documents for one level, or a list of such lists |
//! | `request` | `principal`, `action`, `resource` and `context`, an object of strings or lists of strings |
//! | `expect` | `Allow`, `ImplicitDeny` or `ExplicitDeny` |
//! | `ambiguous` | if true, the case is run and shown, but never fails |
//!
//! Any other case contains a document that has to be refused: `document` (JSON), `document_text` (text) or
//! `document_b64` (bytes in Base64), with its `kind`: `identity` (the default), `session`, `control` or `trust`, and
//! `reason` instead of `note`. A document given as JSON is converted to its shortest spelling, so that its length
//! does not depend on the indentation of the file.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use serde::Serialize;

use crate::context::Context;
use crate::decision::Outcome;
use crate::document::PolicyDocument;
use crate::evaluate::{Layers, Request};
use crate::explain::{Explanation, explain};
use crate::invalid::{Fault, InvalidPolicy, Path, Reason};
use crate::json::{self, MAX_DEPTH, Node, Value};
use crate::policy_set::PolicySet;
use crate::principal::account_owned_by;
use crate::statement::DocumentKind;
use crate::written;

/// Documents are nested three levels deep in a file of cases.
const MAX_FILE_DEPTH: usize = MAX_DEPTH + 4;

/// The result of one file. `Display` gives a line for each case that failed or is ambiguous, and the counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestReport {
    /// The results of the cases, in the order of the file.
    pub results: Vec<CaseResult>,
}

/// The result of one case. `Display` formats it as one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// Its `id`, or its number in the file, such as `#3`.
    pub id: String,
    /// Its `note` or `reason`.
    pub note: String,
    /// The line where it begins, counted from 1.
    pub line: usize,
    /// Whether it is marked as ambiguous.
    pub ambiguous: bool,
    /// Whether the result is the expected one.
    pub agrees: bool,
    /// What was expected.
    pub expected: String,
    /// The actual result, and the reason.
    pub found: String,
    /// The explanation of the decision, if it differs from what was expected.
    pub explanation: Option<Box<Explanation>>,
}

impl CaseResult {
    /// Whether the case failed. An ambiguous case never fails.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.agrees && !self.ambiguous
    }
}

impl TestReport {
    /// The number of cases with the expected result.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.agrees).count()
    }

    /// The number of cases that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.results.iter().filter(|result| result.failed()).count()
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in self.results.iter().filter(|result| result.failed() || result.ambiguous) {
            writeln!(f, "{result}")?;
        }
        writeln!(f, "{} passed, {} failed", self.passed(), self.failed())
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match (self.ambiguous, self.agrees) {
            (true, true) => "ambiguous, as expected",
            (true, false) => "ambiguous, otherwise than expected",
            (false, true) => "passed",
            (false, false) => "FAILED",
        };
        write!(f, "{status}: {} (line {})", self.id, self.line)?;
        if !self.note.is_empty() {
            write!(f, " {}", self.note)?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// Runs the cases of one file.
///
/// # Errors
/// Refuses a file that is not a list of cases in JSON. A malformed case is reported as failed.
pub fn run_cases(text: &[u8]) -> Result<TestReport, InvalidPolicy> {
    let cases = read(text).map_err(|fault| fault.in_text(text))?;
    let mut lines = Lines { text, at: 0, line: 1 };
    let results = cases.iter().enumerate().map(|(index, case)| run(lines.of(case.at), index, case)).collect();
    Ok(TestReport { results })
}

fn read(text: &[u8]) -> Result<Vec<Node>, Fault> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let message = "the file is not UTF-8 from here on; save it as UTF-8";
        Fault::new(Reason::NotUtf8, error.valid_up_to(), String::new(), message)
    })?;
    let mut duplicates = Vec::new();
    let root = json::read(text, MAX_FILE_DEPTH, &mut duplicates)?;
    if let Some(duplicate) = duplicates.into_iter().next() {
        return Err(duplicate);
    }
    match root.value {
        Value::List(cases) => Ok(cases),
        _ => {
            let message = format!("a file of cases is {}; write a list of cases", root.type_name());
            Err(Fault::new(Reason::DataTypeMismatch, root.at, String::new(), message))
        }
    }
}

/// The expected and the actual result of a case.
struct Outcomes {
    agrees: bool,
    expected: String,
    found: String,
    explanation: Option<Box<Explanation>>,
}

/// Counts lines from the offset of the case before, so that a long file is scanned only once.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of an offset, which must not be less than the offset of the previous call.
    fn of(&mut self, at: usize) -> usize {
        self.line += self.text[self.at..at].iter().filter(|byte| **byte == b'\n').count();
        self.at = at;
        self.line
    }
}

fn run(line: usize, index: usize, case: &Node) -> CaseResult {
    let text = |name: &str| member(case, name).and_then(as_text).unwrap_or_default().to_owned();
    let id = match member(case, "id").map(|id| &id.value) {
        Some(Value::Text(id)) => id.clone(),
        Some(Value::Number(id)) => id.clone(),
        _ => format!("#{}", index + 1),
    };
    let asks = member(case, "expect").is_some() || member(case, "request").is_some();
    let outcomes = if asks { decide(case) } else { refuse(case) }.unwrap_or_else(|wrong| Outcomes {
        agrees: false,
        expected: "a case that can be run".to_owned(),
        found: wrong,
        explanation: None,
    });
    let Outcomes { agrees, expected, found, explanation } = outcomes;
    let note = text("note");
    CaseResult {
        id,
        note: if note.is_empty() { text("reason") } else { note },
        line,
        ambiguous: matches!(member(case, "ambiguous").map(|node| &node.value), Some(Value::Boolean(true))),
        agrees,
        expected,
        found,
        explanation,
    }
}

/// Runs a case that checks a decision.
fn decide(case: &Node) -> Result<Outcomes, String> {
    // A layer with a mis-spelt name would silently be left out.
    const LAYERS: [&str; 4] = ["policies", "session_policy", "control_policies", "trust_policy"];
    if let Some(odd) = names(case).find(|name| name.contains("polic") && !LAYERS.contains(name)) {
        return Err(format!("the member {odd:?}, which is none of {}", LAYERS.join(", ")));
    }
    let expected = member(case, "expect").and_then(as_text).unwrap_or_default();
    let outcomes = [Outcome::Allow, Outcome::ImplicitDeny, Outcome::ExplicitDeny];
    if !outcomes.iter().any(|outcome| outcome.as_str() == expected) {
        return Err(format!("expect is {expected:?}; write Allow, ImplicitDeny or ExplicitDeny"));
    }
    let request = member(case, "request").ok_or("no request; add principal, action and resource")?;
    const ASKED: [&str; 4] = ["principal", "action", "resource", "context"];
    if let Some(odd) = names(request).find(|name| !ASKED.contains(name)) {
        return Err(format!("the member {odd:?} of the request, which is none of {}", ASKED.join(", ")));
    }
    let text = |name: &str| {
        member(request, name)
            .and_then(as_text)
            .ok_or_else(|| format!("no {name} in the request, or no string"))
    };
    let context = match member(request, "context") {
        None => Context::new(),
        Some(node) => {
            written::context(node, &Path::default(), "the context").map_err(|fault| fault.message)?
        }
    };
    let (principal, action, resource) = (text("principal")?, text("action")?, text("resource")?);
    let layers = layers(case, principal)?;
    let explanation = explain(&layers, &Request { principal, action, resource, context: &context });
    let found = explanation.decision.outcome().as_str();
    let agrees = found == expected;
    let why = explanation.to_string();
    // The second line states the decision and the reason.
    let found = why.lines().nth(1).unwrap_or(found).to_owned();
    Ok(Outcomes {
        agrees,
        expected: expected.to_owned(),
        found,
        explanation: (!agrees).then(|| Box::new(explanation)),
    })
}

fn layers(case: &Node, principal: &str) -> Result<Layers, String> {
    let single = |name: &str, kind| {
        member(case, name).map(|document| set(name, std::slice::from_ref(document), kind)).transpose()
    };
    let control = match member(case, "control_policies") {
        None => Vec::new(),
        Some(levels) => {
            let entries = as_list(levels, "control_policies")?;
            let is_level = |entry: &Node| matches!(entry.value, Value::List(_));
            if entries.iter().any(is_level) {
                let level = |entry| {
                    set(
                        "control_policies",
                        as_list(entry, "a level of control_policies")?,
                        DocumentKind::Control,
                    )
                };
                entries.iter().map(level).collect::<Result<_, String>>()?
            } else {
                vec![set("control_policies", entries, DocumentKind::Control)?]
            }
        }
    };
    let identity = match member(case, "policies") {
        Some(policies) => set("policies", as_list(policies, "policies")?, DocumentKind::Identity)?,
        None => PolicySet::default(),
    };
    Ok(Layers {
        owner: account_owned_by(principal).is_some(),
        control,
        session: single("session_policy", DocumentKind::Session)?,
        identity,
        trust: single("trust_policy", DocumentKind::Trust)?,
    })
}

fn set(name: &str, documents: &[Node], kind: DocumentKind) -> Result<PolicySet, String> {
    let read = |(index, document): (usize, &Node)| {
        let name = format!("{name}[{index}]");
        // Text is used unchanged, so that a case can contain a document that JSON cannot represent.
        let text = match &document.value {
            Value::Text(text) => text.clone(),
            _ => json::write(document),
        };
        match PolicyDocument::parse(text.as_bytes(), kind) {
            Ok(document) => Ok((Arc::from(name), Arc::new(document))),
            Err(error) => Err(format!("{name} is refused: {}: {}", error.pointer, error.message)),
        }
    };
    Ok(PolicySet::new(documents.iter().enumerate().map(read).collect::<Result<_, String>>()?))
}

/// Runs a case whose document has to be refused.
fn refuse(case: &Node) -> Result<Outcomes, String> {
    let kind = match member(case, "kind").map(|kind| as_text(kind).unwrap_or_default()) {
        None | Some("identity") => DocumentKind::Identity,
        Some("session") => DocumentKind::Session,
        Some("control") => DocumentKind::Control,
        Some("trust") => DocumentKind::Trust,
        Some(other) => return Err(format!("kind is {other:?}; write identity, session, control or trust")),
    };
    let bytes = if let Some(document) = member(case, "document") {
        json::write(document).into_bytes()
    } else if let Some(text) = member(case, "document_text").and_then(as_text) {
        text.as_bytes().to_vec()
    } else if let Some(encoded) = member(case, "document_b64").and_then(as_text) {
        base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .map_err(|error| format!("document_b64 is not Base64: {error}"))?
    } else {
        return Err("neither expect nor a document; add request and expect, or document".to_owned());
    };
    let (agrees, found) = match PolicyDocument::parse(&bytes, kind) {
        Ok(_) => (false, "that it is accepted".to_owned()),
        Err(error) => (true, format!("a refusal: {error}")),
    };
    Ok(Outcomes { agrees, expected: "a refusal".to_owned(), found, explanation: None })
}

fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Object(members) => {
            members.iter().find(|member| member.name == name).map(|member| &member.value)
        }
        _ => None,
    }
}

fn names(node: &Node) -> impl Iterator<Item = &str> {
    let members = match &node.value {
        Value::Object(members) => members.as_slice(),
        _ => &[],
    };
    members.iter().map(|member| &*member.name)
}

fn as_text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn as_list<'a>(node: &'a Node, what: &str) -> Result<&'a [Node], String> {
    match &node.value {
        Value::List(entries) => Ok(entries),
        _ => Err(format!("{what} is {}; write a list of documents", node.type_name())),
    }
}
