//! How long the parts of lists take: of recordings, for the account's owner and for callers whose policies narrow the list;
//! of agents; of audit events. What dispatch does is measured too, from the policies to the page.
//!
//! `cargo bench -p persistence --bench lists` prints one line for each database, caller and part, in milliseconds. The
//! number of recordings is in `BENCHMARK_RECORDINGS` (SQLite) and `BENCHMARK_RECORDINGS_POSTGRES`; 0 leaves a database out.
//! In a folder named by `BENCHMARK_FOLDER`, SQLite's database stays, and is used again.

#![allow(clippy::print_stdout, reason = "it is a program that prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]
#![allow(clippy::disallowed_methods, reason = "the settings of a measurement")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::access_key::AccessKeySecret;
use domain::actions::{Action, ListAgents, ListAuditEvents, ListInstanceRecords};
use domain::gate::{
    Candidates, Granted, InstanceFacts, ListNeeds, Listing, PrincipalPolicies, RequestFacts, Resource,
    authorize, list_needs,
};
use domain::identity::{AccessKeyId, UserId};
use domain::principal::Principal;
use domain::recording_filter::{RecordingFilter, TokenPrefix};
use domain::recording_life::WireStatus;
use domain::server_keys::ServerKeys;
use domain::{AccountId, Timestamp};
use persistence::{AuditFilter, AuditQuery, DatabaseUrl, DecisionKind, PageRequest, RecordingQuery, Store};
use policies::{DocumentKind, Layers, PolicyDocument, PolicySet};
use test_facts::Backend;
use test_facts::fill::Filling;
use test_facts::postgres::{FAST, new_database};

/// The account with the recordings.
const ACCOUNT: &str = "1609982529000000";
/// The account with many agents.
const FLEET: &str = "1609982529000001";
const NOW: i64 = 1_800_000_000_000;
const INSTANCES: u64 = 1_000;
const AGENTS: u64 = 10_000;
const SIZE: u32 = 20;
const ROUNDS: u32 = 200;

#[tokio::main]
async fn main() {
    let count =
        |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let sqlite = count("BENCHMARK_RECORDINGS", 1_000_000);
    if sqlite > 0 {
        let folder = tempfile::TempDir::new().unwrap();
        let kept = std::env::var_os("BENCHMARK_FOLDER").map_or(folder.path().to_owned(), PathBuf::from);
        let file = format!("sqlite:{}", kept.join("hansard.db").display());
        measure("SQLite", &file, sqlite).await;
    }
    let postgres = count("BENCHMARK_RECORDINGS_POSTGRES", 1_000_000);
    if postgres > 0 {
        measure("PostgreSQL", &new_database(FAST).await, postgres).await;
    }
}

async fn measure(database: &str, url: &str, recordings: u64) {
    let store = Store::connect(DatabaseUrl::parse(url).unwrap(), Arc::new(ServerKeys::generate().unwrap()));
    let store = store.await.unwrap();
    let accounts = if store.all_accounts().await.unwrap().is_empty() { &[ACCOUNT, FLEET][..] } else { &[] };
    for account in accounts {
        let key = format!("root-key-of-{account}");
        let (account, key) = (account.parse().unwrap(), AccessKeyId::parse(&key).unwrap());
        let secret = AccessKeySecret::new("secret".to_owned());
        store.ensure_root(&account, &key, &secret, Timestamp::from_millis(0)).await.unwrap();
    }
    let began = Instant::now();
    fill(url, recordings).await;
    println!("{database}: {recordings} recordings, made in {:.0} s", began.elapsed().as_secs_f64());
    let bench = Bench { database, store };
    bench.recordings().await;
    bench.agents().await;
    bench.audit_events().await;
}

async fn fill(url: &str, recordings: u64) {
    let backend = if url.starts_with("postgres") { Backend::Postgres } else { Backend::Sqlite };
    let filling = Filling::open(url, backend, ACCOUNT, INSTANCES).await;
    if filling.is_empty("recordings").await {
        filling.instances().await;
        filling.recordings(recordings).await;
        filling.audit_events(recordings.min(1_000_000)).await;
        Filling::open(url, backend, FLEET, AGENTS).await.instances().await;
        filling.settle().await;
    }
}

