//! The kit's server, adapted to these tests: they are synchronous and sign by themselves.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::ApiSettings;
use domain::actions::{AdministerIdentity, GetInstanceRecordConfig};
use domain::agent::Agent;
use domain::audit::{AuditEvent, DEPLOYMENT_ACCOUNT};
use domain::clock::Clock as _;
use domain::condition_keys::SessionOwner;
use domain::gate::{Granted, Resource};
use domain::record_config::InstanceSelector;
use domain::recording_life::{ArrivedStream, Recording, RecordingSealed, SegmentAcknowledged, SessionEnd};
use domain::{TerminalSessionToken, Timestamp};
use persistence::{RecordingOpened, Store};
use recording::{Micros, ObjectName, Stream};
use test_server::{Running, Site};
use tokio::runtime::Runtime;

pub(crate) use test_facts::{ACCOUNT, account};

use crate::http::Reply;
use crate::signing::{Call, Key};

/// The key of the vendor's signature vectors, so that those can be sent to the server too.
const KEY_ID: &str = "testAccessKeyId0001";
const KEY_SECRET: &str = "testAccessKeySecret0001/+=";
const NOW: &str = "2026-01-02T03:04:05Z";

/// A running server.
pub(crate) struct Service {
    // Declared before the runtime in which it was started.
    running: Running,
    runtime: Arc<Runtime>,
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) root: Key,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::adjusted(|_| {})
    }

    /// A deployment without a storage target of its own.
    pub(crate) fn without_default_target() -> Self {
        Self::adjusted(|settings| settings.default_target = false)
    }

    /// A deployment with other settings than the defaults.
    pub(crate) fn adjusted(adjust: impl Fn(&mut ApiSettings) + Send + Sync + 'static) -> Self {
        let root = test_server::Key { id: KEY_ID.to_owned(), secret: KEY_SECRET.to_owned(), token: None };
        let now = Timestamp::parse_rfc3339_seconds(NOW).unwrap();
        let site = Site::new(account(), root, now).adjusted(move |settings| {
            settings.workers = Some(2);
            adjust(settings);
        });
        Self::replica(Arc::new(Runtime::new().unwrap()), Arc::new(site))
    }

    /// Another server on the same database.
    pub(crate) fn beside(&self) -> Self {
        Self::replica(self.runtime.clone(), self.running.site().clone())
    }

    fn replica(runtime: Arc<Runtime>, site: Arc<Site>) -> Self {
        let running = runtime.block_on(Running::at(site));
        let root = Key { id: running.root.id.clone(), secret: running.root.secret.clone() };
        Self { store: running.store.clone(), address: running.socket_address(), root, running, runtime }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.running.clock.now()
    }

    pub(crate) fn pass_millis(&self, millis: i64) {
        self.running.clock.advance_millis(millis);
    }

    /// A call by the account's owner with signature V3, as a POST.
    pub(crate) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.call_as(&self.root, action, parameters)
    }

    pub(crate) fn call_as(&self, key: &Key, action: &str, parameters: &[(&str, &str)]) -> Reply {
        Call::new(action, parameters, self.now()).signed_v3(key, self.address).send(self.address)
    }

    /// Everything that could have changed, as the store reports it: configurations, recordings, agents, revision.
    pub(crate) fn state(&self) -> String {
        let resource = Resource::AllInstances { region: test_facts::region() };
        let read = test_facts::owner::<GetInstanceRecordConfig>(&account(), resource);
        self.wait(async {
            let mut state =
                format!("revision {}\n", self.store.configuration_revision(&account()).await.unwrap());
            for selector in ["*", "i-one", "i-two"] {
                let selector = InstanceSelector::parse(selector).unwrap();
                let config = self.store.find_own_record_config(&read, &selector).await.unwrap();
                state.push_str(&format!("{config:?}\n"));
            }
            state
        })
    }

    /// Announces the server's end.
    pub(crate) fn announce_end(&self) {
        self.running.hansard.announce_end();
    }

    /// The latest audit rows, the newest first.
    pub(crate) fn audit(&self, count: u32) -> Vec<AuditEvent> {
        let granted = self.operator();
        self.wait(self.store.latest_audit_events(&granted, count)).unwrap()
    }

    /// The latest audit rows of the deployment itself, the newest first.
    pub(crate) fn audit_of_nobody(&self) -> Vec<AuditEvent> {
        let granted = test_facts::as_operator(&DEPLOYMENT_ACCOUNT);
        self.wait(self.store.latest_audit_events(&granted, 1_000)).unwrap()
    }

    pub(crate) fn operator(&self) -> Granted<AdministerIdentity> {
        test_facts::as_operator(&account())
    }

    pub(crate) fn event(&self, action: &str) -> AuditEvent {
        test_facts::operator_event(&account(), action, self.now())
    }

    /// A RAM user with these policies, and its key.
    pub(crate) fn user(&self, name: &str, policies: &[&str]) -> Key {
        let names: Vec<String> = (0..policies.len()).map(|number| format!("{name}-{number}")).collect();
        let named: Vec<_> = names.iter().map(String::as_str).zip(policies.iter().copied()).collect();
        let key = self.wait(self.running.user_with(name, &named));
        Key { id: key.id, secret: key.secret }
    }

    /// An agent for the instance.
    pub(crate) fn agent(&self, instance: &str) -> Agent {
        let (secret, token) = test_facts::join_token(&account(), instance, true, self.now());
        let agent = test_facts::agent(&account(), &instance.parse().unwrap(), self.now());
        self.wait(async {
            test_facts::issue(&self.store, token).await;
            test_facts::enrol(&self.store, &agent, &secret, true).await.unwrap();
        });
        agent
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
        let started_at = Timestamp::from_millis(self.now().as_millis() - ago_millis);
        let recording = test_facts::recording(agent, started_at, 7);
        let token = recording.token.clone();
        let folder = format!("record/2026/01/02/{}/{token}", agent.instance);
        let recording = Recording {
            owner,
            claimed_owner: Some("somebody".to_owned()),
            folder: ObjectName::parse(&folder).unwrap(),
            ..recording
        };
        let streams = ArrivedStream::of_new_recording(b"{}");
        let opened = RecordingOpened { recording, streams };
        self.wait(test_facts::open(&self.store, agent, opened)).unwrap();
        token
    }

    /// Delivers the recording's only segment.
    pub(crate) fn segment(&self, agent: &Agent, token: &TerminalSessionToken) {
        let segment = test_facts::segment(token, 0, self.now());
        let arrived = ArrivedStream {
            stored_bytes: 1,
            last_at: Micros::from(Duration::from_micros(1_500_000)),
            ..test_facts::arrived(Stream::Terminal, 1)
        };
        let segment = SegmentAcknowledged {
            length: 1,
            first_at: Micros::from(Duration::from_micros(1)),
            arrived,
            ..segment
        };
        self.wait(test_facts::acknowledge(&self.store, agent, segment)).unwrap();
    }

    /// Seals the recording now.
    pub(crate) fn seal(&self, agent: &Agent, token: &TerminalSessionToken, segments: u32, end: SessionEnd) {
        let sealed = RecordingSealed { end, ..test_facts::sealed(token, segments, self.now()) };
        self.wait(test_facts::seal(&self.store, agent, sealed)).unwrap();
    }
}

impl Service {
    /// Takes the database away from the running server: its files no longer contain a database.
    pub(crate) fn lose_database(&self) {
        for name in ["hansard.db-wal", "hansard.db-shm", "hansard.db"] {
            let file = self.running.site().folder().join(name);
            // Overwritten instead of truncated, because the server has these bytes mapped.
            let length = std::fs::metadata(&file).unwrap().len();
            let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
            file.write_all(&vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
        }
    }

    /// Tells the server to stop, and does not wait for it.
    pub(crate) fn stop(&mut self) {
        self.running.stop();
    }

    /// Waits for the server's end.
    pub(crate) fn join(&mut self) {
        self.running.join();
    }
}
