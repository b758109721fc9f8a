//! How long the first page of recordings takes, with the total number, for callers whose policies narrow the list: what
//! dispatch does, from the policies to the page, on 100,000 recordings of 1,000 instances and 2,000 owners.
//!
//! `cargo bench -p persistence --bench scoped_lists` prints one line for each database and caller.

#![allow(clippy::print_stdout, reason = "it is a program that prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::access_key::AccessKeySecret;
use domain::actions::{Action as _, ListInstanceRecords};
use domain::gate::{
    Candidates, ListNeeds, Listing, PrincipalPolicies, RequestFacts, Resource, authorize, list_needs,
};
use domain::identity::{AccessKeyId, UserId};
use domain::principal::Principal;
use domain::recording_filter::RecordingFilter;
use domain::server_keys::ServerKeys;
use domain::{AccountId, Timestamp};
use persistence::{DatabaseUrl, PageRequest, RecordingQuery, Store};
use policies::{DocumentKind, Layers, PolicyDocument, PolicySet};
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use test_facts::postgres::{FAST, new_database};

const ACCOUNT: &str = "1609982529000000";
const NOW: i64 = 1_700_000_000_000;
const ROUNDS: u32 = 20;

#[tokio::main]
async fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = format!("sqlite:{}", folder.path().join("hansard.db").display());
    measure("SQLite", &file).await;
    measure("PostgreSQL", &new_database(FAST).await).await;
}

