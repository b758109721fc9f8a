//! Where recordings of an account go: `acs:oss:<region>:<account>:<bucket>/<prefix>`.

use std::fmt;

use recording::ObjectName;

use crate::parameter::{Parameter, Refused, Shape, TextShape, part};
use crate::store_location::{BucketName, StoreLocation};
use crate::{AccountId, Region};

/// A bucket of the caller's own account that may hold recordings, `workbench-record-<account>-<custom>`, and an optional
/// prefix for object names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordStorageTarget {
    location: StoreLocation,
    prefix: Option<ObjectName>,
}

/// Why a storage target was refused. Each variant has one of the wire codes `InvalidRecordStorageTarget.*` (DECISIONS G3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageTargetRefused {
    /// It is not of the form `acs:oss:<region>:<account>:<bucket>/<prefix>`.
    #[error("RecordStorageTarget must be acs:oss:<region>:<account id>:<bucket>[/<prefix>]: {why}")]
    Format {
        /// The rule that was broken.
        why: &'static str,
    },
    /// The bucket's name breaks a rule.
    #[error("RecordStorageTarget: {why}")]
    BucketName {
        /// The rule that was broken.
        why: &'static str,
    },
    /// The region is not of the form `[a-z]{2}-[a-z0-9-]{1,30}`, or ResourceRegionId names another one.
    #[error("RecordStorageTarget: {why}")]
    Region {
        /// The rule that was broken.
        why: &'static str,
    },
    /// The ARN or the bucket names another account than the caller's.
    #[error("RecordStorageTarget: the account of the {part} is not the caller's account")]
    AccountMismatch {
        /// `ARN` or `bucket`.
        part: &'static str,
    },
}

/// The longest prefix below the bucket, in bytes (contract, section 0).
const PREFIX_MAX_BYTES: usize = 254;

impl RecordStorageTarget {
    /// Parses the wire form for a caller of `account`.
    ///
    /// # Errors
    /// [`StorageTargetRefused`] names the rule that was broken.
    pub fn parse(text: &str, account: &AccountId) -> Result<Self, StorageTargetRefused> {
        let format = |why| StorageTargetRefused::Format { why };
        let rest = text.strip_prefix("acs:oss:").ok_or(format("it does not begin with acs:oss:"))?;
        let (region, rest) = rest.split_once(':').ok_or(format("the account is missing"))?;
        let (owner, path) = rest.split_once(':').ok_or(format("the bucket is missing"))?;
        let region = region.parse::<Region>().map_err(|_| StorageTargetRefused::Region {
            why: if region.starts_with("oss-") {
                "the region is written without oss-, like cn-beijing"
            } else {
                "the region must look like cn-hangzhou: two letters, '-', then letters, digits and '-'"
            },
        })?;
        let owner = owner.parse::<AccountId>().map_err(|_| format("the account id must be 16 digits"))?;
        if owner != *account {
            return Err(StorageTargetRefused::AccountMismatch { part: "ARN" });
        }
        let (bucket, prefix) = match path.split_once('/') {
            Some((bucket, prefix)) => (bucket, Some(prefix)),
            None => (path, None),
        };
        let bucket = parse_bucket(bucket, account)?;
        let prefix = match prefix {
            None => None,
            Some("") => return Err(format("the prefix after '/' is empty; leave the '/' out")),
            Some(prefix) => Some(parse_prefix(prefix)?),
        };
        Ok(Self { location: StoreLocation { region, bucket, expected_owner: owner }, prefix })
    }

    /// The embedded default of a deployment: `workbench-record-<account>-default/record`.
    #[must_use]
    pub fn deployment_default(region: &Region, account: &AccountId) -> Self {
        let text = format!("acs:oss:{region}:{account}:workbench-record-{account}-default/record");
        Self::parse(&text, account).expect("built from a checked region and account, so well formed")
    }

    /// Where its objects lie.
    #[must_use]
    pub fn location(&self) -> &StoreLocation {
        &self.location
    }

    /// The bucket's region.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.location.region
    }

    /// The account that owns the recordings.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.location.expected_owner
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &BucketName {
        &self.location.bucket
    }

    /// The prefix of object names, without slashes at either end.
    #[must_use]
    pub fn prefix(&self) -> Option<&ObjectName> {
        self.prefix.as_ref()
    }
}

/// What can be said without knowing who calls: the target may belong to any account.
impl Parameter for RecordStorageTarget {
    fn shape() -> Shape {
        let (region, account) = (part(Region::PATTERN), part(AccountId::PATTERN));
        let bucket = format!("workbench-record-{account}-[a-z0-9-]{{0,28}}[a-z0-9]");
        // Neither `.` nor `..` is a component, and none is empty.
        let (other, any) = (r"[^./\\\x00-\x1f\x7f-\x9f]", r"[^/\\\x00-\x1f\x7f-\x9f]");
        let component = format!(r"({other}{any}*|\.{other}{any}*|\.\.{any}+)");
        let pattern = format!("^acs:oss:{region}:{account}:{bucket}(/{component}(/{component})*/?)?$");
        TextShape::fitting(pattern).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let account = text.split(':').nth(3).and_then(|account| account.parse().ok());
        let account = account.ok_or_else(|| Refused::value("the account id must be 16 digits"))?;
        Self::parse(text, &account).map_err(|error| Refused::value(error.to_string()))
    }
}

