//! A compiled statement, and how it answers a request.

use crate::action::{ActionName, Actions};
use crate::conditions::{Conditions, Verdict};
use crate::context::Context;
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
pub(crate) struct ParsedRequest<'a> {
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
    pub(crate) fn applies(&self, request: &ParsedRequest<'_>) -> Verdict<'_> {
        // The resource first: among statements about one service it is what tells them apart soonest.
        let fits = self.resource_fits(request.resource)
            && self.actions.cover(request.action)
            && self.principals_fit(request.principal);
        if fits { self.conditions.evaluate(request.context) } else { Verdict::Fails }
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
