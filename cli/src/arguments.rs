//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use domain::access_key::AccessKeyStatus;
use domain::agent::InstancePattern;
use domain::identity::{AccessKeyId, PolicyName, UserName};
use domain::{AccountId, InstanceId, TerminalSessionToken};

use crate::settings::{self, Key};

/// Records what people do on instances, and lets the right people find and replay it.
#[derive(Debug, Parser)]
#[command(
    name = "hansard",
    version,
    max_term_width = 110,
    after_help = "\
As a client, hansard reads ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, for temporary keys \
ALIBABA_CLOUD_SECURITY_TOKEN, and HANSARD_ENDPOINT (default http://127.0.0.1:8080).

Exit codes: 0 done; 1 the server refused, or something failed; 2 the command line or a setting is wrong. \
`recordings verify` has more, see its --help."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the control plane.
    Serve(ServeArguments),
    /// Manage users, access keys, policies and server keys, directly in the database.
    Admin(AdminArguments),
    /// List agents, and create the tokens with which they join.
    Agents(AgentsArguments),
    /// Call any action of the API, signed.
    Call(CallArguments),
    /// Find, watch, export and verify recordings.
    Recordings(RecordingsArguments),
    /// Print the OpenAPI document of the API.
    Openapi(OpenapiArguments),
    /// Become the local agent, and end when the server ends.
    #[command(hide = true)]
    LocalAgent(LocalAgentArguments),
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs; the names of the wire.
    Json,
}

/// Where the data is: what `serve` and `admin` share.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// TOML file of settings, named as the flags are; also HANSARD_CONFIG.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the embedded default keeps everything [default: ./hansard-data].
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<String>,
    /// sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE [default: SQLite in the data directory].
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// File of server keys; needed with PostgreSQL [default: server-keys.toml in the data directory].
    #[arg(long, value_name = "FILE", global = true)]
    server_keys: Option<String>,
    /// Region of instances that nothing else places [default: cn-hangzhou].
    #[arg(long, value_name = "REGION", global = true)]
    region: Option<String>,
}

impl StoreArguments {
    /// The `--config` file.
    pub(crate) fn config(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }

    /// The settings that stand on the command line.
    pub(crate) fn flags(&self) -> Vec<(&'static Key, String)> {
        given([
            (&settings::keys::DATA_DIR, &self.data_dir),
            (&settings::keys::DATABASE_URL, &self.database_url),
            (&settings::keys::SERVER_KEYS, &self.server_keys),
            (&settings::keys::REGION, &self.region),
        ])
    }
}

