//! Calls to the control plane. Each is signed separately, by the control plane's clock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::claims::AgentClaims;
use agent_protocol::errors::ErrorReply;
use agent_protocol::keys::PrivateKey;
use agent_protocol::recordings::Grant;
use agent_protocol::{AGENT_API_PREFIX, AgentErrorCode, clock};
use recording::AgentId;
use recording::sanitise::sanitised;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::PrimitiveDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;
use url::Url;

use crate::server_clock::ServerClock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(180);
const LARGEST_REPLY_BYTES: usize = 4 * 1024 * 1024;
const HTTP_DATE: &[FormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing was heard.
    #[error("the control plane cannot be reached: {0}")]
    Unreachable(String),
    /// It said no.
    #[error("the control plane refused: {code}: {message}")]
    Refused {
        status: u16,
        code: String,
        message: String,
        retryable: bool,
        expected_number: Option<u32>,
        retry_after: Option<Duration>,
    },
    /// It said something else.
    #[error("the control plane answered {status}, but not as an agent expects: {why}")]
    Unexpected { status: u16, why: String },
    /// The request could not be made.
    #[error("the request could not be made: {0}")]
    Request(String),
}

impl CallError {
    /// Whether the control plane says that a retry cannot succeed.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, CallError::Refused { retryable: false, .. })
    }

    /// The segment that the control plane expects next, if it says so.
    pub(crate) fn expected_number(&self) -> Option<u32> {
        match self {
            CallError::Refused { expected_number, .. }
                if self.has_code(AgentErrorCode::SegmentOutOfOrder) =>
            {
                *expected_number
            }
            _ => None,
        }
    }

    /// How long the control plane asks to wait, if it says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            CallError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn has_code(&self, wanted: AgentErrorCode) -> bool {
        matches!(self, CallError::Refused { code, .. } if code == wanted.code())
    }
}

/// How requests are proved.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) agent_id: AgentId,
    pub(crate) key: PrivateKey,
}

/// A control plane's Agent API.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    http: reqwest::Client,
    server: Url,
    credentials: Option<Credentials>,
    clock: Mutex<ServerClock>,
}

impl ControlPlane {
    pub(crate) fn new(server: Url, credentials: Option<Credentials>) -> Result<Self, String> {
        // Other crates of the build may bring a second library, and then none is the default. The first caller wins.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // The link's upgrade exists in HTTP/1.1 only, and calls are few.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(1)
            .user_agent(concat!("hansard-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the HTTP client cannot be made: {}", crate::chain(&error)))?;
        Ok(ControlPlane { http, server, credentials, clock: Mutex::default() })
    }

    /// The path of a call as it is sent: the server may live below a path of its own.
    fn path(&self, call: &str) -> String {
        format!("{}{AGENT_API_PREFIX}{call}", self.server.path().trim_end_matches('/'))
    }

