//! The `hansard-agent` program: enrols an instance, runs the agent, records sessions.

mod account;
mod append_only;
mod backoff;
mod client;
mod doctor;
mod durable;
mod enrol;
mod export;
mod faults;
mod foreign;
mod identity;
mod local_socket;
mod logging;
mod login_shell;
mod notice;
mod predecessors;
mod readable_command;
mod record;
mod retry;
mod run;
mod server_clock;
mod sessions;
mod settings;
mod starting;
mod state_directory;
mod status;
mod system_settings;
mod usage;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use agent_protocol::Segmenting;
use capture_terminal::TerminalSegmenting;
use clap::Parser as _;
use clap::error::ErrorKind;
use recording::sanitise::{sanitised_json, sanitised_lines};
use serde::Serialize;

use crate::login_shell::Started;
use crate::settings::{Arguments, CommandLine, PTY_CHILD};
use crate::usage::WRONG_USAGE;

/// What this program says about itself to the control plane and in recordings.
const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What this agent offers to record.
fn capabilities() -> Vec<agent_protocol::Capability> {
    capture_kinds().iter().map(|kind| kind.capability()).collect()
}

/// Every kind of capture of whose spools this agent makes segments. A new kind is a new line.
fn capture_kinds() -> Vec<Box<dyn Segmenting>> {
    vec![Box::new(TerminalSegmenting::default())]
}

/// What runs between a person's `record` and the command. It is this same program, even if its file was renamed.
fn launcher() -> [OsString; 2] {
    ["/proc/self/exe", PTY_CHILD].map(OsString::from)
}

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    if let Some(started) = Started::read(&given) {
        return ExitCode::from(record::shell(login_shell::of_passwd(started, &given)));
    }
    let mut arguments = match Arguments::try_parse_from(&given) {
        Ok(arguments) => arguments,
        Err(said) if !said.use_stderr() => {
            return if said.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(said) if said.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Without a command, the whole help is the answer. An error while printing it does not matter.
            let _ = said.print();
            return ExitCode::from(WRONG_USAGE);
        }
        Err(refused) => {
            complain(&usage::explained(&refused, &given));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match &arguments.command {
        CommandLine::PtyChild { launch, login_shell, command } => {
            return ExitCode::from(capture_terminal::run_as_session_leader(*launch, command, *login_shell));
        }
        CommandLine::Recorder => {
            return if capture_terminal::run_recorder() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        _ => {}
    }
    let settled = arguments.settle(&given);
    let state_dir = settled.as_ref().map(|settled| settled.state_dir.clone()).map_err(String::clone);
    match arguments.command {
        CommandLine::Enrol(options) => report(state_dir.and_then(|at| enrol::enrol(&at, options))),
        CommandLine::Run(options) => report(state_dir.and_then(|at| run::run(&at, &options))),
        CommandLine::Record(options) => ExitCode::from(record::record(state_dir, options)),
        CommandLine::Shell(options) => {
            ExitCode::from(record::shell(login_shell::of_forced_command(settled, &options, &given)))
        }
        CommandLine::Status(options) => report(state_dir.and_then(|at| status::status(&at, options.output))),
        CommandLine::Retry(options) => report(state_dir.and_then(|at| retry::retry(&at, &options))),
        CommandLine::Sessions(options) => report(state_dir.and_then(|at| sessions::sessions(&at, options))),
        CommandLine::Export(options) => report(state_dir.and_then(|at| export::export(&at, &options))),
        CommandLine::PtyChild { .. } | CommandLine::Recorder => ExitCode::FAILURE,
        CommandLine::Doctor(options) => doctor::doctor(settled, &options),
    }
}

/// One clear line and a non-zero exit.
fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Prints a message for the person on standard error, without what could drive a terminal: it may repeat what somebody else said.
/// A failure to do so cannot be reported.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "hansard-agent: {}", sanitised_lines(message));
}

/// Says what was done.
fn say(message: &str) {
    let _ = writeln!(std::io::stdout(), "{message}");
}

/// Prints JSON, indented, with everything escaped that could drive a terminal: commands and reasons are texts of others.
fn say_json(value: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    say(&sanitised_json(&text));
    Ok(())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Libraries often repeat their cause in their own text.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
