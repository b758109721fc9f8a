//! How many segments a replica holds at once: claims and seals wait for their turn.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use domain::Timestamp;
use domain::store_location::StoreLocation;
use futures_util::future::join_all;
use persistence::objects::{
    FolderStores, ListedPage, LocationUnusable, ObjectError, ObjectHead, ObjectStore, ObjectStores,
    PutOutcome, WriteGrant,
};
use recording::{ExitStatus, ObjectName};
use test_facts::until_async;
use test_server::{Answer, Running, Site};
use tokio::sync::watch;

use crate::recording_agent::{Session, TestAgent, claim, object_name, upload};

/// The number of segments that all claims and seals of a replica may hold at once.
const AT_ONCE: usize = 16;

/// Reads of segments, which a test can block.
#[derive(Debug)]
pub(crate) struct Reads {
    held_back: watch::Sender<bool>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Reads {
    /// A control plane whose reads of segments can be blocked.
    pub(crate) async fn start() -> (Running, Arc<Self>) {
        let (held_back, _) = watch::channel(false);
        let reads = Arc::new(Self { held_back, now: AtomicUsize::new(0), most: AtomicUsize::new(0) });
        let shared = reads.clone();
        let site = Site::usual().stored_by(move |stores| Arc::new(Held { stores, reads: shared.clone() }));
        (Running::at(Arc::new(site)).await, reads)
    }

    /// From now on reads wait, or go on.
    pub(crate) fn hold_back(&self, held_back: bool) {
        self.held_back.send_replace(held_back);
    }

    /// Waits until so many reads wait.
    pub(crate) async fn until_waiting(&self, reads: usize) {
        until_async("as many as may read a segment", async || {
            (self.now.load(Ordering::SeqCst) >= reads).then_some(())
        })
        .await;
    }

    async fn wait(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.held_back.subscribe().wait_for(|held_back| !held_back).await.unwrap();
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The folder, with reads of segments that a test can block.
#[derive(Debug)]
struct Held<S> {
    stores: S,
    reads: Arc<Reads>,
}

impl ObjectStores for Held<FolderStores> {
    fn at(&self, location: &StoreLocation) -> Arc<dyn ObjectStore> {
        Arc::new(Held { stores: self.stores.at(location), reads: self.reads.clone() })
    }
}

#[async_trait]
#[allow(clippy::disallowed_methods, reason = "the caller of these compares what it gets")]
impl ObjectStore for Held<Arc<dyn ObjectStore>> {
    async fn check_usable(&self, prefix: Option<&ObjectName>) -> Result<(), LocationUnusable> {
        self.stores.check_usable(prefix).await
    }

    async fn put_once(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, ObjectError> {
        self.stores.put_once(name, bytes).await
    }

    async fn get(&self, name: &ObjectName, most: usize) -> Result<Bytes, ObjectError> {
        if name.as_str().contains("/terminal/") {
            self.reads.wait().await;
        }
        self.stores.get(name, most).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.stores.get_range(name, range).await
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectHead>, ObjectError> {
        self.stores.head(name).await
    }

    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ListedPage, ObjectError> {
        self.stores.list_page(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.stores.delete(name).await
    }

    async fn write_grant(
        &self,
        name: &ObjectName,
        length: u64,
        sha256: &recording::ContentHash,
        expires_at: Timestamp,
    ) -> Result<WriteGrant, ObjectError> {
        self.stores.write_grant(name, length, sha256, expires_at).await
    }
}

/// Makes these calls at once while reads are blocked, and unblocks them when as many as are allowed have begun.
async fn all_at_once(
    running: &Running,
    reads: &Reads,
    calls: impl Iterator<Item = impl Future<Output = Answer>>,
) {
    reads.most.store(0, Ordering::SeqCst);
    reads.hold_back(true);
    let watching = async {
        reads.until_waiting(AT_ONCE).await;
        // A call that needed no turn would be reading by now, because these calls came after it.
        for _ in 0..AT_ONCE {
            running.call("ListAgents", &[]).await.ok();
        }
        reads.hold_back(false);
    };
    let (answers, ()) = tokio::join!(join_all(calls), watching);
    for answer in answers {
        answer.ok();
    }
    assert_eq!(reads.most.load(Ordering::SeqCst), AT_ONCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_claims_or_seals_hold_a_segment_at_once_and_the_others_wait() {
    let (running, reads) = Reads::start().await;
    running.record("*", "7").await;
    let mut sessions: Vec<(TestAgent, Session)> = Vec::new();
    for number in 0..AT_ONCE + 4 {
        let agent = TestAgent::enrol(&running, &format!("i-web{number}")).await;
        let session = agent.session(&running, &[b"a"], Some(ExitStatus::Code(0)));
        agent.open(&running, &session).await.ok();
        let first = &session.segments[0];
        let grant = agent.grant(&running, &session, &object_name(first), &first.bytes).await.ok();
        upload(&running, &grant["Grant"], &first.bytes).await.ok();
        sessions.push((agent, session));
    }
    let claims = sessions.iter().map(async |(agent, session)| {
        agent.acknowledge(&running, session, &claim(&session.segments[0])).await
    });
    all_at_once(&running, &reads, claims).await;
    for (agent, session) in &sessions {
        for number in 1..session.segments.len() {
            agent.deliver(&running, session, number).await;
        }
    }
    let seals = sessions.iter().map(async |(agent, session)| agent.seal(&running, session).await);
    all_at_once(&running, &reads, seals).await;
}
