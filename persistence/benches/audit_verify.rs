//! How long it takes to compute the chains of the audit trail again, of rows that the store itself wrote.
//!
//! `cargo bench -p persistence --bench audit_verify` prints the time for `BENCHMARK_AUDIT_ROWS` rows on SQLite.

#![allow(clippy::print_stdout, reason = "it is a program that prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]
#![allow(clippy::disallowed_methods, reason = "the settings of a measurement")]

use std::sync::Arc;
use std::time::Instant;

use domain::server_keys::ServerKeys;
use persistence::{DatabaseUrl, HeldAgainst, Store};
use test_facts::{account, event};

/// How many callers write at the same time.
const CALLERS: u64 = 512;
const ROUNDS: u32 = 3;

#[tokio::main]
async fn main() {
    let rows = std::env::var("BENCHMARK_AUDIT_ROWS").map_or(200_000, |text| text.parse().unwrap());
    let folder = tempfile::TempDir::new().unwrap();
    let file = DatabaseUrl::sqlite_file(&folder.path().join("hansard.db"));
    let store = Store::connect(file, Arc::new(ServerKeys::generate().unwrap())).await.unwrap();
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move {
            for _ in (caller..rows).step_by(CALLERS as usize) {
                store.record_audit(event(&account(), "ListInstanceRecords")).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    println!("SQLite: {rows} audit rows, written in {:.1} s", began.elapsed().as_secs_f64());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let checked = store.verify_audit(HeldAgainst::default()).await.unwrap();
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(checked.writers.iter().map(|writer| writer.rows).sum::<u64>(), rows);
        println!(
            "SQLite: {rows} audit rows: verified in {seconds:.2} s, {:.2} s for 1,000,000",
            seconds * 1e6 / rows as f64
        );
    }
}
