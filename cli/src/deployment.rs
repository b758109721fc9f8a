//! What `serve` and `admin` share: the data directory, the server keys, the database.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::server_keys::ServerKeys;
use persistence::{DatabaseUrl, ExclusiveUse, Store, StoreError};
use rustix::fs::{FlockOperation, flock};

use crate::failure::{Failure, chain};
use crate::private_file::{self, Existing};
use crate::settings::{AuditLogSetting, Settings};

/// The state of a running server.
const LOCK_NAME: &str = "serve.lock";

/// The places in a data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDirectory {
    folder: PathBuf,
}

impl DataDirectory {
    /// The directory, made if it is not there, by its full path.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn create(settings: &Settings) -> Result<Self, Failure> {
        // The socket of the local agent lies in it, and every user may record. What else lies there has its own mode.
        let mode =
            if settings.with_local_agent { private_file::PASSED_THROUGH } else { private_file::PRIVATE };
        private_file::make_folder(&settings.data_dir, mode)?;
        let data = Self::at(&settings.data_dir)?;
        if private_file::others_may_write(data.path()) {
            tracing::warn!(data = %data.path().display(), "others may write to the data directory; run: chmod 700 on it");
        }
        Ok(data)
    }

    /// The directory of a deployment that was started before.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Failure> {
        if settings.data_dir.is_dir() {
            return Self::at(&settings.data_dir);
        }
        private_file::refuse_other_than_folder(&settings.data_dir)?;
        Err(Failure::usage(format!(
            "there is no data directory {}; name it with --data-dir, or start `hansard serve` once",
            settings.data_dir.display()
        )))
    }

    fn at(path: &Path) -> Result<Self, Failure> {
        let folder = path
            .canonicalize()
            .map_err(|error| Failure::usage(format!("the data directory {}: {error}", path.display())))?;
        Ok(Self { folder })
    }

    /// Removes the directory again if it holds only the lock, so that a failed start leaves nothing behind. A directory
    /// with anything else in it stays.
    pub(crate) fn remove_if_unused(&self) {
        let only_the_lock = |mut entries: fs::ReadDir| {
            entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK_NAME))
        };
        if fs::read_dir(&self.folder).is_ok_and(only_the_lock) {
            // A leftover is harmless; the reason of the failed start matters.
            let _ = fs::remove_file(self.folder.join(LOCK_NAME));
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// The embedded database.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("hansard.db")
    }

    /// The folder store.
    pub(crate) fn objects(&self) -> PathBuf {
        self.folder.join("objects")
    }

    /// The root access key, where it was generated.
    pub(crate) fn root_access_key(&self) -> PathBuf {
        self.folder.join("root-access-key.toml")
    }

    /// Where the audit trail is exported to; `None` when it is not.
    pub(crate) fn audit_log(&self, settings: &Settings) -> Option<PathBuf> {
        match &settings.audit_log {
            AuditLogSetting::Default => Some(self.folder.join("audit")),
            AuditLogSetting::Folder(folder) => Some(folder.clone()),
            AuditLogSetting::Off => None,
        }
    }

    /// The state directory of the local agent.
    pub(crate) fn agent(&self) -> PathBuf {
        self.folder.join("agent")
    }

    /// Keeps a second server from using the same data. The lock lasts as long as the value.
    ///
    /// # Errors
    /// Another server holds it.
    pub(crate) fn lock(&self) -> Result<File, Failure> {
        let path = self.folder.join(LOCK_NAME);
        let failed = |error| Failure::failed(format!("{} cannot be locked: {error}", path.display()));
        let file = File::options().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::failed(format!(
                "another `hansard serve` uses the data directory {}; stop it, or name another with --data-dir",
                self.folder.display()
            ))),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// Where the keys are kept.
pub(crate) fn server_keys_path(settings: &Settings, data: &DataDirectory) -> PathBuf {
    settings.server_keys.clone().unwrap_or_else(|| data.path().join("server-keys.toml"))
}

/// Reads the server keys. `serve` makes them at its first start, beside SQLite only.
///
/// # Errors
/// They cannot be read, or they do not exist and may not be created.
pub(crate) fn server_keys(
    settings: &Settings,
    data: &DataDirectory,
    make: bool,
) -> Result<ServerKeys, Failure> {
    let path = server_keys_path(settings, data);
    if let Some(text) = private_file::find(&path, "server keys")? {
        return ServerKeys::parse(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())));
    }
    let embedded = settings.database_url.as_ref().is_none_or(DatabaseUrl::is_sqlite);
    if !make || !embedded {
        return Err(Failure::usage(format!(
            "there are no server keys at {}; {}",
            path.display(),
            if embedded {
                "start `hansard serve` once"
            } else {
                "`hansard admin server-keys generate FILE` makes them"
            }
        )));
    }
    if settings.database_url.is_none() && data.database().exists() {
        // New keys could not open anything in the database.
        return Err(Failure::usage(format!(
            "the server keys {} are missing, and the database {} needs them; restore them from a copy",
            path.display(),
            data.database().display()
        )));
    }
    let keys = ServerKeys::generate().map_err(Failure::failed)?;
    private_file::write(&path, &keys.to_file_text(), Existing::Refuse)?;
    Ok(keys)
}

/// Opens the database of the server; creates it if it does not exist, and migrates it.
///
/// # Errors
/// It cannot be reached; another server uses it, and it cannot be shared; or its commits can be lost and nobody accepted
/// that.
pub(crate) async fn connect(
    settings: &Settings,
    data: &DataDirectory,
    keys: &Arc<ServerKeys>,
) -> Result<(Store, ExclusiveUse), Failure> {
    let url = database_url(settings, data);
    let failed = |error: StoreError| {
        let what_to_do = match error {
            StoreError::CommitsCanBeLost(_) => {
                "; change that in the settings of the database, or start with --accept-commits-that-can-be-lost"
            }
            _ => "",
        };
        about_database(&url, &format!("{}{what_to_do}", chain(&error)))
    };
    let exclusive = url.use_exclusively().map_err(failed)?;
    if !settings.accept_commits_that_can_be_lost {
        let store = Store::connect_durably(url.clone(), Arc::clone(keys)).await.map_err(failed)?;
        return Ok((store, exclusive));
    }
    let store = Store::connect(url.clone(), Arc::clone(keys)).await.map_err(failed)?;
    if let Some(lossy) = store.lossy_settings().await.map_err(failed)? {
        tracing::warn!(
            "what was answered can be lost when the machine of the database {url:?} fails, which \
             --accept-commits-that-can-be-lost accepts: {lossy}"
        );
    }
    Ok((store, exclusive))
}

/// Opens an existing database for another command. It never creates or migrates one.
///
/// # Errors
/// It is not there or of another version, or cannot be reached.
pub(crate) async fn connect_existing(
    settings: &Settings,
    data: &DataDirectory,
    keys: &Arc<ServerKeys>,
) -> Result<Store, Failure> {
    let url = database_url(settings, data);
    let opened = Store::connect_existing(url.clone(), Arc::clone(keys)).await;
    opened.map_err(|error| about_database(&url, &chain(&error)))
}

/// Which database, by the settings.
pub(crate) fn database_url(settings: &Settings, data: &DataDirectory) -> DatabaseUrl {
    settings.database_url.clone().unwrap_or_else(|| DatabaseUrl::sqlite_file(&data.database()))
}

/// What is wrong with a database, with its address; that shows no password.
fn about_database(url: &DatabaseUrl, why: &str) -> Failure {
    Failure::failed(format!("the database {url:?}: {why}"))
}
