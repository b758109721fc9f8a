//! What the authors' tools of the crate `policies` say, in the words of the wire. The API's actions and the command line
//! show the same.

use crate::workbench::{
    ExplainedCondition, ExplainedElement, ExplainedLayer, ExplainedStatement, PolicyExplanation,
    PolicyFinding, PolicySimulation, PolicyStatement, SimulatedAnswer,
};
use policies::{
    AllowedBy, Answer, Decision, ElementExplanation, Explanation, Finding, KeyExplanation, KeyResult,
    LayerAnswer, LayerExplanation, Layers, NamedContext, PolicyType, Questions, Request,
    StatementExplanation, StatementId, TooManyQuestions, Vocabulary, keys,
};

/// As whom drafts are asked unless something else is said: a user that no policy names.
pub const ANYBODY: &str = "acs:ram::1000000000000000:user/anybody";

/// The questions of a simulation: each action on each resource in each context.
#[derive(Debug, Clone)]
pub struct SimulationQuestions {
    /// The ARN that asks.
    pub principal: String,
    /// The actions.
    pub actions: Vec<String>,
    /// The resources.
    pub resources: Vec<String>,
    /// The contexts. `acs:PrincipalARN` is set in each that does not have it.
    pub contexts: Vec<NamedContext>,
    /// Whether each answer is explained.
    pub explain: bool,
}

/// Why a simulation was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSimulated {
    /// There are too many questions.
    #[error("{asked} questions are too many; ask at most {most} at once")]
    TooManyQuestions {
        /// How many there are.
        asked: usize,
        /// How many are answered.
        most: usize,
    },
    /// Whoever asked does not wait any longer.
    #[error("the simulation was stopped")]
    Stopped,
}

/// Puts the known actions that fit it in the place of each action with `*` or `?`.
///
/// # Errors
/// A pattern is malformed, or no known action fits it; the message names it.
pub fn expanded(actions: &[String], vocabulary: &Vocabulary) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = Vec::new();
    for action in actions {
        if !action.contains(['*', '?']) {
            all.push(action.clone());
            continue;
        }
        let known = vocabulary.actions_that_fit(action)?;
        if known.is_empty() {
            return Err(format!("no known action fits {action:?}"));
        }
        all.extend(known.into_iter().map(str::to_owned));
    }
    Ok(all)
}

/// Answers the questions, at most `most`, as long as `wanted` says that somebody waits for it.
///
/// # Errors
/// [`NotSimulated`].
pub fn simulate(
    layers: &Layers,
    questions: SimulationQuestions,
    most: usize,
    wanted: impl Fn() -> bool,
) -> Result<PolicySimulation, NotSimulated> {
    let SimulationQuestions { principal, actions, resources, mut contexts, explain } = questions;
    let asked = actions.len().saturating_mul(resources.len()).saturating_mul(contexts.len());
    if asked > most {
        return Err(NotSimulated::TooManyQuestions { asked, most });
    }
    for NamedContext { context, .. } in &mut contexts {
        if context.values(keys::PRINCIPAL_ARN).is_empty() {
            context.insert(keys::PRINCIPAL_ARN, &*principal);
        }
    }
    let mut answers = Vec::with_capacity(asked);
    for action in &actions {
        for resource in &resources {
            for named in &contexts {
                if !wanted() {
                    return Err(NotSimulated::Stopped);
                }
                let one = Questions {
                    principal: &principal,
                    actions: &[action],
                    resources: &[resource],
                    contexts: std::slice::from_ref(named),
                };
                let one = policies::simulate(layers, &one)
                    .map_err(|TooManyQuestions { asked }| NotSimulated::TooManyQuestions { asked, most })?;
                let request = Request { principal: &principal, action, resource, context: &named.context };
                let explanation = explain.then(|| policies::explain(layers, &request));
                answers.extend(one.answers.iter().map(|one| answer(one, explanation.as_ref())));
            }
        }
    }
    Ok(PolicySimulation { principal, answers })
}

/// A finding of `policies::check`.
#[must_use]
pub fn finding(finding: &Finding) -> PolicyFinding {
    PolicyFinding {
        severity: finding.severity.to_string(),
        rule: finding.rule.to_string(),
        line: count(finding.line),
        column: count(finding.column),
        pointer: finding.pointer.clone(),
        message: finding.message.clone(),
        mend: finding.mend.clone(),
    }
}

