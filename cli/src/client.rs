//! The client of the RPC wire: signs a call, sends it, and turns a refusal into one line.

mod connection;
mod refusal;

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;
use url::{Host, Url};

use domain::actions::{self, Product};
use domain::clock::{Clock, SystemClock};
use domain::identity::random_alphanumeric;
use openapi::ram::{DecodeDiagnosticMessageReply, DecodedDiagnosticMessage};
use request_signature::{encode_pairs, v3};

use crate::environment::Environment;
use crate::failure::{Failure, chain};
use refusal::{DECODE, Refusal};

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
        let refused = match self.answer(action, parameters).await? {
            Ok(reply) => return Ok(reply),
            Err(refused) => refused,
        };
        let decoded = match refused.sealed_reason() {
            Some(sealed) if action != DECODE => self.decoded(sealed).await,
            _ => None,
        };
        Err(refused.failure(parameters, decoded.as_ref()))
    }

    /// The reason for a denial, if this caller may decode it. Only the attempt shows whether it may; a refusal of that
    /// changes nothing about the denial itself.
    async fn decoded(&self, sealed: String) -> Option<DecodedDiagnosticMessage> {
        let parameters = [("EncodedDiagnosticMessage".to_owned(), sealed)];
        let reply = self.answer(DECODE, &parameters).await.ok()?.ok()?;
        let reply: DecodeDiagnosticMessageReply = serde_json::from_value(reply).ok()?;
        Some(reply.decoded_diagnostic_message)
    }

    /// Sends a signed call: the reply, or the server's refusal.
    async fn answer(
        &self,
        action: &str,
        parameters: &[(String, String)],
    ) -> Result<Result<Value, Refusal>, Failure> {
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
        let response = match accepted(action, response).await {
            Ok(response) => response,
            Err(refused) => return Ok(Err(refused)),
        };
        let text = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&text)
            .map(Ok)
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
        accepted(what, response).await.map_err(|refused| refused.failure(&[], None))
    }

    /// The line for a server that did not answer, or stopped answering.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut endpoint = self.endpoint.0.to_string();
        endpoint.truncate(endpoint.trim_end_matches('/').len());
        let cause = connection::cause(error);
        Failure::not_now(format!(
            "no answer from {endpoint}: {cause}; is the server running, and is HANSARD_ENDPOINT right?"
        ))
    }
}

/// The line for an answer that stopped in the middle.
pub(crate) fn broke_off(what: &str, error: &reqwest::Error) -> Failure {
    let line = format!("{what} broke off: {}", chain(error));
    if error.is_timeout() { Failure::not_now(line) } else { Failure::broke_off(line) }
}

/// The version under which the action is known; an unknown name is sent to the product of recordings, which answers
/// that there is no such action.
fn version_of(action: &str) -> &'static str {
    product_of(action).unwrap_or(Product::Workbench).version()
}

/// The product that has the action.
pub(crate) fn product_of(action: &str) -> Option<Product> {
    Product::ALL.iter().copied().find(|product| actions::find(product.version(), action).is_some())
}

/// A form body of these parameters, in their order.
fn form(parameters: &[(String, String)]) -> String {
    encode_pairs(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// A reply that is a success, or the refusal.
async fn accepted(what: &str, mut response: Response) -> Result<Response, Refusal> {
    if response.status().is_success() {
        return Ok(response);
    }
    // A refusal is small; a reply of some other server must not fill the memory.
    let mut text = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        text.extend_from_slice(&piece);
        if text.len() > 256 * 1024 {
            break;
        }
    }
    Err(Refusal::new(what, &response, &text))
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
}
