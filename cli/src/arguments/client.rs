//! The command lines of the client.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::{Args, Subcommand, ValueEnum};

use domain::agent::{InstancePattern, JoinTokenLifetime};
use domain::recording_filter::TokenPrefix;
use domain::recording_life::WireStatus;
use domain::{AccountId, AgentId, InstanceId, TerminalSessionToken, Timestamp};

use super::Output;
use super::moments::{parse_duration, parse_moment};

#[derive(Debug, Args)]
pub(crate) struct AgentsArguments {
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: AgentsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// List agents, including replaced and removed ones with missing recordings.
    #[command(alias = "list")]
    Ls,
    /// Write the sealing keys of all agents, including replaced and removed ones, in the form that `recordings verify --trust`
    /// reads.
    Keys {
        /// The file to write, completely or not at all. Without it: standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Replace the file if it exists.
        #[arg(long, requires = "out")]
        force: bool,
    },
    /// Remove the agent of an instance: its keys are refused at once, and its open recordings end (as interrupted;
    /// failed, if nothing of them had arrived).
    ///
    /// Its recordings stay, and its sealing key still verifies them. What it has not delivered stays in its spool on the
    /// instance. To record there again, enrol with a new join token.
    #[command(alias = "remove")]
    Rm {
        /// The instance, the agent's id, or the beginning of one of them that no other agent's begins with.
        #[arg(value_name = "INSTANCE|AGENT")]
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Tokens with which agents join.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token for one enrolment. It is shown only once.
    Create {
        /// The instance that may join, or a pattern of ids with * and ?.
        #[arg(long, value_name = "PATTERN", value_parser = InstancePattern::parse)]
        instance_id: InstancePattern,
        /// How long it lives: 90s, 5m, 2h or 1d; at least 60s, at most 7d.
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_token_lifetime)]
        ttl: Duration,
        /// Let the agent take over an instance that has an agent.
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CallArguments {
    /// The action, such as GetInstanceRecordConfig.
    #[arg(value_parser = parse_action)]
    pub(crate) action: String,
    /// Parameters. Name=@FILE takes the text of a file; Name=@@text is @text.
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Accepted as in the other commands; a reply is always JSON.
    #[arg(long = "output", value_name = "OUTPUT", value_parser = ["json"])]
    _output: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RecordingsArguments {
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: RecordingsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecordingsCommand {
    /// List recordings, newest first.
    #[command(alias = "list")]
    Ls(ListArguments),
    /// Show everything that is known of a recording.
    Show(ShowArguments),
    /// Open the recording in the browser; where there is none, print the address, which is valid once.
    ///
    /// The browser is the one in $BROWSER, or the desktop's. The address is then among the arguments of a program, which
    /// other users of this machine may see.
    Open(OpenArguments),
    /// Play a recording in this terminal.
    ///
    /// A status line shows position, length and speed. Keys: space pauses, arrows go 5 seconds back and forward, page keys
    /// a minute, 0 to 9 to so many tenths, home and end to the start and the end, `.` stops and shows the next event, `<`
    /// and `>` change the speed, s takes the status line away, ? shows all keys, q leaves.
    Play(PlayArguments),
    /// Write a recording to a file or to standard output; of a running one, what has arrived.
    Export(ExportArguments),
    /// Check that this is the recording that you asked for, complete, unchanged, and sealed by a trusted agent; or,
    /// with --agent or --all, that no recording is missing.
    ///
    /// For a token, the control plane says what to expect: instance, account, hashes, and the key that was enrolled for
    /// the agent. A folder needs --trust or --any-signer.
    ///
    /// Exit codes; the first verdict that applies:
    ///
    /// 1 it could not be checked; 2 wrong usage
    ///
    /// 4 inconsistent: something contradicts the rest, or it is not the recording that was asked for
    ///
    /// 5 untrusted: the signer's key is not trusted for this agent, instance and account at that time; or there are no
    /// trusted keys and --any-signer was not given
    ///
    /// 3 proven prefix: something is missing, or it is not sealed (also: still running)
    ///
    /// 8 empty: it is sealed, and has no segment
    ///
    /// 7 interrupted: everything is there except the end of the command
    ///
    /// 6 complete with loss: everything is there and the command ended, with at least one loss: a gap, a drop, a truncation
    /// or a rate limit
    ///
    /// 0 complete: none of these
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only recordings of this instance.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
    /// Only recordings that started at this moment or later: a time such as 2023-11-16T02:59:39Z, or how long ago, such as
    /// 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) started_after: Option<Timestamp>,
    /// Only recordings that started before this moment.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) started_before: Option<Timestamp>,
    /// Only recordings with this status.
    #[arg(long, value_name = "STATUS", value_parser = WireStatus::ALL.map(WireStatus::as_str))]
    pub(crate) status: Option<String>,
    /// Only recordings of this user: proven to have opened the session, or claimed by the agent.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only recordings whose token begins with these 4 or more hexadecimal digits.
    #[arg(long, value_name = "DIGITS", value_parser = TokenPrefix::parse)]
    pub(crate) token_prefix: Option<TokenPrefix>,
    /// Include expired recordings.
    #[arg(long)]
    pub(crate) include_expired: bool,
    /// How many recordings a page shows, 1 to 100.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) page_size: Option<u32>,
    /// Which page, from 1.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) page_number: Option<u32>,
    /// All pages.
    #[arg(long, conflicts_with = "page_number")]
    pub(crate) all: bool,
}

/// How a command line names a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordingReference {
    /// By its whole token.
    Token(TerminalSessionToken),
    /// By the beginning of it.
    Prefix(TokenPrefix),
    /// As the one that started last.
    Latest,
}

impl RecordingReference {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(token) = TerminalSessionToken::parse(text) {
            return Ok(Self::Token(token));
        }
        TokenPrefix::parse(text).map(Self::Prefix).map_err(|_| {
            "it must be a token of 32 lower-case hexadecimal digits, the first 4 or more of them, or latest".to_owned()
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct RecordingArguments {
    /// The recording's TerminalSessionToken, the first 4 or more digits of it, or latest.
    #[arg(value_name = "TOKEN", value_parser = RecordingReference::parse)]
    pub(crate) recording: RecordingReference,
    /// Its instance; without it the recording is searched for in the list.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,
    /// Also list the files that passed, and output beyond what is recorded. This reads the recording, and is audited like
    /// playing it.
    #[arg(long)]
    pub(crate) transfers: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArguments {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,
    /// Only print the address.
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlayArguments {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,
    /// How many times faster than recorded.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = parse_speed, allow_negative_numbers = true)]
    pub(crate) speed: f64,
    /// The longest pause that is kept, such as 2s.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) idle_limit: Option<Duration>,
    /// Write the recorded bytes to this terminal unchanged. They can control it in any way. At the end every mode is
    /// switched off; there is no status line, and the only way back is to play it again.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Where the recorded session is still running, show what arrives until it ends.
    #[arg(long)]
    pub(crate) follow: bool,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// asciicast v2, which asciinema plays.
    Cast,
    /// The exact bytes that the terminal was given, with a line in brackets where the recording says that it lacks
    /// something.
    Txt,
    /// What is known besides, such as the files that passed: one JSON object a line.
    Events,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,
    /// What to write.
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// The file to write, completely or not at all. Without it: standard output. A terminal is shown control characters
    /// escaped.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// A recording's TerminalSessionToken, the first 4 or more digits of it, latest, or a folder that holds its objects (start.json, terminal/, ...).
    #[arg(
        value_name = "TOKEN|FOLDER",
        default_value_ifs([("agent", ArgPredicate::IsPresent, Some("")), ("all", ArgPredicate::IsPresent, Some(""))]),
        conflicts_with_all = ["agent", "all"]
    )]
    pub(crate) subject: String,
    /// Check whether all recordings of this agent exist, instead of the contents of one of them: its numbers, the
    /// manifests that they name, and the audit trail's openings and seals are compared with what exists.
    ///
    /// Exit codes: 0 none is missing; 1 it could not be checked; 3 numbers are missing whose recordings have not
    /// arrived; 4 recordings are gone that are known to have existed.
    #[arg(long, value_name = "ID", conflicts_with_all = ["all", "trust", "token", "account", "any_signer"])]
    pub(crate) agent: Option<AgentId>,
    /// The same for all agents, including replaced ones; with --instance-id, for those of an instance.
    #[arg(long, conflicts_with_all = ["trust", "token", "account", "any_signer"])]
    pub(crate) all: bool,
    /// The recording that the folder must hold.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<TerminalSessionToken>,
    /// The recording's instance. Without it, a recording of the control plane is searched for in the list.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
    /// The recording's account.
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<AccountId>,
    /// File of trusted sealing keys, as `hansard agents keys` writes it.
    #[arg(long, value_name = "KEYS")]
    pub(crate) trust: Option<PathBuf>,
    /// Accept any key that sealed it, which could be anybody's.
    #[arg(long, conflicts_with = "trust")]
    pub(crate) any_signer: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OpenapiArguments {
    /// The API of the document.
    #[arg(value_enum, default_value_t = Document::Workbench)]
    pub(crate) document: Document,
    /// The document of the agents' API: the same as `agent`.
    #[arg(long)]
    pub(crate) agent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionArguments {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: CompletionShell,
}

/// A shell that completes command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionShell {
    /// bash; save it in /etc/bash_completion.d/ or source it.
    Bash,
    /// zsh; save it as _hansard in a folder of $fpath.
    Zsh,
    /// fish; save it as ~/.config/fish/completions/hansard.fish.
    Fish,
}

/// An API that has a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Document {
    /// Session recording: ecs-workbench 2022-02-20.
    Workbench,
    /// Users, groups, roles and policies: RAM 2015-05-01.
    Ram,
    /// Sessions of roles: STS 2015-04-01.
    Sts,
    /// What agents speak.
    Agent,
}

/// The name of an action is sent in a header.
fn parse_action(text: &str) -> Result<String, String> {
    let named = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if named { Ok(text.to_owned()) } else { Err("an action's name is letters and digits".into()) }
}

/// What the server accepts, checked here so that the flag is named.
fn parse_token_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = parse_duration(text)?;
    let accepted =
        i64::try_from(lifetime.as_secs()).is_ok_and(|it| JoinTokenLifetime::from_seconds(it).is_ok());
    if accepted {
        Ok(lifetime)
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Err(format!(
            "it must be 60s to 7d, and without a unit it is {text}s; write {text}m for minutes, or h or d"
        ))
    } else {
        Err("it must be 60s to 7d".into())
    }
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("it must be a number above 0, such as 2 or 0.5".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("7", 7)] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["", "m", "-5m", "5 m", "5x", "1.5h", "99999999999999999999d", "5ä"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_lives_a_minute_to_a_week() {
        for text in ["60s", "1m", "7d", "604800"] {
            assert!(parse_token_lifetime(text).is_ok(), "{text}");
        }
        assert!(
            parse_token_lifetime("5").unwrap_err().contains("without a unit it is 5s; write 5m for minutes")
        );
        for text in ["0s", "59s", "8d", "604801s"] {
            assert_eq!(parse_token_lifetime(text).unwrap_err(), "it must be 60s to 7d", "{text}");
        }
    }

    #[test]
    fn a_recording_is_named_by_its_token_or_the_beginning_of_it_or_as_the_latest() {
        let token = "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52";
        let whole = RecordingReference::Token(TerminalSessionToken::parse(token).unwrap());
        assert_eq!(RecordingReference::parse(token), Ok(whole));
        let prefix = RecordingReference::Prefix(TokenPrefix::parse("5f0c").unwrap());
        assert_eq!(RecordingReference::parse("5f0c"), Ok(prefix));
        assert_eq!(RecordingReference::parse("latest"), Ok(RecordingReference::Latest));
        for text in ["", "5f0", "Latest", "5F0C", "newest", &format!("{token}0")] {
            assert!(RecordingReference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_speed_moves_forward() {
        assert!((parse_speed("0.5").unwrap() - 0.5).abs() < f64::EPSILON);
        for text in ["0", "-1", "inf", "NaN", "fast"] {
            assert!(parse_speed(text).is_err(), "{text}");
        }
    }
}
