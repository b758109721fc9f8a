//! The command line and the environment: all input from outside enters the program here.

mod limits;
mod sessions;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_protocol::recorder::SyncLimits;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use recording::log_line::Colours;
use recording::{InstanceId, TerminalSessionToken};
use url::Url;

use crate::system_settings::{self, Shells, Writer};
use crate::usage;

pub(crate) use limits::{DiskLimits, UserLimits};
pub(crate) use sessions::{SessionsCommand, SessionsOptions};

/// The hidden command that becomes the recorded command.
pub(crate) const PTY_CHILD: &str = "pty-child";
/// The hidden command of a recorder's process.
pub(crate) const RECORDER: &str = "recorder";

pub(crate) const STATE_DIR_VARIABLE: &str = "HANSARD_AGENT_STATE_DIR";
const CONFIG_VARIABLE: &str = "HANSARD_AGENT_CONFIG";
const DEFAULT_STATE_DIR: &str = "/var/lib/hansard-agent";
const DEFAULT_QUARANTINE_AFTER: &str = "24h";
const DEFAULT_WAIT_FOR_AGENT: &str = "10s";
const DEFAULT_SYNC_HOLD_AFTER: &str = "10s";
const DEFAULT_SYNC_END_AFTER: &str = "30s";
/// A segment is cut after a second, and takes its way.
const LEAST_SYNC_HOLD_AFTER: Duration = Duration::from_secs(2);
/// Longer than any session, and short enough to be added to a time.
const LONGEST_SYNC_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
const DEFAULT_MOST_OUTPUT_BYTES: u64 = transfer_observer::DEFAULT_OUTPUT_LIMIT;

/// Records what happens on this instance for the Hansard control plane.
#[derive(Debug, Parser)]
#[command(name = "hansard-agent", version)]
pub(crate) struct Arguments {
    /// Where keys, configuration and spool are kept [env: HANSARD_AGENT_STATE_DIR, which `shell` ignores; then `state-dir` in
    /// the settings file; default: /var/lib/hansard-agent].
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The settings file, whose keys are named as the flags [env: HANSARD_AGENT_CONFIG, which `shell` ignores; default:
    /// /etc/hansard-agent/agent.toml].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: CommandLine,
}

/// What is settled for every command: from flags, the environment, the settings file and defaults, the first of these
/// being the strongest.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) state_dir: PathBuf,
    pub(crate) shells: Shells,
}

impl Arguments {
    /// Adds what the settings file says. `given` is the command line that was read.
    ///
    /// A program that a person is made to run must take nothing from the environment, which that person controls, and
    /// nothing from a file that another than root could have written.
    pub(crate) fn settle(&mut self, given: &[OsString]) -> Result<Settled, String> {
        let (environment, writer): (fn(&str) -> Option<OsString>, _) = match self.command {
            CommandLine::Shell(_) => (|_| None, Writer::RootAlone),
            _ => (of_environment, Writer::ThisUser),
        };
        let named = self.config.clone().or_else(|| environment(CONFIG_VARIABLE).map(PathBuf::from));
        let file = system_settings::load(named.as_deref(), writer, &Arguments::command())?;
        let read = file
            .as_defaults_of(Arguments::command())
            .try_get_matches_from(given)
            .and_then(|found| Arguments::from_arg_matches(&found));
        *self = read.map_err(|refused| usage::explained(&refused, given))?;
        let state_dir = self.state_dir.clone();
        let state_dir = state_dir.or_else(|| environment(STATE_DIR_VARIABLE).map(PathBuf::from));
        Ok(Settled {
            state_dir: state_dir.or(file.state_dir).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
            shells: file.shells,
        })
    }

