//! The linter. It finds everything that is wrong with a document or looks like a mistake, gives the place, and says
//! how to correct it.

mod conditions;
mod cover;
mod elements;
mod sites;
mod statements;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::document::check_text;
use crate::grammar;
use crate::invalid::{Fault, Reason};
use crate::statement::{DocumentKind, Statement};
use crate::vocabulary::Vocabulary;

use sites::{Site, StatementSites};

/// How serious a finding is. These are the four classes of the vendor's validator, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document permits more, or denies less, than it seems to.
    #[serde(rename = "Security Warning")]
    SecurityWarning,
    /// The document does not do what it seems to do.
    #[serde(rename = "General Warning")]
    GeneralWarning,
    /// The document does what it seems to do, but can be written better.
    Suggestion,
}

impl Severity {
    /// The name, as the vendor's validator writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::SecurityWarning => "Security Warning",
            Self::GeneralWarning => "General Warning",
            Self::Suggestion => "Suggestion",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What looks like a mistake in a document that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Lint {
    /// An Allow of `*` on `*` without condition.
    AllowsEverything,
    /// A Deny of `*` on `*` without condition.
    DeniesEverything,
    /// An Allow with NotAction.
    AllowNotAction,
    /// An Allow with NotResource.
    AllowNotResource,
    /// NotResource, which the newer pages of the grammar no longer contain.
    NotResourceUsed,
    /// An Allow with an operator that holds when its key is absent.
    NegatedOperatorOnAllow,
    /// A Deny with an operator that does not hold when its key is absent.
    DenyMissesAbsentKey,
    /// A Deny on a resource name, for an operation whose resource is `*`.
    DenyListOnArn,
    /// An address block with host bits that are not zero.
    CidrHostBits,
    /// `${...}`, which is plain text here.
    PolicyVariable,
    /// `*` or `?` in a value that is compared exactly.
    WildcardInExactValue,
    /// Letters other than a to z in a value that is compared without regard to case.
    LettersNotFolded,
    /// A condition key that nothing known sets.
    UnknownConditionKey,
    /// A condition key that no action of the statement sets.
    ConditionKeyNeverSet,
    /// A Condition without any operator.
    EmptyCondition,
    /// A key under an operator for another type of value.
    KeyOfOtherType,
    /// A condition key spelled in other letter case than documented.
    KeyCase,
    /// An action that the product does not have.
    UnknownAction,
    /// An action spelled in other letter case than documented.
    ActionCase,
    /// A ram-code of a resource spelled in other letter case than documented, so that it never matches.
    ResourceCase,
    /// A malformed account id.
    AccountForm,
    /// A statement that no request fits.
    NeverMatches,
    /// An Allow that a Deny of the same document always overrides.
    AlwaysDenied,
    /// The same value twice in a list.
    DuplicateValue,
    /// An entry that another entry of its list covers.
    RedundantEntry,
    /// A statement that another statement covers.
    RedundantStatement,
    /// A single statement that is not in a list.
    BareStatement,
}

/// The rule behind a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The reason for which the document is refused.
    Refused(Reason),
    /// The kind of likely mistake.
    Lint(Lint),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "{reason:?}"),
            Self::Lint(lint) => write!(f, "{lint:?}"),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something to correct in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The rule behind it.
    pub rule: Rule,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in Unicode characters, counted from 1.
    pub column: usize,
    /// JSON pointer (RFC 6901); empty for the document itself.
    pub pointer: String,
    /// What is wrong, in a plain sentence.
    pub message: String,
    /// How to correct it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} {}: {}", self.line, self.column, self.severity, self.rule, self.message)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        if self.pointer.is_empty() { Ok(()) } else { write!(f, " ({})", self.pointer) }
    }
}

/// All findings about a document, in the order of the text. A document is refused by
/// [`PolicyDocument::parse`](crate::PolicyDocument::parse) exactly if one of the findings is an
/// [`Error`](Severity::Error).
///
/// A text that is not JSON yields only that one error, because nothing else in it has a meaning. Otherwise all errors
/// are found, and the statements without errors are checked for mistakes. `vocabulary` contains the actions and keys
/// that exist; without it, misspelt ones cannot be found.
#[must_use]
pub fn check(text: &[u8], kind: DocumentKind, vocabulary: &Vocabulary) -> Vec<Finding> {
    let readable = match check_text(text, kind) {
        Ok(readable) => readable,
        Err(fault) => return vec![refusal(fault).in_text(text)],
    };
    let reading = grammar::read_all(readable, kind);
    let mut marks: Vec<Mark> = reading.faults.into_iter().map(refusal).collect();
    if let Some(root) = &reading.root {
        let nodes = sites::statements(root);
        let compiled: Vec<(usize, &Statement, StatementSites)> = nodes
            .iter()
            .zip(&reading.statements)
            .enumerate()
            .filter_map(|(index, ((node, path), statement))| {
                Some((index, statement.as_ref()?, StatementSites::of(node, path)?))
            })
            .collect();
        let mut linter = Linter { kind, vocabulary, marks: &mut marks };
        linter.bare_statement(root);
        for (_, statement, sites) in &compiled {
            linter.actions(statement, sites);
            linter.resources(statement, sites);
            linter.reach(statement, sites);
            linter.conditions(statement, sites);
            linter.breadth(statement, sites);
        }
        linter.redundancy(&compiled);
    }
    marks.sort_by_key(|mark| (mark.at, mark.severity));
    marks.into_iter().map(|mark| mark.in_text(text)).collect()
}

/// A finding whose byte offset has not been converted to line and column yet.
struct Mark {
    severity: Severity,
    rule: Rule,
    at: usize,
    pointer: String,
    message: String,
    mend: String,
}

impl Mark {
    fn in_text(self, text: &[u8]) -> Finding {
        // The reason matters to refusals only; line and column are computed the same way for every finding.
        let placed = Fault::new(Reason::NotJson, self.at, self.pointer, self.message).in_text(text);
        Finding {
            severity: self.severity,
            rule: self.rule,
            line: placed.line,
            column: placed.column,
            pointer: placed.pointer,
            message: placed.message,
            mend: self.mend,
        }
    }
}

fn refusal(fault: Fault) -> Mark {
    let (message, mend) = split_advice(&fault.message);
    let mend = match (mend, fault.reason) {
        ("", Reason::NotJson) => "write valid JSON",
        ("", Reason::TooLong) => "split it into several policies, or leave out white space",
        (mend, _) => mend,
    };
    Mark {
        severity: Severity::Error,
        rule: Rule::Refused(fault.reason),
        at: fault.at,
        pointer: fault.pointer,
        message: message.to_owned(),
        mend: mend.to_owned(),
    }
}

/// Splits the message of a refusal into what is wrong and what to do, at the first semicolon that is not quoted.
fn split_advice(message: &str) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in message.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return (&message[..at], message[at + 1..].trim_start()),
            _ => {}
        }
    }
    (message, "")
}

struct Linter<'a> {
    kind: DocumentKind,
    vocabulary: &'a Vocabulary,
    marks: &'a mut Vec<Mark>,
}

impl Linter<'_> {
    fn mark(
        &mut self,
        severity: Severity,
        lint: Lint,
        site: &Site,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.marks.push(Mark {
            severity,
            rule: Rule::Lint(lint),
            at: site.at,
            pointer: site.pointer.clone(),
            message: message.into(),
            mend: mend.into(),
        });
    }
}
