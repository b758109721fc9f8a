//! The one list of settings: a key's name gives its flag, its variable and its place in the file.

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// `data-dir`: with `--` the flag, as it is the key in the file.
    pub(crate) name: &'static str,
    /// Whether it is set on the command line too. Secrets are not: others see a command line.
    pub(crate) has_flag: bool,
    /// Whether its value may be repeated in a message.
    pub(crate) secret: bool,
    /// Whether it is a number, which the file may hold as one.
    pub(crate) is_number: bool,
}

impl Key {
    const fn plain(name: &'static str) -> Self {
        Self { name, has_flag: true, secret: false, is_number: false }
    }

    const fn number(name: &'static str) -> Self {
        Self { is_number: true, ..Self::plain(name) }
    }

    /// `HANSARD_DATA_DIR`.
    pub(crate) fn variable(&self) -> String {
        format!("HANSARD_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

pub(crate) const DATA_DIR: Key = Key::plain("data-dir");
pub(crate) const LISTEN: Key = Key::plain("listen");
pub(crate) const DATABASE_URL: Key = Key { secret: true, ..Key::plain("database-url") };
pub(crate) const ACCEPT_LOSS: Key = Key::plain("accept-commits-that-can-be-lost");
pub(crate) const PUBLIC_URL: Key = Key::plain("public-url");
pub(crate) const INTERNAL_LISTEN: Key = Key::plain("internal-listen");
pub(crate) const INTERNAL_ADDRESS: Key = Key::plain("internal-address");
pub(crate) const AUDIT_LOG_DIR: Key = Key::plain("audit-log-dir");
pub(crate) const AUDIT_ANCHORS_FILE: Key = Key::plain("audit-anchors-file");
pub(crate) const AUDIT_RETENTION: Key = Key::number("audit-retention");
pub(crate) const REGION: Key = Key::plain("region");
pub(crate) const SERVER_KEYS: Key = Key::plain("server-keys");
pub(crate) const WITH_LOCAL_AGENT: Key = Key::plain("with-local-agent");
pub(crate) const LOCAL_AGENT_PROGRAM: Key = Key::plain("local-agent-program");
pub(crate) const LOCAL_INSTANCE_ID: Key = Key::plain("local-instance-id");
pub(crate) const LOG_FORMAT: Key = Key::plain("log-format");
pub(crate) const LOG_FILTER: Key = Key::plain("log-filter");
pub(crate) const TRUSTED_PROXIES: Key = Key::plain("trusted-proxies");
pub(crate) const ADDRESS_RATE: Key = Key::number("address-rate");
pub(crate) const ADDRESS_BURST: Key = Key::number("address-burst");
pub(crate) const PRINCIPAL_RATE: Key = Key::number("principal-rate");
pub(crate) const PRINCIPAL_BURST: Key = Key::number("principal-burst");
pub(crate) const CONNECTIONS: Key = Key::number("connections");
pub(crate) const CONNECTIONS_PER_ADDRESS: Key = Key::number("connections-per-address");
pub(crate) const RECORDING_LEASE: Key = Key::number("recording-lease");
pub(crate) const SHUTDOWN_DELAY: Key = Key::number("shutdown-delay");
pub(crate) const ROOT_ACCOUNT_ID: Key = Key { has_flag: false, ..Key::plain("root-account-id") };
pub(crate) const ROOT_ACCESS_KEY_ID: Key = Key { has_flag: false, ..Key::plain("root-access-key-id") };
pub(crate) const ROOT_ACCESS_KEY_SECRET: Key =
    Key { has_flag: false, secret: true, ..Key::plain("root-access-key-secret") };

/// Every setting.
pub(crate) const SETTING_KEYS: &[&Key] = &[
    &DATA_DIR,
    &LISTEN,
    &DATABASE_URL,
    &ACCEPT_LOSS,
    &PUBLIC_URL,
    &INTERNAL_LISTEN,
    &INTERNAL_ADDRESS,
    &AUDIT_LOG_DIR,
    &AUDIT_ANCHORS_FILE,
    &AUDIT_RETENTION,
    &REGION,
    &SERVER_KEYS,
    &WITH_LOCAL_AGENT,
    &LOCAL_AGENT_PROGRAM,
    &LOCAL_INSTANCE_ID,
    &LOG_FORMAT,
    &LOG_FILTER,
    &TRUSTED_PROXIES,
    &ADDRESS_RATE,
    &ADDRESS_BURST,
    &PRINCIPAL_RATE,
    &PRINCIPAL_BURST,
    &CONNECTIONS,
    &CONNECTIONS_PER_ADDRESS,
    &RECORDING_LEASE,
    &SHUTDOWN_DELAY,
    &ROOT_ACCOUNT_ID,
    &ROOT_ACCESS_KEY_ID,
    &ROOT_ACCESS_KEY_SECRET,
];

/// Where the file of settings is, when no `--config` says so. It is no setting itself.
pub(crate) const CONFIG_VARIABLE: &str = "HANSARD_CONFIG";

/// Variables that begin as ours do and are not for the server: the client's, the agent's, the tests', and those that
/// Kubernetes sets in every pod beside a service named hansard.
pub(crate) fn is_foreign(variable: &str, value: &str) -> bool {
    variable == "HANSARD_ENDPOINT"
        || ["HANSARD_AGENT_", "HANSARD_TEST_", "HANSARD_SERVICE_"]
            .iter()
            .any(|begin| variable.starts_with(begin))
        || variable.starts_with("HANSARD_PORT_")
        || (variable == "HANSARD_PORT" && value.contains("://"))
}
