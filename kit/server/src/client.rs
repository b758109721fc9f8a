//! A client of the signed RPC API as its callers use it, and the calls that many tests make.

use domain::clock::Clock as _;
use request_signature::{encode_pairs, v3};
use serde_json::Value;

use crate::key::Key;
use crate::running::Running;

/// A reply of any of the server's surfaces.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body; a body that is not JSON is a string.
    pub body: Value,
}

impl Answer {
    /// Reads a reply with its whole body.
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
        Self { status, headers, body }
    }

    /// The code of a refusal, after its status.
    #[track_caller]
    pub fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.body["Success"], Value::Bool(false), "{self:?}");
        assert_eq!(
            self.body["RequestId"].as_str(),
            self.headers["x-acs-request-id"].to_str().ok(),
            "{self:?}"
        );
        assert!(self.body["HostId"].is_string() && self.body["Message"].is_string(), "{self:?}");
        (self.status, self.body["Code"].as_str().unwrap())
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.headers.contains_key("x-acs-request-id"), "{self:?}");
        self.body
    }

    /// A header's text; empty when the header is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Running {
    /// Calls an action as the account's owner.
    pub async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call_as(&self.root, action, parameters).await
    }

    /// Calls an action, signed with version 3.
    pub async fn call_as(&self, key: &Key, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call_version(key, "2022-02-20", action, parameters).await
    }

    /// Calls an action of this version of the product.
    pub async fn call_version(
        &self,
        key: &Key,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let body = encode_pairs(parameters.iter().copied());
        let content_sha256 = v3::content_sha256(body.as_bytes());
        let host = self.address.strip_prefix("http://").unwrap();
        let (date, nonce) =
            (self.clock.now().to_rfc3339_seconds(), uuid::Uuid::new_v4().simple().to_string());
        let mut headers = vec![
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", host),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &content_sha256),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", version),
        ];
        if let Some(token) = &key.token {
            headers.extend([("x-acs-accesskey-id", key.id.as_str()), ("x-acs-security-token", token)]);
        }
        let signable = v3::Signable {
            method: "POST",
            path: "/",
            query: &[],
            headers: &headers,
            signed_headers: &v3::signed_headers(&headers),
            content_sha256: &content_sha256,
        };
        let authorization = signable.authorization(&key.id, &key.secret);
        let mut request = self.http.post(self.url("/")).header("authorization", authorization).body(body);
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// Switches recording on for an instance, or for `*`.
    pub async fn record(&self, instance: &str, days: &str) {
        let parameters = [("InstanceId", instance), ("Enabled", "true"), ("ExpirationDays", days)];
        self.call("SetInstanceRecordConfig", &parameters).await.ok();
    }

    /// A new join token.
    pub async fn join_token(&self, instance: &str, replace: bool) -> String {
        let replace = if replace { "true" } else { "false" };
        let reply =
            self.call("CreateAgentJoinToken", &[("InstanceId", instance), ("Replace", replace)]).await.ok();
        reply["Token"].as_str().unwrap().to_owned()
    }

    /// `Status` of the instance's newest recording.
    pub async fn newest_status(&self, instance: &str) -> String {
        let reply = self.call("ListInstanceRecords", &[("InstanceId", instance)]).await.ok();
        reply["Root"]["RecordList"][0]["Status"].as_str().unwrap_or_default().to_owned()
    }
}
