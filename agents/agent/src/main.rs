//! The `hansard-agent` program: enrols an instance, runs the agent, records sessions.

mod client;
mod durable;
mod enrol;
mod identity;
mod local_socket;
mod logging;
mod record;
mod run;
mod settings;
mod state_directory;
mod status;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use agent_protocol::Capture;
use capture_terminal::TerminalCapture;
use clap::Parser as _;

use crate::settings::{Arguments, CommandLine, PTY_CHILD};

/// What this program says about itself to the control plane and in recordings.
const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every kind of capture this agent offers. A new kind is a new line.
fn captures() -> Vec<Box<dyn Capture>> {
    // The same program again, whatever its file is called by now, as the command's first self.
    let launcher = ["/proc/self/exe", PTY_CHILD, "--"].map(OsString::from).to_vec();
    vec![Box::new(TerminalCapture::new(launcher))]
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        CommandLine::Enrol(options) => report(enrol::enrol(&arguments.state_dir, options)),
        CommandLine::Run(options) => report(run::run(&arguments.state_dir, &options)),
        CommandLine::Record(options) => ExitCode::from(record::record(&arguments.state_dir, options)),
        CommandLine::Shell => {
            ExitCode::from(record::record(&arguments.state_dir, settings::RecordOptions::shell()))
        }
        CommandLine::Status(options) => report(status::status(&arguments.state_dir, options.output)),
        CommandLine::PtyChild { command } => {
            ExitCode::from(capture_terminal::run_as_session_leader(&command))
        }
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

/// Says something to the person on standard error. When even that fails, nothing is left to say it with.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "hansard-agent: {message}");
}

/// Says what was done.
fn say(message: &str) {
    let _ = writeln!(std::io::stdout(), "{message}");
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
