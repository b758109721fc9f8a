//! A policy document as it is held: parsed strictly, compiled, immutable.

use crate::grammar;
use crate::invalid::{Fault, InvalidPolicy, Reason};
use crate::memory::Held;
use crate::statement::{DocumentKind, Statement};

/// A parsed policy document. [`PolicyDocument::parse`] is the only way to get one.
#[derive(Debug)]
pub struct PolicyDocument {
    kind: DocumentKind,
    pub(crate) statements: Box<[Statement]>,
}

impl PolicyDocument {
    /// Reads a document strictly and compiles it. Nothing is ever skipped: what cannot be understood as a whole is
    /// refused as a whole.
    ///
    /// # Errors
    /// The first mistake, with its position and how to correct it.
    pub fn parse(text: &[u8], kind: DocumentKind) -> Result<Self, InvalidPolicy> {
        let statements = check_text(text, kind)
            .and_then(|text| grammar::read(text, kind))
            .map_err(|fault| fault.in_text(text))?;
        Ok(Self { kind, statements })
    }

    /// What the document is for.
    #[must_use]
    pub fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// How many bytes of memory it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.statements.held()
    }

    /// How many statements it has; at least one.
    #[must_use]
    pub fn statement_count(&self) -> usize {
        self.statements.len()
    }
}

/// UTF-8 of a length that the kind of document may have.
pub(crate) fn check_text(text: &[u8], kind: DocumentKind) -> Result<&str, Fault> {
    let limit = kind.max_characters();
    let too_long = |found: usize, least: &str| {
        let message = format!(
            "the document has {least}{found} characters; at most {limit} are allowed, white space included"
        );
        Fault::new(Reason::TooLong, 0, String::new(), message)
    };
    // A character has at most four bytes, so such a text is too long whatever it says; do not even look at it.
    if text.len() > limit * 4 {
        return Err(too_long(text.len() / 4, "more than "));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let message = "the document is not UTF-8 from here on; save it as UTF-8";
        Fault::new(Reason::NotUtf8, error.valid_up_to(), String::new(), message)
    })?;
    let found = text.chars().count();
    if found > limit { Err(too_long(found, "")) } else { Ok(text) }
}
