//! The conditions that kept a statement from allowing a call.

use policies::{KeyResult, Layers, Request, explain};

/// The most conditions of one denial.
const MOST_CONDITIONS: usize = 3;
/// The most wanted values of one condition.
const MOST_VALUES: usize = 5;
/// The most characters of one value.
const MOST_CHARACTERS: usize = 128;

/// A condition that a call did not meet, of a statement that would otherwise have allowed it. Only callers who may decode
/// the reason for a denial learn it: it shows what a policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmetCondition {
    /// The policy.
    pub policy: String,
    /// Which of its statements, from 0.
    pub statement: usize,
    /// The operator.
    pub operator: &'static str,
    /// The key, as the policy spells it.
    pub key: String,
    /// What the statement wants; of many values the first.
    pub wanted: Vec<String>,
}

/// What the Allow statements of the deciding layer wanted that fit the call but for their conditions; the nearest first.
pub(super) fn unmet(layers: &Layers, request: &Request<'_>) -> Box<[UnmetCondition]> {
    let deciding = explain(layers, request).layers.into_iter().filter(|layer| layer.decides);
    deciding
        .flat_map(|layer| layer.nearest)
        .filter(|statement| {
            let fits =
                [&statement.resource, &statement.principal].into_iter().flatten().all(|part| part.fits);
            statement.effect == "Allow" && !statement.fits && statement.action.fits && fits
        })
        .flat_map(|statement| {
            let (policy, number) = (statement.id.policy.to_string(), statement.id.statement);
            let failed = statement.conditions.into_iter().filter(|key| key.result != KeyResult::Holds);
            failed.map(move |condition| UnmetCondition {
                policy: policy.clone(),
                statement: number,
                operator: condition.operator,
                key: condition.key,
                wanted: condition
                    .wanted
                    .iter()
                    .take(MOST_VALUES)
                    .map(|value| value.chars().take(MOST_CHARACTERS).collect())
                    .collect(),
            })
        })
        .take(MOST_CONDITIONS)
        .collect()
}
