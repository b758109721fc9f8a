//! The plain text of an explanation.

use std::fmt;

use crate::decision::{AllowedBy, Decision, PolicyType};

use super::{
    ElementExplanation, Explanation, KeyExplanation, KeyResult, LayerAnswer, LayerExplanation,
    StatementExplanation, is_all,
};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} for {} on {}", self.action, self.principal, self.resource)?;
        write!(f, "{}", self.decision.outcome().as_str())?;
        match &self.decision {
            Decision::Allow { by: AllowedBy::AccountOwner } => {
                writeln!(f, ": the account owner is bound by no policy")?;
            }
            Decision::Allow { by: AllowedBy::Statement(by) } => writeln!(f, ": allowed by {by}")?,
            Decision::Deny(_) if self.layers.is_empty() => {
                writeln!(f, ": the account owner cannot assume a role")?;
            }
            Decision::Deny(reason) => writeln!(f, ": {reason}")?,
        }
        for layer in &self.layers {
            writeln!(f)?;
            layer.fmt(f)?;
        }
        if !self.absent_keys.is_empty() {
            writeln!(f)?;
            writeln!(f, "the request does not carry: {}", self.absent_keys.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for LayerExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", PolicyType::from(self.layer).as_str())?;
        if let Some(level) = self.level {
            write!(f, ", level {level}")?;
        }
        write!(f, ": ")?;
        match &self.says {
            LayerAnswer::Allow { by } => write!(f, "allowed by {}#{}", by.policy, by.statement)?,
            LayerAnswer::ExplicitDeny { by } => write!(f, "denied by {}#{}", by.policy, by.statement)?,
            LayerAnswer::NothingAllows if self.statements == 0 => write!(f, "it has no statements")?,
            LayerAnswer::NothingAllows => write!(f, "nothing allows it")?,
            LayerAnswer::CannotEvaluate { by, why } => {
                write!(f, "{}#{} may deny it: {why}", by.policy, by.statement)?;
            }
        }
        match (self.asked, self.decides) {
            (false, _) => writeln!(f, " (not asked, a layer before it ended the evaluation)")?,
            (true, true) => writeln!(f, " (decides)")?,
            (true, false) => writeln!(f)?,
        }
        self.nearest.iter().try_for_each(|statement| statement.fmt(f))
    }
}

impl fmt::Display for StatementExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = if self.fits { "fits" } else { "does not fit" };
        writeln!(f, "  {} {}#{} {fits}", self.effect, self.id.policy, self.id.statement)?;
        for element in
            [self.principal.as_ref(), Some(&self.action), self.resource.as_ref()].into_iter().flatten()
        {
            element.fmt(f)?;
        }
        self.conditions.iter().try_for_each(|key| key.fmt(f))
    }
}

impl fmt::Display for ElementExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (element, found, wanted) = (self.element, &self.found, self.wanted.join(", "));
        let negated = element.starts_with("Not");
        match (self.fits, negated) {
            (true, false) => writeln!(f, "    {element} fits: {found} is covered by {wanted}"),
            (true, true) => writeln!(f, "    {element} fits: {found} is not one of {wanted}"),
            (false, false) if element == "Resource" && is_all(found) => {
                writeln!(
                    f,
                    "    {element} fails: the request is about *, which only Resource * covers, not {wanted}"
                )
            }
            (false, false) => writeln!(f, "    {element} fails: {found} is not covered by {wanted}"),
            (false, true) if element == "NotResource" && is_all(found) => {
                writeln!(f, "    {element} fails: the request is about *, which only Resource * covers")
            }
            (false, true) => writeln!(f, "    {element} fails: {found} is left out by {wanted}"),
        }
    }
}

impl fmt::Display for KeyExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, key) = (self.operator, &self.key);
        let (wanted, found) = (self.wanted.join(", "), self.found.join(", "));
        match self.result {
            KeyResult::Holds if self.found.is_empty() => {
                writeln!(
                    f,
                    "    Condition {operator} holds: the request does not carry {key}, so it is none of {wanted}"
                )
            }
            KeyResult::Holds => {
                writeln!(f, "    Condition {operator} holds: {key} is {found}, with {wanted} in the policy")
            }
            KeyResult::Absent => {
                writeln!(
                    f,
                    "    Condition {operator} fails: the request does not carry {key}, wanted is {wanted}"
                )
            }
            KeyResult::Unequal => {
                writeln!(f, "    Condition {operator} fails: {key} is {found}, wanted is {wanted}")
            }
            KeyResult::Excluded => {
                writeln!(f, "    Condition {operator} fails: {key} is {found}, ruled out by {wanted}")
            }
            KeyResult::Unreadable => {
                writeln!(
                    f,
                    "    Condition {operator} cannot be evaluated: {key} is {found}, which it cannot read"
                )
            }
        }
    }
}
