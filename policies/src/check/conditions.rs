//! Findings about the Condition block.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::action::{ActionName, ActionPattern};
use crate::conditions::KeyTest;
use crate::context::Context;
use crate::glob::LetterCase;
use crate::key_facts::Presence;
use crate::operators::Relation;
use crate::statement::{Effect, Statement};
use crate::values::{Decimal, Instant, ValueType};

use super::elements::nearest;
use super::sites::{ElementSites, StatementSites};
use super::{Lint, Linter, Severity};

/// At most this many of the actions that set a key are named in a message.
const MOST_NAMED_SETTERS: usize = 4;

impl Linter<'_> {
    pub(super) fn conditions(&mut self, statement: &Statement, sites: &StatementSites) {
        let tests = statement.conditions.tests();
        if let Some(block) = sites.condition.as_ref().filter(|_| tests.is_empty()) {
            self.mark(
                Severity::Suggestion,
                Lint::EmptyCondition,
                block,
                "Condition is empty, which is no condition at all",
                "remove it, or fill it",
            );
        }
        for (test, places) in tests.iter().zip(&sites.conditions) {
            self.key(statement.effect, test, places);
            if !self.never_set(statement, test, places) {
                self.absence(statement.effect, test, places);
            }
            self.values(test, places);
        }
        for (place, (test, places)) in tests.iter().zip(&sites.conditions).enumerate() {
            let of_key: Vec<&KeyTest> =
                tests.iter().filter(|other| other.lower_key() == test.lower_key()).collect();
            let first = !tests[..place].iter().any(|earlier| earlier.lower_key() == test.lower_key());
            // If a request may carry several values of the key, each value may satisfy another test.
            if first && self.vocabulary.has_one_value(test.key()) && contradict(&of_key) {
                let message = format!(
                    "no value of {} satisfies all tests of it, so the statement never matches",
                    test.key()
                );
                self.mark(
                    Severity::GeneralWarning,
                    Lint::NeverMatches,
                    &places.name,
                    message,
                    "operators are joined by AND; put alternatives into one list or into two statements",
                );
            }
        }
    }

    fn key(&mut self, effect: Effect, test: &KeyTest, places: &ElementSites) {
        let Some(facts) = self.vocabulary.key(test.key()) else {
            let negated = test.operator().negated;
            let (severity, so) = match (effect, negated) {
                (Effect::Allow, false) => (Severity::GeneralWarning, "the statement then allows nothing"),
                (Effect::Allow, true) => (Severity::SecurityWarning, "the condition then always holds"),
                (Effect::Deny, false) => (Severity::SecurityWarning, "the statement then denies nothing"),
                (Effect::Deny, true) => (Severity::GeneralWarning, "the condition then always holds"),
            };
            let prefix = test.key().split(':').next().unwrap_or_default();
            let known: Vec<String> = self.vocabulary.keys_of(prefix).into_iter().map(str::to_owned).collect();
            let mend = match nearest(test.key(), &known) {
                Some(meant) => format!("write {meant} if that is meant"),
                None if known.is_empty() => "make sure that the product sets this key".to_owned(),
                None => format!("the keys of {prefix} are {}", known.join(", ")),
            };
            let message = format!("{:?} is not a known key; if nobody sets it, {so}", test.key());
            return self.mark(severity, Lint::UnknownConditionKey, &places.name, message, mend);
        };
        if !test.key().starts_with(facts.name) {
            let message = format!(
                "{:?} is documented as {:?}; letters of keys compare without case",
                test.key(),
                facts.name
            );
            let mend = format!("write {}", facts.name);
            self.mark(Severity::Suggestion, Lint::KeyCase, &places.name, message, mend);
        }
        let needs = test.operator().value_type;
        if needs == facts.value_type {
            return;
        }
        let operator = test.operator().name;
        let (severity, message) = match (needs, facts.value_type) {
            (ValueType::Text, value) => (
                Severity::GeneralWarning,
                format!("{} is {value}, but {operator} compares it letter by letter", test.key()),
            ),
            (needs, value) => (
                Severity::SecurityWarning,
                format!(
                    "{} is {value}, which {operator} cannot read as {needs}; an Allow then never fits, and a Deny stops everything",
                    test.key()
                ),
            ),
        };
        let family = match facts.value_type {
            ValueType::Text => "a String operator",
            ValueType::Number => "a Numeric operator",
            ValueType::Instant => "a Date operator",
            ValueType::Boolean => "Bool",
            ValueType::Address => "IpAddress or NotIpAddress",
        };
        self.mark(severity, Lint::KeyOfOtherType, &places.name, message, format!("use {family}"));
    }

    /// Whether no request that the statement covers carries the key, so that the test has the same result for all of
    /// them: it fails under a positive operator and holds under a negated one. If some of the actions set the key,
    /// the entries of Action for which no action sets it are reported too.
    fn never_set(&mut self, statement: &Statement, test: &KeyTest, places: &ElementSites) -> bool {
        let Some(setters) = self.vocabulary.key(test.key()).and_then(|facts| facts.setters) else {
            return false;
        };
        let actions = &statement.actions;
        let set = setters.iter().any(|setter| actions.cover(ActionName::split(setter)));
        let sets =
            |pattern: &ActionPattern| setters.iter().any(|setter| pattern.matches(ActionName::split(setter)));
        let idle: Vec<&str> = actions
            .patterns
            .iter()
            .zip(&actions.spelled)
            .filter(|(pattern, _)| set && !actions.negated && !sets(pattern))
            .map(|(_, spelled)| &**spelled)
            .collect();
        if set && idle.is_empty() {
            return false;
        }
        let so = match (statement.effect, test.operator().negated) {
            (Effect::Deny, false) => "this Deny never holds, and denies nothing",
            (Effect::Deny, true) => {
                "this condition always holds, and the Deny stops what it seems to leave out"
            }
            (Effect::Allow, false) => "this Allow never holds, and allows nothing",
            (Effect::Allow, true) => {
                "this condition always holds, and the Allow permits what it seems to leave out"
            }
        };
        let (key, operator) = (test.key(), test.operator().name);
        let message = if set {
            format!("{key} is never set for {}; of these {so}", idle.join(", "))
        } else {
            format!(
                "no action of this statement ever sets {key}, so that {operator} comes out alike for every request: {so}"
            )
        };
        let mend = match setters.len() {
            0 => "remove it; no action sets this key here".to_owned(),
            most if most > MOST_NAMED_SETTERS => {
                format!(
                    "ask for it in a statement of actions that set it, such as {}",
                    setters[..MOST_NAMED_SETTERS].join(", ")
                )
            }
            _ => format!("ask for it in a statement of the actions that set it: {}", setters.join(", ")),
        };
        self.mark(Severity::SecurityWarning, Lint::ConditionKeyNeverSet, &places.name, message, mend);
        !set
    }

    /// Reports how the test treats a request that does not carry the key.
    fn absence(&mut self, effect: Effect, test: &KeyTest, places: &ElementSites) {
        let always = self.vocabulary.key(test.key()).is_some_and(|facts| facts.presence == Presence::Always);
        let (key, operator) = (test.key(), test.operator().name);
        match effect {
            Effect::Allow if test.operator().negated => {
                let (severity, when) = if always {
                    (Severity::GeneralWarning, "; this server always sets it, others may not")
                } else {
                    (Severity::SecurityWarning, "")
                };
                let message = format!(
                    "{operator} also holds when {key} is absent, so this Allow lets a request without it through{when}"
                );
                let mend = "allow by a positive operator, or deny the values in a statement of their own";
                self.mark(severity, Lint::NegatedOperatorOnAllow, &places.name, message, mend);
            }
            Effect::Deny
                if !test.operator().negated
                    && !always
                    && test.operator().value_type == ValueType::Boolean =>
            {
                let message = format!(
                    "Bool does not hold when {key} is absent, so this Deny does not stop a request without it"
                );
                let mend = "allow by Bool with the value that is wanted instead of denying the other one";
                self.mark(Severity::SecurityWarning, Lint::DenyMissesAbsentKey, &places.name, message, mend);
            }
            Effect::Allow | Effect::Deny => {}
        }
    }

    fn values(&mut self, test: &KeyTest, places: &ElementSites) {
        let operator = test.operator();
        for (value, site) in test.values().iter().zip(&places.entries) {
            if value.contains("${") {
                let message = format!(
                    "{value:?} holds ${{...}}, which RAM does not replace; it is compared as plain text"
                );
                let mend = "write the value itself; RAM has no policy variables";
                self.mark(Severity::GeneralWarning, Lint::PolicyVariable, site, message, mend);
            } else if operator.value_type == ValueType::Text
                && operator.relation == Relation::Equal
                && value.contains(['*', '?'])
            {
                let message = format!("{} compares {value:?} exactly, * and ? included", operator.name);
                let like = if operator.negated { "StringNotLike" } else { "StringLike" };
                let mend = format!("use {like} if * and ? are meant as wildcards");
                self.mark(Severity::GeneralWarning, Lint::WildcardInExactValue, site, message, mend);
            }
            if operator.letters == LetterCase::Folded && !value.is_ascii() {
                let message = format!(
                    "{} folds the letters a to z only; other letters of {value:?} are compared with case",
                    operator.name
                );
                let mend = "list the spellings that are meant";
                self.mark(Severity::GeneralWarning, Lint::LettersNotFolded, site, message, mend);
            }
            if operator.value_type == ValueType::Address
                && let Some(network) = without_host_bits(value)
            {
                let message = format!("{value:?} has bits set beyond its prefix; they are masked away");
                self.mark(
                    Severity::GeneralWarning,
                    Lint::CidrHostBits,
                    site,
                    message,
                    format!("write {network}"),
                );
            }
        }
        let fold = operator.letters == LetterCase::Folded;
        let texts: Vec<String> = test
            .values()
            .iter()
            .map(|value| if fold { value.to_ascii_lowercase() } else { value.to_string() })
            .collect();
        self.entries(places, &texts, |_, _| false);
    }
}

