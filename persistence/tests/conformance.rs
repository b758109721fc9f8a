//! The checks that every object store must pass: the shipped store passes all, and each fault is found by one of them.

// Clippy's own exception for tests does not cover helper functions that tests share.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the store itself is tested here")]

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use domain::Timestamp;
use domain::store_location::StoreLocation;
use persistence::objects::conformance::examine;
use persistence::objects::{
    FolderStores, ListedObject, ListedPage, LocationUnusable, ObjectError, ObjectHead, ObjectStore,
    ObjectStores as _, PAGE, PutOutcome, WriteGrant,
};
use recording::{ContentHash, ObjectName};
use tempfile::TempDir;

fn location() -> StoreLocation {
    StoreLocation {
        region: "cn-beijing".parse().unwrap(),
        bucket: "examined".parse().unwrap(),
        expected_owner: "1609982529000000".parse().unwrap(),
    }
}

async fn broken_rules(store: Arc<dyn ObjectStore>) -> Vec<(&'static str, String)> {
    let checks = examine(&store, &ObjectName::parse("below/here").unwrap()).await;
    assert!(checks.len() >= 12);
    checks.into_iter().filter_map(|check| Some((check.rule, check.broken?))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_store_keeps_every_rule() {
    let folder = TempDir::new().unwrap();
    let store = FolderStores::open(folder.path()).unwrap().at(&location());
    assert_eq!(broken_rules(store).await, []);
    let left = std::fs::read_dir(folder.path().join(".hansard-unfinished")).unwrap().count();
    assert_eq!(left, 0);
}

/// The simplest store that does everything right: it keeps its objects in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<BTreeMap<String, Bytes>>);

impl Memory {
    fn find(&self, name: &ObjectName) -> Result<Bytes, ObjectError> {
        let found = self.0.lock().unwrap().get(name.as_str()).cloned();
        found.ok_or_else(|| ObjectError::NotFound { bucket: location().bucket, name: name.clone() })
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn check_usable(&self, _: Option<&ObjectName>) -> Result<(), LocationUnusable> {
        Ok(())
    }

    async fn put_once(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, ObjectError> {
        let mut objects = self.0.lock().unwrap();
        match objects.get(name.as_str()) {
            None => {
                objects.insert(name.to_string(), bytes);
                Ok(PutOutcome::Stored)
            }
            Some(there) if *there == bytes => Ok(PutOutcome::AlreadyThere),
            Some(_) => Err(ObjectError::AlreadyExists { bucket: location().bucket, name: name.clone() }),
        }
    }

    async fn get(&self, name: &ObjectName, most: usize) -> Result<Bytes, ObjectError> {
        let bytes = self.find(name)?;
        let too_long = || ObjectError::TooLong { bucket: location().bucket, name: name.clone(), most };
        if bytes.len() > most { Err(too_long()) } else { Ok(bytes) }
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (bytes, bucket, name) = (self.find(name)?, location().bucket, name.clone());
        let (start, end, length) = (range.start, range.end, bytes.len() as u64);
        if start > end || end > length {
            return Err(ObjectError::OutsideRange { bucket, name, start, end, length });
        }
        Ok(bytes.slice(usize::try_from(start).unwrap()..usize::try_from(end).unwrap()))
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectHead>, ObjectError> {
        Ok(self.find(name).ok().map(|bytes| ObjectHead { length: bytes.len() as u64 }))
    }

    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ListedPage, ObjectError> {
        let objects = self.0.lock().unwrap();
        let told =
            |name: &&String| name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after);
        let mut names = objects.keys().filter(told);
        let listed = |name: &String| ListedObject {
            name: ObjectName::parse(name).unwrap(),
            length: objects[name].len() as u64,
        };
        let page: Vec<ListedObject> = names.by_ref().take(PAGE).map(listed).collect();
        let next = names.next().and_then(|_| Some(page.last()?.name.to_string()));
        Ok(ListedPage { objects: page, next })
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.0.lock().unwrap().remove(name.as_str());
        Ok(())
    }

    async fn write_grant(
        &self,
        _: &ObjectName,
        _: u64,
        _: &ContentHash,
        _: Timestamp,
    ) -> Result<WriteGrant, ObjectError> {
        Ok(WriteGrant::ThroughControlPlane)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_ask_for_no_more_than_a_store_can_keep() {
    assert_eq!(broken_rules(Arc::new(Memory::default())).await, []);
}

/// A way in which a store may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    TakesNothing,
    LosesTheLastByte,
    HasNoLengths,
    OverwritesOtherBytes,
    CallsOtherBytesTheSame,
    LetsEachWriterWin,
    FindsWhatIsNotThere,
    ReadsWhatIsTooLong,
    ReadsOneByteLess,
    ReadsBeyondTheEnd,
    ListsWithoutOrder,
    ListsOtherPrefixes,
    ListsWhatWasTold,
    ListsOnePageOnly,
    TellsNoEnd,
    DeletesNothing,
    DeletesTheNeighbour,
    GrantsNothing,
}

#[derive(Debug)]
struct Faulty {
    inner: Memory,
    fault: Fault,
    /// The bytes that overwrote an object, by its name.
    other: Mutex<HashMap<String, Bytes>>,
}

impl Faulty {
    fn overwritten(&self, name: &ObjectName) -> Option<Bytes> {
        self.other.lock().unwrap().get(name.as_str()).cloned()
    }

    fn unavailable() -> ObjectError {
        ObjectError::Unavailable { step: "reach", place: "it".to_owned(), source: "no".into() }
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn check_usable(&self, prefix: Option<&ObjectName>) -> Result<(), LocationUnusable> {
        match self.fault {
            Fault::TakesNothing => Err(Self::unavailable().into()),
            _ => self.inner.check_usable(prefix).await,
        }
    }

    async fn put_once(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, ObjectError> {
        let kept = match self.fault {
            Fault::LosesTheLastByte => bytes.slice(..bytes.len().saturating_sub(1)),
            _ => bytes.clone(),
        };
        let outcome = self.inner.put_once(name, kept).await;
        match (self.fault, &outcome) {
            (
                Fault::OverwritesOtherBytes | Fault::LetsEachWriterWin,
                Err(ObjectError::AlreadyExists { .. }),
            ) if self.fault == Fault::OverwritesOtherBytes || name.as_str().ends_with("contended") => {
                self.other.lock().unwrap().insert(name.to_string(), bytes);
                Ok(PutOutcome::Stored)
            }
            (Fault::CallsOtherBytesTheSame, Err(ObjectError::AlreadyExists { .. })) => {
                Ok(PutOutcome::AlreadyThere)
            }
            _ => outcome,
        }
    }

    async fn get(&self, name: &ObjectName, most: usize) -> Result<Bytes, ObjectError> {
        let most = if self.fault == Fault::ReadsWhatIsTooLong { usize::MAX / 2 } else { most };
        match (self.inner.get(name, most).await, self.overwritten(name)) {
            (Ok(_), Some(bytes)) => Ok(bytes),
            (Err(ObjectError::NotFound { .. }), _) if self.fault == Fault::FindsWhatIsNotThere => {
                Ok(Bytes::new())
            }
            (read, _) => read,
        }
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        match self.fault {
            Fault::ReadsOneByteLess if range.end - range.start > 1 => {
                self.inner.get_range(name, range.start..range.end - 1).await
            }
            Fault::ReadsBeyondTheEnd => match self.inner.get_range(name, range.clone()).await {
                Err(ObjectError::OutsideRange { .. }) => Ok(Bytes::new()),
                read => read,
            },
            _ => self.inner.get_range(name, range).await,
        }
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectHead>, ObjectError> {
        let head = self.inner.head(name).await?;
        Ok(head.map(|head| if self.fault == Fault::HasNoLengths { ObjectHead { length: 0 } } else { head }))
    }

    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ListedPage, ObjectError> {
        let mut page = match self.fault {
            Fault::ListsOtherPrefixes => {
                let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
                self.inner.list_page(&format!("{folder}/"), after).await?
            }
            Fault::ListsWhatWasTold => self.inner.list_page(prefix, None).await?,
            _ => self.inner.list_page(prefix, after).await?,
        };
        match self.fault {
            Fault::ListsWithoutOrder => page.objects.reverse(),
            Fault::ListsOnePageOnly => page.next = None,
            Fault::TellsNoEnd => page.next = page.next.or(after.map(str::to_owned)),
            _ => {}
        }
        Ok(page)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        match self.fault {
            Fault::DeletesNothing => Ok(()),
            Fault::DeletesTheNeighbour if name.as_str().ends_with("there/it") => {
                let neighbour = ObjectName::parse(&format!("{name}/is")).unwrap();
                self.inner.delete(&neighbour).await
            }
            _ => self.inner.delete(name).await,
        }
    }

    async fn write_grant(
        &self,
        name: &ObjectName,
        length: u64,
        sha256: &ContentHash,
        expires_at: Timestamp,
    ) -> Result<WriteGrant, ObjectError> {
        match self.fault {
            Fault::GrantsNothing => Err(Self::unavailable()),
            _ => self.inner.write_grant(name, length, sha256, expires_at).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_breaks_the_rule_that_is_about_it() {
    for (fault, rule) in [
        (Fault::TakesNothing, "a place that takes objects is called usable"),
        (Fault::LosesTheLastByte, "an object is read back as it was written, whatever its name and size"),
        (Fault::HasNoLengths, "an object is read back as it was written, whatever its name and size"),
        (Fault::OverwritesOtherBytes, "what was written once keeps its bytes"),
        (Fault::CallsOtherBytesTheSame, "what was written once keeps its bytes"),
        (Fault::LetsEachWriterWin, "of writers of one name at once, exactly one wins"),
        (Fault::FindsWhatIsNotThere, "what is not there is not found"),
        (Fault::ReadsWhatIsTooLong, "nothing is read that is longer than the reader takes"),
        (Fault::ReadsOneByteLess, "of a range, exactly its bytes are read"),
        (Fault::ReadsBeyondTheEnd, "of a range, exactly its bytes are read"),
        (Fault::ListsWithoutOrder, "a list is sorted by bytes, and holds what begins with the prefix alone"),
        (Fault::ListsOtherPrefixes, "a list is sorted by bytes, and holds what begins with the prefix alone"),
        (Fault::ListsWhatWasTold, "a list is sorted by bytes, and holds what begins with the prefix alone"),
        (Fault::ListsOnePageOnly, "a list of more than a page has all objects once"),
        (Fault::TellsNoEnd, "a list of more than a page has all objects once"),
        (Fault::DeletesNothing, "what was deleted is gone, and its name is free"),
        (Fault::DeletesTheNeighbour, "what is not there is not found"),
        (Fault::GrantsNothing, "a write grant can be had for a name that can be written"),
    ] {
        let faulty = Arc::new(Faulty { inner: Memory::default(), fault, other: Mutex::default() });
        let broken = broken_rules(faulty).await;
        assert!(broken.iter().any(|(broken, _)| *broken == rule), "{fault:?}: {broken:?}");
    }
}
