//! Findings about whole statements, and about several statements together.

use crate::action::ActionPattern;
use crate::glob::{Glob, LetterCase};
use crate::json::{Node, Value};
use crate::statement::{DocumentKind, Effect, Statement};

use super::sites::{Site, StatementSites};
use super::{Lint, Linter, Severity, cover};

impl Linter<'_> {
    pub(super) fn bare_statement(&mut self, root: &Node) {
        let Value::Object(members) = &root.value else { return };
        let Some(member) = members.iter().find(|member| member.name == "Statement") else { return };
        if matches!(member.value.value, Value::Object(_)) {
            let site = Site { at: member.value.at, pointer: "/Statement".to_owned() };
            let message = "the single statement stands without a list; it is understood here, but may be refused elsewhere";
            self.mark(Severity::Suggestion, Lint::BareStatement, &site, message, "put it into [ ]");
        }
    }

    /// Reports a statement that covers everything, nothing, or more than it seems to.
    pub(super) fn breadth(&mut self, statement: &Statement, sites: &StatementSites) {
        let actions = &statement.actions;
        let every_action = actions.patterns.iter().any(|pattern| match pattern {
            ActionPattern::Any => true,
            ActionPattern::Of { service, name } => [service, name].iter().all(|glob| is_star(glob)),
        });
        let resources = statement.resources.as_ref();
        // An operation without a resource is checked on `*` itself; no resource name covers it.
        let star = resources
            .is_some_and(|resources| resources.patterns.iter().any(|pattern| pattern.parts().is_none()));
        let every_name = resources.is_some_and(|resources| {
            let all = |parts: [&Glob; 4]| parts.iter().all(|glob| is_star(glob));
            resources.patterns.iter().any(|pattern| pattern.parts().is_some_and(all))
        });
        let every_resource = star || every_name && statement.effect == Effect::Allow;
        if actions.negated && every_action {
            let message = "NotAction leaves out every action, so the statement never matches";
            let mend = "name the actions that are meant in Action";
            self.mark(Severity::GeneralWarning, Lint::NeverMatches, &sites.actions.name, message, mend);
        } else if actions.negated && statement.effect == Effect::Allow {
            let message = "Allow with NotAction permits every other action of every service, also those that do not exist yet";
            let mend = "name the actions that are meant in Action; NotAction belongs into Deny";
            self.mark(Severity::SecurityWarning, Lint::AllowNotAction, &sites.actions.name, message, mend);
        }
        if let Some(places) = sites.resources.as_ref()
            && resources.is_some_and(|resources| resources.negated)
            && every_resource
        {
            let message = "NotResource leaves out every resource, so the statement never matches";
            let mend = "name the resources that are meant in Resource";
            self.mark(Severity::GeneralWarning, Lint::NeverMatches, &places.name, message, mend);
        }
        let unlimited = !actions.negated
            && every_action
            && every_resource
            && !resources.is_some_and(|resources| resources.negated)
            && statement.conditions.tests().is_empty();
        match statement.effect {
            // A control policy has to allow everything that it does not mean to take away.
            Effect::Allow if unlimited && self.kind != DocumentKind::Control => self.mark(
                Severity::SecurityWarning,
                Lint::AllowsEverything,
                &sites.whole,
                "this permits every action on every resource",
                "name the actions and resources that are needed",
            ),
            Effect::Deny if unlimited => self.mark(
                Severity::GeneralWarning,
                Lint::DeniesEverything,
                &sites.whole,
                "this denies every action on every resource, so no Allow has any effect beside it",
                "name what is to be denied, or remove the statement",
            ),
            Effect::Allow | Effect::Deny => {}
        }
        if self.kind == DocumentKind::Trust && !actions.negated {
            self.trust_actions(statement, sites);
        }
    }

    fn trust_actions(&mut self, statement: &Statement, sites: &StatementSites) {
        let (service, names) =
            (Glob::new("sts", LetterCase::Folded), Glob::new("AssumeRole*", LetterCase::Folded));
        for (pattern, site) in statement.actions.patterns.iter().zip(&sites.actions.entries) {
            if let ActionPattern::Of { service: s, name } = pattern
                && !(s.overlaps(&service) && name.overlaps(&names))
            {
                let message = "a trust policy is asked about sts:AssumeRole and its kin only, so this entry never matches";
                self.mark(
                    Severity::GeneralWarning,
                    Lint::NeverMatches,
                    site,
                    message,
                    "write sts:AssumeRole",
                );
            }
        }
    }

    /// Reports statements that add nothing to the others.
    pub(super) fn redundancy(&mut self, statements: &[(usize, &Statement, StatementSites)]) {
        for (index, statement, sites) in statements {
            let others = || statements.iter().filter(|(other, ..)| other != index);
            let wider = others().find(|(other, wide, _)| {
                wide.effect == statement.effect
                    && cover::statement(wide, statement)
                    && (other < index || !cover::statement(statement, wide))
            });
            if let Some((wider, ..)) = wider {
                let message =
                    format!("statement {index} says nothing new, since statement {wider} covers it");
                self.mark(Severity::Suggestion, Lint::RedundantStatement, &sites.whole, message, "remove it");
            }
            let denied = others().find(|(_, wide, _)| {
                statement.effect == Effect::Allow
                    && wide.effect == Effect::Deny
                    && cover::statement(wide, statement)
            });
            if let Some((by, ..)) = denied {
                let message =
                    format!("statement {index} never allows anything, since statement {by} denies all of it");
                let mend = "narrow the Deny, or remove this statement";
                self.mark(Severity::GeneralWarning, Lint::AlwaysDenied, &sites.whole, message, mend);
            }
        }
    }
}

/// One or more stars and nothing else.
fn is_star(glob: &Glob) -> bool {
    !glob.source().is_empty() && glob.source().bytes().all(|byte| byte == b'*')
}
