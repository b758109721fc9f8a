//! `hansard policy simulate`

use openapi::workbench::PolicySimulation;
use policies::NamedContext;
use serde_json::json;

use super::files::{self, CASES_LIMIT};
use super::subject::{self, Questions};
use crate::arguments::{Output, SimulateArguments};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::table::Table;
use crate::terminal;

/// Runs the command.
///
/// # Errors
/// A document is refused, the questions are too many, or the server refuses.
pub(super) fn run(
    arguments: &SimulateArguments,
    output: Output,
    environment: &Environment,
) -> Result<u8, Failure> {
    let questions = Questions {
        actions: arguments.action.clone(),
        resources: arguments.resource.clone(),
        contexts: contexts(arguments)?,
        subject: &arguments.subject,
        explain: false,
    };
    let simulation = subject::answers(&questions, environment)?;
    match output {
        Output::Json => terminal::print_json(&json!(simulation))?,
        Output::Table => terminal::print(&as_table(&simulation))?,
    }
    Ok(0)
}

/// The contexts of `--contexts`, each with the keys of `--context` that it does not have; or those keys alone.
fn contexts(arguments: &SimulateArguments) -> Result<Vec<NamedContext>, Failure> {
    let given = subject::context(&arguments.subject.context)?;
    let Some(path) = &arguments.contexts else {
        return Ok(vec![NamedContext { name: String::new(), context: given }]);
    };
    let text = files::read(path, CASES_LIMIT)?;
    let mut named = NamedContext::all_from_json(&text)
        .map_err(|refused| Failure::usage(format!("{}: {refused}", files::name(path))))?;
    if named.is_empty() {
        return Err(Failure::usage(format!("{} holds no context", files::name(path))));
    }
    for NamedContext { context, .. } in &mut named {
        for (key, values) in given.iter() {
            if context.values(key).is_empty() {
                context.insert_all(key, values.iter().cloned());
            }
        }
    }
    Ok(named)
}

fn as_table(simulation: &PolicySimulation) -> String {
    let named = simulation.answers.iter().any(|answer| !answer.context.is_empty());
    let mut table = Table::new(match named {
        true => &["ACTION", "RESOURCE", "CONTEXT", "DECISION", "REASON"],
        false => &["ACTION", "RESOURCE", "DECISION", "REASON"],
    });
    for answer in &simulation.answers {
        let mut reason = answer.reason.clone();
        if !answer.absent_keys.is_empty() {
            reason.push_str(&format!("; not in the context: {}", answer.absent_keys.join(", ")));
        }
        let mut cells = vec![answer.action.clone(), answer.resource.clone()];
        cells.extend(named.then(|| answer.context.clone()));
        cells.extend([answer.decision.clone(), reason]);
        table.row(cells);
    }
    table.to_text()
}
