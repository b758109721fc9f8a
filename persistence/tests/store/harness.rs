//! A store on a database of its own, and a small world in it: an account, grants, agents, recordings.

use std::sync::Arc;
use std::time::Duration;

use domain::access_key::AccessKeySecret;
use domain::actions::{
    AcknowledgeSegment, Action, AdministerIdentity, CreateAgentJoinToken, EnrolAgent, ListInstanceRecords,
    OpenRecording, SealRecording, SweepRecordings, ViewInstanceRecords,
};
use domain::agent::{Agent, Capability, InstancePattern, JoinToken, JoinTokenSecret};
use domain::audit::{AuditDecision, AuditEvent};
use domain::condition_keys::SessionOwner;
use domain::expiration::ExpirationDays;
use domain::gate::{
    Candidates, Granted, InstanceFacts, Listing, PrincipalPolicies, RequestFacts, Resource, authorize,
};
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::recording_life::{
    Arrived, ArrivedStream, Recording, RecordingSealed, RecordingState, SegmentAcknowledged, SessionEnd,
};
use domain::server_keys::ServerKeys;
use domain::storage_target::RecordStorageTarget;
use domain::{AccountId, AgentId, InstanceId, Region, TerminalSessionToken, Timestamp};
use persistence::{
    AgentEnrolled, DatabaseUrl, JoinTokenIssued, PageRequest, RecordingOpened, RecordingPage, RecordingQuery,
    Store, StoreError,
};
use policies::Layers;
use recording::{ChainValue, Micros, ObjectName, Stream};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;

use crate::mariadb;
use crate::postgres::{FAST, new_database};

/// Where time begins in these tests.
pub(crate) const START: i64 = 1_700_000_000_000;
pub(crate) const DAY: i64 = 86_400_000;

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

pub(crate) fn account() -> AccountId {
    "1609982529000000".parse().unwrap()
}

pub(crate) fn other_account() -> AccountId {
    "1609982529000001".parse().unwrap()
}

pub(crate) fn instance(name: &str) -> InstanceId {
    InstanceId::parse(&format!("i-{name}")).unwrap()
}

pub(crate) fn region() -> Region {
    "cn-hangzhou".parse().unwrap()
}

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Backend {
    /// What a text is called in a CAST.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Backend::Sqlite | Backend::Postgres => "TEXT",
            Backend::MariaDb => "CHAR",
        }
    }
}

/// An empty database.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    pub(crate) backend: Backend,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    pub(crate) async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let folder = TempDir::new().unwrap();
                let url = format!("sqlite:{}", folder.path().join("hansard.db").display());
                Self { url, backend, _folder: Some(folder) }
            }
            Backend::Postgres => Self { url: new_database(FAST).await, backend, _folder: None },
            Backend::MariaDb => Self { url: mariadb::new_database().await, backend, _folder: None },
        }
    }

    pub(crate) fn parsed(&self) -> DatabaseUrl {
        DatabaseUrl::parse(&self.url).unwrap()
    }

    /// A connection that goes round the store, to damage rows and to count them.
    pub(crate) async fn raw(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.unwrap()
    }

    /// What a statement finds.
    pub(crate) async fn rows(&self, statement: &str) -> Vec<sea_orm::QueryResult> {
        let raw = self.raw().await;
        let statement = sea_orm::Statement::from_string(raw.get_database_backend(), statement);
        raw.query_all_raw(statement).await.unwrap()
    }

    pub(crate) async fn execute(&self, statement: &str) {
        self.raw().await.execute_unprepared(statement).await.unwrap();
    }
}

/// A store, its account, and what is needed to act in it.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) database: TestDatabase,
    pub(crate) keys: Arc<ServerKeys>,
}

