//! A matrix of questions: every action on every resource in every context.

use std::fmt;

use serde::Serialize;

use crate::context::Context;
use crate::decision::{AllowedBy, Decision};
use crate::evaluate::{Layers, Request, evaluate};
use crate::explain::absent_keys;

/// The maximum number of questions of one simulation.
pub const MAX_SIMULATED_REQUESTS: usize = 100_000;

/// A context with the name under which the table shows it.
#[derive(Clone, Debug, Default)]
pub struct NamedContext {
    /// The name.
    pub name: String,
    /// The context.
    pub context: Context,
}

/// The questions of a simulation.
#[derive(Clone, Copy, Debug)]
pub struct Questions<'a> {
    /// The ARN of the principal.
    pub principal: &'a str,
    /// The actions. Each of them is checked ...
    pub actions: &'a [&'a str],
    /// ... on each of these resources ...
    pub resources: &'a [&'a str],
    /// ... in each of these contexts.
    pub contexts: &'a [NamedContext],
}

/// The answers, in the order of actions, then resources, then contexts. `Display` gives a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Simulation {
    /// The ARN of the principal.
    pub principal: String,
    /// One answer for each question.
    pub answers: Vec<Answer>,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The action.
    pub action: String,
    /// The resource.
    pub resource: String,
    /// The name of the context.
    pub context: String,
    /// The decision, as [`evaluate`](crate::evaluate()) makes it.
    pub decision: Decision,
    /// Condition keys that affect the answer and that the context does not have. If they are set, the answer may
    /// differ.
    pub absent_keys: Vec<String>,
}

/// The matrix is larger than [`MAX_SIMULATED_REQUESTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} questions are too many; ask at most {MAX_SIMULATED_REQUESTS} in one simulation")]
pub struct TooManyQuestions {
    /// The number of questions.
    pub asked: usize,
}

/// Answers every question.
///
/// # Errors
/// Refuses more than [`MAX_SIMULATED_REQUESTS`] questions before answering any.
pub fn simulate(layers: &Layers, questions: &Questions<'_>) -> Result<Simulation, TooManyQuestions> {
    let Questions { principal, actions, resources, contexts } = *questions;
    let asked = actions.len().saturating_mul(resources.len()).saturating_mul(contexts.len());
    if asked > MAX_SIMULATED_REQUESTS {
        return Err(TooManyQuestions { asked });
    }
    let mut answers = Vec::with_capacity(asked);
    for action in actions {
        for resource in resources {
            for NamedContext { name, context } in contexts {
                let request = Request { principal, action, resource, context };
                answers.push(Answer {
                    action: (*action).to_owned(),
                    resource: (*resource).to_owned(),
                    context: name.clone(),
                    decision: evaluate(layers, &request),
                    absent_keys: absent_keys(layers, &request),
                });
            }
        }
    }
    Ok(Simulation { principal: principal.to_owned(), answers })
}

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["Action", "Resource", "Context", "Decision", "Reason"].map(str::to_owned);
        let rows: Vec<[String; 5]> = self.answers.iter().map(Answer::row).collect();
        let mut widths = [0; 5];
        for row in rows.iter().chain([&header]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in [&header].into_iter().chain(&rows) {
            let padded: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}

impl Answer {
    fn row(&self) -> [String; 5] {
        let mut reason = match &self.decision {
            Decision::Allow { by: AllowedBy::AccountOwner } => "account owner".to_owned(),
            Decision::Allow { by: AllowedBy::Statement(by) } => by.to_string(),
            Decision::Deny(reason) => reason.to_string(),
        };
        if !self.absent_keys.is_empty() {
            reason.push_str(&format!("; absent: {}", self.absent_keys.join(", ")));
        }
        [
            self.action.clone(),
            self.resource.clone(),
            self.context.clone(),
            self.decision.outcome().as_str().to_owned(),
            reason,
        ]
    }
}
