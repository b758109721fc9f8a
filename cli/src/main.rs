//! The `hansard` program: the control plane, its administration directly in the database, and a client of its API.

mod admin;
mod arguments;
mod browser;
mod client;
mod commands;
mod deployment;
mod environment;
mod failure;
mod player;
mod policy_findings;
mod private_file;
mod reply;
mod root_key;
mod serve;
mod settings;
mod signal_name;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use tokio::runtime::{Builder, Runtime};

use arguments::{Arguments, Command};
use environment::Environment;
use failure::{Failure, chain, exit_code};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(said) if !said.use_stderr() => {
            return if said.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) };
        }
        Err(said) if said.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Without a command, the whole help is the answer. An error while printing it does not matter.
            let _ = said.print();
            return ExitCode::from(exit_code::USAGE);
        }
        Err(refused) => {
            let failure = misused(&refused.render().to_string());
            terminal::complain(&failure);
            return ExitCode::from(failure.exit_code());
        }
    };
    match run(&arguments.command, &Environment::read()) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal::complain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The parser's explanation in one line, without the usage that `--help` shows.
fn misused(explanation: &str) -> Failure {
    let first = explanation.split("\n\nUsage:").next().unwrap_or_default();
    let first = first.split("\n\nFor more information").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first).trim_end();
    Failure::usage(format!("{first}\n(--help says more)"))
}

/// Runs a command and gives its exit code.
fn run(command: &Command, environment: &Environment) -> Result<u8, Failure> {
    match command {
        Command::Audit(arguments) => return commands::audit::run(arguments, environment, &one_thread()?),
        Command::Completion(arguments) => commands::completion::run(arguments)?,
        Command::Openapi(arguments) => commands::openapi::run(arguments)?,
        Command::LocalAgent(arguments) => {
            return Err(serve::become_agent(arguments, environment.names_for_the_server()));
        }
        Command::Serve(arguments) => serve::run(arguments, environment, &several_threads()?)?,
        Command::Admin(arguments) => admin::run(arguments, environment, &one_thread()?)?,
        Command::Agents(arguments) => {
            one_thread()?.block_on(commands::agents::run(arguments, environment))?;
        }
        Command::Call(arguments) => one_thread()?.block_on(commands::call::run(arguments, environment))?,
        Command::Policy(arguments) => return commands::policy::run(arguments, environment),
        Command::Recordings(arguments) => {
            return commands::recordings::run(arguments, environment, &one_thread()?);
        }
    }
    Ok(0)
}

/// What a client and an administrator need.
fn one_thread() -> Result<Runtime, Failure> {
    started(Builder::new_current_thread())
}

/// What a server needs.
fn several_threads() -> Result<Runtime, Failure> {
    started(Builder::new_multi_thread())
}

fn started(mut builder: Builder) -> Result<Runtime, Failure> {
    // The tree holds two cryptographic libraries; rustls must be told which one, once.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err(Failure::failed("TLS is set up only once"));
    }
    builder
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the program cannot start its threads: {}", chain(&error))))
}
