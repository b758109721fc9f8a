//! The client of the RPC wire: signs a call, sends it, and turns a refusal into one line.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use url::{Host, Url};

use domain::actions::{self, Product};
use domain::clock::{Clock, SystemClock};
use domain::identity::random_alphanumeric;
use openapi::error_codes::ErrorCode;
use openapi::replies::AccessDeniedDetail;
use request_signature::{encode_pairs, v3};

use crate::environment::Environment;
use crate::failure::{Failure, chain};

/// The address of a server that was started without settings.
pub(crate) const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8080";

const FORM: &str = "application/x-www-form-urlencoded";

/// The access key that signs. Its Debug keeps the secret.
pub(crate) struct Credentials {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
}

impl Credentials {
    /// From `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET` and, for temporary keys,
    /// `ALIBABA_CLOUD_SECURITY_TOKEN`.
    ///
    /// # Errors
    /// One is missing or is not valid in a header.
    pub(crate) fn from_environment(environment: &Environment) -> Result<Self, Failure> {
        let needed = |name: &str| {
            environment.get(name)?.map(str::to_owned).ok_or_else(|| {
                Failure::usage(format!(
                    "{name} is not set; calls are signed with ALIBABA_CLOUD_ACCESS_KEY_ID and \
                     ALIBABA_CLOUD_ACCESS_KEY_SECRET, which `hansard serve` and `hansard admin access-key create` show"
                ))
            })
        };
        let credentials = Self {
            access_key_id: needed("ALIBABA_CLOUD_ACCESS_KEY_ID")?,
            access_key_secret: needed("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?,
            security_token: environment.get("ALIBABA_CLOUD_SECURITY_TOKEN")?.map(str::to_owned),
        };
        for (name, value) in [
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", Some(&credentials.access_key_id)),
            ("ALIBABA_CLOUD_SECURITY_TOKEN", credentials.security_token.as_ref()),
        ] {
            if value.is_some_and(|value| !value.bytes().all(|byte| byte.is_ascii_graphic())) {
                return Err(Failure::usage(format!("{name} is not visible ASCII without spaces")));
            }
        }
        Ok(credentials)
    }
}

/// The server's address: scheme, host and perhaps a port.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    /// From `HANSARD_ENDPOINT`, else the default.
    ///
    /// # Errors
    /// It is not the address of a server.
    pub(crate) fn from_environment(environment: &Environment) -> Result<Self, Failure> {
        let text = environment.get("HANSARD_ENDPOINT")?.unwrap_or(DEFAULT_ENDPOINT);
        Self::parse(text).ok_or_else(|| {
            Failure::usage(format!(
                "HANSARD_ENDPOINT \"{text}\" is not allowed: it is http:// or https:// with a host and perhaps a \
                 port, such as {DEFAULT_ENDPOINT}"
            ))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let url: Url = text.parse().ok()?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        plain.then_some(Self(url))
    }

    /// An address below this one.
    fn below(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// The `Host` header, as it is signed.
    fn host_header(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether it is this machine, which is never reached through a proxy of the environment.
    fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}

/// A client of one server.
pub(crate) struct Client {
    endpoint: Endpoint,
    credentials: Credentials,
    http: reqwest::Client,
}

impl Client {
    /// A client with the keys and the address that the environment names.
    ///
    /// # Errors
    /// A variable is missing or bad.
    pub(crate) fn from_environment(environment: &Environment) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_environment(environment)?;
        let credentials = Credentials::from_environment(environment)?;
        let mut http = reqwest::Client::builder()
            // The signed Host header must reach the server unchanged.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .user_agent(concat!("hansard/", env!("CARGO_PKG_VERSION")));
        if endpoint.is_loopback() {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|error| Failure::failed(format!("the HTTP client cannot start: {}", chain(&error))))?;
        Ok(Self { endpoint, credentials, http })
    }

    /// Calls an action of the product's version and gives the reply.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses: its Code, Message and RequestId.
    pub(crate) async fn call(&self, action: &str, parameters: &[(String, String)]) -> Result<Value, Failure> {
        let body = form(parameters);
        let content_sha256 = v3::content_sha256(body.as_bytes());
        let host = self.endpoint.host_header();
        let date = SystemClock.now().to_rfc3339_seconds();
        let nonce = random_alphanumeric(32);
        let mut headers = vec![
            ("host", host.as_str()),
            ("content-type", FORM),
            ("x-acs-action", action),
            ("x-acs-content-sha256", content_sha256.as_str()),
            ("x-acs-date", date.as_str()),
            ("x-acs-signature-nonce", nonce.as_str()),
            ("x-acs-version", version_of(action)),
        ];
        if let Some(token) = &self.credentials.security_token {
            headers.push(("x-acs-accesskey-id", &self.credentials.access_key_id));
            headers.push(("x-acs-security-token", token));
        }
        let signable = v3::Signable {
            method: "POST",
            path: "/",
            query: &[],
            headers: &headers,
            signed_headers: &v3::signed_headers(&headers),
            content_sha256: &content_sha256,
        };
        let Credentials { access_key_id, access_key_secret, .. } = &self.credentials;
        let authorization = signable.authorization(access_key_id, access_key_secret);
        let mut map = HeaderMap::new();
        for (name, value) in headers.into_iter().chain([("authorization", authorization.as_str())]) {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Failure::usage(format!("{action} is not valid in the header {name}")))?;
            map.insert(HeaderName::from_static(name), value);
        }
        let request = self.http.post(self.endpoint.below("/")).headers(map).body(body);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let response = refuse_errors(action, response).await?;
        let text = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&text)
            .map_err(|_| Failure::failed(format!("{action}: the server's reply is not JSON")))
    }

    /// Sends an unsigned request below the endpoint, for what a replay session opens.
    ///
    /// # Errors
    /// As for [`Client::call`]; `what` names the request in the line.
    pub(crate) async fn fetch(
        &self,
        what: &str,
        method: Method,
        path: &str,
        cookie: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Response, Failure> {
        let mut request = self.http.request(method, self.endpoint.below(path));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(|error| {
            // A server that was reached and sent no head has broken off its reply.
            if error.is_connect() || error.is_timeout() {
                self.unreachable(&error)
            } else {
                broke_off(what, &error)
            }
        })?;
        refuse_errors(what, response).await
    }

    /// The line for a server that did not answer, or stopped answering.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut endpoint = self.endpoint.0.to_string();
        endpoint.truncate(endpoint.trim_end_matches('/').len());
        let cause = root_cause(error);
        Failure::failed(format!(
            "no answer from {endpoint} ({cause}); is it running, and is HANSARD_ENDPOINT right?"
        ))
    }
}

/// The line for an answer that stopped in the middle.
pub(crate) fn broke_off(what: &str, error: &reqwest::Error) -> Failure {
    let line = format!("{what} broke off: {}", chain(error));
    if error.is_timeout() { Failure::failed(line) } else { Failure::broke_off(line) }
}

/// The innermost cause, which is the one that a person can act on.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The version under which the action is known; an unknown name is sent to the product of recordings, which answers
/// that there is no such action.
fn version_of(action: &str) -> &'static str {
    let product = Product::ALL.iter().find(|product| actions::find(product.version(), action).is_some());
    product.unwrap_or(&Product::Workbench).version()
}

