//! Which patterns and statements cover which others. A `true` is proven; a `false` may also mean "not known".

use crate::action::{ActionPattern, Actions};
use crate::conditions::{Conditions, KeyTest};
use crate::principal::Principals;
use crate::resource::{ResourcePattern, Resources};
use crate::statement::Statement;

/// Whether `wide` applies to everything that `narrow` applies to, regardless of their effects.
pub(super) fn statement(wide: &Statement, narrow: &Statement) -> bool {
    let resources = match (&wide.resources, &narrow.resources) {
        (Some(wide), Some(narrow)) => resources(wide, narrow),
        (None, None) => true,
        _ => false,
    };
    let principals = match (&wide.principals, &narrow.principals) {
        (Some(wide), Some(narrow)) => principals(wide, narrow),
        (None, None) => true,
        _ => false,
    };
    resources
        && principals
        && actions(&wide.actions, &narrow.actions)
        && conditions(&wide.conditions, &narrow.conditions)
}

fn actions(wide: &Actions, narrow: &Actions) -> bool {
    sets(
        (wide.negated, &wide.patterns),
        (narrow.negated, &narrow.patterns),
        action_pattern,
        action_overlap,
        |pattern| matches!(pattern, ActionPattern::Any),
    )
}

fn resources(wide: &Resources, narrow: &Resources) -> bool {
    sets(
        (wide.negated, &wide.patterns),
        (narrow.negated, &narrow.patterns),
        ResourcePattern::covers,
        ResourcePattern::overlaps,
        |pattern| pattern.parts().is_none(),
    )
}

/// Compares `(negated, patterns)` of both sides.
fn sets<T>(
    (wide_negated, wide): (bool, &[T]),
    (narrow_negated, narrow): (bool, &[T]),
    covers: impl Fn(&T, &T) -> bool,
    overlap: impl Fn(&T, &T) -> bool,
    is_all: impl Fn(&T) -> bool,
) -> bool {
    match (wide_negated, narrow_negated) {
        (false, false) => narrow.iter().all(|narrow| wide.iter().any(|wide| covers(wide, narrow))),
        (true, false) => !narrow.iter().any(|narrow| wide.iter().any(|wide| overlap(wide, narrow))),
        // `narrow` has to exclude everything that `wide` excludes.
        (true, true) => wide.iter().all(|wide| narrow.iter().any(|narrow| covers(narrow, wide))),
        (false, true) => wide.iter().any(is_all),
    }
}

pub(super) fn action_pattern(wide: &ActionPattern, narrow: &ActionPattern) -> bool {
    match (wide, narrow) {
        (ActionPattern::Any, _) => true,
        (ActionPattern::Of { .. }, ActionPattern::Any) => false,
        (ActionPattern::Of { service: s, name: n }, ActionPattern::Of { service, name }) => {
            s.covers(service) && n.covers(name)
        }
    }
}

fn action_overlap(left: &ActionPattern, right: &ActionPattern) -> bool {
    match (left, right) {
        (ActionPattern::Of { service: s, name: n }, ActionPattern::Of { service, name }) => {
            s.overlaps(service) && n.overlaps(name)
        }
        _ => true,
    }
}

fn principals(wide: &Principals, narrow: &Principals) -> bool {
    narrow.spelled.iter().all(|name| wide.spelled.contains(name))
}

/// Fewer tests apply to more requests, so every test of `wide` has to be in `narrow` as well.
fn conditions(wide: &Conditions, narrow: &Conditions) -> bool {
    wide.tests().iter().all(|wide| narrow.tests().iter().any(|narrow| same_test(wide, narrow)))
}

fn same_test(left: &KeyTest, right: &KeyTest) -> bool {
    let within =
        |left: &KeyTest, right: &KeyTest| left.values().iter().all(|value| right.values().contains(value));
    left.operator() == right.operator()
        && left.lower_key() == right.lower_key()
        && within(left, right)
        && within(right, left)
}
