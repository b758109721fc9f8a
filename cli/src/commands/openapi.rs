//! `hansard openapi`: the documents, from the program itself.

use crate::arguments::OpenapiArguments;
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(arguments: &OpenapiArguments) -> Result<(), Failure> {
    let document =
        if arguments.agent { api::agent_api::document() } else { openapi::documents::workbench_text() };
    terminal::print(&document)
}
