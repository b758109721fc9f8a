//! A policy document as it is held: parsed strictly, compiled, immutable.

use crate::action::{ActionName, Actions};
use crate::conditions::{Conditions, Verdict};
use crate::context::Context;
use crate::grammar;
use crate::invalid::{Fault, InvalidPolicy, Reason};
use crate::memory::Held;
use crate::principal::Principals;
use crate::resource::{ResourceName, Resources};

/// What a document is for. It decides the elements and the length that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// Attached to a user, a group or a role.
    Identity,
    /// Given to AssumeRole; narrows one session.
    Session,
    /// Set over a whole account.
    Control,
    /// Says who may assume a role: has principals and no resources.
    Trust,
}

impl DocumentKind {
    /// How many Unicode characters the text may have, white space included.
    #[must_use]
    pub fn max_characters(self) -> usize {
        match self {
            Self::Session => 2_048,
            Self::Identity | Self::Control | Self::Trust => 6_144,
        }
    }
}

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
    /// The first thing that is wrong, with its position and how to mend it.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// A compiled statement. Action, resource, principal and condition have to fit within one statement; statements
/// are never merged.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    pub(crate) actions: Actions,
    /// None in a trust policy, whose resource is the role that it belongs to.
    pub(crate) resources: Option<Resources>,
    /// None except in a trust policy.
    pub(crate) principals: Option<Principals>,
    pub(crate) conditions: Conditions,
}

/// A request, cut into what statements compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a str,
    pub(crate) action: Option<ActionName<'a>>,
    pub(crate) resource: ResourceName<'a>,
    pub(crate) context: &'a Context,
}

impl Held for Statement {
    fn held(&self) -> usize {
        self.actions.held() + self.resources.held() + self.principals.held() + self.conditions.held()
    }
}

impl Statement {
    /// Whether the statement applies to the request.
    pub(crate) fn applies(&self, asked: &Asked<'_>) -> Verdict<'_> {
        // The resource first: among statements about one service it is what tells them apart soonest.
        let fits = self.resource_fits(asked.resource)
            && self.actions.cover(asked.action)
            && self.principals_fit(asked.principal);
        if fits { self.conditions.evaluate(asked.context) } else { Verdict::Fails }
    }

    pub(crate) fn resource_fits(&self, resource: ResourceName<'_>) -> bool {
        self.resources.as_ref().is_none_or(|resources| match self.effect {
            Effect::Allow => resources.cover_for_allow(resource),
            Effect::Deny => resources.cover_for_deny(resource),
        })
    }

    pub(crate) fn principals_fit(&self, principal: &str) -> bool {
        self.principals.as_ref().is_none_or(|principals| principals.include(principal))
    }
}
