//! The linter: everything that is wrong with a document or looks like a mistake, with its place and how to correct it.

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

/// How much a finding matters; the four classes of the vendor's validator, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// It permits more, or denies less, than it seems to.
    #[serde(rename = "Security Warning")]
    SecurityWarning,
    /// It does not do what it seems to do.
    #[serde(rename = "General Warning")]
    GeneralWarning,
    /// It does, but can be written better.
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
    /// NotResource, which the newer pages of the grammar no longer have.
    NotResourceUsed,
    /// An Allow with an operator that holds when its key is absent.
    NegatedOperatorOnAllow,
    /// A Deny with an operator that fails when its key is absent.
    DenyMissesAbsentKey,
    /// A Deny on a resource name, of an operation whose resource is `*`.
    DenyListOnArn,
    /// An address block with host bits.
    CidrHostBits,
    /// `${...}`, which is plain text here.
    PolicyVariable,
    /// `*` or `?` in a value that is compared exactly.
    WildcardInExactValue,
    /// Letters beyond a to z in a value that is compared without case.
    LettersNotFolded,
    /// A condition key that nothing is known to set.
    UnknownConditionKey,
    /// A condition key that no action of the statement sets.
    ConditionKeyNeverSet,
    /// A Condition without any operator.
    EmptyCondition,
    /// A key under an operator for another type of value.
    KeyOfOtherType,
    /// A condition key in other letters than documented.
    KeyCase,
    /// An action that the product does not have.
    UnknownAction,
    /// An action in other letters than documented.
    ActionCase,
    /// A ram-code of a resource in other letters than documented, which never matches.
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
    /// A single statement that stands without its list.
    BareStatement,
}

/// The rule of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// For this the document is refused.
    Refused(Reason),
    /// This looks like a mistake.
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
    /// What it is an instance of.
    pub rule: Rule,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in Unicode characters, counted from 1.
    pub column: usize,
    /// JSON pointer (RFC 6901); empty for the document itself.
    pub pointer: String,
    /// What is wrong, in a plain sentence.
    pub message: String,
    /// How to mend it.
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
/// A text that is not JSON yields that one error, because the rest has no meaning. Otherwise all errors are found, and
/// statements without errors are looked at for mistakes. `vocabulary` holds the actions and keys that exist; without
/// it, misspelt ones cannot be found.
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

/// A finding before its byte offset has become a line and a column.
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
        // The reason matters to refusals only; the place is counted in the same way for all.
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

/// Cuts a refusal's message into what is wrong and what to do: at the first semicolon that is not quoted.
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
