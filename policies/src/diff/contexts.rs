//! The classes of contexts that the conditions of some statements can tell apart.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::conditions::KeyTest;
use crate::context::Context;
use crate::glob::LetterCase;
use crate::key_facts::Presence;
use crate::operators::Relation;
use crate::statement::Statement;
use crate::values::{AddressBlock, Decimal, Instant, ValueType};
use crate::vocabulary::Vocabulary;

use super::regions::{Bits, Budget, Pattern, TooLarge, regions};

/// Classes of contexts, each with the keys of an example.
pub(super) struct Contexts {
    /// The statements whose conditions hold, and the keys that are set.
    pub(super) classes: Vec<(Bits, Vec<(String, String)>)>,
    /// The respects in which some classes may not have been found.
    pub(super) bounds: Vec<String>,
}

/// The classes that the conditions of the `active` statements tell apart.
pub(super) fn classes(
    statements: &[&Statement],
    active: &Bits,
    vocabulary: &Vocabulary,
    budget: &mut Budget,
) -> Result<Contexts, TooLarge> {
    const WHAT: &str = "the number of kinds of contexts";
    let mut keys: Vec<(&str, Vec<(usize, &KeyTest)>)> = Vec::new();
    for (place, statement) in statements.iter().enumerate().filter(|(place, _)| active.has(*place)) {
        for test in statement.conditions.tests() {
            match keys.iter_mut().find(|(key, _)| *key == test.lower_key()) {
                Some((_, tests)) => tests.push((place, test)),
                None => keys.push((test.lower_key(), vec![(place, test)])),
            }
        }
    }
    let mut classes = vec![(Bits::of(statements.len(), |_| true), Vec::new())];
    let mut bounds = Vec::new();
    for (_, tests) in keys {
        let name = tests[0].1.key();
        let (values, complete) = candidates(&tests, budget)?;
        if !complete {
            bounds.push(format!("{name} is compared in several ways; not all of its values were tried"));
        }
        // Equal tests have the same result whatever the number of values.
        let differ = tests.iter().any(|(_, test)| !same_test(test, tests[0].1));
        if differ && !vocabulary.has_one_value(name) {
            bounds.push(format!("{name} is taken to have one value; a product may set several"));
        }
        let always = vocabulary.key(name).is_some_and(|facts| facts.presence == Presence::Always);
        let absent = (!always).then_some(None);
        let mut of_key: Vec<(Bits, Option<String>)> = Vec::new();
        for value in absent.into_iter().chain(values.into_iter().map(Some)) {
            budget.spend(tests.len(), WHAT)?;
            let mut context = Context::new();
            if let Some(value) = &value {
                context.insert(name, &**value);
            }
            let results: Vec<(usize, Option<bool>)> =
                tests.iter().map(|(place, test)| (*place, test.holds(&context))).collect();
            // A value that cannot be read is a defect of the server and does not occur in a request.
            if results.iter().any(|(_, holds)| holds.is_none()) {
                continue;
            }
            let holding = Bits::of(statements.len(), |place| {
                results.iter().all(|(of, holds)| *of != place || *holds == Some(true))
            });
            if !of_key.iter().any(|(known, _)| *known == holding) {
                of_key.push((holding, value));
            }
        }
        let mut next: HashMap<Bits, ()> = HashMap::new();
        let mut joined = Vec::new();
        for (before, set) in &classes {
            for (holding, value) in &of_key {
                budget.spend(before.words() + 1, WHAT)?;
                let both = before.and(holding);
                if next.insert(both.clone(), ()).is_none() {
                    let mut set: Vec<(String, String)> = set.clone();
                    set.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
                    joined.push((both, set));
                }
            }
        }
        classes = joined;
    }
    Ok(Contexts { classes, bounds })
}

fn same_test(left: &KeyTest, right: &KeyTest) -> bool {
    left.operator() == right.operator() && left.values() == right.values()
}

/// Values of a key such that every class contains one of them, and whether this is certain. Values of several types
/// have no common order, so in that case it may not hold.
fn candidates(tests: &[(usize, &KeyTest)], budget: &mut Budget) -> Result<(Vec<String>, bool), TooLarge> {
    let of = |value_type: ValueType| {
        tests.iter().map(|(_, test)| *test).filter(move |test| test.operator().value_type == value_type)
    };
    let spelled = |value_type| {
        of(value_type).flat_map(|test| test.values()).map(|value| &**value).collect::<Vec<&str>>()
    };
    let mut values: Vec<String> = Vec::new();
    let mut types = 0;
    for value_type in
        [ValueType::Text, ValueType::Number, ValueType::Instant, ValueType::Boolean, ValueType::Address]
    {
        if of(value_type).next().is_none() {
            continue;
        }
        types += 1;
        values.extend(match value_type {
            ValueType::Text => texts(of(value_type), budget)?,
            ValueType::Number => numbers(&spelled(value_type)),
            ValueType::Instant => instants(&spelled(value_type)),
            ValueType::Boolean => ["true", "false"].map(str::to_owned).into(),
            ValueType::Address => addresses(&spelled(value_type)),
        });
    }
    Ok((values, types <= 1))
}

fn texts<'a>(tests: impl Iterator<Item = &'a KeyTest>, budget: &mut Budget) -> Result<Vec<String>, TooLarge> {
    let mut patterns = Vec::new();
    for test in tests {
        for value in test.values() {
            patterns.push(match test.operator().relation {
                Relation::Like => Pattern::wildcards(value, LetterCase::Exact),
                _ => Pattern::literal(value, test.operator().letters),
            });
        }
    }
    Ok(regions(&patterns, true, budget)?.into_iter().map(|region| region.example).collect())
}

/// Every number that is named, one between each two neighbours, one below all and one above all.
fn numbers(spelled: &[&str]) -> Vec<String> {
    let mut named: Vec<Decimal<&str>> = spelled.iter().filter_map(|text| Decimal::parse(text)).collect();
    named.sort_by(|left, right| left.compare(right));
    named.dedup_by(|left, right| left.compare(right).is_eq());
    let mut values: Vec<String> = named.iter().map(Decimal::text).collect();
    values.extend(named.windows(2).map(|pair| pair[0].between(&pair[1])));
    if let (Some(least), Some(most)) = (named.first(), named.last()) {
        values.extend([least.beyond(true), most.beyond(false)]);
    }
    values
}

/// Every instant that is named, and the instants one nanosecond before and after it.
fn instants(spelled: &[&str]) -> Vec<String> {
    let named = spelled.iter().filter_map(|text| Instant::parse(text));
    named
        .flat_map(|instant| [instant.0 - 1, instant.0, instant.0 + 1])
        .filter_map(|at| OffsetDateTime::from_unix_timestamp_nanos(at).ok()?.format(&Rfc3339).ok())
        .collect()
}

/// The first and last address of every block, the addresses next to them, and one address of each family.
fn addresses(spelled: &[&str]) -> Vec<String> {
    let mut values: Vec<IpAddr> =
        vec![Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()];
    for block in spelled.iter().filter_map(|text| AddressBlock::parse(text)) {
        match block {
            AddressBlock::V4 { network, mask } => {
                let (first, last) = (network, network | !mask);
                let all = [first.checked_sub(1), Some(first), Some(last), last.checked_add(1)];
                values.extend(all.into_iter().flatten().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))));
            }
            AddressBlock::V6 { network, mask } => {
                let (first, last) = (network, network | !mask);
                let all = [first.checked_sub(1), Some(first), Some(last), last.checked_add(1)];
                values.extend(all.into_iter().flatten().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
            }
        }
    }
    values.iter().map(IpAddr::to_string).collect()
}