struct Bench<'a> {
    database: &'a str,
    store: Store,
}

/// A caller with what its policies are.
struct Caller {
    principal: Principal,
    policies: PrincipalPolicies,
}

impl Caller {
    fn owner(account: &str) -> Self {
        Self {
            principal: Principal::Account { account: account.parse().unwrap() },
            policies: PrincipalPolicies::new(Layers { owner: true, ..Layers::default() }),
        }
    }

    fn user(statements: &str) -> Self {
        let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
        let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).unwrap();
        let identity = PolicySet::new(vec![("bench".into(), Arc::new(document))]);
        Self {
            principal: Principal::User {
                account: account(),
                user_id: UserId::parse("200000000000000007").unwrap(),
                user_name: "u7".parse().unwrap(),
            },
            policies: PrincipalPolicies::new(Layers { identity, ..Layers::default() }),
        }
    }
}

impl Caller {
    fn decide(&self, asked: Listing) -> Granted<ListInstanceRecords> {
        let facts = RequestFacts::at(Timestamp::from_millis(NOW));
        authorize(&self.principal, Resource::List(asked), &self.policies, &facts).unwrap()
    }
}

impl Bench<'_> {
    async fn recordings(&self) {
        let allow = |resource: &str, condition: &str| {
            format!(r#"{{"Effect":"Allow","Action":"*","Resource":"{resource}"{condition}}}"#)
        };
        let condition = |operator: &str, key: &str, value: &str| {
            allow("*", &format!(r#","Condition":{{"{operator}":{{"ecs-workbench:{key}":"{value}"}}}}"#))
        };
        let on = |instances: &str| format!("acs:ecs-workbench:*:*:workbench/{instances}");
        let patterns: Vec<String> = (0..5).map(|digit| allow(&on(&format!("i-*{digit}")), "")).collect();
        let but_one =
            format!(r#"{},{{"Effect":"Deny","Action":"*","Resource":"{}"}}"#, allow("*", ""), on("i-7"));
        for (what, caller) in [
            ("owner", Caller::owner(ACCOUNT)),
            ("half of the instances", Caller::user(&patterns.join(","))),
            ("all but one instance", Caller::user(&but_one)),
            ("11 instances", Caller::user(&allow(&on("i-51*"), ""))),
            ("a tag, on 100 instances", Caller::user(&condition("StringEquals", "InstanceTag/env", "prod"))),
            ("own sessions", Caller::user(&condition("StringEquals", "SessionOwner", "self"))),
            ("not own sessions", Caller::user(&condition("StringNotEquals", "SessionOwner", "self"))),
            ("younger than 7 days", Caller::user(&condition("NumericLessThan", "RecordingAge", "7"))),
        ] {
            self.recordings_of(what, &caller).await;
        }
    }

    async fn recordings_of(&self, what: &str, caller: &Caller) {
        let none = RecordingFilter::default();
        let first = PageRequest::After { token: None, size: SIZE };
        let number = |number| PageRequest::Number { number, size: SIZE };
        let mut next = first.clone();
        for _ in 0..50 {
            let page = self.list(caller, None, &none, &next).await;
            let Some(token) = page.next_token else { break };
            next = PageRequest::After { token: Some(token), size: SIZE };
        }
        let day = |ago: i64| Some(Timestamp::from_millis(NOW - ago * 86_400_000));
        for (part, of, filter, page) in [
            ("page 1", None, none.clone(), number(1)),
            ("NextToken, first", None, none.clone(), first.clone()),
            ("NextToken, 51st", None, none.clone(), next),
            ("page 1,000", None, none.clone(), number(1_000)),
            ("one instance", Some("i-510"), none.clone(), number(1)),
            (
                "running",
                None,
                RecordingFilter { status: Some(WireStatus::Running), ..none.clone() },
                first.clone(),
            ),
            (
                "failed",
                None,
                RecordingFilter { status: Some(WireStatus::Failed), ..none.clone() },
                first.clone(),
            ),
            (
                "finished",
                None,
                RecordingFilter { status: Some(WireStatus::Finished), ..none.clone() },
                first.clone(),
            ),
            (
                "interrupted",
                None,
                RecordingFilter { status: Some(WireStatus::Interrupted), ..none.clone() },
                first.clone(),
            ),
            (
                "of a user",
                None,
                RecordingFilter { user_name: Some("u500".to_owned()), ..none.clone() },
                first.clone(),
            ),
            (
                "of nobody",
                None,
                RecordingFilter { user_name: Some("nobody".to_owned()), ..none.clone() },
                first.clone(),
            ),
            (
                "one day",
                None,
                RecordingFilter { started_after: day(4), started_before: day(3), ..none.clone() },
                first.clone(),
            ),
            (
                "token prefix",
                None,
                RecordingFilter { token_prefix: Some(TokenPrefix::parse("5f0c").unwrap()), ..none },
                first,
            ),
        ] {
            let began = Instant::now();
            let total = self.list(caller, of, &filter, &page).await.total_count;
            let rounds = rounds(began.elapsed());
            let (mut reading, mut deciding, mut listing) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                let began = Instant::now();
                let asked = self.ask_about(caller, of).await;
                reading.push(began.elapsed());
                let began = Instant::now();
                let granted = caller.decide(asked);
                deciding.push(began.elapsed());
                let began = Instant::now();
                self.store.list_recordings(&granted, query(&filter, &page)).await.unwrap();
                listing.push(began.elapsed());
            }
            println!(
                "{}: recordings: {what}: {part}: read instances {}, decide {}, list {}, of {total}",
                self.database,
                Spent::of(reading),
                Spent::of(deciding),
                Spent::of(listing)
            );
        }
    }

    async fn list(
        &self,
        caller: &Caller,
        of: Option<&str>,
        filter: &RecordingFilter,
        page: &PageRequest,
    ) -> persistence::RecordingPage {
        let granted = caller.decide(self.ask_about(caller, of).await);
        self.store.list_recordings(&granted, query(filter, page)).await.unwrap()
    }

    /// What dispatch reads before it asks about a list.
    async fn ask_about(&self, caller: &Caller, of: Option<&str>) -> Listing {
        let of = match of {
            Some(name) => {
                let elsewhere = "cn-hangzhou".parse().unwrap();
                Some(self.store.instance_facts(&account(), name.parse().unwrap(), &elsewhere).await.unwrap())
            }
            None => None,
        };
        let named = of.as_ref().map(|of| of.instance.clone());
        let mut asked = Listing {
            of,
            region: "cn-hangzhou".parse().unwrap(),
            recordings: true,
            candidates: Candidates::default(),
        };
        let needs = list_needs(&ListInstanceRecords::ENTRY, &caller.principal, &asked, &caller.policies);
        if needs != ListNeeds::default() {
            asked.candidates =
                self.store.candidates_of_list(&account(), named.as_ref(), needs).await.unwrap();
        }
        asked
    }

    async fn agents(&self) {
        let granted: Granted<ListAgents> = as_owner(FLEET, list(false));
        let number = |number| PageRequest::Number { number, size: SIZE };
        let first =
            self.store.list_agents(&granted, PageRequest::After { token: None, size: SIZE }).await.unwrap();
        let next = PageRequest::After { token: first.next_token, size: SIZE };
        for (part, page) in [("page 1", number(1)), ("NextToken", next), ("page 400", number(400))] {
            let mut spent = Vec::new();
            let mut total = 0;
            for _ in 0..ROUNDS {
                let began = Instant::now();
                total = self.store.list_agents(&granted, page.clone()).await.unwrap().total_count;
                spent.push(began.elapsed());
            }
            println!("{}: agents: {part}: {}, of {total}", self.database, Spent::of(spent));
        }
    }

    async fn audit_events(&self) {
        let none = AuditFilter::default();
        let action =
            |name: &str| AuditFilter { action: Some(format!("ecs-workbench:{name}")), ..none.clone() };
        let decision = |decision| AuditFilter { decision: Some(decision), ..none.clone() };
        let principal = |user: u32| AuditFilter {
            principal: Some(format!("acs:ram::{ACCOUNT}:user/u{user}")),
            ..none.clone()
        };
        let resource = format!("acs:ecs-workbench:cn-hangzhou:{ACCOUNT}:workbench/i-77");
        for (what, of, filter) in [
            ("all", None, none.clone()),
            ("of an instance", Some("i-77"), none.clone()),
            ("of a caller", None, principal(500)),
            ("of no caller", None, principal(999_999)),
            ("a frequent action", None, action("ListInstanceRecords")),
            ("a rare action", None, action("SetInstanceRecordConfig")),
            ("no action", None, action("NoSuchAction")),
            ("a resource", None, AuditFilter { resource: Some(resource), ..none.clone() }),
            ("no resource", None, AuditFilter { resource: Some("none".to_owned()), ..none.clone() }),
            ("allowed", None, decision(DecisionKind::Allowed)),
            ("denied", None, decision(DecisionKind::Denied)),
            ("not asked", None, decision(DecisionKind::NotAsked)),
            (
                "a caller's rare action",
                None,
                AuditFilter {
                    action: Some("ecs-workbench:SetInstanceRecordConfig".to_owned()),
                    ..principal(17)
                },
            ),
            ("an instance's rare action", Some("i-17"), action("SetInstanceRecordConfig")),
            ("a caller's denied", None, AuditFilter { decision: Some(DecisionKind::Denied), ..principal(7) }),
            (
                "an hour",
                None,
                AuditFilter {
                    from: Some(Timestamp::from_millis(NOW - 90_000_000)),
                    until: Some(Timestamp::from_millis(NOW - 86_400_000)),
                    ..none.clone()
                },
            ),
        ] {
            let granted: Granted<ListAuditEvents> =
                as_owner(ACCOUNT, of.map_or(Resource::Everything, instance));
            let first = PageRequest::After { token: None, size: SIZE };
            let mut query = AuditQuery { filter, page: first };
            let began = Instant::now();
            let page = self.store.list_audit_events(&granted, &query).await.unwrap();
            let rounds = rounds(began.elapsed());
            let mut parts = vec![("first page", query.page.clone())];
            if page.next_token.is_some() {
                parts.push(("NextToken", PageRequest::After { token: page.next_token, size: SIZE }));
                parts.push(("page 500", PageRequest::Number { number: 500, size: SIZE }));
            }
            for (part, page) in parts {
                query.page = page;
                let (mut spent, mut found) = (Vec::new(), 0);
                for _ in 0..rounds {
                    let began = Instant::now();
                    found = self.store.list_audit_events(&granted, &query).await.unwrap().events.len();
                    spent.push(began.elapsed());
                }
                println!(
                    "{}: audit events: {what}: {part}: {}, {found} found",
                    self.database,
                    Spent::of(spent)
                );
            }
        }
    }
}

/// Fewer where one takes long.
fn rounds(one: Duration) -> u32 {
    if one > Duration::from_millis(100) { 3 } else { ROUNDS }
}

fn query(filter: &RecordingFilter, page: &PageRequest) -> RecordingQuery {
    RecordingQuery {
        include_expired: false,
        filter: filter.clone(),
        page: page.clone(),
        now: Timestamp::from_millis(NOW),
    }
}

fn instance(name: &str) -> Resource {
    let region = "cn-hangzhou".parse().unwrap();
    Resource::Instance(InstanceFacts::untagged(region, name.parse().unwrap()))
}

fn list(recordings: bool) -> Resource {
    let region = "cn-hangzhou".parse().unwrap();
    Resource::List(Listing { of: None, region, recordings, candidates: Candidates::default() })
}

fn as_owner<A: Action>(account: &str, resource: Resource) -> Granted<A> {
    let caller = Caller::owner(account);
    authorize(&caller.principal, resource, &caller.policies, &RequestFacts::at(Timestamp::from_millis(NOW)))
        .unwrap()
}

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

/// Times in milliseconds.
struct Spent {
    median: f64,
    late: f64,
}

impl Spent {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at =
            |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
        Self { median: at(50), late: at(95) }
    }
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}/{:.2} ms", self.median, self.late)
    }
}