/// The block in its canonical spelling; `None` if it is spelled like that already.
fn without_host_bits(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let network = match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(length)?).unwrap_or(0);
            IpAddr::from((address.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(length)?).unwrap_or(0);
            IpAddr::from((address.to_bits() & mask).to_be_bytes())
        }
    };
    (network != address).then(|| format!("{network}/{length}"))
}

/// Whether these tests of one key can never hold together for a single value. `true` is proven.
fn contradict(tests: &[&KeyTest]) -> bool {
    if tests.len() < 2 {
        return false;
    }
    // A test for equality that is positive leaves only its own values, so each of them is tried on all tests.
    let exact = tests.iter().find(|test| {
        let operator = test.operator();
        !operator.negated && operator.relation == Relation::Equal && operator.letters == LetterCase::Exact
    });
    if let Some(exact) = exact {
        return !exact.values().iter().any(|value| {
            let mut context = Context::new();
            context.insert(exact.key(), &**value);
            // If another test cannot read a value, that is a matter of types, not a contradiction.
            tests.iter().all(|test| test.holds(&context) != Some(false))
        });
    }
    range_is_empty(tests, Decimal::parse, ValueType::Number, |left, right| left.compare(right))
        || range_is_empty(tests, Instant::parse, ValueType::Instant, Instant::cmp)
}

