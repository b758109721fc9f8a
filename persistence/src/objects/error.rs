//! Errors of objects and their locations.

use std::error::Error;
use std::io;

use domain::store_location::BucketName;
use recording::ObjectName;

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
    /// Other bytes are stored under this name. An object is never overwritten.
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
        /// The most bytes that the reader takes.
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
    /// The store cannot be reached, or its disk does not work as it should.
    #[error("could not {step} {place}")]
    Unavailable {
        /// What was being done.
        step: &'static str,
        /// The object or place of the attempt.
        place: String,
        /// The operating system's or the store's own error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why objects cannot be kept in a bucket, or below a prefix there. Its words are for the person who chose the place:
/// they name no object, and repeat nothing that a store replied (DECISIONS O4).
#[derive(Debug, thiserror::Error)]
pub enum LocationUnusable {
    /// The store can never keep a bucket of this name.
    #[error("the bucket cannot be used in this store: {why}")]
    Bucket {
        /// The rule that was broken.
        why: &'static str,
    },
    /// The store can never keep objects under such a prefix.
    #[error("the prefix cannot be used in this store: {why}")]
    Prefix {
        /// The rule that was broken.
        why: &'static str,
    },
    /// The store cannot be reached, or accepts no writes there now.
    #[error("its store takes no objects there now: {}", .0.in_our_words())]
    Unreachable(#[source] ObjectError),
}

impl From<ObjectError> for LocationUnusable {
    fn from(error: ObjectError) -> Self {
        Self::Unreachable(error)
    }
}

impl ObjectError {
    /// A description of the kind of trouble, without the names of objects and without what a store replied (DECISIONS
    /// O4).
    #[must_use]
    pub fn in_our_words(&self) -> String {
        match self {
            Self::Unavailable { source, .. } => match source.downcast_ref::<io::Error>() {
                Some(error) => error.kind().to_string(),
                None => "it does not do its part".to_owned(),
            },
            Self::UnusableName { why, .. } => (*why).to_owned(),
            Self::NotFound { .. } => "an object that was written is not there".to_owned(),
            Self::AlreadyExists { .. } => "other bytes stand where an object belongs".to_owned(),
            Self::OutsideRange { .. } => "an object is shorter than it was written".to_owned(),
            Self::TooLong { .. } => "an object is longer than it was written".to_owned(),
        }
    }
}
