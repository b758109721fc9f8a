//! The command line and the environment: all input from outside enters the program here.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use recording::InstanceId;
use recording::log_line::Colours;
use url::Url;

use crate::system_settings;

/// The hidden command that becomes the recorded command.
pub(crate) const PTY_CHILD: &str = "pty-child";
/// The hidden command of a recorder's process.
pub(crate) const RECORDER: &str = "recorder";

pub(crate) const STATE_DIR_VARIABLE: &str = "HANSARD_AGENT_STATE_DIR";
const DEFAULT_STATE_DIR: &str = "/var/lib/hansard-agent";
const DEFAULT_MOST_SESSIONS_OF_A_USER: usize = 64;
const DEFAULT_MINIMUM_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// Records what happens on this instance for the Hansard control plane.
#[derive(Debug, Parser)]
#[command(name = "hansard-agent", version)]
pub(crate) struct Arguments {
    /// Where keys, configuration and spool are kept [env: HANSARD_AGENT_STATE_DIR, which `shell` ignores; then `state_dir` in
    /// /etc/hansard-agent/agent.toml; default: /var/lib/hansard-agent].
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: CommandLine,
}

impl Arguments {
    /// The state directory, from the first of these: the flag, the environment, the administrator's file, the default.
    /// A program that a person is made to run must not take it from the environment, which that person controls.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, String> {
        let environment = match self.command {
            CommandLine::Shell => None,
            _ => of_environment(STATE_DIR_VARIABLE),
        };
        match self.state_dir.clone().or(environment.map(PathBuf::from)) {
            Some(state_dir) => Ok(state_dir),
            None => Ok(system_settings::load()?.state_dir.unwrap_or_else(|| DEFAULT_STATE_DIR.into())),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum CommandLine {
    /// Enrol this instance's agent with the control plane, with a join token.
    Enrol(EnrolOptions),
    /// Run the agent, which holds the link, cuts recordings into segments and delivers them.
    Run(RunOptions),
    /// Record a command's terminal session; without a command, a shell.
    Record(RecordOptions),
    /// Record the account's shell as a login shell, or the command in SSH_ORIGINAL_COMMAND through that shell. People
    /// are made to run this, for instance with ForceCommand in sshd_config: they cannot choose the agent, and an agent
    /// of their own is refused.
    Shell,
    /// Show the state of the agent: identity, configuration, link, sessions in the spool.
    Status(StatusOptions),
    /// Run a command as the leader of a session, on the terminal among the standard descriptors.
    #[command(name = PTY_CHILD, hide = true)]
    PtyChild {
        /// The inherited descriptor on which the recorder is told of this process.
        #[arg(long, value_name = "NUMBER")]
        launch: Option<i32>,
        /// Become a login shell.
        #[arg(long)]
        login_shell: bool,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Record a session, as the agent orders on standard input.
    #[command(name = RECORDER, hide = true)]
    Recorder,
}

#[derive(Args)]
pub(crate) struct EnrolOptions {
    /// The address of the control plane, such as `https://hansard.example.org`.
    #[arg(long, value_parser = parse_server)]
    pub(crate) server: Url,
    /// The join token. Other users can see arguments; --token-file and the variable keep it to yourself.
    #[arg(
        long,
        env = "HANSARD_AGENT_JOIN_TOKEN",
        hide_env_values = true,
        required_unless_present = "token_file"
    )]
    token: Option<String>,
    /// A file with the join token; - reads standard input.
    #[arg(long, conflicts_with = "token", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The instance this agent runs on.
    #[arg(long, value_parser = |text: &str| InstanceId::parse(text))]
    pub(crate) instance_id: InstanceId,
    /// Replace an agent that is enrolled already. The join token must permit it.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Set aside sessions that are not delivered yet. They are kept, with the key that seals them, but no agent
    /// delivers them.
    #[arg(long)]
    pub(crate) abandon_spool: bool,
}

impl std::fmt::Debug for EnrolOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolOptions")
            .field("server", &self.server.as_str())
            .field("instance_id", &self.instance_id)
            .field("replace", &self.replace)
            .field("abandon_spool", &self.abandon_spool)
            .finish_non_exhaustive()
    }
}