    /// What is settled for a login shell, which has no flags of its own: what it is given is for the real shell.
    pub(crate) fn settle_login_shell() -> Result<(Settled, ShellOptions), String> {
        let words = ["hansard-agent", "shell"].map(OsString::from);
        let read = Arguments::try_parse_from(&words);
        let mut arguments = read.map_err(|refused| usage::explained(&refused, &words))?;
        let settled = arguments.settle(&words)?;
        match arguments.command {
            CommandLine::Shell(options) => Ok((settled, options)),
            _ => Err("the command line of shell is read as another's".to_owned()),
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
    Shell(ShellOptions),
    /// Show the state of the agent: identity, configuration, link, sessions in the spool.
    Status(StatusOptions),
    /// Try recordings at once that were refused or did not arrive, those in quarantine among them.
    Retry(RetryOptions),
    /// The sessions that are recorded now: list them, end one, tell its person something, watch it. Only root and the
    /// agent's user may do this; the agent logs who does.
    Sessions(SessionsOptions),
    /// Copy what the spool holds of a recording into a folder that `hansard recordings verify` and `play` read. Nothing is
    /// taken away.
    Export(ExportOptions),
    /// Name every way round the recording that sshd, accounts and files of this instance leave open, with the setting that
    /// closes it. The exit code is 0 if there is none, 1 if there is one, and 2 if something could not be looked at.
    Doctor(DoctorOptions),
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
    /// Replace an agent that is enrolled already. The join token must permit it. What the earlier agent has not delivered yet is
    /// delivered by the new one, with leave of the control plane, if it is of the same instance at the same control plane.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Set aside sessions that are not delivered yet, instead. They are kept, with the keys that seal them, but no agent
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
    #[command(flatten)]
    pub(crate) disk: DiskLimits,
    #[command(flatten)]
    pub(crate) user_limits: UserLimits,
    /// How much of each output of a command without a terminal is recorded; what comes behind is counted and hashed.
    #[arg(long, env = "HANSARD_AGENT_MOST_OUTPUT_BYTES", default_value_t = DEFAULT_MOST_OUTPUT_BYTES, value_name = "BYTES")]
    pub(crate) most_output_bytes: u64,
    #[command(flatten)]
    pub(crate) sync: SyncSettings,
    /// How long a recording must have been refused, by a control plane or a store that answered, until it is put into
    /// quarantine: kept, and tried once a day.
    #[arg(long, env = "HANSARD_AGENT_QUARANTINE_AFTER", default_value = DEFAULT_QUARANTINE_AFTER, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) quarantine_after: Duration,
    /// What is logged to standard error: a level, or levels by module.
    #[arg(long, env = "HANSARD_AGENT_LOG", default_value = "info", value_name = "FILTER", value_parser = parse_filter)]
    pub(crate) log: String,
}

/// The limits of the delivery mode `sync`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SyncSettings {
    /// Under DeliveryMode sync, hold output when the control plane has not stored what was shown so long ago; at least 2s.
    #[arg(long = "sync-hold-after", env = "HANSARD_AGENT_SYNC_HOLD_AFTER", default_value = DEFAULT_SYNC_HOLD_AFTER, value_name = "DURATION", value_parser = parse_hold_after)]
    pub(crate) hold_after: Duration,
    /// Under DeliveryMode sync, end a session (or go on without waiting, as its FailurePolicy says) when it was held so long.
    #[arg(long = "sync-end-after", env = "HANSARD_AGENT_SYNC_END_AFTER", default_value = DEFAULT_SYNC_END_AFTER, value_name = "DURATION", value_parser = parse_end_after)]
    pub(crate) end_after: Duration,
}

impl SyncSettings {
    /// As a recorder is told.
    pub(crate) fn limits(self) -> SyncLimits {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        SyncLimits { hold_after_millis: millis(self.hold_after), end_after_millis: millis(self.end_after) }
    }

    /// How long a session waits in all.
    pub(crate) fn longest(self) -> Duration {
        self.hold_after.saturating_add(self.end_after)
    }
}

#[derive(Debug, Args)]
pub(crate) struct RecordOptions {
    /// Do not say at the end how to play the recording. The notice before the first prompt is shown all the same.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// How long to wait for an agent that is starting.
    #[arg(long, env = "HANSARD_AGENT_WAIT_FOR_AGENT", default_value = DEFAULT_WAIT_FOR_AGENT, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) wait_for_agent: Duration,
    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Nothing here may have a variable: the environment is the person's.
#[derive(Debug, Args)]
pub(crate) struct ShellOptions {
    /// How long to wait for an agent that is starting.
    #[arg(long, default_value = DEFAULT_WAIT_FOR_AGENT, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) wait_for_agent: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RetryOptions {
    /// The recording, as `status` names it.
    #[arg(value_name = "TOKEN", value_parser = |text: &str| TerminalSessionToken::parse(text))]
    pub(crate) token: Option<TerminalSessionToken>,
    /// All that wait.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportOptions {
    /// The recording, as `status` names it.
    #[arg(value_name = "TOKEN", value_parser = |text: &str| TerminalSessionToken::parse(text))]
    pub(crate) token: TerminalSessionToken,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The configuration of the sshd that people reach, if it is not the one that sshd finds by itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) sshd_config: Option<PathBuf>,
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

/// What a service manager says to the process that it starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceEnvironment {
    pub(crate) notify_socket: Option<OsString>,
    pub(crate) watchdog_microseconds: Option<u64>,
    /// Whom the watchdog is for; a program that this one starts has the same variables.
    pub(crate) watchdog_process: Option<u32>,
}

impl ServiceEnvironment {
    /// As this process has it.
    pub(crate) fn of_this_process() -> Self {
        let number = |name| of_environment(name)?.to_str()?.parse().ok();
        ServiceEnvironment {
            notify_socket: of_environment("NOTIFY_SOCKET"),
            watchdog_microseconds: number("WATCHDOG_USEC"),
            watchdog_process: number("WATCHDOG_PID").and_then(|id| u32::try_from(id).ok()),
        }
    }

