//! What every part of the running control plane shares.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::bus::{Channel, RESUME_WITHIN, ServiceName};
use agent_protocol::link::{PING_EVERY_SECONDS, SILENT_AFTER_SECONDS, ServerMessage};
use domain::actions::ReachesAgents;
use domain::clock::Clock;
use domain::gate::Granted;
use domain::recording_life::Recording;
use domain::server_keys::ServerKeys;
use domain::storage_target::RecordStorageTarget;
use domain::{AgentId, Region, Timestamp};
use persistence::Store;
use persistence::objects::{LocationUnusable, ObjectStore, ObjectStores};
use url::Url;

use crate::clocks::Compared;
use crate::ending::Ending;
use crate::http::trusted_proxies::TrustedProxies;
use crate::internal::token::UsedTokens;
use crate::limits::Limits;
use crate::limits::concurrency::WorkLimiters;
use crate::limits::connections::ConnectionLimits;
use crate::limits::throttle::ThrottleLimits;
use crate::links::{LinkSettings, Links, NotReached};
use crate::reach::Reach;

/// Settings of the API. The program that serves reads them from flags, environment and file; nothing here does.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where people and agents reach this deployment, without a trailing slash in its path.
    pub public_url: Url,
    /// The region of `*` and of instances that were never enrolled (DECISIONS I3).
    pub region: Region,
    /// `HostId` of every error.
    pub host_id: String,
    /// Whether an account that names no storage target gets `workbench-record-<account>-default/record`.
    pub default_target: bool,
    /// The largest request of the RPC wire, in bytes (DECISIONS O6).
    pub call_limit_bytes: usize,
    /// The largest upload of a segment, in bytes (DECISIONS O6).
    pub segment_limit_bytes: usize,
    /// How many threads answer calls; `None` takes one per processor.
    pub workers: Option<usize>,
    /// The proxies that are trusted to say where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// How often callers may call.
    pub throttle: ThrottleLimits,
    /// How many connections may be open.
    pub connections: ConnectionLimits,
    /// How long a client may read nothing of a reply before its connection is closed.
    pub reply_patience: Duration,
    /// How soon an agent must read what is written to its link, and how soon the connection must then end.
    pub link_patience: Duration,
    /// When something is to be heard on a link.
    pub link_timing: LinkTiming,
    /// Where other replicas reach this one's internal listener; `None` when it has none.
    pub internal_address: Option<Url>,
    /// How long a channel waits for a new path to its agent when it has lost one.
    pub resume_within: Duration,
    /// How long an agent and its recording may both be silent until the recording is shown as interrupted.
    pub recording_lease: Duration,
    /// How old audit rows become before they are removed from the database; `None` keeps them for ever.
    pub audit_retention: Option<Duration>,
    /// Whether this replica answers nothing while its clock and the database's are far apart.
    pub compares_clocks: bool,
}

impl ApiSettings {
    /// The largest request of the RPC wire unless set otherwise: 1 MiB.
    pub const CALL_LIMIT_BYTES: usize = 1024 * 1024;
    /// The largest upload of a segment unless set otherwise: 8 MiB.
    pub const SEGMENT_LIMIT_BYTES: usize = 8 * 1024 * 1024;
    /// How long a client may read nothing of a reply unless set otherwise: a minute.
    pub const REPLY_PATIENCE: Duration = Duration::from_secs(60);
    /// How soon an agent must read what is written to its link unless set otherwise: 10 s.
    pub const LINK_PATIENCE: Duration = Duration::from_secs(10);

    /// How long an agent may be silent unless set otherwise: ten minutes.
    pub const RECORDING_LEASE: Duration = Duration::from_secs(600);

    /// Settings with every default, for a deployment that is reached at `public_url`. Its host is `HostId`; no proxy is
    /// trusted, nobody is throttled, any number of connections may be open, and clocks are not compared.
    #[must_use]
    pub fn new(public_url: Url, region: Region) -> Self {
        let host_id = public_url.host_str().unwrap_or("localhost").to_owned();
        Self {
            public_url,
            region,
            host_id,
            default_target: true,
            call_limit_bytes: Self::CALL_LIMIT_BYTES,
            segment_limit_bytes: Self::SEGMENT_LIMIT_BYTES,
            workers: None,
            trusted_proxies: TrustedProxies::default(),
            throttle: ThrottleLimits::default(),
            connections: ConnectionLimits::default(),
            reply_patience: Self::REPLY_PATIENCE,
            link_patience: Self::LINK_PATIENCE,
            link_timing: LinkTiming::default(),
            internal_address: None,
            resume_within: RESUME_WITHIN,
            recording_lease: Self::RECORDING_LEASE,
            audit_retention: None,
            compares_clocks: false,
        }
    }

