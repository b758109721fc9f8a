//! Actions, `<ram-code>:<action-name>`, and patterns for them. Letters compare without case.

use crate::glob::{Glob, LetterCase};
use crate::memory::Held;

/// The action of a request, cut at its colon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActionName<'a> {
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> ActionName<'a> {
    /// None for a text without colon, which only the pattern `*` matches.
    pub(crate) fn split(action: &'a str) -> Option<Self> {
        action.split_once(':').map(|(service, name)| Self { service, name })
    }
}

/// What one entry of `Action` or `NotAction` covers.
#[derive(Debug)]
pub(crate) enum ActionPattern {
    Any,
    Of { service: Glob, name: Glob },
}

impl ActionPattern {
    /// Refuses a text that could never match an action. The message says what is wrong and how to correct it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Some((service, name)) = text.split_once(':') else {
            return Err(format!(
                "{text:?} is not an action; write <ram-code>:<action-name>, such as ecs-workbench:List*, or * alone"
            ));
        };
        if service.is_empty() || name.is_empty() {
            return Err(format!(
                "{text:?} lacks the part on one side of the colon; write <ram-code>:<action-name>"
            ));
        }
        if name.contains(':') {
            return Err(format!("{text:?} has more than one colon; write one action per list entry"));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '*' | '?');
        if let Some(odd) = text.chars().find(|c| !fits(*c) && *c != ':') {
            return Err(format!(
                "{text:?} holds {odd:?}, which no action has; write one action per list entry"
            ));
        }
        Ok(Self::Of {
            service: Glob::new(service, LetterCase::Folded),
            name: Glob::new(name, LetterCase::Folded),
        })
    }

    pub(crate) fn matches(&self, action: Option<ActionName<'_>>) -> bool {
        match (self, action) {
            (Self::Any, _) => true,
            // The name first: it tells patterns apart sooner, and the index has looked at the service already.
            (Self::Of { service, name }, Some(asked)) => {
                name.matches(asked.name) && service.matches(asked.service)
            }
            (Self::Of { .. }, None) => false,
        }
    }

    /// The one service, in lower case, that this pattern is about; None if it may be about several.
    pub(crate) fn service(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Of { service, .. } => service.literal(),
        }
    }
}

/// `Action` or `NotAction` of a statement.
#[derive(Debug)]
pub(crate) struct Actions {
    pub(crate) negated: bool,
    pub(crate) patterns: Box<[ActionPattern]>,
    /// The patterns as the policy spells them.
    pub(crate) spelled: Box<[Box<str>]>,
}

impl Actions {
    pub(crate) fn cover(&self, action: Option<ActionName<'_>>) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(action)) != self.negated
    }

    /// The services, in lower case, that the statement can be about; None if it can be about any.
    pub(crate) fn services(&self) -> Option<Vec<&str>> {
        if self.negated {
            return None;
        }
        self.patterns.iter().map(ActionPattern::service).collect()
    }
}

impl Held for Actions {
    fn held(&self) -> usize {
        self.patterns.held() + self.spelled.held()
    }
}

impl Held for ActionPattern {
    fn held(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Of { service, name } => service.held() + name.held(),
        }
    }
}
