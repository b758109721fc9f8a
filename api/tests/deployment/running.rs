//! A running control plane, and its signed RPC wire as one user calls it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use actix_web::web::Data;
use api::{ApiSettings, Hansard, HansardParts, Listeners};
use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::actions::{AdministerIdentity, ReachAgents};
use domain::audit::{AuditDecision, AuditEvent};
use domain::clock::{Clock as _, ManualClock};
use domain::gate::{self, Granted, PrincipalPolicies, RequestFacts, Resource};
use domain::identity::{AccessKeyId, KeyOwner, PolicyName, UserName};
use domain::principal::Principal;
use domain::server_keys::ServerKeys;
use domain::{AccountId, Timestamp};
use persistence::objects::FolderStores;
use persistence::{DatabaseUrl, Store};
use request_signature::{encode_pairs, v3};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// An access key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// Of a role's session.
    pub(crate) token: Option<String>,
}

/// A reply of any of the server's surfaces.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
        Self { status, headers, body }
    }

    /// The code of a refusal, with its status.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.body["Success"], Value::Bool(false), "{self:?}");
        assert_eq!(
            self.body["RequestId"].as_str(),
            self.headers["x-acs-request-id"].to_str().ok(),
            "{self:?}"
        );
        assert!(self.body["HostId"].is_string() && self.body["Message"].is_string(), "{self:?}");
        (self.status, self.body["Code"].as_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.headers.contains_key("x-acs-request-id"), "{self:?}");
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A setting that makes the harness listen for other replicas; it puts the address of its listener there.
pub(crate) fn listen_for_replicas(settings: &mut ApiSettings) {
    settings.internal_address = Some("http://127.0.0.1:0".parse().unwrap());
}

/// A control plane that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) account: AccountId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Store,
    pub(crate) root: Key,
    pub(crate) http: reqwest::Client,
    /// What runs, for what has no door.
    pub(crate) hansard: Data<Hansard>,
    pub(crate) keys: Arc<ServerKeys>,
    folder: Arc<TempDir>,
    database: Option<String>,
    adjust: Adjust,
    stop: Option<oneshot::Sender<()>>,
    server: Option<std::thread::JoinHandle<()>>,
}

/// What a test sets otherwise than the defaults are.
type Adjust = fn(&mut ApiSettings);

impl Running {
    pub(crate) async fn start() -> Self {
        Self::set_up(None, |_| {}).await
    }

    /// On another database than SQLite in the folder.
    pub(crate) async fn start_with(database: Option<String>) -> Self {
        Self::set_up(database, |_| {}).await
    }

    /// One that other replicas reach.
    pub(crate) async fn reachable(database: Option<String>) -> Self {
        Self::set_up(database, listen_for_replicas).await
    }

    /// One with other settings than the defaults, in this database.
    pub(crate) async fn reachable_with(database: Option<String>, adjust: Adjust) -> Self {
        Self::set_up(database, adjust).await
    }

    /// A control plane with other settings than the defaults.
    pub(crate) async fn adjusted(adjust: Adjust) -> Self {
        Self::set_up(None, adjust).await
    }

