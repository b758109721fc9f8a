//! Objects in a folder on this machine: a bucket is a folder below the root, an object a file below its bucket.
//!
//! Nothing leaves this machine. What was acknowledged survives a loss of power, provided that the disk keeps what it
//! reports as written.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Timestamp;
use domain::store_location::{BucketName, StoreLocation};
use recording::{ContentHash, ObjectName};

use super::folder_io::{Fault, FolderIo, UNFINISHED};
use super::{
    ListedPage, LocationUnusable, ObjectError, ObjectHead, ObjectStore, ObjectStores, PAGE, PutOutcome,
    WriteGrant,
};

/// The longest name of a file that common file systems accept, in bytes.
const COMPONENT_MAX_BYTES: usize = 255;

/// A folder of buckets. Cloning it is cheap.
#[derive(Clone)]
pub struct FolderStores {
    root: PathBuf,
    io: Arc<FolderIo>,
}

/// A bucket of the folder, which is created by its first object. There is one folder for all regions and owners. Cloning
/// it is cheap.
#[derive(Clone)]
pub struct FolderObjects {
    location: StoreLocation,
    io: Arc<FolderIo>,
}

impl FolderStores {
    /// Opens the folder, creates it when it does not exist, and removes what interrupted writes left behind.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    pub fn open(root: &Path) -> Result<Self, ObjectError> {
        let opened = FolderIo::open(root).and_then(|io| io.remove_leftovers().map(|removed| (io, removed)));
        let (io, removed) = opened.map_err(|fault| match fault {
            Fault::Io { step, source } => {
                ObjectError::Unavailable { step, place: root.display().to_string(), source: source.into() }
            }
            fault => ObjectError::Unavailable {
                step: "open",
                place: root.display().to_string(),
                source: format!("{fault:?}").into(),
            },
        })?;
        if removed > 0 {
            tracing::info!(removed, root = %root.display(), "removed what interrupted writes left behind");
        }
        Ok(Self { root: root.to_owned(), io: Arc::new(io) })
    }

    /// The bucket at this location.
    #[must_use]
    pub fn bucket_at(&self, location: &StoreLocation) -> FolderObjects {
        FolderObjects { location: location.clone(), io: Arc::clone(&self.io) }
    }
}

impl ObjectStores for FolderStores {
    fn at(&self, location: &StoreLocation) -> Arc<dyn ObjectStore> {
        Arc::new(self.bucket_at(location))
    }
}

impl fmt::Debug for FolderStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderStores").field("root", &self.root).finish_non_exhaustive()
    }
}

impl FolderObjects {
    /// Runs `work` on a thread where it may block.
    async fn run<T: Send + 'static>(
        &self,
        name: &ObjectName,
        work: impl FnOnce(&FolderIo, &[&str]) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let bucket = &self.location.bucket;
        check_name(bucket, name)?;
        self.run_at(format!("{bucket}/{name}"), work).await.map_err(|fault| error(bucket, name, fault))
    }

    /// Runs `work` on a path whose components were checked.
    async fn run_at<T: Send + 'static>(
        &self,
        path: String,
        work: impl FnOnce(&FolderIo, &[&str]) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let io = Arc::clone(&self.io);
        let done = tokio::task::spawn_blocking(move || {
            let components: Vec<&str> = path.split('/').collect();
            work(&io, &components)
        });
        match done.await {
            Ok(result) => result,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(ended) => Err(Fault::Io { step: "finish work on", source: std::io::Error::other(ended) }),
        }
    }
}

