//! Why a document was refused, and where.

use std::fmt;

use serde::Serialize;

/// The class of a refusal. The sentence that a person reads is in [`InvalidPolicy::message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text starts with a byte order mark.
    ByteOrderMark,
    /// The text holds a NUL character, plain or escaped.
    NulCharacter,
    /// The text has more Unicode characters than its kind of document may have.
    TooLong,
    /// There is no text.
    EmptyText,
    /// The text is not JSON.
    NotJson,
    /// A `\u` escape is half of a surrogate pair.
    LoneSurrogate,
    /// Something follows the document.
    TrailingText,
    /// Objects and lists are nested deeper than any policy needs.
    TooDeep,
    /// An object names the same element twice.
    DuplicateElement,
    /// A value has another JSON type than its element needs.
    DataTypeMismatch,
    /// A required element is missing.
    MissingElement,
    /// Two elements that exclude each other stand in one statement.
    ConflictingElements,
    /// RAM has no element of this name.
    UnknownElement,
    /// The element exists, but not in this kind of document.
    ElementNotAllowedHere,
    /// `Version` is not `"1"`.
    InvalidVersion,
    /// `Effect` is neither `Allow` nor `Deny`.
    InvalidEffect,
    /// A list that needs an entry has none.
    EmptyList,
    /// An action is neither `*` nor `<ram-code>:<action-name>`.
    InvalidAction,
    /// A resource does not begin with `acs:`.
    InvalidArnPrefix,
    /// A resource begins with `acs:`, but lacks a part.
    InvalidArn,
    /// A principal is not one identity, account, service or provider.
    InvalidPrincipal,
    /// An operator of a `Condition` block is empty.
    EmptyCondition,
    /// RAM has no condition operator of this name.
    InvalidConditionOperator,
    /// A condition key is not of the form `<ram-code>:<name>`.
    InvalidConditionKey,
    /// A key of the `acs:` prefix that nobody publishes.
    UnknownConditionKey,
    /// The same condition key in two spellings under one operator.
    DuplicateConditionKey,
    /// `Bool` with more than one value.
    MultipleBooleanValues,
    /// A condition value is not of the operator's type.
    InvalidConditionValue,
}

/// A refused policy document: what is wrong, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InvalidPolicy {
    /// The class of the refusal.
    pub reason: Reason,
    /// JSON pointer (RFC 6901) to the offending value; empty for the document itself.
    pub pointer: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in Unicode characters, counted from 1.
    pub column: usize,
    /// What is wrong and how to mend it, in plain words.
    pub message: String,
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if !self.pointer.is_empty() {
            write!(f, ", {}", self.pointer)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for InvalidPolicy {}

/// A refusal before its byte offset has become a line and a column.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) at: usize,
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason, at: usize, pointer: String, message: impl Into<String>) -> Self {
        Self { reason, at, pointer, message: message.into() }
    }

    /// Counts lines and columns of `text` up to the fault. Bytes that are not UTF-8 count as one character each.
    pub(crate) fn in_text(self, text: &[u8]) -> InvalidPolicy {
        let before = &text[..self.at.min(text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
        InvalidPolicy { reason: self.reason, pointer: self.pointer, line, column, message: self.message }
    }
}

/// Where in the document a reader stands; prints as a JSON pointer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn push(&mut self, step: impl Into<String>) {
        self.0.push(step.into());
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// The path of a child of this one.
    pub(crate) fn child(&self, step: impl Into<String>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }

    pub(crate) fn pointer(&self) -> String {
        self.0.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
    }
}