    async fn set_up(database: Option<String>, adjust: Adjust) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let keys = Arc::new(ServerKeys::generate().unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_764_000_000_000)));
        let root = Key { id: "LTAIroot".into(), secret: "root-secret".into(), token: None };
        let account: AccountId = "1000000000000001".parse().unwrap();
        Self::start_on(folder, database, keys, clock, account, root, adjust).await
    }

    /// Another process over the same data: stopped in order, started again.
    pub(crate) async fn restart(mut self) -> Self {
        self.halt();
        let (folder, keys, clock) = (self.folder.clone(), self.keys.clone(), self.clock.clone());
        let (account, root) = (self.account.clone(), self.root.clone());
        Self::start_on(folder, self.database.clone(), keys, clock, account, root, self.adjust).await
    }

    /// A second process beside this one, over the same data.
    pub(crate) async fn another(&self) -> Self {
        let (folder, keys, clock) = (self.folder.clone(), self.keys.clone(), self.clock.clone());
        let (account, root) = (self.account.clone(), self.root.clone());
        Self::start_on(folder, self.database.clone(), keys, clock, account, root, self.adjust).await
    }

    async fn start_on(
        folder: Arc<TempDir>,
        database: Option<String>,
        keys: Arc<ServerKeys>,
        clock: Arc<ManualClock>,
        account: AccountId,
        root: Key,
        adjust: Adjust,
    ) -> Self {
        let url = match &database {
            Some(url) => DatabaseUrl::parse(url).unwrap(),
            None => DatabaseUrl::sqlite_file(&folder.path().join("hansard.sqlite")),
        };
        let store = Store::connect(url, keys.clone()).await.unwrap();
        let (id, secret) = (AccessKeyId::parse(&root.id).unwrap(), AccessKeySecret::new(root.secret.clone()));
        store.ensure_root(&account, &id, &secret, clock.now()).await.unwrap();
        let stores = FolderStores::open(&folder.path().join("objects")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = ApiSettings::new(address.parse().unwrap(), "cn-hangzhou".parse().unwrap());
        settings.workers = Some(1);
        adjust(&mut settings);
        let internal = settings.internal_address.as_mut().map(|address| {
            let internal = TcpListener::bind("127.0.0.1:0").unwrap();
            *address = format!("http://{}", internal.local_addr().unwrap()).parse().unwrap();
            internal
        });
        let parts = HansardParts {
            store: store.clone(),
            stores: Arc::new(stores),
            clock: clock.clone(),
            keys: keys.clone(),
            settings,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let hansard = Data::new(Hansard::new(parts));
        let (shared, listeners) = (hansard.clone(), Listeners { public: listener, internal });
        let server = std::thread::spawn(move || {
            let served = api::serve_shared(shared, listeners, async {
                let _ = stopped.await;
            });
            actix_web::rt::System::new().block_on(served).unwrap();
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            address,
            account,
            clock,
            store,
            root,
            http,
            hansard,
            keys,
            folder,
            database,
            adjust,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Stops it in order; what is counted is written down.
    pub(crate) fn halt(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }

    /// By which somebody who goes round the control plane reaches the database.
    pub(crate) fn database_address(&self) -> String {
        let file = || format!("sqlite:{}", self.folder.path().join("hansard.sqlite").display());
        self.database.clone().unwrap_or_else(file)
    }

    pub(crate) fn objects_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("objects")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Calls an action as the account's owner.
    pub(crate) async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call_as(&self.root, action, parameters).await
    }

    /// Calls an action, signed by version 3.
    pub(crate) async fn call_as(&self, key: &Key, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call_version(key, "2022-02-20", action, parameters).await
    }

    /// Calls an action of the product with this version.
    pub(crate) async fn call_version(
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

    pub(crate) async fn record(&self, instance: &str, days: &str) {
        let parameters = [("InstanceId", instance), ("Enabled", "true"), ("ExpirationDays", days)];
        self.call("SetInstanceRecordConfig", &parameters).await.ok();
    }

    pub(crate) async fn join_token(&self, instance: &str, replace: bool) -> String {
        let replace = if replace { "true" } else { "false" };
        let reply =
            self.call("CreateAgentJoinToken", &[("InstanceId", instance), ("Replace", replace)]).await.ok();
        reply["Token"].as_str().unwrap().to_owned()
    }

    /// `Status` of the instance's newest recording.
    pub(crate) async fn newest_status(&self, instance: &str) -> String {
        let reply = self.call("ListInstanceRecords", &[("InstanceId", instance)]).await.ok();
        reply["Root"]["RecordList"][0]["Status"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn advance_seconds(&self, seconds: i64) {
        self.clock.advance_millis(seconds * 1_000);
    }

    /// A RAM user that may do what `document` says, with an access key.
    pub(crate) async fn user(&self, name: &str, document: &str) -> Key {
        let granted = self.administer();
        let user = UserName::parse(name).unwrap();
        self.store.create_user(&granted, &user, self.clock.now(), self.audit()).await.unwrap();
        self.policy(name, document).await;
        let policy = PolicyName::parse(name).unwrap();
        self.store.attach_policy(&granted, &user, &policy, self.clock.now(), self.audit()).await.unwrap();
        let owner = KeyOwner::User(user);
        let (id, secret) =
            self.store.create_access_key(&granted, &owner, self.clock.now(), self.audit()).await.unwrap();
        Key { id: id.as_str().to_owned(), secret: secret.reveal().to_owned(), token: None }
    }

    pub(crate) async fn switch_key(&self, key: &Key, status: AccessKeyStatus) {
        let id = AccessKeyId::parse(&key.id).unwrap();
        self.store.set_access_key_status(&self.administer(), &id, status, self.audit()).await.unwrap();
    }

    pub(crate) async fn delete_key(&self, key: &Key) {
        let id = AccessKeyId::parse(&key.id).unwrap();
        self.store.delete_access_key(&self.administer(), &id, self.audit()).await.unwrap();
    }

    pub(crate) async fn delete_user(&self, name: &str) {
        let user = UserName::parse(name).unwrap();
        self.store.purge_user(&self.administer(), &user, self.audit()).await.unwrap();
    }

    /// Gives a policy another document.
    pub(crate) async fn policy(&self, name: &str, document: &str) {
        let policy = PolicyName::parse(name).unwrap();
        self.store
            .put_policy(&self.administer(), &policy, document, self.clock.now(), self.audit())
            .await
            .unwrap();
    }

    /// Everything that was written down, the oldest first.
    pub(crate) async fn audit_rows(&self) -> Vec<AuditEvent> {
        let mut rows = self.store.latest_audit_events(&self.administer(), 1_000).await.unwrap();
        rows.reverse();
        rows
    }

    /// What the control plane does of itself with agents.
    pub(crate) fn reaching(&self) -> Granted<ReachAgents> {
        let principal = Principal::System { account: self.account.clone() };
        let facts = RequestFacts::at(self.clock.now());
        gate::authorize(&principal, Resource::Everything, &PrincipalPolicies::none(), &facts).unwrap()
    }

    fn administer(&self) -> Granted<AdministerIdentity> {
        let principal = Principal::Operator { account: self.account.clone() };
        let facts = RequestFacts::at(self.clock.now());
        gate::authorize(&principal, Resource::Everything, &PrincipalPolicies::none(), &facts).unwrap()
    }

    fn audit(&self) -> AuditEvent {
        AuditEvent {
            request_id: uuid::Uuid::new_v4().to_string(),
            at: self.clock.now(),
            account: self.account.clone(),
            principal: "test".into(),
            access_key_id: None,
            action: "AdministerIdentity".into(),
            resource: "*".into(),
            decision: AuditDecision::NotAsked,
            result: "OK".into(),
            source_address: None,
            user_agent: "test".into(),
            recording: None,
            how: String::new(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Every file below `folder`, by its path from there.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(here) = pending.pop() {
        for entry in std::fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            match std::fs::read(&path) {
                Ok(bytes) => drop(found.insert(name, bytes)),
                // The server has removed it meanwhile, or ended a write.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
    found
}
