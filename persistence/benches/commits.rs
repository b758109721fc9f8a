//! How many calls a second the database can take: each claims a nonce, alone or with its audit row, and is committed,
//! durably, before the caller's next one.
//!
//! `cargo bench -p persistence --bench commits` prints one line for each database and number of callers.

#![allow(clippy::print_stdout, reason = "it is a program that prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::Timestamp;
use domain::audit::{AuditDecision, AuditEvent};
use domain::server_keys::ServerKeys;
use persistence::{DatabaseUrl, NonceClaim, Store};
use test_facts::postgres::new_database;

/// PostgreSQL with its default settings: durable.
const DURABLE: &str = "";

const FOR: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = DatabaseUrl::sqlite_file(&folder.path().join("hansard.db"));
    measure("SQLite", file).await;
    measure("PostgreSQL", DatabaseUrl::parse(&new_database(DURABLE).await).unwrap()).await;
}

async fn measure(name: &str, url: DatabaseUrl) {
    let store = Store::connect(url, Arc::new(ServerKeys::generate().unwrap())).await.unwrap();
    for callers in [1, 32] {
        for (what, audited) in [("nonce", false), ("nonce and audit row", true)] {
            let numbers = Arc::new(AtomicU64::new(0));
            let started = Instant::now();
            let mut running = tokio::task::JoinSet::new();
            for caller in 0..callers {
                let (store, numbers) = (store.clone(), Arc::clone(&numbers));
                running.spawn(async move {
                    while started.elapsed() < FOR {
                        let number = numbers.fetch_add(1, Ordering::Relaxed);
                        call(&store, callers * 1_000 + caller, number, audited).await;
                    }
                });
            }
            running.join_all().await;
            let calls = numbers.load(Ordering::Relaxed) as f64;
            let a_second = calls / started.elapsed().as_secs_f64();
            println!("{name}: {callers} callers: {what}: {a_second:.0} a second");
        }
    }
}

async fn call(store: &Store, caller: u64, number: u64, audited: bool) {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&caller.to_be_bytes());
    hash[8..16].copy_from_slice(&number.to_be_bytes());
    // Within the first half, which alone SQLite's index keeps.
    hash[0] = u8::from(audited);
    let claim = NonceClaim {
        hash,
        expires_at: Timestamp::from_millis(1_700_002_700_000),
        now: Timestamp::from_millis(1_700_000_000_000),
    };
    let fresh = match audited {
        true => store.record_audit_once(claim, event()).await,
        false => store.claim_nonce(claim).await,
    };
    assert!(fresh.unwrap());
}

fn event() -> AuditEvent {
    AuditEvent {
        request_id: "4B1E8E5C-0000-4000-8000-000000000000".to_owned(),
        at: Timestamp::from_millis(1_700_000_000_000),
        account: "1609982529000000".parse().unwrap(),
        principal: "acs:ram::1609982529000000:user/ana".to_owned(),
        access_key_id: Some("LTAI0123456789abcdefghij".to_owned()),
        action: "GetInstanceRecordConfig".to_owned(),
        resource: "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-bp1example".to_owned(),
        decision: AuditDecision::Allowed { by: "read-only#1".to_owned() },
        result: "OK".to_owned(),
        source_address: None,
        user_agent: "AlibabaCloud (linux; x86_64) Python/3.11 Core/1.0".to_owned(),
        recording: None,
        how: String::new(),
    }
}
