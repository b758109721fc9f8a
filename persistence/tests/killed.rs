//! What was acknowledged before a SIGKILL is there afterwards, and nothing is there in part.
//!
//! The writer is this test program itself, which runs again one of the ignored tests below in a folder of its own.

// Clippy's own exception for tests does not cover helper functions that tests share.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the store itself is tested here")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use domain::access_key::AccessKeySecret;
use domain::actions::{AcknowledgeSegment, AdministerIdentity};
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::{PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::server_keys::ServerKeys;
use domain::store_location::StoreLocation;
use domain::{AccountId, Timestamp};
use persistence::objects::{FolderObjects, FolderStores, ObjectStore};
use persistence::{DatabaseUrl, HeldAgainst, NonceClaim, OfAgent, Once, Store};
use recording::ObjectName;
use sea_orm::{ConnectionTrait, Statement};

/// Without this file in its folder, a writer does nothing: somebody has run all ignored tests.
const MARK: &str = "write-here-until-killed";
/// How many call at once.
const CALLERS: usize = 24;

fn open(root: &Path) -> FolderObjects {
    let location = StoreLocation {
        region: "cn-beijing".parse().unwrap(),
        bucket: "workbench-record-1609982529000000-a".parse().unwrap(),
        expected_owner: "1609982529000000".parse().unwrap(),
    };
    FolderStores::open(root).unwrap().bucket_at(&location)
}

/// An object's bytes are derived from its number, and no two objects have the same length.
fn object(number: usize) -> Bytes {
    Bytes::from(vec![u8::try_from(number % 251).unwrap(); 1_000 + number * 97])
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn claim(number: usize) -> NonceClaim {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
    NonceClaim { hash, expires_at: Timestamp::from_millis(1_700_000_900_000), now: now() }
}

fn event(number: usize) -> AuditEvent {
    AuditEvent {
        request_id: number.to_string(),
        at: now(),
        account: "1609982529000000".parse().unwrap(),
        principal: String::new(),
        access_key_id: None,
        action: "ListAgents".to_owned(),
        resource: "*".to_owned(),
        decision: AuditDecision::NotAsked,
        result: "OK".to_owned(),
        source_address: None,
        user_agent: String::new(),
        recording: None,
        how: String::new(),
    }
}

/// Prints the line that confirms that a step is durable; the harness prints before it, perhaps on the same line.
fn acknowledge(number: usize) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\ndone {number}").unwrap();
    out.flush().unwrap();
}

/// Runs an ignored test in `folder` and kills it once it has acknowledged `enough`; returns what it acknowledged.
fn kill_after(test: &str, folder: &Path, enough: usize) -> BTreeSet<usize> {
    std::fs::write(folder.join(MARK), "").unwrap();
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = BTreeSet::new();
    for line in lines {
        acknowledged.extend(line.strip_prefix("done ").and_then(|number| number.parse::<usize>().ok()));
        if acknowledged.len() == enough {
            // Sends SIGKILL. What the writer wrote to the pipe until then is still read.
            writer.kill().unwrap();
        }
    }
    writer.wait().unwrap();
    assert!(acknowledged.len() >= enough, "the writer ended by itself after {}", acknowledged.len());
    acknowledged
}

#[tokio::test]
async fn an_acknowledged_object_is_whole_after_a_kill() {
    let folder = tempfile::TempDir::new().unwrap();
    for round in 0..5 {
        let acknowledged = kill_after("writes_objects_until_it_is_killed", folder.path(), 15 + round * 7);
        let objects = open(folder.path());
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = objects.list_page("", after.as_deref()).await.unwrap();
            listed.extend(page.objects);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut whole = BTreeSet::new();
        for found in listed {
            let number: usize = found.name.as_str().rsplit('/').next().unwrap().parse().unwrap();
            assert_eq!(objects.get(&found.name, 1 << 20).await.unwrap(), object(number), "{}", found.name);
            whole.insert(number);
        }
        assert!(acknowledged.is_subset(&whole), "lost: {:?}", acknowledged.difference(&whole));
        let unfinished = folder.path().join(".hansard-unfinished");
        assert_eq!(std::fs::read_dir(unfinished).unwrap().count(), 0);
    }
}

#[tokio::test]
#[ignore = "run by the test above, in a folder of its own, until it is killed"]
async fn writes_objects_until_it_is_killed() {
    if !Path::new(MARK).exists() {
        return;
    }
    let objects = open(Path::new("."));
    for number in 0..100_000 {
        let name = ObjectName::parse(&format!("record/{}/{number}", number % 3)).unwrap();
        objects.put_once(&name, object(number)).await.unwrap();
        acknowledge(number);
    }
}

#[tokio::test]
async fn a_committed_call_is_there_after_a_kill() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut expected = BTreeSet::new();
    for round in 0..5 {
        expected.extend(kill_after("commits_calls_until_it_is_killed", folder.path(), 200 + round * 90));
        let database = format!("sqlite:{}", folder.path().join("hansard.db").display());
        let store =
            Store::connect(DatabaseUrl::parse(&database).unwrap(), Arc::new(ServerKeys::generate().unwrap()))
                .await
                .unwrap();
        let principal = Principal::Operator { account: "1609982529000000".parse().unwrap() };
        let facts = RequestFacts::at(now());
        let policies = PrincipalPolicies::none();
        let granted =
            authorize::<AdministerIdentity>(&principal, Resource::Everything, &policies, &facts).unwrap();
        let kept = store.latest_audit_events(&granted, 1_000_000).await.unwrap();
        let kept: BTreeSet<usize> = kept.iter().map(|event| event.request_id.parse().unwrap()).collect();
        assert!(expected.is_subset(&kept), "lost: {:?}", expected.difference(&kept));
        // A row and its nonce are one commit: neither is there without the other.
        for number in &kept {
            assert!(
                !store.claim_nonce(claim(*number)).await.unwrap(),
                "the nonce of call {number} is fresh again"
            );
        }
        let raw = sea_orm::Database::connect(&database).await.unwrap();
        let nonces = Statement::from_string(raw.get_database_backend(), "SELECT COUNT(*) AS n FROM nonces");
        let nonces: i64 = raw.query_one_raw(nonces).await.unwrap().unwrap().try_get("", "n").unwrap();
        assert_eq!(nonces, kept.len() as i64);
        let found = store.verify_audit(HeldAgainst::default()).await.unwrap();
        assert_eq!(found.findings, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above, in a folder of its own, until it is killed"]
async fn commits_calls_until_it_is_killed() {
    if !Path::new(MARK).exists() {
        return;
    }
    let url = DatabaseUrl::sqlite_file(Path::new("hansard.db"));
    let store = Store::connect(url, Arc::new(ServerKeys::generate().unwrap())).await.unwrap();
    // Many callers, so that a kill meets groups.
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move {
            for number in (caller..100_000).step_by(CALLERS) {
                if store.record_audit_once(claim(number), event(number)).await.unwrap() {
                    acknowledge(number);
                }
            }
        });
    }
    callers.join_all().await;
}

/// How many agents deliver at once.
const AGENTS: usize = 12;
/// A call's number says by which agent it is, and which of its segments it is about.
const OF_ONE_AGENT: usize = 100_000;

/// A change, the claim of its call and its audit row are one commit: none is there without the others.
#[tokio::test]
async fn an_acknowledged_segment_is_there_after_a_kill_with_its_claim_and_its_row() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        expected.extend(kill_after("claims_segments_until_it_is_killed", folder.path(), 150 + round * 70));
        let database = format!("sqlite:{}", folder.path().join("hansard.db").display());
        let store =
            Store::connect(DatabaseUrl::parse(&database).unwrap(), Arc::new(ServerKeys::generate().unwrap()))
                .await
                .unwrap();
        let raw = sea_orm::Database::connect(&database).await.unwrap();
        let rows = async |statement: &str| {
            let statement = Statement::from_string(raw.get_database_backend(), statement);
            raw.query_all_raw(statement).await.unwrap()
        };
        let audited = "SELECT request_id FROM audit_events WHERE action = 'AcknowledgeSegment'";
        let audited: Vec<usize> = rows(audited)
            .await
            .iter()
            .map(|row| row.try_get::<String>("", "request_id").unwrap().parse().unwrap())
            .collect();
        let kept: BTreeSet<usize> = audited.iter().copied().collect();
        assert_eq!(kept.len(), audited.len(), "no segment is claimed twice");
        assert!(expected.is_subset(&kept), "lost: {:?}", expected.difference(&kept));
        for number in &kept {
            let fresh = store.claim_nonce(claim(*number)).await.unwrap();
            assert!(!fresh, "the nonce of call {number} is fresh again");
        }
        for counted in ["recording_segments", "nonces"] {
            let count = rows(&format!("SELECT COUNT(*) AS n FROM {counted}")).await;
            let count: i64 = count[0].try_get("", "n").unwrap();
            assert_eq!(count, kept.len() as i64, "{counted}");
        }
        let torn = rows(
            "SELECT r.token FROM recordings r WHERE r.segments <> \
             (SELECT COUNT(*) FROM recording_segments s WHERE s.token = r.token)",
        );
        assert_eq!(torn.await.len(), 0, "a recording says how many of its segments are there");
        assert_eq!(store.verify_audit(HeldAgainst::default()).await.unwrap().findings, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above, in a folder of its own, until it is killed"]
async fn claims_segments_until_it_is_killed() {
    if !Path::new(MARK).exists() {
        return;
    }
    let url = DatabaseUrl::sqlite_file(Path::new("hansard.db"));
    let store = Store::connect(url, Arc::new(ServerKeys::generate().unwrap())).await.unwrap();
    let account: AccountId = "1609982529000000".parse().unwrap();
    let mut delivering = tokio::task::JoinSet::new();
    // Each round leaves a file. The account is there after the first, and so are agents, which are replaced.
    let is_round = |entry: &std::fs::DirEntry| entry.file_name().to_str().unwrap().starts_with("round-");
    let round = std::fs::read_dir(".").unwrap().map(Result::unwrap).filter(is_round).count();
    std::fs::write(format!("round-{round}"), "").unwrap();
    if round == 0 {
        let secret = AccessKeySecret::new("root-secret".to_owned());
        store.ensure_root(&account, &AccessKeyId::parse("root-key").unwrap(), &secret, now()).await.unwrap();
    }
    for number in 0..AGENTS {
        let (store, account) = (store.clone(), account.clone());
        let agent = test_facts::agent(&account, &format!("i-web{number}").parse().unwrap(), now());
        let (secret, token) = test_facts::join_token(&account, "*", true, now());
        test_facts::issue(&store, token).await;
        test_facts::enrol(&store, &agent, &secret, true).await.unwrap();
        let opened = test_facts::recording(&agent, now(), 7);
        test_facts::open(&store, &agent, test_facts::opened(opened.clone())).await.unwrap();
        delivering.spawn(async move {
            let granted = test_facts::as_agent::<AcknowledgeSegment>(&agent);
            for segment in 0..1_000 {
                let number = (round * AGENTS + number) * OF_ONE_AGENT + segment;
                let change = test_facts::segment(&opened.token, u32::try_from(segment).unwrap(), now());
                let of_agent = OfAgent { claim: Some(claim(number)), heard: None };
                let audit = AuditEvent { action: "AcknowledgeSegment".to_owned(), ..event(number) };
                let once = store.apply_once(&granted, of_agent, change, vec![audit]).await.unwrap();
                assert!(matches!(once, Once::First(Ok(()))), "{once:?}");
                acknowledge(number);
            }
        });
    }
    delivering.join_all().await;
}
