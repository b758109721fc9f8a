//! What the policies consider when they decide one action: which condition keys, and whether the decision can differ
//! between resources of a range. Code that turns a decision into a query calls this first, so that it evaluates once
//! for each case that can make a difference instead of once for each row.

use crate::action::ActionName;
use crate::conditions::Verdict;
use crate::evaluate::{Layers, Request};
use crate::glob::LetterCase;
use crate::keys::{self, About};
use crate::operators::Relation;
use crate::policy_set::PolicySet;
use crate::resource::{ResourcePattern, Resources};
use crate::statement::{Effect, Statement};
use crate::values::ValueType;

/// How a statement compares a condition key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Text, compared exactly; also a pattern without wildcards.
    Exact,
    /// Text, compared without regard to case.
    Folded,
    /// Text, compared with a pattern that has wildcards.
    Pattern,
    /// A decimal number.
    Number,
    /// A date, a Boolean or an address.
    Other,
}

/// One key under one operator of a statement that covers the action.
#[derive(Clone, Copy, Debug)]
pub struct KeyComparison<'a> {
    /// The key, in lower case.
    pub key: &'a str,
    /// How the key is compared.
    pub comparison: Comparison,
    /// The values it is compared with, as the policy spells them.
    pub values: &'a [Box<str>],
}

/// What the statements of all layers that cover one action consider.
#[derive(Debug)]
pub struct Reach<'a> {
    /// Every comparison of a condition key, ordered by layer.
    pub comparisons: Vec<KeyComparison<'a>>,
    /// Whether a statement may cover one resource of the range and not another. If it is false, the same context
    /// yields the same decision for all of them.
    pub tells_apart: bool,
}

/// What `layers` consider when they decide `action` on resources of `range`. The trust layer is left out: it is about
/// roles only.
#[must_use]
pub fn reach<'a>(layers: &'a Layers, action: &str, range: &ResourcePattern) -> Reach<'a> {
    let action = ActionName::split(action);
    let sets = layers.control.iter().chain(&layers.session).chain([&layers.identity]);
    let statements = sets.flat_map(PolicySet::policies).flat_map(|(_, document)| &document.statements);
    let mut reach = Reach { comparisons: Vec::new(), tells_apart: false };
    for statement in statements.filter(|statement| statement.actions.cover(action)) {
        reach.tells_apart |=
            statement.resources.as_ref().is_some_and(|resources| tells_apart(resources, range));
        reach.comparisons.extend(statement.conditions.tests().iter().map(|test| {
            let operator = test.operator();
            let wild = || test.values().iter().any(|value| value.contains(['*', '?']));
            let comparison = match (operator.value_type, operator.relation, operator.letters) {
                (ValueType::Text, Relation::Like, _) if wild() => Comparison::Pattern,
                (ValueType::Text, _, LetterCase::Folded) => Comparison::Folded,
                (ValueType::Text, ..) => Comparison::Exact,
                (ValueType::Number, ..) => Comparison::Number,
                (ValueType::Instant | ValueType::Boolean | ValueType::Address, ..) => Comparison::Other,
            };
            KeyComparison { key: test.lower_key(), comparison, values: test.values() }
        }));
    }
    reach
}

/// Whether the statements that allow a request would allow it whatever the values of the resource's own condition
/// keys. An Allow that tests such a key does not count: a call about many resources at once has no such values, and
/// under a negated operator an absent key fits. Whether a statement denies the request is decided by
/// [`could_deny`](crate::could_deny).
#[must_use]
pub fn allows_for_every_resource(layers: &Layers, request: &Request<'_>) -> bool {
    let parsed = request.parsed();
    if layers.owner_of(parsed.principal, parsed.resource) {
        return true;
    }
    let surely = |statement: &Statement| {
        statement.effect == Effect::Allow
            && matches!(statement.applies(&parsed), Verdict::Holds)
            && statement
                .conditions
                .tests()
                .iter()
                .all(|test| keys::about(test.lower_key()) == Some(About::Call))
    };
    let allows =
        |set: &PolicySet| set.policies().iter().flat_map(|(_, document)| &document.statements).any(surely);
    layers.control.iter().chain(&layers.session).chain([&layers.identity]).all(allows)
}