    /// The time as the control plane has it, as far as that is known; else our own.
    pub(crate) fn now_millis(&self) -> i64 {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).now_millis()
    }

    fn authorization(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> Result<Option<HeaderValue>, CallError> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let token = AgentClaims::new(method.as_str(), path, body, self.now_millis())
            .and_then(|claims| claims.sign(&credentials.agent_id, &credentials.key))
            .map_err(|error| CallError::Request(error.to_string()))?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|error| CallError::Request(error.to_string()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// A call without a body.
    pub(crate) async fn get<Reply: DeserializeOwned>(&self, call: &str) -> Result<Reply, CallError> {
        self.call(Method::GET, call, Vec::new()).await
    }

    /// A call with a JSON body.
    pub(crate) async fn post<Reply: DeserializeOwned>(
        &self,
        call: &str,
        request: &impl Serialize,
    ) -> Result<Reply, CallError> {
        let body = serde_json::to_vec(request).map_err(|error| CallError::Request(error.to_string()))?;
        self.call(Method::POST, call, body).await
    }

    async fn call<Reply: DeserializeOwned>(
        &self,
        method: Method,
        call: &str,
        body: Vec<u8>,
    ) -> Result<Reply, CallError> {
        let headers = HeaderMap::new();
        let response = self.send_in_time(method, call, body, headers).await?;
        let status = response.status().as_u16();
        let bytes = read_body(response).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| CallError::Unexpected { status, why: error.to_string() })
    }

    /// Opens the link; the response is ready to be upgraded.
    pub(crate) async fn open_link(&self, headers: HeaderMap) -> Result<Response, CallError> {
        let response = self.send_in_time(Method::GET, "/link", Vec::new(), headers).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status().as_u16();
            return Err(CallError::Unexpected { status, why: "it opened no WebSocket".to_owned() });
        }
        Ok(response)
    }

    /// Sends a request; when the control plane finds our clock wrong, its own time is in the reply, and one more try goes by it.
    async fn send_in_time(
        &self,
        method: Method,
        call: &str,
        body: Vec<u8>,
        headers: HeaderMap,
    ) -> Result<Response, CallError> {
        match self.send(method.clone(), call, body.clone(), headers.clone()).await {
            Err(error) if error.has_code(AgentErrorCode::AgentTokenExpired) => {
                self.send(method, call, body, headers).await
            }
            other => other,
        }
    }

    async fn send(
        &self,
        method: Method,
        call: &str,
        body: Vec<u8>,
        headers: HeaderMap,
    ) -> Result<Response, CallError> {
        let path = self.path(call);
        let upgrades = headers.contains_key(reqwest::header::UPGRADE);
        let mut url = self.server.clone();
        url.set_path(&path);
        let mut request = self.http.request(method.clone(), url).headers(headers);
        if let Some(authorization) = self.authorization(&method, &path, &body)? {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !upgrades {
            request = request.timeout(CALL_TIMEOUT);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let sent = clock::boottime();
        let response = request.send().await.map_err(unreachable)?;
        self.learn_the_time(response.headers(), sent);
        refused(response).await
    }

    fn learn_the_time(&self, headers: &HeaderMap, sent: Duration) {
        if let Some(date_millis) =
            headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(parse_http_date)
        {
            let mut known = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            known.learn(date_millis, sent, clock::boottime(), clock::wall_millis());
        }
    }

    /// A grant's address is absolute, or a path below the server's own.
    fn address_of(&self, url: &str) -> Result<Url, url::ParseError> {
        if url.starts_with('/') {
            self.server.join(&format!("{}{url}", self.server.path().trim_end_matches('/')))
        } else {
            self.server.join(url)
        }
    }

    /// Writes an object under its grant.
    pub(crate) async fn put(&self, grant: &Grant, bytes: Vec<u8>) -> Result<(), CallError> {
        let bad = |why: String| CallError::Unexpected {
            status: 200,
            why: format!("the grant cannot be used: {why}"),
        };
        let method = Method::from_bytes(grant.method.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let url = self.address_of(&grant.url).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!("its address has the scheme {}", url.scheme())));
        }
        let mut request = self.http.request(method, url).timeout(UPLOAD_TIMEOUT);
        for (name, value) in &grant.headers {
            let name = HeaderName::try_from(name).map_err(|error| bad(error.to_string()))?;
            let value = HeaderValue::try_from(value).map_err(|error| bad(error.to_string()))?;
            request = request.header(name, value);
        }
        let response = request.body(bytes).send().await.map_err(unreachable)?;
        match response.status() {
            // A store that already has an object says so; whether it is this one is found out when the segment is reported.
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(()),
            _ => refused(response).await.map(drop),
        }
    }
}

fn unreachable(error: reqwest::Error) -> CallError {
    // Addresses of grants carry signatures.
    CallError::Unreachable(crate::chain(&error.without_url()))
}

/// Passes on what succeeded and reads what did not.
async fn refused(response: Response) -> Result<Response, CallError> {
    let status = response.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let status = status.as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = read_body(response).await?;
    match serde_json::from_slice::<ErrorReply>(&bytes) {
        Ok(reply) => Err(CallError::Refused {
            status,
            code: printable(&reply.code),
            message: printable(&reply.message),
            retryable: reply.retryable || status >= 500,
            expected_number: reply.expected_number,
            retry_after: retry_after.map(Duration::from_secs),
        }),
        // It comes from a proxy or a store, which is never a reason to give up a recording.
        Err(_) => Err(CallError::Unexpected {
            status,
            why: "the reply is not an error of the Agent API".to_owned(),
        }),
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, CallError> {
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > LARGEST_REPLY_BYTES {
            let why = format!("the reply has more than {LARGEST_REPLY_BYTES} bytes");
            return Err(CallError::Unexpected { status, why });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What a reply says goes to logs and terminals: no control characters, no endless text.
fn printable(text: &str) -> String {
    const LONGEST: usize = 500;
    let short: String = text.chars().take(LONGEST).collect();
    sanitised(&short).into_owned()
}

fn parse_http_date(text: &str) -> Option<i64> {
    let date = PrimitiveDateTime::parse(text, HTTP_DATE).ok()?;
    date.assume_utc().unix_timestamp().checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        assert_eq!(parse_http_date("Thu, 16 Nov 2023 02:59:39 GMT"), Some(1_700_103_579_000));
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn calls_are_sent_below_the_servers_own_path() {
        let plane = |server: &str| ControlPlane::new(Url::parse(server).unwrap(), None).unwrap();
        assert_eq!(plane("http://localhost:1").path("/enrol"), "/agent/v1/enrol");
        let below = plane("http://localhost:1/hansard/");
        assert_eq!(below.path("/enrol"), "/hansard/agent/v1/enrol");
        assert_eq!(below.address_of("/agent/v1/uploads/x").unwrap().path(), "/hansard/agent/v1/uploads/x");
        assert_eq!(below.address_of("https://bucket/x?y").unwrap().as_str(), "https://bucket/x?y");
    }

    #[test]
    fn replies_cannot_control_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}"), "a\\u{1b}[2Jb\\u{9b}");
    }
}
