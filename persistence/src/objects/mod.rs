//! Where evidence and what is derived from it lies: named bytes in buckets, written once.

pub mod conformance;
mod error;
mod folder;
mod folder_io;
mod folder_list;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Timestamp;
use domain::store_location::StoreLocation;
use recording::{ContentHash, ObjectName};

pub use error::{LocationUnusable, ObjectError};
pub use folder::{FolderObjects, FolderStores};

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

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedPage {
    /// Its objects, in the order of their names' bytes.
    pub objects: Vec<ListedObject>,
    /// Behind which name the next page begins; `None` when this was the last. It may be the name of something that is
    /// no object of ours.
    pub next: Option<String>,
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

/// How many objects a page of a list has at most; no store of this kind tells more at once.
pub const PAGE: usize = 1_000;

/// The stores of a deployment: where they are, and with whose credentials, is its configuration's to say.
pub trait ObjectStores: fmt::Debug + Send + Sync + 'static {
    /// The store at this location. That it cannot be reached is found out by asking it for something.
    fn at(&self, location: &StoreLocation) -> Arc<dyn ObjectStore>;
}

/// A bucket. Every write is put-once: a name, once taken, keeps its bytes until it is deleted.
///
/// What was acknowledged by [`ObjectStore::put_once`] survives the loss of power.
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync + 'static {
    /// Whether objects can be kept below this prefix, as far as that can be told without writing one.
    ///
    /// # Errors
    /// [`LocationUnusable`] says what is wrong: what the store refuses of any bucket or prefix that is named so, and what
    /// stands in its way now.
    async fn check_usable(&self, prefix: Option<&ObjectName>) -> Result<(), LocationUnusable>;

    /// Writes an object, whole or not at all.
    ///
    /// # Errors
    /// [`ObjectError::AlreadyExists`] when other bytes have the name.
    async fn put_once(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, ObjectError>;

    /// Reads an object whole, if it has at most `most` bytes: whoever can write the bucket can lay one of any length.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::TooLong`], and then nothing was read.
    async fn get(&self, name: &ObjectName, most: usize) -> Result<Bytes, ObjectError>;

    /// Reads exactly these bytes of an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::OutsideRange`] when not all of them are there.
    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError>;

    /// Whether an object is there, and how large it is.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectHead>, ObjectError>;

    /// Objects whose names begin with `prefix` and stand behind `after`, in the order of their names' bytes: as many as the
    /// store tells at once, at most [`PAGE`]. End a folder's prefix with a slash.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ListedPage, ObjectError>;

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError>;

    /// How somebody else may write this one object, with exactly this length and SHA-256.
    ///
    /// # Errors
    /// [`ObjectError::UnusableName`].
    async fn write_grant(
        &self,
        name: &ObjectName,
        length: u64,
        sha256: &ContentHash,
        expires_at: Timestamp,
    ) -> Result<WriteGrant, ObjectError>;
}
