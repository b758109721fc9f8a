//! The settings of `serve` and `admin`: flags, then `HANSARD_*` variables, then the file, then defaults
//! (DECISIONS G5). Every value is checked wherever it stands, also where a stronger one hides it.

mod file;
pub(crate) mod keys;
mod sources;
mod values;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::{ConnectionLimits, RateLimit, ThrottleLimits, TrustedProxies};
use domain::access_key::AccessKeySecret;
use domain::identity::AccessKeyId;
use domain::{AccountId, InstanceId, Region};
use persistence::DatabaseUrl;
use url::Url;

use crate::environment::Environment;
use crate::failure::Failure;

pub(crate) use keys::Key;
use sources::Sources;

/// How the server logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The root account and its access key, as an operator presets them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootPreset {
    /// The account.
    pub(crate) account: AccountId,
    /// The key's id.
    pub(crate) access_key_id: AccessKeyId,
    /// The key's secret.
    pub(crate) access_key_secret: AccessKeySecret,
}

/// Where the audit trail is exported to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuditLogSetting {
    /// `audit` in the data directory.
    Default,
    /// Nowhere.
    Off,
    /// This folder.
    Folder(PathBuf),
}

/// Where other replicas reach this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InternalListener {
    /// Where the server listens for them.
    pub(crate) listen: SocketAddr,
    /// The address that they reach it by, when it is not that of `listen`.
    pub(crate) address: Option<Url>,
}

/// How many connections may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionsSetting {
    /// As many as are good for this machine.
    Default,
    /// Any number.
    Unlimited,
    /// No more than these.
    AtMost(NonZeroUsize),
}

impl ConnectionsSetting {
    fn or(self, default: NonZeroUsize) -> Option<NonZeroUsize> {
        match self {
            Self::Default => Some(default),
            Self::Unlimited => None,
            Self::AtMost(most) => Some(most),
        }
    }
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where everything lies that the embedded default keeps.
    pub(crate) data_dir: PathBuf,
    /// Where the server listens.
    pub(crate) listen: SocketAddr,
    /// The database, when it is not SQLite in the data directory. It may hold a password.
    pub(crate) database_url: Option<DatabaseUrl>,
    /// Whether the server starts although the database confirms commits that can be lost.
    pub(crate) accept_commits_that_can_be_lost: bool,
    /// The address that others reach the server by, when it is not that of `listen`.
    pub(crate) public_url: Option<Url>,
    /// Where the server listens for other replicas, if it does.
    pub(crate) internal: Option<InternalListener>,
    /// Where the audit trail is exported to.
    pub(crate) audit_log: AuditLogSetting,
    /// The file that anchors are appended to, too.
    pub(crate) audit_anchors: Option<PathBuf>,
    /// How old audit rows become before they are removed from the database; `None` keeps them for ever.
    pub(crate) audit_retention: Option<Duration>,
    /// The region of instances that nothing else places.
    pub(crate) region: Region,
    /// The file of server keys, when it is not in the data directory.
    pub(crate) server_keys: Option<PathBuf>,
    /// Whether an agent for this machine runs beside the server.
    pub(crate) with_local_agent: bool,
    /// The agent program, when it is not beside this one.
    pub(crate) local_agent_program: Option<PathBuf>,
    /// The id of this machine as an instance.
    pub(crate) local_instance_id: InstanceId,
    /// How the server logs.
    pub(crate) log_format: LogFormat,
    /// What the server logs, in the words of tracing's filter; `None` where nobody chose.
    pub(crate) log_filter: Option<String>,
    /// The proxies in front, whose word is taken for where a call comes from.
    pub(crate) trusted_proxies: TrustedProxies,
    /// How often callers may call.
    pub(crate) throttle: ThrottleLimits,
    /// How many connections may be open in all.
    pub(crate) connections: ConnectionsSetting,
    /// How many connections one address may have open.
    pub(crate) connections_per_address: ConnectionsSetting,
    /// How long an agent may be silent until its running recordings are shown as interrupted.
    pub(crate) recording_lease: Duration,
    /// How long the server goes on after SIGTERM, so that balancers hear of its end before.
    pub(crate) shutdown_delay: Duration,
    /// The root account, where it is preset.
    pub(crate) root: Option<RootPreset>,
}

