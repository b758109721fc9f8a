//! What a server refused, and the line that says so.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use openapi::error_codes::ErrorCode;
use openapi::ram::{DecodedDiagnosticMessage, UnmetCondition};
use openapi::replies::AccessDeniedDetail;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::failure::Failure;

/// The action that says why a call was denied.
pub(super) const DECODE: &str = "DecodeDiagnosticMessage";

/// Parameters that say what a call is about. Others are not repeated: they may be secret.
const NAMES: [&str; 11] = [
    "InstanceId",
    "TerminalSessionToken",
    "AgentId",
    "UserName",
    "GroupName",
    "RoleName",
    "PolicyName",
    "PolicyType",
    "RoleArn",
    "UserAccessKeyId",
    "StoredPrincipal",
];

/// A refusal, as it came.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What was asked for.
    what: String,
    status: StatusCode,
    request_id: Option<String>,
    /// When to call again.
    pause: Option<Duration>,
    /// The address that the call left this machine with.
    address: Option<IpAddr>,
    reply: Value,
}

impl Refusal {
    pub(super) fn new(what: &str, response: &Response, body: &[u8]) -> Self {
        let address = response.remote_addr().and_then(own_address);
        Self { address, ..Self::read(what, response.status(), response.headers(), body) }
    }

    fn read(what: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let pause = header("x-acs-retry-after")
            .and_then(|millis| millis.parse().ok().map(Duration::from_millis))
            .or_else(|| header("retry-after")?.parse().ok().map(Duration::from_secs));
        Self {
            what: what.to_owned(),
            status,
            request_id: header("x-acs-request-id").map(str::to_owned),
            pause,
            address: None,
            reply: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.reply.get(name)?.as_str()
    }

    fn denial(&self) -> Option<AccessDeniedDetail> {
        serde_json::from_value(self.reply.get("AccessDeniedDetail")?.clone()).ok()
    }

    /// The sealed reason of a denial.
    pub(super) fn sealed_reason(&self) -> Option<String> {
        self.denial()?.encoded_diagnostic_message
    }

    /// Whether the signature was not that of the access key's secret.
    fn is_wrong_secret(&self) -> bool {
        self.member("Code") == Some(ErrorCode::SignatureMismatchV3.row().code)
    }

    /// The failure of the command, in one line. The line is sanitised as a whole.
    pub(super) fn failure(
        &self,
        parameters: &[(String, String)],
        decoded: Option<&DecodedDiagnosticMessage>,
    ) -> Failure {
        let Self { what, status, .. } = self;
        let Some(code) = self.member("Code") else {
            return Failure::failed(format!(
                "{what}: the reply is HTTP {status} and does not come from a Hansard server; is HANSARD_ENDPOINT right?"
            ));
        };
        let id = self.member("RequestId").or(self.request_id.as_deref()).unwrap_or("unknown");
        let mut line = String::new();
        if self.is_wrong_secret() {
            line.push_str(
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET is not the secret of this access key, or something on the way changed \
                 the call: ",
            );
        }
        // Writing to a String cannot fail.
        let _ = write!(line, "{what}: {code}: {}", self.member("Message").unwrap_or_default());
        let denial = self.denial();
        if let Some(denial) = &denial {
            let _ = write!(line, " [{}]", self.why_denied(denial, parameters, decoded));
        }
        if let Some(pause) = self.pause {
            let _ = write!(line, " Try again in {}.", readable(pause));
        }
        let _ = write!(line, " (HTTP {}, RequestId {id})", status.as_u16());
        let failure = if code == ErrorCode::EvidenceChanged.row().code {
            Failure::evidence_changed(line)
        } else if *status == StatusCode::NOT_FOUND {
            Failure::not_found(line)
        } else if matches!(status.as_u16(), 429 | 502..=504) {
            Failure::not_now(line)
        } else {
            Failure::failed(line)
        };
        match denial.and_then(|denial| denial.encoded_diagnostic_message) {
            Some(sealed) if decoded.is_none() => failure.with_hint(format!(
                "an administrator sees why with: hansard call {DECODE} EncodedDiagnosticMessage={sealed}"
            )),
            _ => failure,
        }
    }

    /// Action, resource and caller, and as much of the reason as this caller may know.
    fn why_denied(
        &self,
        denial: &AccessDeniedDetail,
        parameters: &[(String, String)],
        decoded: Option<&DecodedDiagnosticMessage>,
    ) -> String {
        let explicit = denial.no_permission_type == "ExplicitDeny";
        let resource = match decoded {
            Some(decoded) => decoded.auth_resource.clone(),
            None => named(parameters),
        };
        let on = if resource.is_empty() { String::new() } else { format!(" on {resource}") };
        let verb = if explicit { "a policy denies" } else { "nothing allows" };
        let caller = &denial.auth_principal_display_name;
        let mut why =
            format!("{verb} {}{on} for {} {caller}", denial.auth_action, denial.auth_principal_type);
        let address = match decoded {
            Some(decoded) => decoded
                .auth_conditions
                .iter()
                .find(|condition| condition.condition_key.eq_ignore_ascii_case("acs:SourceIp"))
                .map(|condition| condition.condition_values.join(", ")),
            None => self.address.map(|address| address.to_string()),
        };
        // Writing to a String cannot fail.
        if let Some(address) = address {
            let _ = write!(why, "; your address is {address}");
        }
        let Some(decoded) = decoded else { return why };
        for policy in &decoded.matched_policies {
            let _ = write!(
                why,
                "; the {} is in the policy {}, statement {} (counted from 0)",
                policy.effect, policy.policy_identifier, policy.statement
            );
        }
        for unmet in &decoded.unmet_conditions {
            let _ = write!(why, "; {}", unmet_text(unmet, decoded));
        }
        why
    }
}

fn unmet_text(unmet: &UnmetCondition, decoded: &DecodedDiagnosticMessage) -> String {
    let UnmetCondition { policy_identifier, statement, operator, condition_key, wanted_values } = unmet;
    let found = decoded
        .auth_conditions
        .iter()
        .find(|condition| condition.condition_key.eq_ignore_ascii_case(condition_key))
        .map_or_else(
            || "does not have it".to_owned(),
            |it| format!("has {}", it.condition_values.join(", ")),
        );
    format!(
        "the policy {policy_identifier}, statement {statement} (counted from 0), would allow it, and wants \
         {condition_key} {operator} {}: the call {found}",
        wanted_values.join(", ")
    )
}

/// What a call is about, in the caller's own words.
fn named(parameters: &[(String, String)]) -> String {
    let named = parameters.iter().filter(|(name, value)| NAMES.contains(&name.as_str()) && !value.is_empty());
    named.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// A pause, never shorter than it is.
fn readable(pause: Duration) -> String {
    let millis = pause.as_millis();
    if millis < 1000 { format!("{millis} ms") } else { format!("{} s", millis.div_ceil(1000)) }
}

/// The address with which this machine reaches another. Nothing is sent.
fn own_address(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests;
