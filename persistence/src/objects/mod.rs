//! Where evidence and data derived from it are stored: named bytes in buckets, written once.

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

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is new.
    Stored,
    /// The same bytes were already stored under this name.
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
    /// Its full name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub length: u64,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedPage {
    /// Its objects, in the byte order of their names.
    pub objects: Vec<ListedObject>,
    /// The name after which the next page begins; `None` when this was the last page. It may be the name of something
    /// that is not one of our objects.
    pub next: Option<String>,
}

/// Permission to write one object, with its length and hash fixed.
#[derive(Clone, PartialEq, Eq)]
pub enum WriteGrant {
    /// The store accepts nothing from outside: the control plane receives the upload and writes it.
    ThroughControlPlane,
    /// The store receives the upload itself.
    Presigned {
        /// The address to upload to. It is a credential until it expires.
        url: String,
        /// Headers that must be sent unchanged.
        headers: BTreeMap<String, String>,
        /// When it expires.
        expires_at: Timestamp,
    },
}

// Written by hand, because a presigned address is a credential.
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

/// How many objects a page of a list has at most; no store of this kind returns more at once.
pub const PAGE: usize = 1_000;

/// The stores of a deployment: its configuration says where they are and which credentials they use.
pub trait ObjectStores: fmt::Debug + Send + Sync + 'static {
    /// The store at this location. Whether it can be reached only shows when it is asked for something.
    fn at(&self, location: &StoreLocation) -> Arc<dyn ObjectStore>;
}

/// A bucket. Every write is put-once: a name, once taken, keeps its bytes until it is deleted.
///
/// What [`ObjectStore::put_once`] acknowledged survives a loss of power.
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync + 'static {
    /// Whether objects can be kept below this prefix, as far as that can be told without writing one.
    ///
    /// # Errors
    /// [`LocationUnusable`] says what is wrong: what the store refuses for any bucket or prefix of this name, or what
    /// prevents its use now.
    async fn check_usable(&self, prefix: Option<&ObjectName>) -> Result<(), LocationUnusable>;

    /// Writes an object, whole or not at all.
    ///
    /// # Errors
    /// [`ObjectError::AlreadyExists`] when other bytes have the name.
    async fn put_once(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, ObjectError>;

    /// Reads a whole object, if it has at most `most` bytes: anyone who can write to the bucket can put an object of any
    /// length there.
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

    /// Objects whose names begin with `prefix` and come after `after`, in the byte order of their names: as many as the
    /// store returns at once, at most [`PAGE`]. End a folder's prefix with a slash.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ListedPage, ObjectError>;

    /// Deletes an object; deleting an object that does not exist succeeds.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`].
    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError>;

    /// How another party may write this one object, with exactly this length and SHA-256.
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