impl World {
    pub(crate) async fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend).await;
        let keys = Arc::new(ServerKeys::generate().unwrap());
        let store = Store::connect(database.parsed(), Arc::clone(&keys)).await.unwrap();
        for (account, key) in [(account(), "root-key"), (other_account(), "other-root-key")] {
            let secret = AccessKeySecret::new("root-secret".to_owned());
            store.ensure_root(&account, &AccessKeyId::parse(key).unwrap(), &secret, at(0)).await.unwrap();
        }
        Self { store, database, keys }
    }

    /// Another replica on the same database.
    pub(crate) async fn replica(&self) -> Store {
        Store::connect(self.database.parsed(), Arc::clone(&self.keys)).await.unwrap()
    }

    pub(crate) async fn enrol(&self, account: &AccountId, name: &str) -> Agent {
        let token = self.join_token(account, "*", false).await;
        let agent = self.agent(account, name);
        self.try_enrol(&agent, &token, false).await.unwrap();
        agent
    }

    pub(crate) async fn join_token(
        &self,
        account: &AccountId,
        pattern: &str,
        permits_replace: bool,
    ) -> JoinTokenSecret {
        let secret = JoinTokenSecret::generate();
        let token = JoinToken {
            hash: secret.hash(),
            account: account.clone(),
            region: region(),
            instances: InstancePattern::parse(pattern).unwrap(),
            permits_replace,
            created_by: "acs:ram::1:root".to_owned(),
            created_at: at(0),
            expires_at: at(DAY),
        };
        let granted = owner::<CreateAgentJoinToken>(account, Resource::Everything);
        self.store
            .apply(&granted, JoinTokenIssued { token }, event(account, "CreateAgentJoinToken"))
            .await
            .unwrap();
        secret
    }

    pub(crate) fn agent(&self, account: &AccountId, name: &str) -> Agent {
        Agent {
            id: AgentId::generate(),
            account: account.clone(),
            instance: instance(name),
            region: region(),
            authentication_key: vec![1; 32],
            sealing_key: vec![2; 32],
            hostname: "web-1".to_owned(),
            version: "0.1.0".to_owned(),
            capabilities: vec![Capability { kind: "terminal".to_owned(), version: "1".to_owned() }],
            enrolled_at: at(1),
            last_seen_at: at(1),
            replaced_at: None,
        }
    }

    pub(crate) async fn try_enrol(
        &self,
        agent: &Agent,
        token: &JoinTokenSecret,
        replace: bool,
    ) -> Result<(), StoreError> {
        let change = AgentEnrolled { agent: agent.clone(), token_hash: token.hash(), replace };
        self.store.apply(&as_agent::<EnrolAgent>(agent), change, event(&agent.account, "EnrolAgent")).await
    }

    /// Opens a recording that starts at this moment.
    pub(crate) async fn open(&self, agent: &Agent, started_at: i64, days: i64) -> Recording {
        let recording = recording(agent, started_at, days);
        let change = opened(recording.clone());
        let granted = as_agent::<OpenRecording>(agent);
        self.store.apply(&granted, change, event(&agent.account, "OpenRecording")).await.unwrap();
        recording
    }

    /// Opens a recording of a session with a proven owner.
    pub(crate) async fn open_owned(
        &self,
        agent: &Agent,
        started_at: i64,
        owner: Option<SessionOwner>,
    ) -> Recording {
        let recording = Recording { owner, ..recording(agent, started_at, 3) };
        let change = opened(recording.clone());
        let granted = as_agent::<OpenRecording>(agent);
        self.store.apply(&granted, change, event(&agent.account, "OpenRecording")).await.unwrap();
        recording
    }

    pub(crate) async fn acknowledge(
        &self,
        agent: &Agent,
        token: &TerminalSessionToken,
        number: u32,
        now: i64,
    ) -> Result<(), StoreError> {
        self.claim(agent, segment(token, number, now)).await
    }

    pub(crate) async fn claim(&self, agent: &Agent, change: SegmentAcknowledged) -> Result<(), StoreError> {
        self.store
            .apply(
                &as_agent::<AcknowledgeSegment>(agent),
                change,
                event(&agent.account, "AcknowledgeSegment"),
            )
            .await
    }

    pub(crate) async fn seal(
        &self,
        agent: &Agent,
        token: &TerminalSessionToken,
        segments: u32,
        ended_at: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        let change = RecordingSealed {
            token: token.clone(),
            segments,
            ended_at: at(ended_at),
            end: SessionEnd::Exited,
            manifest_sha256: "ab".repeat(32),
            at: at(now),
        };
        self.store
            .apply(&as_agent::<SealRecording>(agent), change, event(&agent.account, "SealRecording"))
            .await
    }

    pub(crate) async fn find(&self, recording: &Recording) -> Option<Recording> {
        self.store.find_recording(&view(recording), &recording.token).await.unwrap()
    }

    pub(crate) async fn sweep(
        &self,
        account: &AccountId,
        now: i64,
        abandoned_after: Duration,
    ) -> persistence::Swept {
        self.store.sweep(&as_system(account), at(now), abandoned_after).await.unwrap()
    }

    pub(crate) async fn list(
        &self,
        account: &AccountId,
        of: Option<&InstanceId>,
        now: i64,
        include_expired: bool,
        page: PageRequest,
    ) -> RecordingPage {
        let granted = owner::<ListInstanceRecords>(account, list_of(of));
        self.store
            .list_recordings(&granted, RecordingQuery { include_expired, page, now: at(now) })
            .await
            .unwrap()
    }

    /// How many rows answer a condition, counted by the database itself.
    pub(crate) async fn count(&self, table: &str, condition: &str) -> i64 {
        let raw = self.database.raw().await;
        let statement = format!("SELECT COUNT(*) AS n FROM {table} WHERE {condition}");
        let row =
            raw.query_one_raw(sea_orm::Statement::from_string(raw.get_database_backend(), statement)).await;
        row.unwrap().unwrap().try_get("", "n").unwrap()
    }
}

pub(crate) fn resource_of(of: Option<&InstanceId>) -> Resource {
    match of {
        Some(instance) => Resource::Instance(InstanceFacts::untagged(region(), instance.clone())),
        None => Resource::Everything,
    }
}