/// A form body of these parameters, in their order.
fn form(parameters: &[(String, String)]) -> String {
    encode_pairs(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Returns a success; turns an error into the line with Code, Message and RequestId.
async fn refuse_errors(what: &str, response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let header_id =
        response.headers().get("x-acs-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    // A refusal is small; a reply of some other server must not fill the memory.
    let mut text = Vec::new();
    let mut response = response;
    while let Ok(Some(piece)) = response.chunk().await {
        text.extend_from_slice(&piece);
        if text.len() > 256 * 1024 {
            break;
        }
    }
    Err(refusal(what, status, header_id, &text))
}

fn refusal(what: &str, status: StatusCode, header_id: Option<String>, text: &[u8]) -> Failure {
    let reply: Value = serde_json::from_slice(text).unwrap_or_default();
    let member = |name: &str| reply.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(code) = member("Code") else {
        return Failure::failed(format!(
            "{what}: the reply is HTTP {status} and does not come from a Hansard server; is HANSARD_ENDPOINT right?"
        ));
    };
    let message = member("Message").unwrap_or_default();
    let id = member("RequestId").or(header_id).unwrap_or_else(|| "unknown".into());
    let denied = denial(&reply).unwrap_or_default();
    let why =
        sealed_reason(&reply).map(|sealed| format!(" EncodedDiagnosticMessage={sealed}")).unwrap_or_default();
    let line = format!("{what}: {code}: {message}{denied} (HTTP {}, RequestId {id}){why}", status.as_u16());
    if code == ErrorCode::EvidenceChanged.row().code {
        Failure::evidence_changed(line)
    } else if status == StatusCode::NOT_FOUND {
        Failure::not_found(line)
    } else {
        Failure::failed(line)
    }
}

/// The action and the caller that were denied, if the server says so. The line is sanitised as a whole.
fn denial(reply: &Value) -> Option<String> {
    let detail: AccessDeniedDetail = serde_json::from_value(reply.get("AccessDeniedDetail")?.clone()).ok()?;
    let AccessDeniedDetail { auth_action, auth_principal_display_name, no_permission_type, .. } = detail;
    Some(format!(" [{auth_action} for {auth_principal_display_name}: {no_permission_type}]"))
}

/// The message for DecodeDiagnosticMessage, at the end of the line, ready to be pasted.
fn sealed_reason(reply: &Value) -> Option<&str> {
    reply.get("AccessDeniedDetail")?.get("EncodedDiagnosticMessage")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_as_the_signature_wants_it() {
        let parameters = [("InstanceId".to_owned(), "*".to_owned()), ("A b".to_owned(), "ä+/~".to_owned())];
        assert_eq!(form(&parameters), "InstanceId=%2A&A%20b=%C3%A4%2B%2F~");
        assert_eq!(form(&[]), "");
    }

    #[test]
    fn endpoints_are_addresses_without_a_path() {
        for (text, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("https://hansard.example.com/", "hansard.example.com"),
            ("https://hansard.example.com:443", "hansard.example.com"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().host_header(), host);
        }
        for text in ["", "127.0.0.1:8080", "ftp://h", "http://h/x", "http://h?x=1", "http://u:p@h"] {
            assert!(Endpoint::parse(text).is_none(), "{text}");
        }
        let bad = Endpoint::from_environment(&Environment::of(&[("HANSARD_ENDPOINT", "h")])).unwrap_err();
        assert!(bad.message().starts_with("HANSARD_ENDPOINT \"h\" is not allowed"), "{bad}");
        assert_eq!(bad.exit_code(), 2);
        assert!(Endpoint::parse("http://localhost:1").unwrap().is_loopback());
        assert!(!Endpoint::parse("http://example.com").unwrap().is_loopback());
    }

    #[test]
    fn missing_keys_are_named() {
        let failure = Credentials::from_environment(&Environment::default()).err().unwrap();
        assert!(failure.message().starts_with("ALIBABA_CLOUD_ACCESS_KEY_ID is not set"), "{failure}");
        let half = Environment::of(&[("ALIBABA_CLOUD_ACCESS_KEY_ID", "a")]);
        let failure = Credentials::from_environment(&half).err().unwrap();
        assert!(failure.message().starts_with("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"), "{failure}");
    }

    #[test]
    fn refusals_name_code_message_and_request() {
        let text = br#"{"Code":"Forbidden.RAM","Message":"You may not.\u001b[2J","RequestId":"R-1"}"#;
        let failure = refusal("ListAgents", StatusCode::FORBIDDEN, None, text);
        assert_eq!(
            failure.message(),
            "ListAgents: Forbidden.RAM: You may not.\\u{1b}[2J (HTTP 403, RequestId R-1)"
        );
        let text = br#"{"Code":"Forbidden.RAM","Message":"No.","RequestId":"R-2","AccessDeniedDetail":{
            "AuthAction":"ecs-workbench:ListAgents","AuthPrincipalType":"SubUser","AuthPrincipalOwnerId":"1",
            "AuthPrincipalDisplayName":"20\u001b[2J","PolicyType":"AccountLevelIdentityBasedPolicy",
            "NoPermissionType":"ImplicitDeny","EncodedDiagnosticMessage":"AQBx+/="}}"#;
        let failure = refusal("ListAgents", StatusCode::FORBIDDEN, None, text);
        assert_eq!(
            failure.message(),
            "ListAgents: Forbidden.RAM: No. [ecs-workbench:ListAgents for 20\\u{1b}[2J: ImplicitDeny] (HTTP 403, \
             RequestId R-2) EncodedDiagnosticMessage=AQBx+/="
        );
        let failure = refusal("ListAgents", StatusCode::BAD_GATEWAY, None, b"<html>");
        assert!(
            failure.message().contains("HTTP 502 Bad Gateway and does not come from a Hansard server"),
            "{failure}"
        );
    }
}