async fn measure(name: &str, url: &str) {
    let store = Store::connect(DatabaseUrl::parse(url).unwrap(), Arc::new(ServerKeys::generate().unwrap()));
    let store = store.await.unwrap();
    let (account, key) = (account(), AccessKeyId::parse("root-key").unwrap());
    let secret = AccessKeySecret::new("secret".to_owned());
    store.ensure_root(&account, &key, &secret, Timestamp::from_millis(0)).await.unwrap();
    fill(url).await;
    let root = PrincipalPolicies::new(Layers { owner: true, ..Layers::default() });
    let owner = Principal::Account { account: account.clone() };
    let allow = |resource: &str, condition: &str| {
        format!(r#"{{"Effect":"Allow","Action":"*","Resource":"{resource}"{condition}}}"#)
    };
    let on = |instances: &str| format!("acs:ecs-workbench:*:*:workbench/{instances}");
    let deny = format!(r#"{{"Effect":"Deny","Action":"*","Resource":"{}"}}"#, on("i-7"));
    let narrowed = [
        ("everything but one instance", format!("{},{deny}", allow("*", ""))),
        ("half of the instances (5 patterns)", {
            let patterns: Vec<String> = (1..=5).map(|digit| allow(&on(&format!("i-*{digit}")), "")).collect();
            patterns.join(",")
        }),
        ("111 instances", allow(&on("i-1*"), "")),
        ("one instance", allow(&on("i-500"), "")),
        ("a tag, on 100 instances", condition(&allow, "StringEquals", "InstanceTag/env", "prod")),
        ("own sessions", condition(&allow, "StringEquals", "SessionOwner", "self")),
        ("all but own sessions", condition(&allow, "StringNotEquals", "SessionOwner", "self")),
        ("younger than 7 days", condition(&allow, "NumericLessThan", "RecordingAge", "7")),
    ];
    report(name, "the account's owner", &store, &owner, &root).await;
    for (what, statements) in &narrowed {
        report(name, what, &store, &user(), &policies(statements)).await;
    }
}

fn condition(allow: &impl Fn(&str, &str) -> String, operator: &str, key: &str, value: &str) -> String {
    allow("*", &format!(r#","Condition":{{"{operator}":{{"ecs-workbench:{key}":"{value}"}}}}"#))
}

async fn report(name: &str, what: &str, store: &Store, caller: &Principal, policies: &PrincipalPolicies) {
    let (mut deciding, mut listing) = (Duration::ZERO, Duration::ZERO);
    let mut total = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut asked = Listing {
            of: None,
            region: "cn-hangzhou".parse().unwrap(),
            recordings: true,
            candidates: Candidates::default(),
        };
        let needs = list_needs(&ListInstanceRecords::ENTRY, caller, &asked, policies);
        if needs != ListNeeds::default() {
            asked.candidates = store.candidates_of_list(&account(), None, needs).await.unwrap();
        }
        let facts = RequestFacts::at(Timestamp::from_millis(NOW));
        let granted =
            authorize::<ListInstanceRecords>(caller, Resource::List(asked), policies, &facts).unwrap();
        deciding += began.elapsed();
        let query = RecordingQuery {
            include_expired: false,
            filter: RecordingFilter::default(),
            page: PageRequest::After { token: None, size: 10 },
            now: facts.now,
        };
        let began = Instant::now();
        total = store.list_recordings(&granted, query).await.unwrap().total_count;
        listing += began.elapsed();
    }
    let milliseconds = |spent: Duration| spent.as_secs_f64() * 1_000.0 / f64::from(ROUNDS);
    println!(
        "{name}: {what}: {total} recordings, {:.2} ms to decide, {:.2} ms to list",
        milliseconds(deciding),
        milliseconds(listing)
    );
}

/// The database itself makes the rows: inserting them one by one would take an hour.
async fn fill(url: &str) {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let raw = Database::connect(options).await.unwrap();
    let postgres = url.starts_with("postgres");
    let hex = |number: &str| {
        if postgres { format!("lpad({number}::text, 32, '0')") } else { format!("printf('%032d', {number})") }
    };
    let (bytes, token) = (if postgres { "''::bytea" } else { "x''" }, hex("i"));
    let series = |count: u32| {
        format!("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1)")
    };
    let agent = format!("'agent-' || {}", hex("(i % 1000)"));
    for statement in [
        format!(
            "{} INSERT INTO instances SELECT '{ACCOUNT}', 'i-' || i, 'cn-hangzhou', 0 FROM n",
            series(1_000)
        ),
        format!(
            "{} INSERT INTO instance_tags SELECT '{ACCOUNT}', 'i-' || i, 'env', CASE WHEN i % 10 = 0 THEN 'prod' ELSE 'test' END \
             FROM n",
            series(1_000)
        ),
        format!(
            "{} INSERT INTO agents SELECT {agent}, '{ACCOUNT}', 'i-' || i, 'cn-hangzhou', {bytes}, {bytes}, 'host', '1', 0, 0, \
             NULL, 'i-' || i FROM n",
            series(1_000)
        ),
        format!(
            "{} INSERT INTO recordings SELECT {token}, '{ACCOUNT}', 'i-' || (i % 1000), {agent}, 'terminal', \
             'acs:oss:cn-hangzhou:{ACCOUNT}:workbench-record-{ACCOUNT}-x/record', 'record/x', '', {NOW} - 25000 * CAST(i AS BIGINT), 0, 0, 30, 'open', \
             NULL, NULL, NULL, NULL, 0, 0, '{zeros}', 0, NULL, {yes}, 'acs:ram::{ACCOUNT}:user/u' || (i % 2000), \
             'user/' || (200000000000000000 + i % 2000), NULL, {NOW} - 25000 * CAST(i AS BIGINT) FROM n",
            series(100_000),
            zeros = "0".repeat(64),
            yes = if postgres { "true" } else { "1" }
        ),
        format!(
            "{} INSERT INTO recording_counters SELECT '{ACCOUNT}', 'i-' || i, 100, 100 FROM n",
            series(1_000)
        ),
        format!("INSERT INTO recording_counters VALUES ('{ACCOUNT}', '*', 100000, 100000)"),
    ] {
        raw.execute_unprepared(&statement).await.unwrap();
    }
    if postgres {
        raw.execute_unprepared("VACUUM ANALYZE").await.unwrap();
    }
}

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

fn user() -> Principal {
    Principal::User {
        account: account(),
        user_id: UserId::parse("200000000000000007").unwrap(),
        user_name: "u7".parse().unwrap(),
    }
}

fn policies(statements: &str) -> PrincipalPolicies {
    let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).unwrap();
    let identity = PolicySet::new(vec![("bench".into(), Arc::new(document))]);
    PrincipalPolicies::new(Layers { identity, ..Layers::default() })
}
