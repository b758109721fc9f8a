//! The command lines of `serve` and `admin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use domain::access_key::AccessKeyStatus;
use domain::identity::{AccessKeyId, UserName};
use domain::instance_tags::{TagKey, TagValue};
use domain::server_keys::Purpose;
use domain::{AccountId, InstanceId};

use super::{AuditListArguments, ControlPolicyCommand, Output, PolicyCommand};
use crate::settings::{self, Key};

/// Where the data is: what `serve` and `admin` share.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// TOML file of settings, named as the flags are; also HANSARD_CONFIG.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The directory for all data of the embedded defaults [default: ./hansard-data].
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<String>,
    /// sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE or mariadb://USER:PASSWORD@HOST/DATABASE [default: SQLite in
    /// the data directory].
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// File of server keys; needed with PostgreSQL and MariaDB [default: server-keys.toml in the data directory].
    #[arg(long, value_name = "FILE", global = true)]
    server_keys: Option<String>,
    /// Region of instances without a known region [default: cn-hangzhou].
    #[arg(long, value_name = "REGION", global = true)]
    region: Option<String>,
}

impl StoreArguments {
    /// The `--config` file.
    pub(crate) fn config(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }

    /// The settings on the command line.
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

#[derive(Debug, Args)]
#[command(after_help = "\
Every flag is also a variable (--data-dir is HANSARD_DATA_DIR) and a key of the settings file (data-dir = \"...\", \
connections = 40). A flag is stronger than a variable, and a variable stronger than the file.

\
The root account is preset by HANSARD_ROOT_ACCOUNT_ID, HANSARD_ROOT_ACCESS_KEY_ID and \
HANSARD_ROOT_ACCESS_KEY_SECRET, all three or none; otherwise it is generated once and kept in the data directory.")]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Address and port to listen on. localhost:PORT and :PORT are 127.0.0.1, which only this machine reaches; for all
    /// addresses of this machine write 0.0.0.0:PORT [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Start although the database confirms commits that can be lost when its machine fails. Whoever was answered may then
    /// find what was answered, and its audit row, gone.
    #[arg(long)]
    accept_commits_that_can_be_lost: bool,
    /// The address by which others reach the server [default: http:// and the listening address].
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Address and port to listen on for other replicas, so that each reaches the agents that are connected to another.
    /// It must be in a private network, because it is not encrypted [default: not at all].
    #[arg(long, value_name = "ADDRESS:PORT")]
    internal_listen: Option<String>,
    /// The address by which other replicas reach --internal-listen [default: http:// and that address].
    #[arg(long, value_name = "URL")]
    internal_address: Option<String>,
    /// Folder that the audit trail is exported to as JSON lines, or off [default: audit in the data directory].
    #[arg(long, value_name = "DIR")]
    audit_log_dir: Option<String>,
    /// File that the audit trail's signed anchors are appended to. Keep it out of reach of anybody who can change the
    /// database and the exported files: on another machine, or append-only.
    #[arg(long, value_name = "FILE")]
    audit_anchors_file: Option<String>,
    /// After how many days audit rows are removed from the database. They stay in the exported files, which are then
    /// needed to verify the trail: keep them [default: never].
    #[arg(long, value_name = "DAYS")]
    audit_retention: Option<String>,
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
    /// What is logged: error, warn, info, debug, trace, off, or a list such as info,api=debug [default: info].
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
    /// Addresses or address blocks of proxies in front, separated by commas. X-Forwarded-For and X-Forwarded-Proto are
    /// read only from these [default: none].
    #[arg(long, value_name = "LIST")]
    trusted_proxies: Option<String>,
    /// Calls per second from one source address, 0 for no limit [default: 1000].
    #[arg(long, value_name = "NUMBER")]
    address_rate: Option<String>,
    /// Calls at once from one source address, after a pause [default: 5000].
    #[arg(long, value_name = "NUMBER")]
    address_burst: Option<String>,
    /// Calls per second of one principal, 0 for no limit [default: 200].
    #[arg(long, value_name = "NUMBER")]
    principal_rate: Option<String>,
    /// Calls at once of one principal, after a pause [default: 2000].
    #[arg(long, value_name = "NUMBER")]
    principal_burst: Option<String>,
    /// Connections at once, 0 for no limit [default: half of the open files that the system allows, at most 16384].
    #[arg(long, value_name = "NUMBER")]
    connections: Option<String>,
    /// Connections at once from one source address, 0 for no limit [default: a quarter of --connections].
    #[arg(long, value_name = "NUMBER")]
    connections_per_address: Option<String>,
    /// For how many seconds an agent may be silent until its running recordings are shown as interrupted [default: 600].
    #[arg(long, value_name = "SECONDS")]
    recording_lease: Option<String>,
    /// For how many seconds the server takes new work after SIGTERM, while /readyz answers 503 already [default: 5].
    #[arg(long, value_name = "SECONDS")]
    shutdown_delay: Option<String>,
    /// Show the root access key's secret although standard output is no terminal.
    #[arg(long)]
    pub(crate) print_credentials: bool,
}

impl ServeArguments {
    /// The settings on the command line.
    pub(crate) fn flags(&self) -> Vec<(&'static Key, String)> {
        let with_local_agent = self.with_local_agent.then(|| "true".to_owned());
        let accept_loss = self.accept_commits_that_can_be_lost.then(|| "true".to_owned());
        let mut flags = self.store.flags();
        flags.extend(given([
            (&settings::keys::LISTEN, &self.listen),
            (&settings::keys::ACCEPT_LOSS, &accept_loss),
            (&settings::keys::PUBLIC_URL, &self.public_url),
            (&settings::keys::INTERNAL_LISTEN, &self.internal_listen),
            (&settings::keys::INTERNAL_ADDRESS, &self.internal_address),
            (&settings::keys::AUDIT_LOG_DIR, &self.audit_log_dir),
            (&settings::keys::AUDIT_ANCHORS_FILE, &self.audit_anchors_file),
            (&settings::keys::AUDIT_RETENTION, &self.audit_retention),
            (&settings::keys::WITH_LOCAL_AGENT, &with_local_agent),
            (&settings::keys::LOCAL_AGENT_PROGRAM, &self.local_agent_program),
            (&settings::keys::LOCAL_INSTANCE_ID, &self.local_instance_id),
            (&settings::keys::LOG_FORMAT, &self.log_format),
            (&settings::keys::LOG_FILTER, &self.log_filter),
            (&settings::keys::TRUSTED_PROXIES, &self.trusted_proxies),
            (&settings::keys::ADDRESS_RATE, &self.address_rate),
            (&settings::keys::ADDRESS_BURST, &self.address_burst),
            (&settings::keys::PRINCIPAL_RATE, &self.principal_rate),
            (&settings::keys::PRINCIPAL_BURST, &self.principal_burst),
            (&settings::keys::CONNECTIONS, &self.connections),
            (&settings::keys::CONNECTIONS_PER_ADDRESS, &self.connections_per_address),
            (&settings::keys::RECORDING_LEASE, &self.recording_lease),
            (&settings::keys::SHUTDOWN_DELAY, &self.shutdown_delay),
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
    /// The account, if the database has several. `audit` also takes 1000000000000000, the deployment itself: the
    /// refusals of unauthenticated callers, counted by source address and minute.
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
    /// RAM policies, and what they are attached to.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Control policies: the most that users and roles may do, whatever their policies say.
    #[command(subcommand)]
    ControlPolicy(ControlPolicyCommand),
    /// Instances and their tags.
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// The account.
    #[command(subcommand)]
    Account(AccountCommand),
    /// List the audit trail, the newest first, without a server.
    Audit(AuditListArguments),
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
    /// Delete a user that has no access keys and no policies and is in no group.
    Delete {
        /// The user's name.
        name: UserName,
        /// Also delete its access keys, remove it from its groups and detach its policies.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessKeyCommand {
    /// Create an access key. Its secret is shown only once.
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
pub(crate) enum InstanceCommand {
    /// Set and remove tags of an instance, for conditions on acs:ResourceTag/KEY and on its other name,
    /// ecs-workbench:InstanceTag/KEY. Two keys cannot differ only in case.
    Tag {
        /// The instance; it does not need an agent yet.
        instance: InstanceId,
        /// Tags to set.
        #[arg(value_name = "KEY=VALUE", value_parser = parse_tag)]
        tags: Vec<(TagKey, TagValue)>,
        /// A tag to remove; may be given several times.
        #[arg(long, value_name = "KEY")]
        remove: Vec<TagKey>,
    },
    /// List instances with their tags.
    #[command(alias = "ls")]
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Show the account.
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerKeysCommand {
    /// Create a new file of server keys (mode 0600).
    Generate {
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Add a new current key for one purpose, or for all; older keys still open what they sealed.
    Rotate {
        /// The file [default: what --server-keys names, else server-keys.toml in the data directory].
        file: Option<PathBuf>,
        /// sealing, tickets or configuration.
        #[arg(long, value_parser = parse_purpose)]
        purpose: Option<Purpose>,
    },
    /// Show the ids of the keys, never the keys.
    Show {
        /// The file [default: what --server-keys names, else server-keys.toml in the data directory].
        file: Option<PathBuf>,
    },
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

fn parse_tag(text: &str) -> Result<(TagKey, TagValue), String> {
    let (key, value) = text.split_once('=').ok_or("it is KEY=VALUE")?;
    let key = TagKey::parse(key).map_err(|error| error.to_string())?;
    Ok((key, TagValue::parse(value).map_err(|error| error.to_string())?))
}

fn parse_status(text: &str) -> Result<AccessKeyStatus, String> {
    AccessKeyStatus::parse(text).ok_or_else(|| "it must be Active or Inactive".into())
}

fn parse_purpose(text: &str) -> Result<Purpose, String> {
    let known = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == text);
    known.ok_or_else(|| "it must be sealing, tickets or configuration".into())
}