impl Settings {
    /// Reads all sources. `flags` are the settings that stand on the command line; `config` is its `--config`.
    ///
    /// # Errors
    /// An unknown key or variable, or a bad value, by name and with what is allowed.
    pub(crate) fn resolve(
        flags: &[(&Key, String)],
        config: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let sources = Sources::gather(flags, config, environment)?;
        let root = root_preset(&sources)?;
        let settings = Self {
            data_dir: sources.get(&keys::DATA_DIR, values::path)?.unwrap_or_else(|| "hansard-data".into()),
            listen: sources
                .get(&keys::LISTEN, values::listen)?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            database_url: sources.get(&keys::DATABASE_URL, values::database)?,
            accept_commits_that_can_be_lost: sources
                .get(&keys::ACCEPT_LOSS, values::switch)?
                .unwrap_or(false),
            audit_log: sources
                .get(&keys::AUDIT_LOG_DIR, values::audit_log)?
                .unwrap_or(AuditLogSetting::Default),
            audit_anchors: sources.get(&keys::AUDIT_ANCHORS_FILE, values::path)?,
            audit_retention: sources.get(&keys::AUDIT_RETENTION, values::audit_retention)?,
            public_url: sources.get(&keys::PUBLIC_URL, values::public_url)?,
            internal: internal(&sources)?,
            region: match sources.get(&keys::REGION, values::region)? {
                Some(region) => region,
                None => Region::parse(DEFAULT_REGION).expect("the default is a region"),
            },
            server_keys: sources.get(&keys::SERVER_KEYS, values::path)?,
            with_local_agent: sources.get(&keys::WITH_LOCAL_AGENT, values::switch)?.unwrap_or(false),
            local_agent_program: sources.get(&keys::LOCAL_AGENT_PROGRAM, values::path)?,
            local_instance_id: match sources.get(&keys::LOCAL_INSTANCE_ID, values::instance)? {
                Some(instance) => instance,
                None => InstanceId::parse(DEFAULT_INSTANCE).expect("the default is an instance id"),
            },
            log_format: sources.get(&keys::LOG_FORMAT, values::log_format)?.unwrap_or(LogFormat::Human),
            log_filter: sources.get(&keys::LOG_FILTER, values::log_filter)?,
            trusted_proxies: sources
                .get(&keys::TRUSTED_PROXIES, values::trusted_proxies)?
                .unwrap_or_default(),
            throttle: ThrottleLimits {
                address: limit(&sources, &keys::ADDRESS_RATE, &keys::ADDRESS_BURST, DEFAULT_ADDRESS_LIMIT)?,
                principal: limit(
                    &sources,
                    &keys::PRINCIPAL_RATE,
                    &keys::PRINCIPAL_BURST,
                    DEFAULT_PRINCIPAL_LIMIT,
                )?,
            },
            connections: sources
                .get(&keys::CONNECTIONS, values::connections)?
                .unwrap_or(ConnectionsSetting::Default),
            connections_per_address: sources
                .get(&keys::CONNECTIONS_PER_ADDRESS, values::connections)?
                .unwrap_or(ConnectionsSetting::Default),
            recording_lease: sources
                .get(&keys::RECORDING_LEASE, values::lease)?
                .unwrap_or(api::ApiSettings::RECORDING_LEASE),
            shutdown_delay: sources
                .get(&keys::SHUTDOWN_DELAY, values::shutdown_delay)?
                .unwrap_or(DEFAULT_SHUTDOWN_DELAY),
            root,
        };
        if settings.server_keys.is_none()
            && settings.database_url.as_ref().is_some_and(|url| !url.is_sqlite())
        {
            return Err(Failure::usage(
                "server-keys is not set: with a database other than SQLite, --server-keys (or HANSARD_SERVER_KEYS) \
                 must name the key file, the same for every replica; \
                 `hansard admin server-keys generate FILE` makes one",
            ));
        }
        if settings.audit_retention.is_some() && settings.audit_log == AuditLogSetting::Off {
            return Err(Failure::usage(
                "audit-retention is set and audit-log-dir is off: audit rows leave the database only once they are in \
                 exported files; name a folder for these, or leave audit-retention out, which keeps all rows",
            ));
        }
        Ok(settings)
    }
}

