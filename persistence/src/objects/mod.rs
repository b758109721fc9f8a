//! Where evidence and what is derived from it lies: named bytes in buckets, written once.

mod folder;
mod folder_io;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Timestamp;
use domain::storage_target::{BucketName, RecordStorageTarget, StorageTargetRefused};
use recording::ObjectName;

pub use folder::FolderObjects;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is new.
    Stored,
    /// The same bytes were there under this name already.
    AlreadyThere,
}

/// What is known about an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its size in bytes.
    pub length: u64,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its whole name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub length: u64,
}

/// Permission to write one object, with its length and hash fixed.
#[derive(Clone, PartialEq, Eq)]
pub enum WriteGrant {
    /// The store takes nothing from outside: the control plane takes the upload and writes it.
    ThroughControlPlane,
    /// The store takes the upload itself.
    Presigned {
        /// Where to. It is a credential until it lapses.
        url: String,
        /// Headers that must be sent, as they are.
        headers: BTreeMap<String, String>,
        /// When it lapses.
        expires_at: Timestamp,
    },
}

// By hand, because a presigned address is a credential.
impl fmt::Debug for WriteGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThroughControlPlane => f.write_str("ThroughControlPlane"),
            Self::Presigned { expires_at, .. } => {
                f.debug_struct("Presigned").field("expires_at", expires_at).finish_non_exhaustive()
            }
        }
    }
}

/// Why an object store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("there is no object {bucket}/{name}")]
    NotFound {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        name: ObjectName,
    },
    /// Other bytes are there under this name. What is written once stays.
    #[error("{bucket}/{name} holds other bytes already")]
    AlreadyExists {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        name: ObjectName,
    },
    /// The range does not lie inside the object.
    #[error("bytes {start}..{end} do not lie inside {bucket}/{name}, which has {length}")]
    OutsideRange {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        name: ObjectName,
        /// The first byte asked for.
        start: u64,
        /// The byte after the last one asked for.
        end: u64,
        /// The object's size.
        length: u64,
    },
    /// The object is longer than the reader takes.
    #[error("{bucket}/{name} has more than {most} bytes")]
    TooLong {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        name: ObjectName,
        /// What the reader takes.
        most: usize,
    },
    /// This store cannot keep an object of this name.
    #[error("{bucket}/{name} cannot be kept in this store: {why}")]
    UnusableName {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        name: ObjectName,
        /// The rule that was broken.
        why: &'static str,
    },
    /// The store cannot be reached, or its disk does not do what it should.
    #[error("could not {step} {place}")]
    Unavailable {
        /// What was being done.
        step: &'static str,
        /// To what.
        place: String,
        /// The operating system's or the store's own error.
        #[source]
        source: std::io::Error,
    },
}

/// Why recordings cannot be kept at a storage target. Its words are for whoever set the target: they name no object,
/// and repeat nothing that a store replied (DECISIONS O4).
#[derive(Debug, thiserror::Error)]
pub enum TargetUnusable {
    /// The store has no room for such a target, whenever it is asked.
    #[error(transparent)]
    Refused(#[from] StorageTargetRefused),
    /// The store cannot be reached, or takes no writes there now.
    #[error("RecordStorageTarget: its store takes no objects there now: {}", .0.in_our_words())]
    Unreachable(#[source] ObjectError),
}

impl From<ObjectError> for TargetUnusable {
    fn from(error: ObjectError) -> Self {
        Self::Unreachable(error)
    }
}

impl ObjectError {
    /// What kind of trouble it is, without the names of objects and without what a store replied (DECISIONS O4).
    #[must_use]
    pub fn in_our_words(&self) -> String {
        match self {
            Self::Unavailable { source, .. } => source.kind().to_string(),
            Self::UnusableName { why, .. } => (*why).to_owned(),
            Self::NotFound { .. } => "an object that was written is not there".to_owned(),
            Self::AlreadyExists { .. } => "other bytes stand where an object belongs".to_owned(),
            Self::OutsideRange { .. } => "an object is shorter than it was written".to_owned(),
            Self::TooLong { .. } => "an object is longer than it was written".to_owned(),
        }
    }
}

/// A store of objects. Every write is put-once: a name, once taken, keeps its bytes until it is deleted.
///
/// What was acknowledged by [`ObjectStore::put_once`] survives the loss of power.
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync + 'static {
    /// Whether recordings can be kept at this target, as far as that can be told without writing an object.
    ///
    /// # Errors
    /// [`TargetUnusable`] says what is wrong with it: what the store refuses of any target that is named so, and what
    /// stands in its way now.
    async fn check_target(&self, target: &RecordStorageTarget) -> Result<(), TargetUnusable>;

    /// Writes an object, whole or not at all.
    ///
    /// # Errors
    /// [`ObjectError::AlreadyExists`] when other bytes have the name.
    async fn put_once(
        &self,
        bucket: &BucketName,
        name: &ObjectName,
        bytes: Bytes,
    ) -> Result<PutOutcome, ObjectError>;

    /// Reads an object whole, if it has at most `most` bytes: whoever can write the bucket can lay one of any length.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::TooLong`], and then nothing was read.
    async fn get(&self, bucket: &BucketName, name: &ObjectName, most: usize) -> Result<Bytes, ObjectError>;

    /// Reads exactly these bytes of an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::OutsideRange`] when not all of them are there.
    async fn get_range(
        &self,
        bucket: &BucketName,
        name: &ObjectName,
        range: Range<u64>,
    ) -> Result<Bytes, ObjectError>;

    /// Whether an object is there, and how large it is.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn head(&self, bucket: &BucketName, name: &ObjectName) -> Result<Option<ObjectHead>, ObjectError>;

    /// All objects whose names begin with `prefix`, in the order of their names' bytes. End a folder's prefix with a
    /// slash.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn list(&self, bucket: &BucketName, prefix: &str) -> Result<Vec<ListedObject>, ObjectError>;

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn delete(&self, bucket: &BucketName, name: &ObjectName) -> Result<(), ObjectError>;

    /// How somebody else may write this one object, with exactly this length and SHA-256.
    ///
    /// # Errors
    /// [`ObjectError::UnusableName`].
    async fn write_grant(
        &self,
        bucket: &BucketName,
        name: &ObjectName,
        length: u64,
        sha256: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<WriteGrant, ObjectError>;
}
