//! `hansard policy`: the tools for people who write policies. What they say is decided by the crate `policies`; here
//! files are read and answers are printed.

mod check;
mod diff;
mod explain;
mod files;
mod fmt;
mod simulate;
mod subject;
mod test;

use crate::arguments::{PolicyArguments, PolicyToolCommand};
use crate::environment::Environment;
use crate::failure::Failure;

/// Runs the command and gives its exit code.
///
/// # Errors
/// Something cannot be read or written, or the server refuses.
pub(crate) fn run(arguments: &PolicyArguments, environment: &Environment) -> Result<u8, Failure> {
    let output = arguments.output;
    match &arguments.command {
        PolicyToolCommand::Check(arguments) => check::run(arguments, output),
        PolicyToolCommand::Simulate(arguments) => simulate::run(arguments, output, environment),
        PolicyToolCommand::Explain(arguments) => explain::run(arguments, output, environment),
        PolicyToolCommand::Diff(arguments) => diff::run(arguments, output),
        PolicyToolCommand::Test(arguments) => test::run(arguments, output),
        PolicyToolCommand::Fmt(arguments) => fmt::run(arguments, output),
    }
}