impl Settings {
    /// How many connections may be open where the system allows this many open files; `None` of files is no limit.
    pub(crate) fn connection_limits(&self, open_files: Option<u64>) -> ConnectionLimits {
        let files = open_files.and_then(|files| usize::try_from(files).ok());
        // The other half is for links and trusted proxies, for what was just accepted, for the database and objects.
        let half = files.map_or(MOST_CONNECTIONS, |files| files / 2);
        let default = NonZeroUsize::new(half.min(MOST_CONNECTIONS)).unwrap_or(NonZeroUsize::MIN);
        let total = self.connections.or(default);
        let quarter = NonZeroUsize::new(total.unwrap_or(default).get() / 4).unwrap_or(NonZeroUsize::MIN);
        let accepted = files.map(|files| (files / 4 * 3).max(total.map_or(1, |total| total.get() / 8 * 9)));
        ConnectionLimits {
            total,
            per_address: self.connections_per_address.or(quarter),
            accepted: accepted.and_then(NonZeroUsize::new),
        }
    }
}

/// More connections than this are asked for expressly.
const MOST_CONNECTIONS: usize = 16_384;

/// Balancers ask every second or two, and believe the second answer or the third.
const DEFAULT_SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// The deployment's region where none is set.
pub(crate) const DEFAULT_REGION: &str = "cn-hangzhou";

/// This machine's instance id where none is set.
pub(crate) const DEFAULT_INSTANCE: &str = "i-local";

/// What one address may do where nothing else is set: many callers may share it.
const DEFAULT_ADDRESS_LIMIT: (u32, u32) = (1_000, 5_000);

/// What one principal may do where nothing else is set: more than people and their programs ask for, less than
/// a program in a circle does.
const DEFAULT_PRINCIPAL_LIMIT: (u32, u32) = (200, 2_000);

/// A rate with its burst, by default those of `default`; a rate of 0 is no limit.
fn limit(
    sources: &Sources,
    rate: &Key,
    burst: &Key,
    (default_rate, default_burst): (u32, u32),
) -> Result<Option<RateLimit>, Failure> {
    let rate = sources.get(rate, values::rate)?.unwrap_or(NonZeroU32::new(default_rate));
    let burst = sources.get(burst, values::burst)?.or(NonZeroU32::new(default_burst));
    Ok(rate.zip(burst).map(|(per_second, burst)| RateLimit { per_second, burst }))
}

/// The internal listener. Where it listens on every address, none of them is the one that others reach it by.
fn internal(sources: &Sources) -> Result<Option<InternalListener>, Failure> {
    let listen = sources.get(&keys::INTERNAL_LISTEN, values::internal_listen)?;
    let address = sources.get(&keys::INTERNAL_ADDRESS, values::internal_address)?;
    match (listen, address) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Failure::usage(
            "internal-address is set and internal-listen is not: --internal-listen says where to listen for other replicas",
        )),
        (Some(listen), None) if listen.ip().is_unspecified() => Err(Failure::usage(
            "internal-listen is every address of this machine: --internal-address (or HANSARD_INTERNAL_ADDRESS) must say by \
             which of them other replicas reach it",
        )),
        (Some(listen), address) => Ok(Some(InternalListener { listen, address })),
    }
}

/// All three of the root's settings, or none.
fn root_preset(sources: &Sources) -> Result<Option<RootPreset>, Failure> {
    let account = sources.get(&keys::ROOT_ACCOUNT_ID, values::account)?;
    let id = sources.get(&keys::ROOT_ACCESS_KEY_ID, values::access_key_id)?;
    let secret = sources.get(&keys::ROOT_ACCESS_KEY_SECRET, values::access_key_secret)?;
    let missing: Vec<_> = [
        (account.is_none(), keys::ROOT_ACCOUNT_ID),
        (id.is_none(), keys::ROOT_ACCESS_KEY_ID),
        (secret.is_none(), keys::ROOT_ACCESS_KEY_SECRET),
    ]
    .into_iter()
    .filter_map(|(missing, key)| missing.then(|| key.variable()))
    .collect();
    match (account, id, secret) {
        (Some(account), Some(access_key_id), Some(access_key_secret)) => {
            Ok(Some(RootPreset { account, access_key_id, access_key_secret }))
        }
        (None, None, None) => Ok(None),
        _ => Err(Failure::usage(format!(
            "the root account is preset by all three of HANSARD_ROOT_ACCOUNT_ID, HANSARD_ROOT_ACCESS_KEY_ID and \
             HANSARD_ROOT_ACCESS_KEY_SECRET, or by none; not set: {}",
            missing.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests;