    /// How long this process may be silent.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        let is_ours = self.watchdog_process.is_none_or(|id| id == std::process::id());
        self.watchdog_microseconds.filter(|wait| is_ours && *wait > 0).map(Duration::from_micros)
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

/// A whole number with its unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no duration such as 10s: a whole number and ms, s, m or h");
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)
}

fn parse_hold_after(text: &str) -> Result<Duration, String> {
    let duration = parse_end_after(text)?;
    if duration < LEAST_SYNC_HOLD_AFTER {
        return Err(format!("segments are cut each second: it is at least {LEAST_SYNC_HOLD_AFTER:?}"));
    }
    Ok(duration)
}

fn parse_end_after(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration > LONGEST_SYNC_WAIT {
        return Err("it is at most a year".to_owned());
    }
    Ok(duration)
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
    fn durations_have_units() {
        for (text, milliseconds) in
            [("0s", 0), ("250ms", 250), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in
            ["", "10", "s", "1.5s", "-1s", "10 s", "99999999999999999999s", "18446744073709551615h", "1d"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_hold_after("2s"), Ok(LEAST_SYNC_HOLD_AFTER));
        assert_eq!(parse_end_after("0s"), Ok(Duration::ZERO));
        assert!(parse_hold_after("1999ms").is_err() && parse_end_after("8761h").is_err());
    }

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let of = |microseconds, process| ServiceEnvironment {
            notify_socket: None,
            watchdog_microseconds: microseconds,
            watchdog_process: process,
        };
        let ours = std::process::id();
        assert_eq!(of(Some(5), None).watchdog(), Some(Duration::from_micros(5)));
        assert_eq!(of(Some(5), Some(ours)).watchdog(), Some(Duration::from_micros(5)));
        for none in [of(Some(5), Some(ours + 1)), of(Some(0), None), of(None, Some(ours))] {
            assert_eq!(none.watchdog(), None, "{none:?}");
        }
    }

    #[test]
    fn shell_has_no_variables() {
        let command_line = Arguments::command();
        let shell = command_line.find_subcommand("shell").unwrap();
        for flag in command_line.get_arguments().chain(shell.get_arguments()) {
            assert_eq!(flag.get_env(), None, "{:?}", flag.get_long());
        }
    }

    /// The README's table has one row for each setting, and no other.
    #[test]
    fn the_readme_names_every_setting() {
        let readme = include_str!("../../../README.md");
        let table =
            readme.split("| key of `agent.toml` |").nth(1).expect("the table of the agent's settings");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
            .collect();
        let command_line = Arguments::command();
        let code = |text: &str| format!("`{text}`");
        let mut expected = Vec::new();
        for flag in
            ["run", "record"].into_iter().flat_map(|name| system_settings::flags_of(&command_line, name))
        {
            let name = flag.get_long().unwrap();
            let variable =
                flag.get_env().unwrap_or_else(|| panic!("{name} has no variable")).to_str().unwrap();
            let default =
                flag.get_default_values().first().map_or("none".into(), |value| value.to_string_lossy());
            expected.push([code(name), code(&format!("--{name}")), code(variable), code(&default)]);
        }
        expected.push(["state-dir", "--state-dir", STATE_DIR_VARIABLE, DEFAULT_STATE_DIR].map(code));
        for row in &expected {
            assert!(
                rows.iter().any(|found| found[..4] == row[..]),
                "the table lacks {row:?}, or says it otherwise"
            );
        }
        // The shells, which have no flag, and the file itself, which has no key.
        let others = rows.iter().filter(|row| !expected.iter().any(|expected| expected[..] == row[..4]));
        let others: Vec<&str> = others.map(|row| row[0].trim_matches('`')).collect();
        assert_eq!(others, ["shell.default", "shell.users.NAME", "none"]);
        assert!(
            table.contains(&format!(
                "| none | `--config` | `{CONFIG_VARIABLE}` | `{}`",
                system_settings::PATH
            ))
        );
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