    /// An address of this deployment: the public URL and a path below it. `path` has no leading slash.
    #[must_use]
    pub fn public_address(&self, path: &str) -> String {
        format!("{}/{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

/// When something is to be heard on an agent's link. Agents know the default times; others are for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTiming {
    /// How soon an agent must say hello.
    pub hello_within: Duration,
    /// How often an agent is pinged, its lease renewed, and looked whether it was replaced.
    pub ping_every: Duration,
    /// After how long a silence a link is dead.
    pub silent_after: Duration,
}

impl Default for LinkTiming {
    fn default() -> Self {
        Self {
            hello_within: Duration::from_secs(10),
            ping_every: Duration::from_secs(PING_EVERY_SECONDS),
            silent_after: Duration::from_secs(SILENT_AFTER_SECONDS),
        }
    }
}

/// What the serving program provides.
pub struct HansardParts {
    /// The database.
    pub store: Store,
    /// Where evidence lies.
    pub stores: Arc<dyn ObjectStores>,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
    /// The deployment's keys.
    pub keys: Arc<ServerKeys>,
    /// Settings.
    pub settings: ApiSettings,
}

/// The running control plane, shared by every call, job and link: `web::Data<Hansard>`.
pub struct Hansard {
    /// The database.
    pub store: Store,
    /// Where evidence lies.
    pub stores: Arc<dyn ObjectStores>,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
    /// The deployment's keys.
    pub keys: Arc<ServerKeys>,
    /// Settings.
    pub settings: ApiSettings,
    /// The agents' links.
    pub(crate) links: Arc<Links>,
    /// The tokens that other replicas have used on this one.
    pub(crate) internal_tokens: UsedTokens,
    /// What limits how much work that needs much time or memory is done at once.
    pub(crate) work: WorkLimiters,
    /// The limits on callers of this replica.
    pub(crate) limits: Limits,
    /// How far this replica is with its end.
    pub(crate) ending: Ending,
    /// Whether this machine's clock agrees with the database's.
    pub(crate) compared_clocks: Compared,
    /// Whether the database answers.
    pub(crate) reach: Reach,
}

impl Hansard {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: HansardParts) -> Self {
        let HansardParts { store, stores, clock, keys, settings } = parts;
        let limits = Limits::new(&settings.throttle, settings.connections, &clock);
        let link_settings = LinkSettings {
            internal_address: settings.internal_address.clone(),
            resume_within: settings.resume_within,
            patience: settings.link_patience,
        };
        let links = Links::new(store.clone(), keys.clone(), clock.clone(), link_settings);
        Self {
            store,
            stores,
            clock,
            keys,
            settings,
            links: Arc::new(links),
            internal_tokens: UsedTokens::default(),
            work: WorkLimiters::default(),
            limits,
            ending: Ending::default(),
            compared_clocks: Compared::default(),
            reach: Reach::default(),
        }
    }

    /// The store of a recording's objects.
    pub(crate) fn objects_of(&self, recording: &Recording) -> Arc<dyn ObjectStore> {
        self.stores.at(recording.target.location())
    }

    /// Whether recordings can be kept at this target, as far as that can be told without writing an object.
    pub(crate) async fn check_target(&self, target: &RecordStorageTarget) -> Result<(), LocationUnusable> {
        self.stores.at(target.location()).check_usable(target.prefix()).await
    }

    /// Sends a message to an agent, whichever replica holds its link. It does not wait until the agent acts on it; the
    /// agent reports that itself.
    ///
    /// # Errors
    /// [`NotReached`] says why it is not.
    pub async fn send_to_agent<A: ReachesAgents>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        message: &ServerMessage,
    ) -> Result<(), NotReached> {
        self.links.send(granted, agent, message).await
    }

    /// Opens a channel to a service of an agent, whichever replica holds its link. It continues when the link or its
    /// holder is lost and the agent dials again in time. The permission is checked here and not again: code that opens
    /// channels for people has to end them when a policy narrows (DECISIONS I5). If a channel is given up while its
    /// path is lost, the agent learns that only when its own wait ends.
    ///
    /// # Errors
    /// [`NotReached`] says why there is none.
    pub async fn open_channel<A: ReachesAgents>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        service: &ServiceName,
    ) -> Result<Channel, NotReached> {
        self.links.open_channel(granted, agent, service).await
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