impl fmt::Debug for FolderObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderObjects").field("location", &self.location).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for FolderObjects {
    async fn check_usable(&self, prefix: Option<&ObjectName>) -> Result<(), LocationUnusable> {
        let bucket = &self.location.bucket;
        if let Some(why) = prefix.and_then(unusable_part) {
            return Err(LocationUnusable::Prefix { why });
        }
        // The bucket by itself first: a fault of the bucket applies to every prefix.
        let below = prefix.map(|prefix| format!("{bucket}/{prefix}"));
        for (path, of_prefix) in
            [(bucket.to_string(), false)].into_iter().chain(below.map(|path| (path, true)))
        {
            match self.run_at(path.clone(), FolderIo::check_writable).await {
                Ok(()) => {}
                Err(Fault::Unusable { why }) if of_prefix => {
                    return Err(LocationUnusable::Prefix { why });
                }
                Err(Fault::Unusable { why }) => return Err(LocationUnusable::Bucket { why }),
                Err(fault) => return Err(unavailable(path, "look at", fault).into()),
            }
        }
        Ok(())
    }

    async fn put_once(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, ObjectError> {
        self.run(name, move |io, path| io.put_once(path, &bytes)).await
    }

    async fn get(&self, name: &ObjectName, most: usize) -> Result<Bytes, ObjectError> {
        self.run(name, move |io, path| io.read(path, most)).await.map(Bytes::from)
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.run(name, move |io, path| io.read_range(path, range)).await.map(Bytes::from)
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectHead>, ObjectError> {
        match self.run(name, |io, path| io.length(path)).await {
            Ok(length) => Ok(Some(ObjectHead { length })),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ListedPage, ObjectError> {
        let bucket = self.location.bucket.to_string();
        let place = format!("{bucket}/{prefix}");
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let listed = self.run_at(bucket, move |io, path| io.list_page(path, &prefix, after.as_deref(), PAGE));
        match listed.await {
            Ok(page) => Ok(page),
            Err(Fault::NotFound) => Ok(ListedPage::default()),
            Err(fault) => Err(unavailable(place, "list", fault)),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        match self.run(name, |io, path| io.delete(path)).await {
            Ok(()) | Err(ObjectError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn write_grant(
        &self,
        name: &ObjectName,
        _length: u64,
        _sha256: &ContentHash,
        _expires_at: Timestamp,
    ) -> Result<WriteGrant, ObjectError> {
        check_name(&self.location.bucket, name)?;
        Ok(WriteGrant::ThroughControlPlane)
    }
}

/// Refuses what is valid in an object's name but not in a file's name.
fn check_name(bucket: &BucketName, name: &ObjectName) -> Result<(), ObjectError> {
    match unusable_part(name) {
        None => Ok(()),
        Some(why) => Err(ObjectError::UnusableName { bucket: bucket.clone(), name: name.clone(), why }),
    }
}

/// Why a component of a name cannot be the name of a file or folder here.
fn unusable_part(name: &ObjectName) -> Option<&'static str> {
    name.components().find_map(|component| {
        if component.len() > COMPONENT_MAX_BYTES {
            return Some("a part between slashes has more than 255 bytes");
        }
        if component == UNFINISHED {
            return Some(
                "a part between slashes is .hansard-unfinished, the name of this store's own folder",
            );
        }
        // An ObjectName has none of these; a second check costs nothing, and everything depends on it.
        let no_name = matches!(component, "" | "." | "..") || component.contains('\0');
        no_name.then_some("a part between slashes is empty, '.', '..', or has a NUL")
    })
}

fn error(bucket: &BucketName, name: &ObjectName, fault: Fault) -> ObjectError {
    let (bucket, name) = (bucket.clone(), name.clone());
    match fault {
        Fault::NotFound => ObjectError::NotFound { bucket, name },
        Fault::OtherBytes => ObjectError::AlreadyExists { bucket, name },
        Fault::Unusable { why } => ObjectError::UnusableName { bucket, name, why },
        Fault::TooLong { most } => ObjectError::TooLong { bucket, name, most },
        Fault::OutsideRange { range, length } => {
            ObjectError::OutsideRange { bucket, name, start: range.start, end: range.end, length }
        }
        fault @ Fault::Io { .. } => unavailable(format!("{bucket}/{name}"), "reach", fault),
    }
}

/// The error for a fault that is not about one object; `step` is what was being done when the fault does not say it.
fn unavailable(place: String, step: &'static str, fault: Fault) -> ObjectError {
    match fault {
        Fault::Io { step, source } => ObjectError::Unavailable { step, place, source: source.into() },
        fault => ObjectError::Unavailable { step, place, source: format!("{fault:?}").into() },
    }
}
