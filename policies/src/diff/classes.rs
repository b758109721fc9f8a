//! The classes of requests, without their contexts: by action, resource and principal.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::action::{ActionName, ActionPattern};
use crate::glob::LetterCase;
use crate::principal::PrincipalPattern;
use crate::resource::{ResourceName, ResourcePattern};
use crate::statement::Statement;
use crate::vocabulary::Vocabulary;

use super::regions::{Bits, Budget, Pattern, Region, TooLarge, regions};

/// A request without its context. It represents all requests that the same statements match.
#[derive(Clone, Debug)]
pub(super) struct RequestClass {
    pub(super) principal: String,
    pub(super) action: String,
    pub(super) resource: String,
    /// The condition keys of the statements that match.
    pub(super) keys: Vec<String>,
}

/// Examples that are easy to read. Each is used if it belongs to the class.
const ACCOUNT: &str = "1234567890123456";
const ANYONE: &str = "acs:ram::1234567890123456:user/anyone";
const PREFERRED: [[&str; 3]; 4] = [
    ["ecs-workbench", "ecs", "ram"],
    ["cn-hangzhou", "cn-beijing", "cn-shanghai"],
    [ACCOUNT, "6543210987654321", ""],
    ["workbench/i-1", "workbench/i-2", "instance/i-1"],
];

/// Each set of statements that match some request, their conditions aside, with an example of such a request.
pub(super) fn requests(
    statements: &[&Statement],
    vocabulary: &Vocabulary,
    budget: &mut Budget,
) -> Result<Vec<(Bits, RequestClass)>, TooLarge> {
    const WHAT: &str = "the number of kinds of requests";
    let actions = actions(statements, vocabulary, budget)?;
    let resources = resources(statements, budget)?;
    let principals = principals(statements);
    let mut found = Distinct::default();
    for (with_action, action) in &actions {
        for (with_resource, resource) in &resources {
            for (with_principal, principal) in &principals {
                budget.spend(with_action.words() * 2, WHAT)?;
                let fitting = with_action.and(with_resource).and(with_principal);
                found.add(fitting, || (principal, action, resource));
            }
        }
    }
    Ok(found
        .order
        .into_iter()
        .map(|(fitting, (principal, action, resource))| {
            let mut keys: Vec<String> = statements
                .iter()
                .enumerate()
                .filter(|(place, _)| fitting.has(*place))
                .flat_map(|(_, statement)| statement.conditions.tests())
                .map(|test| test.key().to_owned())
                .collect();
            keys.sort_by_key(|key| key.to_ascii_lowercase());
            keys.dedup_by(|left, right| left.eq_ignore_ascii_case(right));
            let class = RequestClass {
                principal: principal.clone(),
                action: action.clone(),
                resource: resource.clone(),
                keys,
            };
            (fitting, class)
        })
        .collect())
}

/// The first example of each set, in the order in which the sets were found.
struct Distinct<T> {
    known: HashMap<Bits, usize>,
    order: Vec<(Bits, T)>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), order: Vec::new() }
    }
}

impl<T> Distinct<T> {
    fn add(&mut self, bits: Bits, example: impl FnOnce() -> T) {
        if let Entry::Vacant(vacant) = self.known.entry(bits) {
            self.order.push((vacant.key().clone(), example()));
            vacant.insert(self.order.len() - 1);
        }
    }

    fn replace(&mut self, bits: &Bits, example: T) {
        if let Some(place) = self.known.get(bits) {
            self.order[*place].1 = example;
        }
    }
}

/// Joins the classes of the parts of a text. A pattern matches the text if it matches every part.
fn join(parts: Vec<Vec<Region>>, budget: &mut Budget) -> Result<Vec<(Bits, Vec<String>)>, TooLarge> {
    const WHAT: &str = "the number of kinds of names that the patterns tell apart";
    let mut joined: Vec<(Bits, Vec<String>)> = Vec::new();
    for (part, regions) in parts.into_iter().enumerate() {
        if part == 0 {
            joined = regions.into_iter().map(|region| (region.matched, vec![region.example])).collect();
            continue;
        }
        let mut next = Distinct::default();
        for (matched, examples) in &joined {
            for region in &regions {
                budget.spend(matched.words(), WHAT)?;
                next.add(matched.and(&region.matched), || {
                    let mut examples = examples.clone();
                    examples.push(region.example.clone());
                    examples
                });
            }
        }
        joined = next.order;
    }
    Ok(joined)
}

