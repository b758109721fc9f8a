//! Where objects are stored: a bucket of a region, and its expected owner.

use std::fmt;
use std::str::FromStr;

use crate::{AccountId, Region};

/// A bucket's name by the rules of OSS, which those of S3 include: 3 to 63 of `a-z 0-9 -`, with `-` at neither end.
/// What a kind of data demands beyond that stands with its own setting, such as
/// [`RecordStorageTarget`](crate::storage_target::RecordStorageTarget).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(String);

/// The name of a bucket is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct InvalidBucketName {
    /// The rule that was broken.
    pub why: &'static str,
}

impl BucketName {
    /// The name as it is known to the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BucketName {
    type Err = InvalidBucketName;

    fn from_str(name: &str) -> Result<Self, InvalidBucketName> {
        let refuse = |why| Err(InvalidBucketName { why });
        if !(3..=63).contains(&name.len()) {
            return refuse("a bucket's name has 3 to 63 characters");
        }
        if !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return refuse("a bucket's name consists of a-z, 0-9 and '-'");
        }
        if name.starts_with('-') || name.ends_with('-') {
            return refuse("a bucket's name neither begins nor ends with '-'");
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The location of a store. A bucket's name alone says neither where the bucket is nor who owns it: names are global,
/// and belong to whoever takes them first (DECISIONS O3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreLocation {
    /// The bucket's region.
    pub region: Region,
    /// The bucket.
    pub bucket: BucketName,
    /// The account that must own the bucket.
    pub expected_owner: AccountId,
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.bucket, self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_by_the_rules_of_the_stores() {
        for good in ["abc", "0-0", "workbench-record-1609982529000000-demo", &"x".repeat(63)] {
            assert_eq!(good.parse::<BucketName>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("ab", "3 to 63"),
            (&*"x".repeat(64), "3 to 63"),
            ("a.b", "consists of"),
            ("Abc", "consists of"),
            ("a/b", "consists of"),
            ("..c", "consists of"),
            ("-bc", "neither begins nor ends"),
            ("ab-", "neither begins nor ends"),
        ] {
            let refused = bad.parse::<BucketName>().unwrap_err();
            assert!(refused.why.contains(why), "{bad}: {refused}");
        }
    }
}
