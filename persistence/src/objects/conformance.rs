//! What every object store must do, checked on a real one. Tests check the stores that are shipped; anyone who
//! configures another one can have that one checked.

use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use recording::{ContentHash, ObjectName};
use tokio::task::JoinSet;

use super::{ListedPage, ObjectError, ObjectStore, PAGE, PutOutcome, WriteGrant};

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What a store must do.
    pub rule: &'static str,
    /// What it did instead; `None` when it keeps the rule.
    pub broken: Option<String>,
}

type Outcome = Result<(), String>;

/// How many objects a store must keep to be asked for a list of more than one page.
const MORE_THAN_A_PAGE: usize = PAGE + 7;
/// How many tasks write the same name at once.
const WRITERS: u8 = 8;

/// Runs all checks on a store, below a folder that holds no objects. The objects that it writes are deleted again.
pub async fn examine(store: &Arc<dyn ObjectStore>, folder: &ObjectName) -> Vec<Check> {
    let examination = Examination { store, folder };
    let outcomes = [
        ("a place that takes objects is called usable", examination.usable().await),
        (
            "an object is read back as it was written, whatever its name and size",
            examination.read_back().await,
        ),
        ("what was written once keeps its bytes", examination.put_once().await),
        ("of writers of one name at once, exactly one wins", examination.one_wins().await),
        ("what is not there is not found", examination.absent().await),
        ("nothing is read that is longer than the reader takes", examination.too_long().await),
        ("of a range, exactly its bytes are read", examination.ranges().await),
        ("a list is sorted by bytes, and holds what begins with the prefix alone", examination.list().await),
        ("a list of more than a page has all objects once", examination.pages().await),
        ("what was deleted is gone, and its name is free", examination.delete().await),
        ("a write grant can be had for a name that can be written", examination.grant().await),
        ("what was written here can be deleted", examination.clean_up().await),
    ];
    outcomes.into_iter().map(|(rule, outcome)| Check { rule, broken: outcome.err() }).collect()
}

struct Examination<'a> {
    store: &'a Arc<dyn ObjectStore>,
    folder: &'a ObjectName,
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The words of an unexpected error, for the operator of the store.
fn told<T>(step: &str, result: Result<T, ObjectError>) -> Result<T, String> {
    result.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{step}: {error}{cause}")
    })
}

/// Bytes of any length that no other object here has.
fn bytes_of(seed: u8, length: usize) -> Bytes {
    (0..length).map(|at| (at % 251) as u8 ^ seed).collect()
}