fn given<const N: usize>(flags: [(&'static Key, &Option<String>); N]) -> Vec<(&'static Key, String)> {
    flags.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
}

/// Every flag is also a variable (--data-dir is HANSARD_DATA_DIR) and a key of the settings file (data-dir). A flag is
/// stronger than a variable, and a variable stronger than the file.
#[derive(Debug, Args)]
#[command(after_help = "\
The root account is preset by HANSARD_ROOT_ACCOUNT_ID, HANSARD_ROOT_ACCESS_KEY_ID and \
HANSARD_ROOT_ACCESS_KEY_SECRET, all three or none; otherwise it is generated once and kept in the data directory.")]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Address and port to listen on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The address by which others reach the server [default: http:// and the listening address].
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Run an agent for this machine beside the server.
    #[arg(long)]
    with_local_agent: bool,
    /// The agent program [default: hansard-agent beside this program].
    #[arg(long, value_name = "FILE")]
    local_agent_program: Option<String>,
    /// This machine's instance id [default: i-local].
    #[arg(long, value_name = "ID")]
    local_instance_id: Option<String>,
    /// human or json [default: human].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a list such as info,api=debug [default: info].
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
    /// Show the root access key's secret although standard output is no terminal.
    #[arg(long)]
    pub(crate) print_credentials: bool,
}

impl ServeArguments {
    /// The settings that stand on the command line.
    pub(crate) fn flags(&self) -> Vec<(&'static Key, String)> {
        let with_local_agent = self.with_local_agent.then(|| "true".to_owned());
        let mut flags = self.store.flags();
        flags.extend(given([
            (&settings::keys::LISTEN, &self.listen),
            (&settings::keys::PUBLIC_URL, &self.public_url),
            (&settings::keys::WITH_LOCAL_AGENT, &with_local_agent),
            (&settings::keys::LOCAL_AGENT_PROGRAM, &self.local_agent_program),
            (&settings::keys::LOCAL_INSTANCE_ID, &self.local_instance_id),
            (&settings::keys::LOG_FORMAT, &self.log_format),
            (&settings::keys::LOG_FILTER, &self.log_filter),
        ]));
        flags
    }
}

#[derive(Debug, Args)]
pub(crate) struct AdminArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
    /// The account, where the database holds several.
    #[arg(long, value_name = "ID", global = true, value_parser = AccountId::parse)]
    pub(crate) account_id: Option<AccountId>,
    #[command(subcommand)]
    pub(crate) command: AdminCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// RAM users.
    #[command(subcommand)]
    User(UserCommand),
    /// Access keys of users and of the account's root.
    #[command(subcommand)]
    AccessKey(AccessKeyCommand),
    /// RAM policies, and who has them.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The account.
    #[command(subcommand)]
    Account(AccountCommand),
    /// The file of server keys; the database is not opened.
    #[command(subcommand)]
    ServerKeys(ServerKeysCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create a user.
    Create {
        /// The user's name.
        name: UserName,
    },
    /// List users.
    #[command(alias = "ls")]
    List,
    /// Delete a user with its access keys and attachments.
    Delete {
        /// The user's name.
        name: UserName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessKeyCommand {
    /// Create an access key. Its secret is shown this once.
    Create {
        #[command(flatten)]
        owner: KeyOwnerArguments,
    },
    /// List access keys.
    #[command(alias = "ls")]
    List,
    /// Switch an access key on or off.
    SetStatus {
        /// The access key's id.
        id: AccessKeyId,
        /// Active or Inactive.
        #[arg(value_parser = parse_status)]
        status: AccessKeyStatus,
    },
    /// Delete an access key.
    Delete {
        /// The access key's id.
        id: AccessKeyId,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct KeyOwnerArguments {
    /// A key of this user.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<UserName>,
    /// A key of the account's root.
    #[arg(long)]
    pub(crate) root: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Create a policy from a JSON document, or give an existing one a new document.
    Put {
        /// The policy's name.
        name: PolicyName,
        /// The document; - reads standard input.
        file: PathBuf,
    },
    /// List policies.
    #[command(alias = "ls")]
    List,
    /// Print a policy's document.
    Show {
        /// The policy's name.
        name: PolicyName,
    },
    /// Delete a policy that nobody has.
    Delete {
        /// The policy's name.
        name: PolicyName,
    },
    /// Attach a policy to a user.
    Attach {
        /// The policy's name.
        name: PolicyName,
        /// The user.
        #[arg(long, value_name = "NAME")]
        user: UserName,
    },
    /// Detach a policy from a user.
    Detach {
        /// The policy's name.
        name: PolicyName,
        /// The user.
        #[arg(long, value_name = "NAME")]
        user: UserName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Show the account.
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerKeysCommand {
    /// Make a new file of server keys (mode 0600).
    Generate {
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Add a fresh current key for one purpose, or for all; older keys still open what they made.
    Rotate {
        /// The file.
        file: PathBuf,
        /// sealing, tickets or configuration.
        #[arg(long, value_parser = parse_purpose)]
        purpose: Option<domain::server_keys::Purpose>,
    },
    /// Show the ids of the keys, never the keys.
    Show {
        /// The file.
        file: PathBuf,
    },
}

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
    /// List agents.
    #[command(alias = "list")]
    Ls,
    /// Tokens with which agents join.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token that is good for one enrolment. It is shown this once.
    Create {
        /// The instance that may join, or a pattern of ids with * and ?.
        #[arg(long, value_name = "PATTERN", value_parser = InstancePattern::parse)]
        instance_id: InstancePattern,
        /// How long it lives: 90s, 5m, 2h or 1d.
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
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
    /// Print an address that opens the recording in a browser, once.
    Open(RecordingArguments),
    /// Play a recording in this terminal: space pauses, q leaves.
    Play(PlayArguments),
    /// Write a recording to a file or to standard output.
    Export(ExportArguments),
    /// Check that a recording is complete and unchanged.
    ///
    /// Exit codes: 0 complete (with --trust: by a trusted signer); 1 it could not be checked; 3 a proven prefix: what
    /// is there agrees, but not all is there; 4 inconsistent; 5 with --trust: complete or a prefix, but not by a
    /// trusted signer.
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only those of this instance.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
    /// Expired ones too.
    #[arg(long)]
    pub(crate) include_expired: bool,
    /// How many at once, 1 to 100.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) page_size: Option<u32>,
    /// Which page, from 1.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) page_number: Option<u32>,
    /// All pages.
    #[arg(long, conflicts_with = "page_number")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecordingArguments {
    /// The recording's TerminalSessionToken.
    pub(crate) token: TerminalSessionToken,
    /// Its instance; without it the recording is looked for in the list.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
}

#[derive(Debug, Args)]
pub(crate) struct PlayArguments {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,
    /// How many times faster than it happened.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = parse_speed)]
    pub(crate) speed: f64,
    /// The longest pause that is kept, such as 2s.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) idle_limit: Option<Duration>,
    /// Give the recorded bytes to this terminal as they are. They may drive it in any way.
    #[arg(long)]
    pub(crate) raw: bool,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// asciicast v2, which asciinema plays.
    Cast,
    /// The exact bytes that the terminal was given.
    Txt,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,
    /// What to write.
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// The file to write; it is replaced whole, or not at all. Without it: standard output. A terminal is shown
    /// control characters escaped.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// A recording's TerminalSessionToken, or a folder that holds its objects (start.json, terminal/, ...).
    #[arg(value_name = "TOKEN|FOLDER")]
    pub(crate) subject: String,
    /// The recording's instance; without it the recording is looked for in the list.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
    /// File of trusted sealing keys, one in base64 a line; # begins a comment.
    #[arg(long, value_name = "KEYS")]
    pub(crate) trust: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct OpenapiArguments {
    /// The document of the agents' API instead.
    #[arg(long)]
    pub(crate) agent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LocalAgentArguments {
    /// The server's process id.
    #[arg(long)]
    pub(crate) server: i32,
    /// The agent program and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<std::ffi::OsString>,
}

fn parse_status(text: &str) -> Result<AccessKeyStatus, String> {
    AccessKeyStatus::parse(text).ok_or_else(|| "it is Active or Inactive".into())
}

fn parse_purpose(text: &str) -> Result<domain::server_keys::Purpose, String> {
    let known = domain::server_keys::Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == text);
    known.ok_or_else(|| "it is sealing, tickets or configuration".into())
}

/// The name of an action goes into a header.
fn parse_action(text: &str) -> Result<String, String> {
    let named = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if named { Ok(text.to_owned()) } else { Err("an action's name is letters and digits".into()) }
}

/// `90s`, `5m`, `2h`, `1d`, or seconds without a unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = "it is a whole number and s, m, h or d, such as 90s, 5m, 2h or 1d";
    let (digits, unit) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        Some(b'd') => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ALLOWED.into());
    }
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or(ALLOWED)?;
    Ok(Duration::from_secs(seconds))
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("it is a number above 0, such as 2 or 0.5".into()),
    }
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
    fn every_setting_with_a_flag_is_a_flag_of_serve() {
        let command = Arguments::command();
        let serve = command.find_subcommand("serve").unwrap();
        for key in settings::keys::SETTING_KEYS {
            let is_flag = serve.get_arguments().any(|argument| argument.get_long() == Some(key.name));
            assert_eq!(is_flag, key.has_flag, "--{}", key.name);
        }
        let line = [
            "hansard",
            "serve",
            "--data-dir=d",
            "--listen=l",
            "--database-url=u",
            "--public-url=p",
            "--region=r",
            "--server-keys=k",
            "--with-local-agent",
            "--local-agent-program=a",
            "--local-instance-id=i",
            "--log-format=f",
            "--log-filter=g",
        ];
        let Command::Serve(arguments) = Arguments::parse_from(line).command else { panic!("it is serve") };
        let mut given: Vec<_> = arguments.flags().iter().map(|(key, _)| key.name).collect();
        let mut expected: Vec<_> =
            settings::keys::SETTING_KEYS.iter().filter(|key| key.has_flag).map(|key| key.name).collect();
        given.sort_unstable();
        expected.sort_unstable();
        assert_eq!(given, expected);
    }

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
    fn a_speed_moves_forward() {
        assert!((parse_speed("0.5").unwrap() - 0.5).abs() < f64::EPSILON);
        for text in ["0", "-1", "inf", "NaN", "fast"] {
            assert!(parse_speed(text).is_err(), "{text}");
        }
    }
}