/// For every class of actions, the statements that match it.
fn actions(
    statements: &[&Statement],
    vocabulary: &Vocabulary,
    budget: &mut Budget,
) -> Result<Vec<(Bits, String)>, TooLarge> {
    let patterns: Vec<&ActionPattern> =
        statements.iter().flat_map(|statement| &statement.actions.patterns).collect();
    let of = |part: usize| -> Vec<Pattern> {
        let pattern = |pattern: &&ActionPattern| match pattern {
            ActionPattern::Any => Pattern::any(),
            ActionPattern::Of { service, name } => {
                Pattern::glob(if part == 0 { service } else { name }, LetterCase::Folded)
            }
        };
        patterns.iter().map(pattern).collect()
    };
    let fits = |action: &str| {
        Bits::of(statements.len(), |place| statements[place].actions.cover(ActionName::split(action)))
    };
    let parts = vec![regions(&of(0), false, budget)?, regions(&of(1), false, budget)?];
    let mut found = Distinct::default();
    for (_, examples) in join(parts, budget)? {
        let action = examples.join(":");
        found.add(fits(&action), || action);
    }
    // In reverse order, so that the first known action of a class is the one that remains.
    for known in vocabulary.actions().iter().rev() {
        found.replace(&fits(&known.name), known.name.to_string());
    }
    Ok(found.order)
}

/// The statements that match a resource, for `*` and for every class of resource names.
fn resources(statements: &[&Statement], budget: &mut Budget) -> Result<Vec<(Bits, String)>, TooLarge> {
    let patterns: Vec<&ResourcePattern> = statements
        .iter()
        .filter_map(|statement| statement.resources.as_ref())
        .flat_map(|resources| &resources.patterns)
        .collect();
    let fits = |resource: &str| {
        let name = ResourceName::split(resource);
        Bits::of(statements.len(), |place| statements[place].resource_fits(name))
    };
    let mut parts = Vec::new();
    for (part, preferred) in PREFERRED.iter().enumerate() {
        let of_part = |pattern: &&ResourcePattern| match pattern.parts() {
            None => Pattern::any(),
            Some(parts) => Pattern::glob(parts[part], LetterCase::Exact),
        };
        let globs: Vec<Pattern> = patterns.iter().map(of_part).collect();
        // A request may omit region and account, but neither ram-code nor relative-id.
        let mut found = regions(&globs, part == 1 || part == 2, budget)?;
        for example in preferred.iter().rev().filter(|example| !example.is_empty()) {
            let matched = Bits::of(patterns.len(), |place| {
                patterns[place].parts().is_none_or(|parts| parts[part].matches(example))
            });
            if let Some(region) = found.iter_mut().find(|region| region.matched == matched) {
                region.example = (*example).to_owned();
            }
        }
        parts.push(found);
    }
    let mut found = Distinct::default();
    for (_, examples) in join(parts, budget)? {
        let resource = format!("acs:{}", examples.join(":"));
        found.add(fits(&resource), || resource);
    }
    found.add(fits("*"), || "*".to_owned());
    Ok(found.order)
}

/// The statements that match a principal. Trust policies name principals without wildcards, so there are few classes:
/// each principal that is named, any other principal of a named account, and all others.
fn principals(statements: &[&Statement]) -> Vec<(Bits, String)> {
    let mut candidates = vec![ANYONE.to_owned(), "acs:ram::6543210987654321:user/anyone".to_owned()];
    for principals in statements.iter().filter_map(|statement| statement.principals.as_ref()) {
        for (pattern, spelled) in principals.patterns.iter().zip(&principals.spelled) {
            match pattern {
                PrincipalPattern::Exactly(name) => candidates.push(name.to_string()),
                PrincipalPattern::Account(account)
                | PrincipalPattern::User { account, .. }
                | PrincipalPattern::Role { account, .. } => {
                    candidates.push(spelled.to_string());
                    candidates.push(format!("acs:ram::{account}:user/anyone"));
                }
            }
        }
    }
    // A name that does not occur in these policies.
    let free = (0u64..).map(|n| format!("acs:ram::{n:016}:user/nobody")).find(|name| {
        !statements.iter().any(|s| s.principals.as_ref().is_some_and(|principals| principals.include(name)))
    });
    candidates.extend(free);
    let mut found = Distinct::default();
    for candidate in candidates {
        let fits = Bits::of(statements.len(), |place| statements[place].principals_fit(&candidate));
        found.add(fits, || candidate);
    }
    found.order
}
