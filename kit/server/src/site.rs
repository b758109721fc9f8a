//! What outlives one server and what several servers share: the folder, the database, the keys, the clock and the
//! settings.

use std::path::PathBuf;
use std::sync::Arc;

use api::ApiSettings;
use domain::clock::ManualClock;
use domain::server_keys::ServerKeys;
use domain::{AccountId, Timestamp};
use persistence::objects::{FolderStores, ObjectStores};
use tempfile::TempDir;

use crate::key::Key;

/// A setting that makes the server listen for other replicas; it stores the address of the listener in the settings.
pub fn listen_for_replicas(settings: &mut ApiSettings) {
    settings.internal_address = Some("http://127.0.0.1:0".parse().unwrap());
}

/// A deployment, whether or not one of its servers runs.
pub struct Site {
    /// The deployment's account.
    pub account: AccountId,
    /// The key of the account's owner.
    pub root: Key,
    /// The clock of every server of the deployment.
    pub clock: Arc<ManualClock>,
    /// The keys that seal secrets.
    pub keys: Arc<ServerKeys>,
    pub(crate) adjust: Box<dyn Fn(&mut ApiSettings) + Send + Sync>,
    pub(crate) stores: Box<dyn Fn(FolderStores) -> Arc<dyn ObjectStores> + Send + Sync>,
    folder: TempDir,
    database: Option<String>,
}

impl Site {
    /// The deployment of most tests.
    #[must_use]
    pub fn usual() -> Self {
        let root = Key { id: "LTAIroot".into(), secret: "root-secret".into(), token: None };
        let account = "1000000000000001".parse().unwrap();
        Self::new(account, root, Timestamp::from_millis(1_764_000_000_000))
    }

    /// A deployment with an account and its owner's key, whose clock starts at `now`. Its database is SQLite, in its
    /// folder.
    #[must_use]
    pub fn new(account: AccountId, root: Key, now: Timestamp) -> Self {
        Self {
            account,
            root,
            clock: Arc::new(ManualClock::at(now)),
            keys: Arc::new(ServerKeys::generate().unwrap()),
            adjust: Box::new(|_| {}),
            stores: Box::new(|stores| Arc::new(stores)),
            folder: tempfile::tempdir().unwrap(),
            database: None,
        }
    }

    /// The same deployment with settings other than the defaults.
    #[must_use]
    pub fn adjusted(self, adjust: impl Fn(&mut ApiSettings) + Send + Sync + 'static) -> Self {
        Self { adjust: Box::new(adjust), ..self }
    }

    /// The same deployment with something in front of the folder of its objects.
    #[must_use]
    pub fn stored_by(
        self,
        stores: impl Fn(FolderStores) -> Arc<dyn ObjectStores> + Send + Sync + 'static,
    ) -> Self {
        Self { stores: Box::new(stores), ..self }
    }

    /// The same deployment on this database.
    #[must_use]
    pub fn on(self, database: Option<String>) -> Self {
        Self { database, ..self }
    }

    /// The address at which the database can be reached without the control plane.
    #[must_use]
    pub fn database_address(&self) -> String {
        let file = || format!("sqlite:{}", self.folder.path().join("hansard.db").display());
        self.database.clone().unwrap_or_else(file)
    }

    /// The folder of everything that is not in another database.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The folder of the objects.
    #[must_use]
    pub fn objects_folder(&self) -> PathBuf {
        self.folder.path().join("objects")
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Site").field("account", &self.account).finish_non_exhaustive()
    }
}