/// False if the patterns certainly cover the whole range, or certainly cover nothing of it.
fn tells_apart(resources: &Resources, range: &ResourcePattern) -> bool {
    !resources.patterns.iter().any(|pattern| pattern.covers(range))
        && resources.patterns.iter().any(|pattern| pattern.overlaps(range))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{DocumentKind, PolicyDocument};

    const RANGE: &str = "acs:ecs-workbench:*:1609982529000000:workbench/*";

    fn layers(statements: &str) -> Layers {
        let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
        let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).unwrap();
        Layers { identity: PolicySet::new(vec![("test".into(), Arc::new(document))]), ..Layers::default() }
    }

    fn told_apart(element: &str) -> bool {
        let layers = layers(&format!(r#"{{"Effect":"Deny","Action":"a:List*",{element}}}"#));
        reach(&layers, "a:ListThings", &ResourcePattern::parse(RANGE).unwrap()).tells_apart
    }

    #[test]
    fn a_pattern_that_covers_a_part_of_a_range_distinguishes_resources_in_it() {
        for whole_or_nothing in [
            r#""Resource":"*""#,
            r#""Resource":"acs:ecs-workbench:*:*:workbench/*""#,
            r#""Resource":["acs:ecs:*:*:instance/i-1","acs:ecs-workbench:*:*:*"]"#,
            r#""Resource":"acs:ecs:*:*:instance/i-1""#,
            r#""NotResource":"*""#,
            r#""NotResource":"acs:oss:*:*:bucket""#,
        ] {
            assert!(!told_apart(whole_or_nothing), "{whole_or_nothing}");
        }
        for part in [
            r#""Resource":"acs:ecs-workbench:*:*:workbench/i-1*""#,
            r#""Resource":"acs:ecs-workbench:cn-hangzhou:*:workbench/*""#,
            r#""NotResource":"acs:ecs-workbench:*:*:workbench/i-1""#,
        ] {
            assert!(told_apart(part), "{part}");
        }
    }

    #[test]
    fn an_allow_that_asks_for_a_key_of_the_resource_allows_not_every_resource() {
        let allows = |condition: &str| {
            let layers = layers(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*"{condition}}}"#));
            let mut context = crate::Context::new();
            context.insert(keys::SECURE_TRANSPORT, true);
            let request = Request {
                principal: "acs:ram::1:user/ana",
                action: "a:Set",
                resource: RANGE,
                context: &context,
            };
            (crate::evaluate(&layers, &request).is_allow(), allows_for_every_resource(&layers, &request))
        };
        assert_eq!(allows(""), (true, true));
        assert_eq!(allows(r#","Condition":{"Bool":{"acs:SecureTransport":"true"}}"#), (true, true));
        assert_eq!(allows(r#","Condition":{"Bool":{"acs:SecureTransport":"false"}}"#), (false, false));
        assert_eq!(allows(r#","Condition":{"StringNotEquals":{"a:Tag/env":"prod"}}"#), (true, false));
        assert_eq!(
            allows(r#","Condition":{"StringNotEquals":{"acs:ResourceTag/env":"prod"}}"#),
            (true, false)
        );
    }

    #[test]
    fn only_statements_about_the_action_count() {
        let layers = layers(
            r#"{"Effect":"Allow","Action":"a:Get*","Resource":"acs:ecs-workbench:*:*:workbench/i-1",
                "Condition":{"StringEquals":{"a:Other":"x"}}},
               {"Effect":"Allow","Action":"a:List*","Resource":"*","Condition":{
                "StringLike":{"A:Owner":["self","b"],"a:kind":"t*"},
                "StringEqualsIgnoreCase":{"a:owner":"C"},
                "NumericLessThan":{"a:age":"7"},
                "Bool":{"acs:MFAPresent":"true"}}}"#,
        );
        let reach = reach(&layers, "a:ListThings", &ResourcePattern::parse(RANGE).unwrap());
        assert!(!reach.tells_apart);
        let found: Vec<_> = reach.comparisons.iter().map(|found| (found.key, found.comparison)).collect();
        assert_eq!(
            found,
            [
                ("a:owner", Comparison::Exact),
                ("a:kind", Comparison::Pattern),
                ("a:owner", Comparison::Folded),
                ("a:age", Comparison::Number),
                ("acs:mfapresent", Comparison::Other),
            ]
        );
        assert_eq!(reach.comparisons[0].values, ["self".into(), "b".into()]);
    }
}
