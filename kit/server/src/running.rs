//! A running control plane.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::web::Data;
use api::{ApiSettings, Hansard, HansardParts, Listeners};
use domain::AccountId;
use domain::access_key::AccessKeySecret;
use domain::clock::{Clock as _, ManualClock};
use domain::identity::AccessKeyId;
use domain::server_keys::ServerKeys;
use persistence::objects::FolderStores;
use persistence::{DatabaseUrl, Store};
use test_facts::region;
use tokio::sync::oneshot;

use crate::key::Key;
use crate::site::{Site, listen_for_replicas};

/// A control plane that runs until it is dropped.
pub struct Running {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    /// The account that most calls are about.
    pub account: AccountId,
    /// The clock of every replica.
    pub clock: Arc<ManualClock>,
    /// A store on its database.
    pub store: Store,
    /// The key of the account's owner.
    pub root: Key,
    /// The client that sends the calls.
    pub http: reqwest::Client,
    /// The running server's state, for what the API does not offer.
    pub hansard: Data<Hansard>,
    /// The keys that seal secrets.
    pub keys: Arc<ServerKeys>,
    site: Arc<Site>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<std::thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Changes some settings from their defaults.
type Adjust = fn(&mut ApiSettings);

impl Running {
    /// Starts one on SQLite, with the default settings.
    pub async fn start() -> Self {
        Self::set_up(None, |_| {}).await
    }

    /// Starts one on this database instead of SQLite in the folder.
    pub async fn start_with(database: Option<String>) -> Self {
        Self::set_up(database, |_| {}).await
    }

    /// Starts one that other replicas can reach.
    pub async fn reachable(database: Option<String>) -> Self {
        Self::set_up(database, listen_for_replicas).await
    }

    /// Starts one on this database, with settings other than the defaults.
    pub async fn reachable_with(database: Option<String>, adjust: Adjust) -> Self {
        Self::set_up(database, adjust).await
    }

    /// Starts one with settings other than the defaults.
    pub async fn adjusted(adjust: Adjust) -> Self {
        Self::set_up(None, adjust).await
    }

    async fn set_up(database: Option<String>, adjust: Adjust) -> Self {
        Self::at(Arc::new(Site::usual().on(database).adjusted(adjust))).await
    }

    /// Another process over the same data: this one is stopped in order, and another is started.
    pub async fn restart(mut self) -> Self {
        self.halt();
        self.another().await
    }

    /// A second process that runs beside this one over the same data.
    pub async fn another(&self) -> Self {
        Self::at(self.site.clone()).await
    }

    /// Another one whose file of server keys was changed.
    pub async fn another_with_keys(&self, keys: ServerKeys) -> Self {
        Box::pin(Self::at_with_keys(self.site.clone(), Arc::new(keys))).await
    }

    /// Starts a process over this data.
    pub async fn at(site: Arc<Site>) -> Self {
        let keys = site.keys.clone();
        Box::pin(Self::at_with_keys(site, keys)).await
    }

    async fn at_with_keys(site: Arc<Site>, keys: Arc<ServerKeys>) -> Self {
        let url = DatabaseUrl::parse(&site.database_address()).unwrap();
        let store = Store::connect(url, keys.clone()).await.unwrap();
        let secret = AccessKeySecret::new(site.root.secret.clone());
        let id = AccessKeyId::parse(&site.root.id).unwrap();
        store.ensure_root(&site.account, &id, &secret, site.clock.now()).await.unwrap();
        let stores = FolderStores::open(&site.objects_folder()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = ApiSettings::new(address.parse().unwrap(), region());
        settings.workers = Some(1);
        (site.adjust)(&mut settings);
        let internal = settings.internal_address.as_mut().map(|address| {
            let internal = TcpListener::bind("127.0.0.1:0").unwrap();
            *address = format!("http://{}", internal.local_addr().unwrap()).parse().unwrap();
            internal
        });
        let hansard = Data::new(Hansard::new(HansardParts {
            store: store.clone(),
            stores: (site.stores)(stores),
            clock: site.clock.clone(),
            keys: keys.clone(),
            settings,
        }));
        let (stop, stopped) = oneshot::channel::<()>();
        let (shared, listeners) = (hansard.clone(), Listeners { public: listener, internal });
        let server = std::thread::spawn(move || {
            let served = api::serve_shared(shared, listeners, async {
                let _ = stopped.await;
            });
            actix_web::rt::System::new().block_on(served).unwrap();
        });
        Self {
            address,
            account: site.account.clone(),
            clock: site.clock.clone(),
            store,
            root: site.root.clone(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            hansard,
            keys,
            site,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Tells it to stop, without waiting until it has.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for its end.
    pub fn join(&mut self) {
        if let Some(server) = self.server.take() {
            let ended = server.join();
            if !std::thread::panicking() {
                ended.expect("the server ends in order");
            }
        }
    }

    /// Stops it in order, so that what it has counted is written down.
    pub fn halt(&mut self) {
        self.stop();
        self.join();
    }

    /// The deployment that it belongs to.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The address that it listens on.
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        self.address.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// The address at which the database can be reached without the control plane.
    #[must_use]
    pub fn database_address(&self) -> String {
        self.site.database_address()
    }

    /// The folder of the objects.
    #[must_use]
    pub fn objects_folder(&self) -> PathBuf {
        self.site.objects_folder()
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Moves the clock forward.
    pub fn advance_seconds(&self, seconds: i64) {
        self.clock.advance_millis(seconds * 1_000);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
    }
}
