//! Findings about single entries of Action, NotAction, Resource and NotResource.

use crate::action::{ActionName, ActionPattern};
use crate::glob::{Glob, LetterCase};
use crate::resource::Resources;
use crate::statement::{Effect, Statement};

use super::sites::{ElementSites, StatementSites};
use super::{Lint, Linter, Severity, cover};

impl Linter<'_> {
    pub(super) fn actions(&mut self, statement: &Statement, sites: &StatementSites) {
        let actions = &statement.actions;
        for ((pattern, spelled), site) in
            actions.patterns.iter().zip(&actions.spelled).zip(&sites.actions.entries)
        {
            let ActionPattern::Of { service, name } = pattern else { continue };
            let known: Vec<&str> = self
                .vocabulary
                .actions()
                .iter()
                .map(|action| &*action.name)
                .filter(|action| pattern.matches(ActionName::split(action)))
                .collect();
            let literal = name.literal().is_some();
            let service = service.literal().filter(|service| self.vocabulary.knows_service(service));
            if let ([exact], Some(_), true) = (&*known, service, literal) {
                if **exact != **spelled {
                    self.mark(
                        Severity::Suggestion,
                        Lint::ActionCase,
                        site,
                        format!(
                            "{spelled:?} is documented as {exact:?}; letters of actions compare without case"
                        ),
                        format!("write {exact}"),
                    );
                }
            } else if known.is_empty()
                && let Some(service) = service
            {
                let all: Vec<String> = self
                    .vocabulary
                    .actions()
                    .iter()
                    .filter(|action| {
                        ActionName::split(&action.name)
                            .is_some_and(|a| a.service.eq_ignore_ascii_case(service))
                    })
                    .map(|action| action.name.to_string())
                    .collect();
                let mend = match nearest(spelled, &all) {
                    Some(meant) => format!("write {meant} if that is meant"),
                    None => format!("write one of {}", all.join(", ")),
                };
                let message = if literal {
                    format!("{service} has no action {spelled:?}, so this entry is about nothing")
                } else {
                    format!("no action of {service} fits {spelled:?}, so this entry is about nothing")
                };
                self.mark(Severity::GeneralWarning, Lint::UnknownAction, site, message, mend);
            }
        }
        let texts: Vec<String> = actions.spelled.iter().map(|text| text.to_ascii_lowercase()).collect();
        self.entries(&sites.actions, &texts, |wide, narrow| {
            cover::action_pattern(&actions.patterns[wide], &actions.patterns[narrow])
        });
    }

    pub(super) fn resources(&mut self, statement: &Statement, sites: &StatementSites) {
        let (Some(resources), Some(places)) = (&statement.resources, &sites.resources) else { return };
        for ((pattern, spelled), site) in
            resources.patterns.iter().zip(&resources.spelled).zip(&places.entries)
        {
            if spelled.contains("${") {
                self.mark(
                    Severity::GeneralWarning,
                    Lint::PolicyVariable,
                    site,
                    format!(
                        "{spelled:?} holds ${{...}}, which RAM does not replace; it is compared as plain text"
                    ),
                    "write the value itself, or use * and a condition",
                );
            }
            let Some([service, _, account, _]) = pattern.parts() else { continue };
            if let Some(code) = service.literal()
                && let Some(meant) = self
                    .vocabulary
                    .services()
                    .find(|known| known.eq_ignore_ascii_case(code) && *known != code)
            {
                let message = format!(
                    "{spelled:?} names no resource: resources compare with case, and the ram-code is {meant}"
                );
                let mend = format!("write {meant}");
                self.mark(Severity::GeneralWarning, Lint::ResourceCase, site, message, mend);
            }
            let number = |glob: &Glob| {
                glob.source().bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'?'))
            };
            // Ready-made policies belong to no account.
            let ready_made = service.literal() == Some("ram") && account.source() == "system";
            if !number(account) && !ready_made && !account.source().contains("${") {
                self.mark(
                    Severity::GeneralWarning,
                    Lint::AccountForm,
                    site,
                    format!("{:?} is no account id, so {spelled:?} is about nothing", account.source()),
                    "write the 16 digits of the account, or *",
                );
            }
        }
        let texts: Vec<String> = resources.spelled.iter().map(|text| text.to_string()).collect();
        self.entries(places, &texts, |wide, narrow| {
            resources.patterns[wide].covers(&resources.patterns[narrow])
        });
        if resources.negated {
            let mend = "name the resources that are meant in Resource";
            if statement.effect == Effect::Allow {
                let message =
                    "Allow with NotResource permits every other resource, also those that do not exist yet";
                self.mark(Severity::SecurityWarning, Lint::AllowNotResource, &places.name, message, mend);
            } else {
                let message = "the newer pages of the RAM grammar no longer have NotResource; it is understood here, but may be refused elsewhere";
                self.mark(Severity::Suggestion, Lint::NotResourceUsed, &places.name, message, mend);
            }
        }
    }

    /// Reports the duplicate and covered entries of a list. `covers(wide, narrow)` compares two entries by their
    /// indices.
    pub(super) fn entries(
        &mut self,
        sites: &ElementSites,
        texts: &[String],
        covers: impl Fn(usize, usize) -> bool,
    ) {
        for (place, (text, site)) in texts.iter().zip(&sites.entries).enumerate() {
            if texts[..place].contains(text) {
                let message = format!("{text:?} stands twice in this list");
                self.mark(Severity::Suggestion, Lint::DuplicateValue, site, message, "remove one of them");
                continue;
            }
            let wider = (0..texts.len()).find(|other| {
                texts[*other] != *text && covers(*other, place) && !(*other > place && covers(place, *other))
            });
            if let Some(wider) = wider {
                let message = format!("{text:?} says nothing new, since {:?} covers it", texts[wider]);
                self.mark(
                    Severity::Suggestion,
                    Lint::RedundantEntry,
                    site,
                    message,
                    "remove the narrower entry",
                );
            }
        }
    }

    /// Compares the resources that the statement's actions are checked on with the resources that the statement
    /// names.
    pub(super) fn reach(&mut self, statement: &Statement, sites: &StatementSites) {
        let Some(resources) = &statement.resources else { return };
        if resources.negated || resources.patterns.iter().any(|pattern| pattern.parts().is_none()) {
            return;
        }
        if statement.actions.negated {
            return self.reach_of_the_others(statement, resources, sites);
        }
        let mut nothing = true;
        for ((pattern, spelled), site) in
            statement.actions.patterns.iter().zip(&statement.actions.spelled).zip(&sites.actions.entries)
        {
            let known: Vec<_> = self
                .vocabulary
                .actions()
                .iter()
                .filter(|action| pattern.matches(ActionName::split(&action.name)))
                .collect();
            nothing &= !known.is_empty()
                && pattern.service().is_some()
                && !known.iter().any(|action| {
                    action
                        .resources
                        .iter()
                        .any(|form| resources.patterns.iter().any(|ours| ours.overlaps(form)))
                });
            if statement.effect == Effect::Allow {
                continue;
            }
            let listing = known.iter().filter(|action| action.on_all).count();
            let list_by_name = known.is_empty() && looks_like_a_list(pattern);
            if listing > 0 || list_by_name {
                let severity = if listing == known.len() || list_by_name {
                    Severity::SecurityWarning
                } else {
                    Severity::GeneralWarning
                };
                let message = format!("{spelled:?} takes in an operation {ASKED_ON_STAR}");
                self.mark(severity, Lint::DenyListOnArn, site, message, DENY_ON_STAR);
            }
        }
        if nothing {
            self.mark(
                Severity::GeneralWarning,
                Lint::NeverMatches,
                &sites.whole,
                "none of these actions is asked on any of these resources, so the statement never matches",
                "write \"Resource\": \"*\", or the name form that the action is asked on",
            );
        }
    }

    /// Reports a Deny with NotAction that includes operations on `*` of the products whose resources it names. A
    /// NotAction that lists these operations is not reported.
    fn reach_of_the_others(&mut self, statement: &Statement, resources: &Resources, sites: &StatementSites) {
        let of_a_named_product = |action: &str| {
            resources.patterns.iter().filter_map(|pattern| pattern.parts()).any(|[code, ..]| {
                ActionName::split(action).is_some_and(|action| code.matches(action.service))
            })
        };
        let listing = self.vocabulary.actions().iter().find(|action| {
            action.on_all
                && of_a_named_product(&action.name)
                && statement.actions.cover(ActionName::split(&action.name))
        });
        if let (Effect::Deny, Some(listing)) = (statement.effect, listing) {
            let message = format!("NotAction takes in {}, an operation {ASKED_ON_STAR}", listing.name);
            let (severity, place) = (Severity::GeneralWarning, &sites.actions.name);
            self.mark(severity, Lint::DenyListOnArn, place, message, DENY_ON_STAR);
        }
    }
}

/// What is wrong with a Deny, on a resource name, of an operation that is checked on `*`, and how to correct it. The
/// Deny may still remove rows from a list, so it is not without effect.
const ASKED_ON_STAR: &str = "that is asked on *, which a Deny on a resource name need not refuse as a whole";
const DENY_ON_STAR: &str = "deny it on \"Resource\": \"*\" in a statement of its own";

/// Whether an operation, judged by its name, is a list operation and therefore has no resource of its own.
fn looks_like_a_list(pattern: &ActionPattern) -> bool {
    match pattern {
        ActionPattern::Any => false,
        ActionPattern::Of { name, .. } => Glob::new("list*", LetterCase::Folded).covers(name),
    }
}

/// The known name that `text` was most likely meant to be.
pub(super) fn nearest<'a>(text: &str, known: &'a [String]) -> Option<&'a str> {
    let wrote = text.to_ascii_lowercase();
    known
        .iter()
        .map(|name| (distance(&wrote, &name.to_ascii_lowercase()), &**name))
        .min()
        .filter(|(distance, name)| *distance <= 3.max(name.len() / 6))
        .map(|(_, name)| name)
}

/// The number of characters that have to be inserted, removed or replaced (Levenshtein distance).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let change = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
