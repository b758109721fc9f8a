//! What each setting accepts. A refusal says what is allowed, without the value itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use api::TrustedProxies;
use domain::access_key::AccessKeySecret;
use domain::audit::DEPLOYMENT_ACCOUNT;
use domain::identity::AccessKeyId;
use domain::{AccountId, InstanceId, InvalidIdentifier, Region};
use persistence::DatabaseUrl;
use url::Url;

use super::{AuditLogSetting, ConnectionsSetting, LogFormat};

fn allowed(error: InvalidIdentifier) -> String {
    format!("{}: {}", error.kind(), error.allowed())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("it is a path and not empty".into());
    }
    Ok(text.into())
}

pub(super) fn audit_log(text: &str) -> Result<AuditLogSetting, String> {
    match text {
        "off" => Ok(AuditLogSetting::Off),
        _ => path(text).map(AuditLogSetting::Folder).map_err(|_| "it is the path of a folder, or off".into()),
    }
}

/// The public address. Without a host, or with localhost, it is reached from this machine alone: whoever wants to be
/// reached from elsewhere says so.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':'));
    if let Some(port) = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        "it is an address and a port, such as 127.0.0.1:8080, [::1]:8080, localhost:8080 or 0.0.0.0:8080"
            .into()
    })
}

/// The address for other replicas, who reach no loopback address.
pub(super) fn internal_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "it is an IP address and a port, such as 10.0.0.7:8081 or [fd00::7]:8081".into())
}

/// The reader's own words never repeat the address, which may hold a password.
pub(super) fn database(text: &str) -> Result<DatabaseUrl, String> {
    DatabaseUrl::parse(text).map_err(|error| error.to_string())
}

pub(super) fn public_url(text: &str) -> Result<Url, String> {
    const ALLOWED: &str = "it is http:// or https:// with a host and perhaps a port, such as https://hansard.example.com, \
                           without a path, a query or a user";
    let url: Url = text.parse().map_err(|_| ALLOWED.to_owned())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if plain { Ok(url) } else { Err(ALLOWED.into()) }
}

/// Where other replicas reach this one. What passes there is not encrypted.
pub(super) fn internal_address(text: &str) -> Result<Url, String> {
    match public_url(text) {
        Ok(url) if url.scheme() == "http" => Ok(url),
        _ => Err("it is http:// with a host and perhaps a port, such as http://10.0.0.7:8081, without a path, a query or a \
                  user".into()),
    }
}

pub(super) fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).map_err(allowed)
}

pub(super) fn instance(text: &str) -> Result<InstanceId, String> {
    InstanceId::parse(text).map_err(allowed)
}

pub(super) fn account(text: &str) -> Result<AccountId, String> {
    let account = AccountId::parse(text).map_err(allowed)?;
    if account == *DEPLOYMENT_ACCOUNT {
        return Err("this account id is kept for the deployment itself; choose another".into());
    }
    Ok(account)
}

pub(super) fn access_key_id(text: &str) -> Result<AccessKeyId, String> {
    AccessKeyId::parse(text).map_err(|error| format!("it is {}", error.rule))
}

pub(super) fn access_key_secret(text: &str) -> Result<AccessKeySecret, String> {
    if (8..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(AccessKeySecret::new(text.to_owned()))
    } else {
        Err("it is 8 to 128 visible ASCII characters without spaces".into())
    }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it must be true or false".into()),
    }
}

pub(super) fn trusted_proxies(text: &str) -> Result<TrustedProxies, String> {
    TrustedProxies::parse(text).map_err(|error| error.to_string())
}

/// Calls per second; `None` is no limit.
pub(super) fn rate(text: &str) -> Result<Option<NonZeroU32>, String> {
    whole_number(text).map(NonZeroU32::new).ok_or_else(|| {
        format!("it must be a whole number of calls per second up to {MOST_CALLS}, and 0 for no limit")
    })
}

pub(super) fn burst(text: &str) -> Result<NonZeroU32, String> {
    whole_number(text)
        .and_then(NonZeroU32::new)
        .ok_or_else(|| format!("it must be a whole number of calls from 1 to {MOST_CALLS}"))
}

/// Connections at once.
pub(super) fn connections(text: &str) -> Result<ConnectionsSetting, String> {
    let number = whole_number(text).ok_or_else(|| {
        format!("it must be a whole number of connections up to {MOST_CALLS}, and 0 for no limit")
    })?;
    let number = usize::try_from(number).ok().and_then(NonZeroUsize::new);
    Ok(number.map_or(ConnectionsSetting::Unlimited, ConnectionsSetting::AtMost))
}

/// More than this is no limit, and is written as 0.
const MOST_CALLS: u32 = 1_000_000;

/// Digits only.
/// A lease in seconds.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    const LONGEST_SECONDS: u32 = 7 * 86_400;
    let seconds = whole_number(text).filter(|seconds| (1..=LONGEST_SECONDS).contains(seconds));
    let seconds = seconds.ok_or_else(|| format!("a whole number of seconds from 1 to {LONGEST_SECONDS}"))?;
    Ok(Duration::from_secs(seconds.into()))
}

/// How long audit rows stay in the database, in days.
pub(super) fn audit_retention(text: &str) -> Result<Duration, String> {
    const LONGEST_DAYS: u32 = 36_500;
    let days = whole_number(text).filter(|days| (1..=LONGEST_DAYS).contains(days));
    let days = days.ok_or_else(|| format!("a whole number of days from 1 to {LONGEST_DAYS}"))?;
    Ok(Duration::from_secs(u64::from(days) * 86_400))
}

/// The delay of an orderly end in seconds.
pub(super) fn shutdown_delay(text: &str) -> Result<Duration, String> {
    const LONGEST_SECONDS: u32 = 3_600;
    let seconds = whole_number(text).filter(|seconds| *seconds <= LONGEST_SECONDS);
    let seconds = seconds.ok_or_else(|| format!("a whole number of seconds from 0 to {LONGEST_SECONDS}"))?;
    Ok(Duration::from_secs(seconds.into()))
}

fn whole_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= MOST_CALLS)
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("it is human or json".into()),
    }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    const ALLOWED: &str =
        "it is a level (error, warn, info, debug, trace, off) or a list such as info,api=debug";
    if let Some(word) = text.split(',').map(str::trim).find(|part| is_a_module_alone(part)) {
        return Err(format!("{ALLOWED}; {word} is no level, and a module is written with one: {word}=debug"));
    }
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(ALLOWED.into()),
    }
}

/// A word that is no level. The filter takes it for a module of which everything is logged, and so logs nothing else.
fn is_a_module_alone(part: &str) -> bool {
    let is_word = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    !part.is_empty() && is_word && part.parse::<tracing_subscriber::filter::LevelFilter>().is_err()
}
