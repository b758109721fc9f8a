//! The command line of `sessions`.

use agent_protocol::live::check_text;
use clap::{Args, Subcommand};
use recording::TerminalSessionToken;

use super::Output;

#[derive(Debug, Args)]
pub(crate) struct SessionsOptions {
    #[command(subcommand)]
    pub(crate) command: Option<SessionsCommand>,
}

/// What is done with sessions that are recorded now; without a word they are listed.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// Name them: token, user, since when, state, command.
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// End a session. Its person is told why, and the recording says why and who asked for it.
    End {
        /// The session, as `sessions list` names it.
        #[arg(value_name = "TOKEN", value_parser = |text: &str| TerminalSessionToken::parse(text))]
        token: TerminalSessionToken,
        /// Why.
        #[arg(long, value_name = "TEXT", value_parser = parse_text)]
        reason: String,
    },
    /// Show the person of a session a text on a line of its own. The recording does not have it.
    Say {
        /// The session, as `sessions list` names it.
        #[arg(value_name = "TOKEN", value_parser = |text: &str| TerminalSessionToken::parse(text))]
        token: TerminalSessionToken,
        /// What.
        #[arg(value_name = "TEXT", value_parser = parse_text)]
        text: String,
    },
    /// Show what a session prints from now on, without what could drive the terminal of whoever watches.
    Watch {
        /// The session, as `sessions list` names it.
        #[arg(value_name = "TOKEN", value_parser = |text: &str| TerminalSessionToken::parse(text))]
        token: TerminalSessionToken,
    },
}

fn parse_text(text: &str) -> Result<String, String> {
    check_text(text).map(|()| text.to_owned())
}