/// An answer of `policies::simulate`, and its explanation if there is one.
fn answer(answer: &Answer, explanation: Option<&Explanation>) -> SimulatedAnswer {
    let (reason, by) = match &answer.decision {
        Decision::Allow { by: AllowedBy::AccountOwner } => {
            ("the account owner is bound by no policy".to_owned(), None)
        }
        Decision::Allow { by: AllowedBy::Statement(by) } => (format!("allowed by {by}"), Some(by)),
        Decision::Deny(reason) => (reason.to_string(), reason.statement()),
    };
    SimulatedAnswer {
        action: answer.action.clone(),
        resource: answer.resource.clone(),
        context: answer.context.clone(),
        decision: answer.decision.outcome().as_str().to_owned(),
        reason,
        statement: by.map(statement),
        absent_keys: answer.absent_keys.clone(),
        explanation: explanation.map(self::explanation),
    }
}

/// An explanation of `policies::explain`.
#[must_use]
pub fn explanation(explanation: &Explanation) -> PolicyExplanation {
    PolicyExplanation {
        layers: explanation.layers.iter().map(layer).collect(),
        text: explanation.to_string(),
    }
}

fn statement(id: &StatementId) -> PolicyStatement {
    PolicyStatement {
        policy_type: PolicyType::from(id.layer).as_str().to_owned(),
        policy: id.policy.to_string(),
        index: count(id.statement),
    }
}

fn layer(layer: &LayerExplanation) -> ExplainedLayer {
    let says = match &layer.says {
        LayerAnswer::Allow { .. } => "Allow",
        LayerAnswer::ExplicitDeny { .. } => "ExplicitDeny",
        LayerAnswer::NothingAllows => "NothingAllows",
        LayerAnswer::CannotEvaluate { .. } => "CannotEvaluate",
    };
    ExplainedLayer {
        policy_type: PolicyType::from(layer.layer).as_str().to_owned(),
        level: layer.level.map(count),
        says: says.to_owned(),
        asked: layer.asked,
        decides: layer.decides,
        statement_count: count(layer.statements),
        nearest: layer.nearest.iter().map(explained_statement).collect(),
    }
}

fn explained_statement(explained: &StatementExplanation) -> ExplainedStatement {
    let elements = [explained.principal.as_ref(), Some(&explained.action), explained.resource.as_ref()];
    ExplainedStatement {
        statement: statement(&explained.id),
        effect: explained.effect.to_owned(),
        fits: explained.fits,
        elements: elements.into_iter().flatten().map(element).collect(),
        conditions: explained.conditions.iter().map(condition).collect(),
    }
}

fn element(element: &ElementExplanation) -> ExplainedElement {
    ExplainedElement {
        element: element.element.to_owned(),
        fits: element.fits,
        wanted: element.wanted.clone(),
        found: element.found.clone(),
    }
}

fn condition(key: &KeyExplanation) -> ExplainedCondition {
    let result = match key.result {
        KeyResult::Holds => "Holds",
        KeyResult::Absent => "Absent",
        KeyResult::Unequal => "Unequal",
        KeyResult::Excluded => "Excluded",
        KeyResult::Unreadable => "Unreadable",
    };
    ExplainedCondition {
        operator: key.operator.to_owned(),
        key: key.key.clone(),
        wanted: key.wanted.clone(),
        found: key.found.clone(),
        result: result.to_owned(),
    }
}

/// The wire's counts are 32 bits wide.
fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use policies::Layers;

    use super::*;

    fn questions(count: usize) -> SimulationQuestions {
        SimulationQuestions {
            principal: ANYBODY.to_owned(),
            actions: vec!["a:b".to_owned(); count],
            resources: vec!["*".to_owned()],
            contexts: vec![NamedContext::default()],
            explain: false,
        }
    }

    #[test]
    fn a_simulation_ends_when_nobody_waits_for_it() {
        let asked = std::cell::Cell::new(0);
        let wanted = || {
            asked.set(asked.get() + 1);
            asked.get() <= 3
        };
        assert_eq!(simulate(&Layers::default(), questions(10), 10, wanted), Err(NotSimulated::Stopped));
        assert_eq!(asked.get(), 4, "it does not go on");
    }

    #[test]
    fn too_many_questions_are_refused_before_any_is_answered() {
        let refused = simulate(&Layers::default(), questions(11), 10, || panic!("it has begun"));
        assert_eq!(refused, Err(NotSimulated::TooManyQuestions { asked: 11, most: 10 }));
    }
}