#[allow(clippy::disallowed_methods, reason = "the store itself is examined here")]
impl Examination<'_> {
    fn name(&self, below: &str) -> Result<ObjectName, String> {
        ObjectName::parse(below)
            .and_then(|below| self.folder.join(&below))
            .map_err(|error| format!("{below:?} makes no name here: {error}"))
    }

    async fn put(&self, below: &str, bytes: &Bytes) -> Result<PutOutcome, String> {
        told("write", self.store.put_once(&self.name(below)?, bytes.clone()).await)
    }

    async fn get(&self, below: &str) -> Result<Bytes, String> {
        told("read", self.store.get(&self.name(below)?, 16 * 1024 * 1024).await)
    }

    async fn expect_bytes(&self, below: &str, bytes: &Bytes) -> Outcome {
        let read = self.get(below).await?;
        expect(read == *bytes, || {
            format!("{below:?} has {} bytes that are not the {} written", read.len(), bytes.len())
        })
    }

    async fn usable(&self) -> Outcome {
        match self.store.check_usable(Some(self.folder)).await {
            Ok(()) => Ok(()),
            Err(unusable) => Err(unusable.to_string()),
        }
    }

    async fn read_back(&self) -> Outcome {
        let names = ["plain", "a b+c&d=e?f#g", "per%2Fcent%", "é\u{202e}", "deep/er/and/deeper", "..a"];
        for (seed, name) in (1..).zip(names) {
            let bytes = bytes_of(seed, 1_000);
            self.put(&format!("names/{name}"), &bytes).await?;
            self.expect_bytes(&format!("names/{name}"), &bytes).await?;
        }
        for length in [0, 1, 65_536, 8 * 1024 * 1024] {
            let (below, bytes) = (format!("sizes/{length}"), bytes_of(7, length));
            let outcome = self.put(&below, &bytes).await?;
            expect(outcome == PutOutcome::Stored, || format!("{below} was there before it was written"))?;
            self.expect_bytes(&below, &bytes).await?;
            let head = told("ask for", self.store.head(&self.name(&below)?).await)?;
            let told = head.map(|head| head.length);
            expect(told == Some(length as u64), || format!("the length of {below} is {told:?}"))?;
        }
        Ok(())
    }

    async fn put_once(&self) -> Outcome {
        let first = bytes_of(1, 1_000);
        self.put("once", &first).await?;
        let again = self.put("once", &first).await?;
        expect(again == PutOutcome::AlreadyThere, || "the same bytes count as new".to_owned())?;
        let name = self.name("once")?;
        for other in [bytes_of(2, 1_000), bytes_of(1, 999), bytes_of(1, 1_001), Bytes::new()] {
            let length = other.len();
            match self.store.put_once(&name, other).await {
                Err(ObjectError::AlreadyExists { .. }) => {}
                outcome => return Err(format!("{length} other bytes came to {outcome:?}")),
            }
            self.expect_bytes("once", &first).await?;
        }
        Ok(())
    }

    async fn one_wins(&self) -> Outcome {
        let name = self.name("contended")?;
        let mut writes = JoinSet::new();
        for writer in 0..WRITERS {
            let (store, name) = (Arc::clone(self.store), name.clone());
            writes.spawn(async move { (writer, store.put_once(&name, bytes_of(writer, 10_000)).await) });
        }
        let mut winner = None;
        for (writer, outcome) in writes.join_all().await {
            match outcome {
                Ok(_) if winner.is_none() => winner = Some(writer),
                Ok(_) => return Err(format!("writers {winner:?} and {writer} both won")),
                Err(ObjectError::AlreadyExists { .. }) => {}
                Err(error) => return Err(format!("writer {writer}: {error}")),
            }
        }
        let winner = winner.ok_or("nobody won")?;
        self.expect_bytes("contended", &bytes_of(winner, 10_000)).await
    }

    async fn absent(&self) -> Outcome {
        self.put("there/it/is", &bytes_of(1, 1)).await?;
        for below in ["nothing", "no/thing", "there", "there/it", "there/it/is/below"] {
            let name = self.name(below)?;
            let not_found = |result: Result<Bytes, ObjectError>| match result {
                Err(ObjectError::NotFound { .. }) => Ok(()),
                other => Err(format!("{below:?} came to {:?}", other.map(|bytes| bytes.len()))),
            };
            not_found(self.store.get(&name, 10).await)?;
            not_found(self.store.get_range(&name, 0..1).await)?;
            let head = told("ask for", self.store.head(&name).await)?;
            expect(head.is_none(), || format!("{below:?} has a length"))?;
            told("delete what is not there", self.store.delete(&name).await)?;
        }
        self.expect_bytes("there/it/is", &bytes_of(1, 1)).await
    }

    async fn too_long(&self) -> Outcome {
        self.put("long", &bytes_of(1, 1_000)).await?;
        let name = self.name("long")?;
        told("read as many as there are", self.store.get(&name, 1_000).await)?;
        match self.store.get(&name, 999).await {
            Err(ObjectError::TooLong { .. }) => Ok(()),
            other => Err(format!("1,000 bytes for a reader of 999: {:?}", other.map(|bytes| bytes.len()))),
        }
    }

    async fn ranges(&self) -> Outcome {
        let bytes = bytes_of(3, 1_000);
        self.put("ranged", &bytes).await?;
        let name = self.name("ranged")?;
        for (start, end) in [(0, 1_000), (0, 1), (999, 1_000), (250, 750), (0, 0), (1_000, 1_000)] {
            let read = told("read a range", self.store.get_range(&name, start..end).await)?;
            let (from, to) = (usize::try_from(start), usize::try_from(end));
            let wanted = from.ok().zip(to.ok()).map(|(from, to)| bytes.slice(from..to));
            expect(Some(&read) == wanted.as_ref(), || format!("{start}..{end} has other bytes"))?;
        }
        for (start, end) in [(0, 1_001), (999, 1_001), (1_001, 1_001), (1_001, 1_002), (0, u64::MAX)] {
            match self.store.get_range(&name, start..end).await {
                Err(ObjectError::OutsideRange { length: 1_000, .. }) => {}
                other => {
                    return Err(format!("{start}..{end} of 1,000: {:?}", other.map(|bytes| bytes.len())));
                }
            }
        }
        Ok(())
    }

    async fn page(&self, below: &str, after: Option<&str>) -> Result<(Vec<String>, Option<String>), String> {
        let folder = format!("{}/list/", self.folder);
        let after = after.map(|after| format!("{folder}{after}"));
        let page = self.store.list_page(&format!("{folder}{below}"), after.as_deref()).await;
        let ListedPage { objects, next } = told("list", page)?;
        let below = |name: &str| name.strip_prefix(&folder).unwrap_or(name).to_owned();
        let objects =
            objects.iter().map(|object| format!("{} {}", below(object.name.as_str()), object.length));
        Ok((objects.collect(), next))
    }

    async fn list(&self) -> Outcome {
        for (length, name) in (1..).zip(["a/b/2", "a/b/10", "a/b.x", "a/bc/1", "a-1", "b", "é"]) {
            self.put(&format!("list/{name}"), &bytes_of(1, length)).await?;
        }
        let all = ["a-1 5", "a/b.x 3", "a/b/10 2", "a/b/2 1", "a/bc/1 4", "b 6", "é 7"];
        for (prefix, after, from, to) in [
            ("", None, 0, 7),
            ("a/b", None, 1, 5),
            ("a/b/", None, 2, 4),
            ("a/b/1", None, 2, 3),
            ("c", None, 0, 0),
            ("a/b/2/", None, 0, 0),
            ("", Some("a-1"), 1, 7),
            ("", Some("a"), 0, 7),
            ("", Some("a/b/1"), 2, 7),
            ("", Some("a/b/10"), 3, 7),
            ("", Some("a/b/3"), 4, 7),
            ("a/b", Some("a/b/2"), 4, 5),
            ("a/", Some("b"), 0, 0),
            ("a/", Some("A"), 1, 5),
            ("", Some("é"), 0, 0),
        ] {
            let (listed, next) = self.page(prefix, after).await?;
            let wanted = &all[from..to];
            expect(listed == wanted && next.is_none(), || {
                format!("{prefix:?} behind {after:?} came to {listed:?}, then {next:?}")
            })?;
        }
        Ok(())
    }

    async fn pages(&self) -> Outcome {
        for number in 0..MORE_THAN_A_PAGE {
            self.put(&format!("pages/{number:05}"), &bytes_of(1, 1)).await?;
        }
        let mut names: Vec<ObjectName> = Vec::new();
        for listed in self.all("pages/").await? {
            let ascending = names.last().is_none_or(|last| last.as_str() < listed.as_str());
            expect(ascending, || format!("{listed} follows {:?}", names.last()))?;
            names.push(listed);
        }
        expect(names.len() == MORE_THAN_A_PAGE, || {
            format!("of {MORE_THAN_A_PAGE} objects {} are listed", names.len())
        })
    }

    /// All names that begin with this prefix, in the order in which the store lists them.
    async fn all(&self, below: &str) -> Result<Vec<ObjectName>, String> {
        let (prefix, mut names, mut after) = (format!("{}/{below}", self.folder), Vec::new(), None);
        loop {
            let page = told("list", self.store.list_page(&prefix, after.as_deref()).await)?;
            expect(page.objects.len() <= PAGE, || format!("a page has {} objects", page.objects.len()))?;
            names.extend(page.objects.into_iter().map(|object| object.name));
            match page.next {
                None => return Ok(names),
                next if next > after => after = next,
                next => return Err(format!("the page behind {after:?} ends at {next:?}")),
            }
        }
    }

    async fn delete(&self) -> Outcome {
        self.put("deleted", &bytes_of(1, 10)).await?;
        let name = self.name("deleted")?;
        told("delete", self.store.delete(&name).await)?;
        let head = told("ask for", self.store.head(&name).await)?;
        expect(head.is_none(), || "it is there still".to_owned())?;
        told("delete again", self.store.delete(&name).await)?;
        let outcome = self.put("deleted", &bytes_of(2, 20)).await?;
        expect(outcome == PutOutcome::Stored, || "its name is not free".to_owned())?;
        self.expect_bytes("deleted", &bytes_of(2, 20)).await
    }

    async fn grant(&self) -> Outcome {
        let until = Timestamp::from_millis(i64::MAX / 2);
        let grant =
            self.store.write_grant(&self.name("granted")?, 5, &ContentHash::of(b"bytes"), until).await;
        match told("ask for a grant", grant)? {
            WriteGrant::ThroughControlPlane => Ok(()),
            WriteGrant::Presigned { .. } => Err("presigned uploads are not examined here".to_owned()),
        }
    }

    async fn clean_up(&self) -> Outcome {
        for name in self.all("").await? {
            told("delete", self.store.delete(&name).await)?;
        }
        let left = self.all("").await?;
        expect(left.is_empty(), || format!("{} objects are left", left.len()))
    }
}
