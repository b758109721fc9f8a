//! How long a server that starts on SQLite reads the nonces that are claimed, how much memory they then have, and how long
//! a claim takes beside them.
//!
//! `cargo bench -p persistence --bench nonces` prints one line for each number of nonces.

#![allow(clippy::print_stdout, reason = "it is a program that prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use domain::Timestamp;
use domain::server_keys::ServerKeys;
use persistence::{DatabaseUrl, NonceClaim, Store};
use sea_orm::ConnectionTrait;

const CLAIMS: u64 = 2_000;

#[tokio::main]
async fn main() {
    for nonces in [0, 500_000, 5_000_000] {
        let folder = tempfile::TempDir::new().unwrap();
        measure(&folder.path().join("hansard.db"), nonces).await;
    }
}

async fn measure(file: &Path, nonces: u64) {
    let keys = Arc::new(ServerKeys::generate().unwrap());
    let url = || DatabaseUrl::sqlite_file(file);
    drop(Store::connect(url(), Arc::clone(&keys)).await.unwrap());
    let raw = sea_orm::Database::connect(format!("sqlite:{}", file.display())).await.unwrap();
    let rows = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {nonces}) \
         INSERT INTO nonces (id, hash, expires_at) SELECT i, randomblob(32), 1 << 50 FROM n WHERE {nonces} > 0"
    );
    raw.execute_unprepared(&rows).await.unwrap();
    raw.close().await.unwrap();
    let (before, since) = (resident(), Instant::now());
    let store = Store::connect(url(), keys).await.unwrap();
    let started = since.elapsed();
    let mut took = Vec::new();
    for number in 0..CLAIMS {
        let mut hash = [1; 32];
        hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let [now, expires_at] = [0, 1 << 50].map(Timestamp::from_millis);
        let since = Instant::now();
        assert!(store.claim_nonce(NonceClaim { hash, expires_at, now }).await.unwrap());
        took.push(since.elapsed());
    }
    took.sort_unstable();
    let (half, memory) = (took[took.len() / 2], resident().saturating_sub(before) >> 20);
    println!("{nonces} nonces: read in {started:.2?}, {memory} MiB; a claim alone takes {half:.0?} (median)");
}

/// The bytes that this process has resident.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}