impl EnrolOptions {
    /// The join token, from any of its sources.
    pub(crate) fn join_token(&self) -> Result<String, String> {
        const LONGEST: u64 = 4096;
        let text = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(file)) => {
                let shown =
                    if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
                let mut text = String::new();
                let read = if file == Path::new("-") {
                    std::io::stdin().take(LONGEST).read_to_string(&mut text)
                } else {
                    std::fs::File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
                };
                read.map_err(|error| format!("the join token could not be read from {shown}: {error}"))?;
                text
            }
            (None, None) => String::new(),
        };
        let token = text.trim();
        if token.is_empty() {
            return Err("the join token is empty; `hansard agents token create` makes one".to_owned());
        }
        Ok(token.to_owned())
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Refuse new sessions when less than this is free on the spool's file system; running ones end at a quarter of it.
    #[arg(long, env = "HANSARD_AGENT_MINIMUM_FREE_BYTES", default_value_t = DEFAULT_MINIMUM_FREE_BYTES, value_name = "BYTES")]
    pub(crate) minimum_free_bytes: u64,
    /// How many sessions one user may have recorded at once; root may have any number.
    #[arg(long, env = "HANSARD_AGENT_MOST_SESSIONS_OF_A_USER", default_value_t = DEFAULT_MOST_SESSIONS_OF_A_USER, value_name = "NUMBER")]
    pub(crate) most_sessions_of_a_user: usize,
    /// What is logged to standard error: a level, or levels by module.
    #[arg(long, env = "HANSARD_AGENT_LOG", default_value = "info", value_name = "FILTER", value_parser = parse_filter)]
    pub(crate) log: String,
}

#[derive(Debug, Args)]
pub(crate) struct RecordOptions {
    /// Say neither that the session is recorded nor how to play it.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The environment of a session that becomes part of its recording or its default command.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionEnvironment {
    pub(crate) shell: Option<OsString>,
    pub(crate) term: Option<OsString>,
    /// What a person asked sshd for, where sshd was told to run something else.
    pub(crate) original_command: Option<OsString>,
    /// Whether it names an agent's state directory, which `shell` does not take from it.
    pub(crate) names_state_dir: bool,
}

impl SessionEnvironment {
    /// As this process has it.
    pub(crate) fn of_this_process() -> Self {
        SessionEnvironment {
            shell: of_environment("SHELL"),
            term: of_environment("TERM"),
            original_command: of_environment("SSH_ORIGINAL_COMMAND"),
            names_state_dir: of_environment(STATE_DIR_VARIABLE).is_some(),
        }
    }
}

#[allow(clippy::disallowed_methods)] // this is the one configuration module
fn of_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The colours of what is logged to standard error.
pub(crate) fn log_colours() -> Colours {
    let (no_color, term) = (of_environment("NO_COLOR"), of_environment("TERM"));
    Colours::of(std::io::stderr().is_terminal(), no_color.as_deref(), term.as_deref())
}

fn parse_server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("not an address such as https://hansard.example.org: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {} is neither http nor https", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the address has no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address must not carry a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the address must not carry a query or fragment".to_owned());
    }
    Ok(url)
}

fn parse_filter(text: &str) -> Result<String, String> {
    if let Some(word) = text.split(',').map(str::trim).find(|part| is_a_module_alone(part)) {
        return Err(format!(
            "{word} is no level (error, warn, info, debug, trace, off), and a module is written with one: {word}=debug"
        ));
    }
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A word that is no level. The filter takes it for a module of which everything is logged, and so logs nothing else.
fn is_a_module_alone(part: &str) -> bool {
    let is_word = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    !part.is_empty() && is_word && part.parse::<tracing_subscriber::filter::LevelFilter>().is_err()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_filter_is_made_of_levels_and_of_modules_with_levels() {
        for filter in ["warn", "off", "info,hyper=debug", "nothing=debug"] {
            assert_eq!(parse_filter(filter).as_deref(), Ok(filter));
        }
        for bad in ["verbose", "info,hyper", "hyper=verbose"] {
            assert!(parse_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn servers_are_plain_addresses() {
        assert!(parse_server("http://127.0.0.1:8080").is_ok());
        assert!(parse_server("https://hansard.example.org/below").is_ok());
        for bad in ["ftp://x", "x", "http://", "http://user:secret@x", "http://x?y", "http://x#y"] {
            assert!(parse_server(bad).is_err(), "{bad}");
        }
        assert!(!parse_server("http://user:secret@x").unwrap_err().contains("secret"));
    }
}
