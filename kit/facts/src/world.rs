//! A store on a database of its own, with its accounts, and acts on it at moments after [`at`]`(0)`.

use std::sync::Arc;
use std::time::Duration;

use domain::access_key::AccessKeySecret;
use domain::actions::ListInstanceRecords;
use domain::agent::{Agent, JoinTokenSecret};
use domain::condition_keys::SessionOwner;
use domain::identity::AccessKeyId;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::{Recording, RecordingSealed, SegmentAcknowledged};
use domain::server_keys::ServerKeys;
use domain::{AccountId, InstanceId, TerminalSessionToken};
use persistence::{PageRequest, RecordingPage, RecordingQuery, Store, StoreError};
use sea_orm::ConnectionTrait;

use crate::database::{Backend, TestDatabase};
use crate::grants::{as_system, list_of, owner, view};
use crate::names::{account, at, instance, other_account};
use crate::{acts, samples};

/// A store, its account, and what is needed to act in it.
#[derive(Debug)]
pub struct World {
    /// The store.
    pub store: Store,
    /// The store's database.
    pub database: TestDatabase,
    /// The deployment's keys.
    pub keys: Arc<ServerKeys>,
}

impl World {
    /// An empty store with two accounts.
    pub async fn new(backend: Backend) -> Self {
        Self::on(TestDatabase::new(backend).await).await
    }

    /// The same on this empty database.
    pub async fn on(database: TestDatabase) -> Self {
        let keys = Arc::new(ServerKeys::generate().unwrap());
        let store = Store::connect(database.parsed(), Arc::clone(&keys)).await.unwrap();
        for (account, key) in [(account(), "root-key"), (other_account(), "other-root-key")] {
            let secret = AccessKeySecret::new("root-secret".to_owned());
            store.ensure_root(&account, &AccessKeyId::parse(key).unwrap(), &secret, at(0)).await.unwrap();
        }
        Self { store, database, keys }
    }

    /// Another replica on the same database.
    pub async fn replica(&self) -> Store {
        Store::connect(self.database.parsed(), Arc::clone(&self.keys)).await.unwrap()
    }

    /// An agent that has enrolled for the instance `i-NAME`.
    pub async fn enrol(&self, account: &AccountId, name: &str) -> Agent {
        let token = self.join_token(account, "*", false).await;
        let agent = self.agent(account, name);
        self.try_enrol(&agent, &token, false).await.unwrap();
        agent
    }

    /// A join token issued by the account's owner.
    pub async fn join_token(
        &self,
        account: &AccountId,
        pattern: &str,
        permits_replace: bool,
    ) -> JoinTokenSecret {
        let (secret, token) = samples::join_token(account, pattern, permits_replace, at(0));
        acts::issue(&self.store, token).await;
        secret
    }

    /// An agent for the instance `i-NAME`, which has not enrolled.
    #[must_use]
    pub fn agent(&self, account: &AccountId, name: &str) -> Agent {
        samples::agent(account, &instance(name), at(1))
    }

    /// Enrols this agent.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn try_enrol(
        &self,
        agent: &Agent,
        token: &JoinTokenSecret,
        replace: bool,
    ) -> Result<(), StoreError> {
        acts::enrol(&self.store, agent, token, replace).await
    }

    /// Opens a recording that starts at this moment.
    pub async fn open(&self, agent: &Agent, started_at: i64, days: i64) -> Recording {
        let recording = samples::recording(agent, at(started_at), days);
        acts::open(&self.store, agent, samples::opened(recording.clone())).await.unwrap();
        recording
    }

    /// Opens a recording of a session with a proven owner.
    pub async fn open_owned(&self, agent: &Agent, started_at: i64, owner: Option<SessionOwner>) -> Recording {
        let recording = Recording { owner, ..samples::recording(agent, at(started_at), 3) };
        acts::open(&self.store, agent, samples::opened(recording.clone())).await.unwrap();
        recording
    }

    /// Claims the terminal's segment of this number.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn acknowledge(
        &self,
        agent: &Agent,
        token: &TerminalSessionToken,
        number: u32,
        now: i64,
    ) -> Result<(), StoreError> {
        self.claim(agent, samples::segment(token, number, at(now))).await
    }

    /// Claims this segment.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn claim(&self, agent: &Agent, change: SegmentAcknowledged) -> Result<(), StoreError> {
        acts::acknowledge(&self.store, agent, change).await
    }

    /// Seals a recording of this many segments.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn seal(
        &self,
        agent: &Agent,
        token: &TerminalSessionToken,
        segments: u32,
        ended_at: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        let sealed = samples::sealed(token, segments, at(ended_at));
        acts::seal(&self.store, agent, RecordingSealed { at: at(now), ..sealed }).await
    }

    /// A recording as it is stored.
    pub async fn find(&self, recording: &Recording) -> Option<Recording> {
        self.store.find_recording(&view(recording), &recording.token).await.unwrap()
    }

    /// Runs the job that removes what has expired.
    pub async fn sweep(
        &self,
        account: &AccountId,
        now: i64,
        abandoned_after: Duration,
    ) -> persistence::Swept {
        self.store.sweep(&as_system(account), at(now), abandoned_after).await.unwrap()
    }

    /// A page of the account owner's list.
    pub async fn list(
        &self,
        account: &AccountId,
        of: Option<&InstanceId>,
        now: i64,
        include_expired: bool,
        page: PageRequest,
    ) -> RecordingPage {
        let granted = owner::<ListInstanceRecords>(account, list_of(of));
        let filter = RecordingFilter::default();
        self.store
            .list_recordings(&granted, RecordingQuery { include_expired, filter, page, now: at(now) })
            .await
            .unwrap()
    }

    /// How many rows match a condition, counted by the database itself.
    pub async fn count(&self, table: &str, condition: &str) -> i64 {
        let raw = self.database.raw().await;
        let statement = format!("SELECT COUNT(*) AS n FROM {table} WHERE {condition}");
        let row =
            raw.query_one_raw(sea_orm::Statement::from_string(raw.get_database_backend(), statement)).await;
        row.unwrap().unwrap().try_get("", "n").unwrap()
    }
}