/// A list, of one instance or of all.
pub(crate) fn list_of(of: Option<&InstanceId>) -> Resource {
    Resource::List(Listing {
        of: of.map(|instance| InstanceFacts::untagged(region(), instance.clone())),
        region: region(),
        recordings: true,
        candidates: Candidates::default(),
    })
}

/// The owner's view of a recording.
pub(crate) fn view(recording: &Recording) -> Granted<ViewInstanceRecords> {
    let of = InstanceFacts::untagged(region(), recording.instance.clone());
    owner(&recording.account, Resource::Recording { of, found: Some(recording.facts()) })
}

pub(crate) fn recording(agent: &Agent, started_at: i64, days: i64) -> Recording {
    Recording {
        token: TerminalSessionToken::generate(),
        account: agent.account.clone(),
        instance: agent.instance.clone(),
        agent: agent.id.clone(),
        kind: recording::CaptureKind::Terminal,
        owner: None,
        claimed_owner: None,
        recorder: recording::Recorder::SameUser,
        target: RecordStorageTarget::deployment_default(&region(), &agent.account),
        folder: ObjectName::parse("record/2023/11/14/x").unwrap(),
        start_sha256: "cd".repeat(32),
        started_at: at(started_at),
        opened_at: at(started_at),
        last_heard_at: at(started_at),
        expiration: ExpirationDays::new(days).unwrap(),
        state: RecordingState::Open,
        arrived: Arrived::default(),
    }
}

/// The opening of a recording whose terminal has no segment yet.
pub(crate) fn opened(recording: Recording) -> RecordingOpened {
    let streams = [Stream::Terminal, Stream::Events].map(|stream| arrived(stream, 0));
    RecordingOpened { recording, streams: streams.to_vec() }
}

/// So many segments of a stream.
pub(crate) fn arrived(stream: Stream, segments: u32) -> ArrivedStream {
    ArrivedStream {
        stream,
        segments,
        stored_bytes: u64::from(segments) * 100,
        chain: ChainValue::from_bytes([u8::try_from(segments).unwrap_or(0); 32]),
        last_at: Micros::new(u64::from(segments) * 1_000_000),
    }
}

pub(crate) fn segment(token: &TerminalSessionToken, number: u32, now: i64) -> SegmentAcknowledged {
    SegmentAcknowledged {
        token: token.clone(),
        number,
        length: 100,
        sha256: "ef".repeat(32),
        first_at: Micros::new(u64::from(number) * 1_000_000),
        arrived: arrived(Stream::Terminal, number + 1),
        at: at(now),
    }
}

pub(crate) fn event(account: &AccountId, action: &str) -> AuditEvent {
    AuditEvent {
        request_id: "4B1E8E5C-0000-4000-8000-000000000000".to_owned(),
        at: at(0),
        account: account.clone(),
        principal: format!("acs:ram::{account}:root"),
        access_key_id: Some("root-key".to_owned()),
        action: action.to_owned(),
        resource: "*".to_owned(),
        decision: AuditDecision::Allowed { by: "owner".to_owned() },
        result: "OK".to_owned(),
        source_address: Some("192.0.2.7".parse().unwrap()),
        user_agent: "test".to_owned(),
        recording: None,
        how: String::new(),
    }
}

pub(crate) fn facts() -> RequestFacts {
    RequestFacts::at(at(0))
}

/// A grant of the account's owner.
pub(crate) fn owner<A: Action>(account: &AccountId, resource: Resource) -> Granted<A> {
    let principal = Principal::Account { account: account.clone() };
    let policies = PrincipalPolicies::new(Layers { owner: true, ..Layers::default() });
    authorize(&principal, resource, &policies, &facts()).unwrap()
}

/// A grant of an agent on its own instance.
pub(crate) fn as_agent<A: Action>(agent: &Agent) -> Granted<A> {
    let (account, instance) = (agent.account.clone(), agent.instance.clone());
    let resource = resource_of(Some(&instance));
    let principal = Principal::Agent { account, agent: agent.id.clone(), instance };
    authorize(&principal, resource, &PrincipalPolicies::none(), &facts()).unwrap()
}

/// A grant of a job.
pub(crate) fn as_system(account: &AccountId) -> Granted<SweepRecordings> {
    let principal = Principal::System { account: account.clone() };
    authorize(&principal, Resource::Everything, &PrincipalPolicies::none(), &facts()).unwrap()
}

/// A grant of `hansard admin`.
pub(crate) fn as_operator(account: &AccountId) -> Granted<AdministerIdentity> {
    let principal = Principal::Operator { account: account.clone() };
    authorize(&principal, Resource::Everything, &PrincipalPolicies::none(), &facts()).unwrap()
}

/// Makes a test of each function for each database.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$test($crate::harness::World::new($crate::harness::Backend::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$test($crate::harness::World::new($crate::harness::Backend::Postgres).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_mariadb() {
                super::$test($crate::harness::World::new($crate::harness::Backend::MariaDb).await).await;
            }
        }
    )+};
}
pub(crate) use on_both;
