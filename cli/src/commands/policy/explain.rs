//! `hansard policy explain`

use policies::NamedContext;
use recording::sanitise::sanitised_lines;
use serde_json::json;

use super::subject::{self, Questions};
use crate::arguments::{ExplainArguments, Output};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
///
/// # Errors
/// A document is refused, or the server refuses.
pub(super) fn run(
    arguments: &ExplainArguments,
    output: Output,
    environment: &Environment,
) -> Result<u8, Failure> {
    if arguments.action.contains(['*', '?']) {
        return Err(Failure::usage(format!(
            "--action \"{}\" is a pattern; one request has one action, and `simulate` takes several",
            arguments.action
        )));
    }
    let questions = Questions {
        actions: vec![arguments.action.clone()],
        resources: vec![arguments.resource.clone()],
        contexts: vec![NamedContext {
            name: String::new(),
            context: subject::context(&arguments.subject.context)?,
        }],
        subject: &arguments.subject,
        explain: true,
    };
    let simulation = subject::answers(&questions, environment)?;
    let answer = simulation.answers.into_iter().next();
    let answer = answer.ok_or_else(|| Failure::failed("the answer is missing"))?;
    match output {
        Output::Json => terminal::print_json(&json!(answer))?,
        Output::Table => {
            let text = answer.explanation.map(|explanation| explanation.text).unwrap_or_default();
            terminal::print(&sanitised_lines(&text))?;
        }
    }
    Ok(0)
}