/// A bucket's name that says whose recordings it holds.
fn parse_bucket(name: &str, account: &AccountId) -> Result<BucketName, StorageTargetRefused> {
    let refuse = |why| Err(StorageTargetRefused::BucketName { why });
    let bucket = match name.parse::<BucketName>() {
        Ok(bucket) => bucket,
        Err(refused) => return refuse(refused.why),
    };
    let named = name.strip_prefix("workbench-record-").and_then(|rest| rest.split_once('-'));
    let Some((Ok(owner), custom)) = named.map(|(owner, custom)| (owner.parse::<AccountId>(), custom)) else {
        return refuse("the bucket must be named workbench-record-<account id>-<custom>");
    };
    if custom.is_empty() {
        return refuse("the custom part of workbench-record-<account id>-<custom> is empty");
    }
    if owner != *account {
        return Err(StorageTargetRefused::AccountMismatch { part: "bucket" });
    }
    Ok(bucket)
}

fn parse_prefix(prefix: &str) -> Result<ObjectName, StorageTargetRefused> {
    if prefix.len() > PREFIX_MAX_BYTES {
        return Err(StorageTargetRefused::Format { why: "the prefix has more than 254 bytes" });
    }
    // One trailing slash is how people write a folder; it means the same place.
    let trimmed = prefix.strip_suffix('/').unwrap_or(prefix);
    ObjectName::parse(trimmed).map_err(|_| StorageTargetRefused::Format {
        why: "the prefix has an empty, '.' or '..' segment, a leading '/', or a control character",
    })
}

impl fmt::Display for RecordStorageTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acs:oss:{}:{}:{}", self.region(), self.account(), self.bucket())?;
        match &self.prefix {
            Some(prefix) => write!(f, "/{prefix}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        "1609982529000000".parse().unwrap()
    }

    fn parse(text: &str) -> Result<RecordStorageTarget, StorageTargetRefused> {
        RecordStorageTarget::parse(text, &account())
    }

    #[test]
    fn a_good_target_prints_as_it_was_written() {
        for text in [
            "acs:oss:cn-beijing:1609982529000000:workbench-record-1609982529000000-demo/record",
            "acs:oss:cn-beijing:1609982529000000:workbench-record-1609982529000000-a/a/b c/d",
            "acs:oss:cn-beijing:1609982529000000:workbench-record-1609982529000000-a",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_rule_has_its_own_refusal() {
        let bucket = "workbench-record-1609982529000000-demo";
        for (text, expected) in [
            (String::new(), "Format"),
            (format!("acs:oss:cn-beijing:1609982529000000:{bucket}/"), "Format"),
            (format!("acs:oss:cn-beijing:1609982529000000:{bucket}//a"), "Format"),
            (format!("acs:oss:cn-beijing:1609982529000000:{bucket}/a/../b"), "Format"),
            (format!("acs:oss:cn-beijing:1609982529000000:{bucket}/a/./b"), "Format"),
            (format!("acs:oss:cn-beijing:1609982529000000:{bucket}/a\u{7}b"), "Format"),
            (format!("acs:oss:cn-beijing:1609982529000000:{bucket}/{}", "a".repeat(255)), "Format"),
            (format!("acs:oss:cn-beijing:160998252900000:{bucket}"), "Format"),
            (format!("acs:oss:CN-beijing:1609982529000000:{bucket}"), "Region"),
            (
                format!("acs:oss:oss-cn-beijing:1609982529000000:{bucket}"),
                "Region { why: \"the region is written without oss-, like cn-beijing\"",
            ),
            (format!("acs:oss:evil.example:1609982529000000:{bucket}"), "Region"),
            ("acs:oss:cn-beijing:1609982529000000:other".into(), "BucketName"),
            ("acs:oss:cn-beijing:1609982529000000:workbench-record-1609982529000000-".into(), "BucketName"),
            ("acs:oss:cn-beijing:1609982529000000:workbench-record-1609982529000000-A".into(), "BucketName"),
            (format!("acs:oss:cn-beijing:1609982529000000:{bucket}{}", "x".repeat(63)), "BucketName"),
            (format!("acs:oss:cn-beijing:1609982529000001:{bucket}"), "AccountMismatch"),
            (
                "acs:oss:cn-beijing:1609982529000000:workbench-record-1609982529000001-demo".into(),
                "AccountMismatch",
            ),
        ] {
            let refused = parse(&text).expect_err(&text);
            assert!(format!("{refused:?}").starts_with(expected), "{text}: {refused:?}");
        }
    }
}
