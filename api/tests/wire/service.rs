//! The real server on a real SQLite database in a temporary folder, with a clock that stands still.

use std::future::Future;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use api::{ApiSettings, HansardParts};
use domain::actions::{Action, AdministerIdentity, EnrolAgent, OpenRecording};
use domain::agent::{Agent, Capability, InstancePattern, JoinToken, JoinTokenSecret};
use domain::audit::{AuditDecision, AuditEvent, DEPLOYMENT_ACCOUNT};
use domain::clock::{Clock as _, ManualClock};
use domain::condition_keys::SessionOwner;
use domain::expiration::ExpirationDays;
use domain::gate::{self, Granted, InstanceFacts, PrincipalPolicies, RequestFacts, Resource};
use domain::identity::{AccessKeyId, KeyOwner};
use domain::principal::Principal;
use domain::recording_life::{
    Arrived, ArrivedStream, Recording, RecordingSealed, RecordingState, SegmentAcknowledged, SessionEnd,
};
use domain::server_keys::ServerKeys;
use domain::storage_target::RecordStorageTarget;
use domain::{AccountId, AgentId, Region, TerminalSessionToken, Timestamp};
use persistence::objects::FolderStores;
use persistence::{AgentEnrolled, DatabaseUrl, JoinTokenIssued, RecordingOpened, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::http::Reply;
use crate::signing::{Call, Key};

/// The account, and the key, of the vendor's signature vectors, so that those can be sent to the server too.
pub(crate) const ACCOUNT: &str = "1609982529000000";
const KEY_ID: &str = "testAccessKeyId0001";
const KEY_SECRET: &str = "testAccessKeySecret0001/+=";
const NOW: &str = "2026-01-02T03:04:05Z";

/// What outlives one server: the database, its keys, the clock.
struct Deployment {
    runtime: Runtime,
    folder: TempDir,
    keys: Arc<ServerKeys>,
    clock: Arc<ManualClock>,
    adjust: Box<dyn Fn(&mut ApiSettings) + Send + Sync>,
}

/// A running server.
pub(crate) struct Service {
    deployment: Arc<Deployment>,
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) root: Key,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::adjusted(|_| {})
    }

    /// A deployment that has no storage target of its own.
    pub(crate) fn without_default_target() -> Self {
        Self::adjusted(|settings| settings.default_target = false)
    }

    /// A deployment with other settings than the defaults.
    pub(crate) fn adjusted(adjust: impl Fn(&mut ApiSettings) + Send + Sync + 'static) -> Self {
        let now = Timestamp::parse_rfc3339_seconds(NOW).unwrap();
        let deployment = Deployment {
            runtime: Runtime::new().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            keys: Arc::new(ServerKeys::generate().unwrap()),
            clock: Arc::new(ManualClock::at(now)),
            adjust: Box::new(adjust),
        };
        Self::replica(Arc::new(deployment))
    }

    /// Another server on the same database.
    pub(crate) fn beside(&self) -> Self {
        Self::replica(self.deployment.clone())
    }

    fn replica(deployment: Arc<Deployment>) -> Self {
        let database = DatabaseUrl::sqlite_file(&deployment.folder.path().join("hansard.db"));
        let root = Key { id: KEY_ID.to_owned(), secret: KEY_SECRET.to_owned() };
        let store = deployment.runtime.block_on(async {
            let store = Store::connect(database, deployment.keys.clone()).await.unwrap();
            let secret = domain::access_key::AccessKeySecret::new(root.secret.clone());
            let now = deployment.clock.now();
            store
                .ensure_root(&account(), &AccessKeyId::parse(&root.id).unwrap(), &secret, now)
                .await
                .unwrap();
            store
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let public_url = format!("http://{address}").parse().unwrap();
        let mut settings = ApiSettings { workers: Some(2), ..ApiSettings::new(public_url, region()) };
        (deployment.adjust)(&mut settings);
        let parts = HansardParts {
            store: store.clone(),
            stores: Arc::new(FolderStores::open(&deployment.folder.path().join("objects")).unwrap()),
            clock: deployment.clock.clone(),
            keys: deployment.keys.clone(),
            settings,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = std::thread::spawn(move || {
            let shutdown = async move {
                let _ = stopped.await;
            };
            Runtime::new().unwrap().block_on(api::serve(parts, listener, shutdown)).unwrap();
        });
        Self { deployment, store, address, root, stop: Some(stop), serving: Some(serving) }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.deployment.runtime.block_on(future)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.deployment.clock.now()
    }

    pub(crate) fn pass_millis(&self, millis: i64) {
        self.deployment.clock.advance_millis(millis);
    }

    /// A call of the account's owner, signature V3, POST.
    pub(crate) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.call_as(&self.root, action, parameters)
    }

    pub(crate) fn call_as(&self, key: &Key, action: &str, parameters: &[(&str, &str)]) -> Reply {
        Call::new(action, parameters, self.now()).signed_v3(key, self.address).send(self.address)
    }

    /// Everything that could have changed, as the store tells it: configurations, recordings, agents, revision.
    pub(crate) fn state(&self) -> String {
        let root = Principal::Account { account: account() };
        let facts = self.facts();
        self.wait(async {
            let policies = self.store.policies_of(&root).await.unwrap();
            let mut state =
                format!("revision {}\n", self.store.configuration_revision(&account()).await.unwrap());
            let read = gate::authorize::<domain::actions::GetInstanceRecordConfig>(
                &root,
                Resource::AllInstances { region: region() },
                &policies,
                &facts,
            );
            for selector in ["*", "i-one", "i-two"] {
                let selector = domain::record_config::InstanceSelector::parse(selector).unwrap();
                let config =
                    self.store.find_own_record_config(read.as_ref().unwrap(), &selector).await.unwrap();
                state.push_str(&format!("{config:?}\n"));
            }
            state
        })
    }

    /// The latest audit rows, the newest first.
    pub(crate) fn audit(&self, count: u32) -> Vec<AuditEvent> {
        let granted = self.operator();
        self.wait(self.store.latest_audit_events(&granted, count)).unwrap()
    }

    /// The latest audit rows of the deployment itself, the newest first.
    pub(crate) fn audit_of_nobody(&self) -> Vec<AuditEvent> {
        let granted = self.operator_of(DEPLOYMENT_ACCOUNT.clone());
        self.wait(self.store.latest_audit_events(&granted, 1_000)).unwrap()
    }

    fn facts(&self) -> RequestFacts {
        RequestFacts { secure_transport: false, ..RequestFacts::at(self.now()) }
    }

    pub(crate) fn operator(&self) -> Granted<AdministerIdentity> {
        self.operator_of(account())
    }

    fn operator_of(&self, account: AccountId) -> Granted<AdministerIdentity> {
        let operator = Principal::Operator { account };
        gate::authorize(&operator, Resource::Everything, &PrincipalPolicies::none(), &self.facts()).unwrap()
    }

    pub(crate) fn event(&self, action: &str) -> AuditEvent {
        AuditEvent {
            request_id: "TEST".to_owned(),
            at: self.now(),
            account: account(),
            principal: "test".to_owned(),
            access_key_id: None,
            action: action.to_owned(),
            resource: String::new(),
            decision: AuditDecision::Allowed { by: "test".to_owned() },
            result: "OK".to_owned(),
            source_address: None,
            user_agent: String::new(),
            recording: None,
            how: String::new(),
        }
    }

    /// A RAM user with these policies, and its key.
    pub(crate) fn user(&self, name: &str, policies: &[&str]) -> Key {
        let granted = self.operator();
        let user = name.parse().unwrap();
        self.wait(async {
            self.store.create_user(&granted, &user, self.now(), self.event("CreateUser")).await.unwrap();
            for (number, document) in policies.iter().enumerate() {
                let policy = format!("{name}-{number}").parse().unwrap();
                self.store
                    .put_policy(&granted, &policy, document, self.now(), self.event("PutPolicy"))
                    .await
                    .unwrap();
                self.store
                    .attach_policy(&granted, &user, &policy, self.now(), self.event("AttachPolicy"))
                    .await
                    .unwrap();
            }
            let owner = KeyOwner::User(user);
            let (id, secret) = self
                .store
                .create_access_key(&granted, &owner, self.now(), self.event("CreateAccessKey"))
                .await
                .unwrap();
            Key { id: id.to_string(), secret: secret.reveal().to_owned() }
        })
    }

    /// An agent for the instance.
    pub(crate) fn agent(&self, instance: &str) -> Agent {
        let now = self.now();
        let secret = JoinTokenSecret::generate();
        let token = JoinToken {
            hash: secret.hash(),
            account: account(),
            region: region(),
            instances: InstancePattern::parse(instance).unwrap(),
            permits_replace: true,
            created_by: "test".to_owned(),
            created_at: now,
            expires_at: Timestamp::from_millis(now.as_millis() + 60_000),
        };
        let agent = Agent {
            id: AgentId::generate(),
            account: account(),
            instance: instance.parse().unwrap(),
            region: region(),
            authentication_key: vec![1; 32],
            sealing_key: vec![2; 32],
            hostname: "host".to_owned(),
            version: "0.1.0".to_owned(),
            capabilities: vec![Capability { kind: "terminal".to_owned(), version: "1".to_owned() }],
            enrolled_at: now,
            last_seen_at: now,
            replaced_at: None,
        };
        let enrolled = AgentEnrolled { agent: agent.clone(), token_hash: secret.hash(), replace: true };
        let granted = self.granted_to_agent::<EnrolAgent>(&agent);
        self.wait(async {
            self.store.apply(&self.operator(), JoinTokenIssued { token }, self.event("Token")).await.unwrap();
            self.store.apply(&granted, enrolled, self.event("EnrolAgent")).await.unwrap();
        });
        agent
    }

    fn granted_to_agent<A: Action>(&self, agent: &Agent) -> Granted<A> {
        let principal = Principal::Agent {
            account: account(),
            agent: agent.id.clone(),
            instance: agent.instance.clone(),
        };
        let resource = Resource::Instance(InstanceFacts::untagged(region(), agent.instance.clone()));
        gate::authorize(&principal, resource, &PrincipalPolicies::none(), &self.facts()).unwrap()
    }

    /// A running recording that `agent` started `ago_millis` before now.
    pub(crate) fn recording(&self, agent: &Agent, ago_millis: i64) -> TerminalSessionToken {
        self.owned_recording(agent, ago_millis, None)
    }

    /// The same, of a session that `owner` opened.
    pub(crate) fn owned_recording(
        &self,
        agent: &Agent,
        ago_millis: i64,
        owner: Option<SessionOwner>,
    ) -> TerminalSessionToken {
        let token = TerminalSessionToken::generate();
        let started_at = Timestamp::from_millis(self.now().as_millis() - ago_millis);
        let recording = Recording {
            token: token.clone(),
            account: account(),
            instance: agent.instance.clone(),
            agent: agent.id.clone(),
            kind: recording::CaptureKind::Terminal,
            owner,
            claimed_owner: Some("somebody".to_owned()),
            recorder: recording::Recorder::SameUser,
            target: RecordStorageTarget::deployment_default(&region(), &account()),
            folder: recording::ObjectName::parse(&format!("record/2026/01/02/{}/{token}", agent.instance))
                .unwrap(),
            start_sha256: "00".repeat(32),
            started_at,
            opened_at: started_at,
            last_heard_at: started_at,
            expiration: ExpirationDays::DEFAULT,
            state: RecordingState::Open,
            arrived: Arrived::default(),
        };
        let streams = ArrivedStream::of_new_recording(b"{}");
        let granted = self.granted_to_agent::<OpenRecording>(agent);
        self.wait(self.store.apply(
            &granted,
            RecordingOpened { recording, streams },
            self.event("OpenRecording"),
        ))
        .unwrap();
        token
    }

    /// The recording's one segment arrives.
    pub(crate) fn segment(&self, agent: &Agent, token: &TerminalSessionToken) {
        let first = recording::ChainValue::first(b"{}", recording::Stream::Terminal);
        let hash = recording::ContentHash::of(b"x");
        let micros = |micros| recording::Micros::from(std::time::Duration::from_micros(micros));
        let acknowledged = SegmentAcknowledged {
            token: token.clone(),
            number: 0,
            length: 1,
            sha256: hash.to_string(),
            first_at: micros(1),
            arrived: ArrivedStream {
                stream: recording::Stream::Terminal,
                segments: 1,
                stored_bytes: 1,
                chain: first.next(0, 1, &hash),
                last_at: micros(1_500_000),
            },
            at: self.now(),
        };
        let granted = self.granted_to_agent::<domain::actions::AcknowledgeSegment>(agent);
        self.wait(self.store.apply(&granted, acknowledged, self.event("AcknowledgeSegment"))).unwrap();
    }

    /// The recording ends now.
    pub(crate) fn seal(&self, agent: &Agent, token: &TerminalSessionToken, segments: u32, end: SessionEnd) {
        let sealed = RecordingSealed {
            token: token.clone(),
            segments,
            ended_at: self.now(),
            end,
            manifest_sha256: "00".repeat(32),
            at: self.now(),
        };
        let granted = self.granted_to_agent::<domain::actions::SealRecording>(agent);
        self.wait(self.store.apply(&granted, sealed, self.event("SealRecording"))).unwrap();
    }
}

impl Service {
    /// Takes the database away under the running server: what stands in its files is no database any more.
    pub(crate) fn lose_database(&self) {
        for name in ["hansard.db-wal", "hansard.db-shm", "hansard.db"] {
            let file = self.deployment.folder.path().join(name);
            // Written over and not cut: the server has these bytes mapped.
            let length = std::fs::metadata(&file).unwrap().len();
            let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
            file.write_all(&vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
        }
    }

    /// Tells the server to stop, and does not wait for it.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the server's end.
    pub(crate) fn join(&mut self) {
        if let Some(serving) = self.serving.take() {
            let ended = serving.join();
            if !std::thread::panicking() {
                ended.expect("the server ends in order");
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}

pub(crate) fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

pub(crate) fn region() -> Region {
    "cn-hangzhou".parse().unwrap()
}
