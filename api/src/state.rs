//! What every part of the running control plane shares.

use std::sync::Arc;

use domain::clock::Clock;
use domain::server_keys::ServerKeys;
use domain::{Region, Timestamp};
use persistence::Store;
use persistence::objects::ObjectStore;
use url::Url;

use crate::links::Links;
use crate::tally::Tally;
use crate::throttle::{Throttle, ThrottleLimits};
use crate::trusted_proxies::TrustedProxies;
use crate::turns::Turns;

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
    /// Whose word is taken for where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// How often callers may call.
    pub throttle: ThrottleLimits,
}

impl ApiSettings {
    /// The largest request of the RPC wire unless set otherwise: 1 MiB.
    pub const CALL_LIMIT_BYTES: usize = 1024 * 1024;
    /// The largest upload of a segment unless set otherwise: 8 MiB.
    pub const SEGMENT_LIMIT_BYTES: usize = 8 * 1024 * 1024;

    /// Settings with every default, for a deployment that is reached at `public_url`. Its host is `HostId`; no proxy is
    /// trusted, and nobody is throttled.
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
        }
    }

    /// An address of this deployment: the public URL and a path below it. `path` has no leading slash.
    #[must_use]
    pub fn public_address(&self, path: &str) -> String {
        format!("{}/{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

/// What the program that serves brings along.
pub struct HansardParts {
    /// The database.
    pub store: Store,
    /// Where evidence lies.
    pub objects: Arc<dyn ObjectStore>,
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
    pub objects: Arc<dyn ObjectStore>,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
    /// The deployment's keys.
    pub keys: Arc<ServerKeys>,
    /// Settings.
    pub settings: ApiSettings,
    /// The agents that are connected to this replica.
    pub(crate) links: Links,
    /// The turns that decodes of segments take.
    pub(crate) decoding: Turns,
    /// The turns that checks and simulations of policies take.
    pub(crate) simulating: Turns,
    /// The turns that hashes of new passwords take.
    pub(crate) hashing: Turns,
    /// How often callers may call.
    pub(crate) throttle: Throttle,
    /// What is counted for the audit.
    pub(crate) tally: Tally,
}

impl Hansard {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: HansardParts) -> Self {
        let HansardParts { store, objects, clock, keys, settings } = parts;
        let throttle = Throttle::new(&settings.throttle, &clock);
        Self {
            store,
            objects,
            clock,
            keys,
            settings,
            links: Links::default(),
            decoding: Turns::default(),
            simulating: Turns::default(),
            hashing: Turns::default(),
            throttle,
            tally: Tally::default(),
        }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