/// Whether the lower and upper bounds leave no value between them. Several values of one bound are alternatives, so
/// the weakest one counts.
fn range_is_empty<'a, T>(
    tests: &[&'a KeyTest],
    parse: impl Fn(&'a str) -> Option<T>,
    value_type: ValueType,
    compare: impl Fn(&T, &T) -> Ordering,
) -> bool {
    let bounds = |relations: [Relation; 2]| {
        tests
            .iter()
            .filter(move |test| {
                test.operator().value_type == value_type && relations.contains(&test.operator().relation)
            })
            .map(|test| {
                (
                    test.operator().relation,
                    test.values().iter().filter_map(|value| parse(value)).collect::<Vec<T>>(),
                )
            })
            .collect::<Vec<_>>()
    };
    let lower = bounds([Relation::Greater, Relation::GreaterOrEqual]);
    let upper = bounds([Relation::Less, Relation::LessOrEqual]);
    lower.iter().any(|(above, least)| {
        upper.iter().any(|(below, most)| {
            let inclusive = *above == Relation::GreaterOrEqual && *below == Relation::LessOrEqual;
            least.iter().all(|least| {
                most.iter().all(|most| match compare(least, most) {
                    Ordering::Less => false,
                    Ordering::Equal => !inclusive,
                    Ordering::Greater => true,
                })
            })
        })
    })
}
