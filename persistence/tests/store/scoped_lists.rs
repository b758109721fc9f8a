//! Lists that policies narrow: they show a row exactly when a call about that row alone would be allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::actions::{Action as _, ListAgents, ListInstanceRecords};
use domain::agent::Agent;
use domain::condition_keys::SessionOwner;
use domain::gate::{
    Denied, Granted, InstanceFacts, Listing, MAX_LISTED_CLASSES, PrincipalPolicies, RequestFacts, Resource,
    Told, authorize, list_needs,
};
use domain::identity::UserId;
use domain::principal::Principal;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::Recording;
use domain::{InstanceId, TerminalSessionToken};
use persistence::{PageRequest, RecordingQuery};
use policies::{DocumentKind, Layers, PolicyDocument, PolicySet};

use crate::counters::Draw;
use test_facts::{
    Backend, DAY, World, account, as_operator, at, event, facts, instance, list_of, on_both, other_account,
    owner, region,
};

on_both!(
    own_sessions_only,
    instances_that_policies_name_or_tag,
    counts_follow_expiry_and_sweeps,
    ages_move_on_between_pages,
    agents_of_admitted_instances,
    as_many_classes_as_there_may_be_are_one_query,
);

pub(crate) const NOW: i64 = 10 * DAY;

pub(crate) fn user(id: u32, name: &str) -> Principal {
    Principal::User {
        account: account(),
        user_id: UserId::parse(&format!("{:018}", 200_000_000_000_000_000 + u64::from(id))).unwrap(),
        user_name: name.parse().unwrap(),
    }
}

pub(crate) fn owned_by(id: u32, name: &str) -> Option<SessionOwner> {
    SessionOwner::of(&user(id, name))
}

fn policies(statements: &str) -> PrincipalPolicies {
    let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity)
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    PrincipalPolicies::new(Layers {
        identity: PolicySet::new(vec![("test".into(), Arc::new(document))]),
        ..Layers::default()
    })
}

fn statement(effect: &str, resource: &str, condition: &str) -> String {
    let condition =
        if condition.is_empty() { String::new() } else { format!(r#","Condition":{{{condition}}}"#) };
    format!(r#"{{"Effect":"{effect}","Action":"ecs-workbench:List*",{resource}{condition}}}"#)
}

fn named(instances: &str) -> String {
    format!(r#""Resource":"acs:ecs-workbench:*:*:workbench/{instances}""#)
}

const EVERYTHING: &str = r#""Resource":"*""#;

fn at_moment(now: i64) -> RequestFacts {
    RequestFacts { now: at(now), ..facts() }
}

/// Makes the grant of a list as dispatch does.
async fn grant(
    world: &World,
    caller: &Principal,
    policies: &PrincipalPolicies,
    of: Option<&InstanceId>,
    now: i64,
) -> Result<Granted<ListInstanceRecords>, Denied> {
    let listing = read(world, caller, policies, of, true).await;
    authorize(caller, Resource::List(listing), policies, &at_moment(now))
}

async fn read(
    world: &World,
    caller: &Principal,
    policies: &PrincipalPolicies,
    of: Option<&InstanceId>,
    recordings: bool,
) -> Listing {
    let Resource::List(mut listing) = list_of(of) else { panic!("it is a list") };
    listing.recordings = recordings;
    if let Some(of) = &mut listing.of {
        *of = world.store.instance_facts(&account(), of.instance.clone(), &region()).await.unwrap();
    }
    let entry = if recordings { ListInstanceRecords::ENTRY } else { ListAgents::ENTRY };
    let needs = list_needs(&entry, caller, &listing, policies);
    listing.candidates = world.store.candidates_of_list(&account(), of, needs).await.unwrap();
    listing
}

async fn page(
    world: &World,
    granted: &Granted<ListInstanceRecords>,
    now: i64,
    include_expired: bool,
    page: PageRequest,
) -> persistence::RecordingPage {
    let filter = RecordingFilter::default();
    let query = RecordingQuery { include_expired, filter, page, now: at(now) };
    world.store.list_recordings(granted, query).await.unwrap()
}

/// The tokens of the whole list, each page with a grant of its own, and its total number.
async fn listed(
    world: &World,
    caller: &Principal,
    policies: &PrincipalPolicies,
    of: Option<&InstanceId>,
    now: i64,
    include_expired: bool,
) -> Result<(Vec<TerminalSessionToken>, u64), Denied> {
    let page = PageRequest::After { token: None, size: 7 };
    let query = RecordingQuery { include_expired, filter: RecordingFilter::default(), page, now: at(now) };
    listed_by(world, caller, policies, of, query).await
}

/// The same for a given query, whose moment is also that of the grants.
pub(crate) async fn listed_by(
    world: &World,
    caller: &Principal,
    policies: &PrincipalPolicies,
    of: Option<&InstanceId>,
    mut query: RecordingQuery,
) -> Result<(Vec<TerminalSessionToken>, u64), Denied> {
    let (mut tokens, mut token, mut total) = (Vec::new(), None, None);
    let now = query.now.as_millis() - at(0).as_millis();
    loop {
        let granted = grant(world, caller, policies, of, now).await?;
        query.page = PageRequest::After { token, size: 7 };
        let read = world.store.list_recordings(&granted, query.clone()).await.unwrap();
        assert!(!read.total_is_lower_bound);
        assert_eq!(*total.get_or_insert(read.total_count), read.total_count);
        tokens.extend(read.recordings.into_iter().map(|recording| recording.token));
        token = read.next_token;
        if token.is_none() {
            return Ok((tokens, total.unwrap_or(0)));
        }
    }
}

pub(crate) fn tokens<'a>(recordings: impl IntoIterator<Item = &'a Recording>) -> Vec<TerminalSessionToken> {
    let mut sorted: Vec<&Recording> = recordings.into_iter().collect();
    sorted.sort_by(|a, b| (b.started_at, b.token.as_str()).cmp(&(a.started_at, a.token.as_str())));
    sorted.into_iter().map(|recording| recording.token.clone()).collect()
}

/// Instances with tags, and recordings of many owners and ages, some of which have expired.
pub(crate) struct Rows {
    pub(crate) instances: Vec<InstanceFacts>,
    pub(crate) recordings: Vec<Recording>,
}

async fn rows(world: &World, draw: &mut Draw, count: usize) -> Rows {
    let mut agents: Vec<Agent> = Vec::new();
    for name in ["web1", "web2", "web12", "db1"] {
        agents.push(world.enrol(&account(), name).await);
    }
    tag(world, "web1", &[("env", "prod")]).await;
    tag(world, "web2", &[("Env", "test"), ("team", "a")]).await;
    tag(world, "db1", &[("team", "b")]).await;
    let stranger = world.enrol(&other_account(), "web1").await;
    let owners = [
        None,
        owned_by(1, "ana"),
        // The same person before she was renamed, another person who now has her old name, and others.
        owned_by(1, "ana-old"),
        owned_by(2, "ana"),
        owned_by(3, "ben"),
        owned_by(4, "Ann"),
    ];
    let mut recordings = Vec::new();
    for _ in 0..count {
        let agent = &agents[usize::try_from(draw.below(4)).unwrap()];
        let owner = owners[usize::try_from(draw.below(6)).unwrap()].clone();
        // Often whole days, where spans begin; some recordings begin after now.
        let started = NOW + DAY - i64::try_from(draw.below(8)).unwrap() * DAY
            + i64::try_from(draw.below(3) * draw.below(40_000_000)).unwrap();
        let opened = world.open_owned(agent, started, owner.clone()).await;
        if draw.below(3) == 0 {
            world.seal(agent, &opened.token, 0, started + 5, started + 5).await.unwrap();
        }
        world.open_owned(&stranger, started, owner).await;
        recordings.push(world.find(&opened).await.unwrap());
    }
    let mut instances = Vec::new();
    for agent in agents {
        instances.push(world.store.instance_facts(&account(), agent.instance, &region()).await.unwrap());
    }
    Rows { instances, recordings }
}

pub(crate) async fn tag(world: &World, name: &str, tags: &[(&str, &str)]) {
    let set = tags.iter().map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())).collect();
    let audit = event(&account(), "AdministerIdentity");
    let granted = as_operator(&account());
    world.store.tag_instance(&granted, &instance(name), Vec::new(), set, audit).await.unwrap();
}

impl Rows {
    /// The recordings for which a call about each alone is allowed.
    pub(crate) fn allowed(
        &self,
        caller: &Principal,
        policies: &PrincipalPolicies,
        now: i64,
    ) -> Vec<&Recording> {
        let instances: BTreeMap<_, _> = self.instances.iter().map(|of| (&of.instance, of)).collect();
        let allowed = |recording: &&Recording| {
            let of = instances[&recording.instance].clone();
            let resource = Resource::Recording { of, found: Some(recording.facts()) };
            authorize::<ListInstanceRecords>(caller, resource, policies, &at_moment(now)).is_ok()
        };
        self.recordings.iter().filter(allowed).collect()
    }
}

pub(crate) struct Generator(pub(crate) Draw);

impl Generator {
    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.0.below(choices.len() as u64)).unwrap()]
    }

    fn condition(&mut self) -> String {
        let operators = ["StringEquals", "StringNotEquals"];
        let owner = |arn: &str| format!("acs:ram::1609982529000000:user/{arn}");
        let (operator, key, values) = match self.0.below(8) {
            0 | 1 => {
                let (self_or, named) =
                    (self.pick(&["self", "self", "nobody"]), self.pick(&["ana", "ben", "eve"]));
                (self.pick(&operators), "SessionOwner", vec![self_or.to_owned(), owner(named)])
            }
            2 => (self.pick(&operators), "SessionOwner", vec!["self".to_owned()]),
            3 => {
                let operators =
                    ["StringLike", "StringNotLike", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"];
                let values = ["*user/a*", "acs:ram::1609982529000000:user/ann", "s?lf", "acs:*:root"];
                (self.pick(&operators), "SessionOwner", vec![self.pick(&values).to_owned()])
            }
            4 | 5 => {
                let operators = [
                    "NumericEquals",
                    "NumericNotEquals",
                    "NumericLessThan",
                    "NumericLessThanEquals",
                    "NumericGreaterThan",
                    "NumericGreaterThanEquals",
                    "StringEquals",
                    "StringNotEqualsIgnoreCase",
                ];
                let values = ["0", "1", "2.5", "3.0", "4", "5", "-1", "1000000000000000000000"];
                let values = vec![self.pick(&values).to_owned(), self.pick(&values).to_owned()];
                (self.pick(&operators), "RecordingAge", values)
            }
            6 => {
                let operators = ["StringEquals", "StringNotEquals", "StringLike"];
                let values = ["terminal", "desktop", "t*"];
                (self.pick(&operators), "CaptureKind", vec![self.pick(&values).to_owned()])
            }
            _ => {
                let operators = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"];
                let keys = ["InstanceTag/env", "InstanceTag/Team", "InstanceTag/none"];
                (
                    self.pick(&operators),
                    self.pick(&keys),
                    vec![self.pick(&["prod", "test", "a", "*"]).to_owned()],
                )
            }
        };
        format!(r#""{operator}":{{"ecs-workbench:{key}":{values:?}}}"#)
    }

    fn statement(&mut self) -> String {
        let effect = self.pick(&["Allow", "Allow", "Allow", "Deny"]);
        let resource = match self.0.below(8) {
            0..=2 => EVERYTHING.to_owned(),
            3 => named("*"),
            4 => named("i-web1*"),
            5 => named(self.pick(&["i-web2", "i-db1", "i-none"])),
            6 => r#""NotResource":"acs:ecs-workbench:*:*:workbench/i-web1""#.to_owned(),
            _ => r#""Resource":["acs:ecs-workbench:cn-shanghai:*:workbench/*","acs:ecs-workbench:cn-h*:*:workbench/i-db?"]"#
                .to_owned(),
        };
        let conditions: Vec<String> = match self.0.below(4) {
            0 => Vec::new(),
            1 | 2 => vec![self.condition()],
            _ => vec![self.condition(), r#""Bool":{"acs:SecureTransport":"true"}"#.to_owned()],
        };
        statement(effect, &resource, &conditions.join(","))
    }

    pub(crate) fn policies(&mut self) -> (String, PrincipalPolicies) {
        let statements: Vec<String> = (0..=self.0.below(4)).map(|_| self.statement()).collect();
        let statements = statements.join(",\n");
        let made = policies(&statements);
        (statements, made)
    }
}

/// Generated policies and rows: the list, page by page, equals the result of evaluating every row individually.
async fn compare(world: &World, seed: u64, policies_tried: usize) {
    let mut draw = Draw(seed);
    let rows = rows(world, &mut draw, 60).await;
    let mut generator = Generator(draw);
    let caller = user(1, "ana");
    let (mut narrowed, mut refused) = (0, 0);
    for number in 0..policies_tried {
        let (text, policies) = generator.policies();
        let now = NOW + i64::try_from(generator.0.below(3) * 43_200_000).unwrap();
        let allowed = rows.allowed(&caller, &policies, now);
        for of in [None, Some(instance("web1")), Some(instance("db1"))] {
            for include_expired in [false, true] {
                let fits = |recording: &&&Recording| {
                    of.as_ref().is_none_or(|only| recording.instance == *only)
                        && (include_expired || !recording.expired(at(now)))
                };
                let expected = tokens(allowed.iter().filter(fits).copied());
                let about = || format!("seed {seed}, policy {number}, {of:?}, {include_expired}:\n{text}");
                match listed(world, &caller, &policies, of.as_ref(), now, include_expired).await {
                    Ok((found, total)) => {
                        assert_eq!(found, expected, "{}", about());
                        assert_eq!(total, expected.len() as u64, "{}", about());
                        narrowed += usize::from(!found.is_empty() && found.len() < rows.recordings.len());
                    }
                    Err(denied) => {
                        assert_eq!(denied.told, Told::Denial, "{}", about());
                        assert_eq!(expected, [], "{}", about());
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(
        narrowed > policies_tried && refused > policies_tried / 4,
        "{narrowed} narrowed, {refused} refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_what_each_row_alone_would_be_allowed_for() {
    for seed in [20_261_124, 7] {
        compare(&World::new(Backend::Sqlite).await, seed, 150).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_what_each_row_alone_would_be_allowed_for_on_postgres() {
    compare(&World::new(Backend::Postgres).await, 11, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_what_each_row_alone_would_be_allowed_for_on_mariadb() {
    compare(&World::new(Backend::MariaDb).await, 11, 40).await;
}

async fn own_sessions_only(world: World) {
    let mut draw = Draw(5);
    let rows = rows(&world, &mut draw, 40).await;
    let own =
        policies(&statement("Allow", EVERYTHING, r#""StringEquals":{"ecs-workbench:SessionOwner":"self"}"#));
    let of = |id: u32| {
        let id = owned_by(id, "x").unwrap().id;
        let is_theirs =
            move |recording: &&Recording| recording.owner.as_ref().is_some_and(|owner| owner.id == id);
        tokens(rows.recordings.iter().filter(is_theirs))
    };
    for (caller, expected) in [(user(1, "ana"), of(1)), (user(2, "ana"), of(2)), (user(9, "new"), Vec::new())]
    {
        let total = expected.len() as u64;
        assert_eq!(listed(&world, &caller, &own, None, NOW, true).await.unwrap(), (expected, total));
    }
    let claims = Recording { claimed_owner: Some("ana".to_owned()), ..rows.recordings[0].clone() };
    assert_eq!(claims.facts(), rows.recordings[0].facts(), "a claim is no fact");
}

async fn instances_that_policies_name_or_tag(world: World) {
    let rows = rows(&world, &mut Draw(6), 30).await;
    let caller = user(1, "ana");
    let on = |names: &[&str]| {
        let names: Vec<InstanceId> = names.iter().map(|name| instance(name)).collect();
        tokens(rows.recordings.iter().filter(|recording| names.contains(&recording.instance)))
    };
    let all = statement("Allow", EVERYTHING, "");
    for (statements, expected) in [
        (statement("Allow", &named("i-web1"), ""), on(&["web1"])),
        (format!("{all},{}", statement("Deny", &named("i-web1"), "")), on(&["web12", "web2", "db1"])),
        (
            statement("Allow", EVERYTHING, r#""StringEquals":{"ecs-workbench:InstanceTag/Env":"prod"}"#),
            on(&["web1"]),
        ),
        // An instance without the tag matches a negated operator.
        (
            statement("Allow", EVERYTHING, r#""StringNotEquals":{"ecs-workbench:InstanceTag/env":"prod"}"#),
            on(&["web12", "web2", "db1"]),
        ),
        (all, on(&["web1", "web12", "web2", "db1"])),
    ] {
        let found = listed(&world, &caller, &policies(&statements), None, NOW, true).await.unwrap();
        assert_eq!(found, (expected.clone(), expected.len() as u64), "{statements}");
    }
    let nowhere = policies(&statement("Allow", &named("i-none"), ""));
    let denied = listed(&world, &caller, &nowhere, None, NOW, true).await.unwrap_err();
    assert_eq!((denied.told, denied.resource.as_str()), (Told::Denial, "*"));
    // An agent joins from a new instance that the policy named all along.
    let agent = world.enrol(&account(), "none").await;
    let opened = world.open(&agent, 5, 3).await;
    let found = listed(&world, &caller, &nowhere, None, NOW, true).await.unwrap();
    assert_eq!(found, (vec![opened.token], 1));
}

async fn counts_follow_expiry_and_sweeps(world: World) {
    let (web1, db1) = (world.enrol(&account(), "web1").await, world.enrol(&account(), "db1").await);
    for (agent, started) in [(&web1, 10), (&web1, 20), (&web1, DAY), (&db1, 30), (&db1, DAY)] {
        let opened = world.open(agent, started, 3).await;
        world.seal(agent, &opened.token, 0, started, started).await.unwrap();
    }
    let only = policies(&statement("Allow", &named("i-web1"), ""));
    let caller = user(1, "ana");
    let count = async |now: i64, all: bool| listed(&world, &caller, &only, None, now, all).await.unwrap().1;
    assert_eq!((count(DAY, false).await, count(DAY, true).await), (3, 3));
    assert_eq!((count(3 * DAY + 15, false).await, count(3 * DAY + 15, true).await), (2, 3));
    world.sweep(&account(), 3 * DAY + 25, std::time::Duration::from_secs(1_000_000)).await;
    assert_eq!((count(3 * DAY + 25, false).await, count(3 * DAY + 25, true).await), (1, 3));
    assert_eq!((count(5 * DAY, false).await, count(5 * DAY, true).await), (0, 3));
}

/// A page continues where the previous one ended, although more rows have reached the age meanwhile.
async fn ages_move_on_between_pages(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let mut opened = Vec::new();
    for number in 0..6 {
        opened.push(world.open(&agent, number * 1_000, 7).await);
    }
    let recent =
        policies(&statement("Allow", EVERYTHING, r#""NumericLessThan":{"ecs-workbench:RecordingAge":"1"}"#));
    let caller = user(1, "ana");
    let ask = async |now: i64, token: Option<String>| {
        let granted = grant(&world, &caller, &recent, None, now).await.unwrap();
        page(&world, &granted, now, false, PageRequest::After { token, size: 2 }).await
    };
    let first = ask(DAY - 1, None).await;
    assert_eq!((tokens(&first.recordings), first.total_count), (tokens(&opened[4..]), 6));
    // The two oldest are now exactly a day old, to the millisecond.
    let second = ask(DAY + 1_000, first.next_token).await;
    assert_eq!((tokens(&second.recordings), second.total_count), (tokens(&opened[2..4]), 4));
    assert_eq!(second.next_token, None);
}

async fn agents_of_admitted_instances(world: World) {
    for name in ["web1", "web2", "db1"] {
        world.enrol(&account(), name).await;
    }
    tag(&world, "db1", &[("env", "prod")]).await;
    let caller = user(1, "ana");
    let listed = async |statements: &str| {
        let policies = policies(statements);
        let listing = read(&world, &caller, &policies, None, false).await;
        let granted: Granted<ListAgents> =
            authorize(&caller, Resource::List(listing), &policies, &at_moment(NOW))?;
        let page = PageRequest::Number { number: 1, size: 10 };
        let page = world.store.list_agents(&granted, page).await.unwrap();
        let mut names: Vec<String> = page.agents.iter().map(|agent| agent.instance.to_string()).collect();
        names.sort();
        assert_eq!(page.total_count, names.len() as u64);
        Ok::<_, Denied>(names)
    };
    let all = statement("Allow", EVERYTHING, "");
    assert_eq!(listed(&all).await.unwrap(), ["i-db1", "i-web1", "i-web2"]);
    assert_eq!(listed(&statement("Allow", &named("i-web*"), "")).await.unwrap(), ["i-web1", "i-web2"]);
    let prod = statement("Deny", EVERYTHING, r#""StringEquals":{"ecs-workbench:InstanceTag/env":"prod"}"#);
    assert_eq!(listed(&format!("{all},{prod}")).await.unwrap(), ["i-web1", "i-web2"]);
    listed(&statement("Allow", &named("i-x"), "")).await.unwrap_err();
    // The store requires the scope: a grant without one lists nothing.
    let wide = owner::<ListAgents>(&account(), Resource::Everything);
    let page = PageRequest::Number { number: 1, size: 10 };
    let refused = world.store.list_agents(&wide, page).await;
    assert!(matches!(refused, Err(persistence::StoreError::OutsideGrant { what: "list" })), "{refused:?}");
}

/// The deepest condition that a list ever sends to the database: SQLite refuses one with a thousand levels.
async fn as_many_classes_as_there_may_be_are_one_query(world: World) {
    let mut draw = Draw(5);
    rows(&world, &mut draw, 20).await;
    let names: Vec<String> =
        (0..(MAX_LISTED_CLASSES - 3) / 2).map(|number| format!(r#""u{number}""#)).collect();
    let condition = format!(r#""StringEquals":{{"ecs-workbench:SessionOwner":[{}]}}"#, names.join(","));
    let narrowed = policies(&format!(
        "{},{}",
        statement("Allow", EVERYTHING, &condition),
        statement("Allow", &named("web1"), "")
    ));
    let (tokens, total) = listed(&world, &user(9, "zoe"), &narrowed, None, NOW, true).await.unwrap();
    assert_eq!(tokens.len() as u64, total);
    let more = format!(r#""StringEquals":{{"ecs-workbench:SessionOwner":[{},"v","w"]}}"#, names.join(","));
    let more = policies(&statement("Allow", EVERYTHING, &more));
    let refused = listed(&world, &user(9, "zoe"), &more, None, NOW, true).await;
    assert!(matches!(refused.unwrap_err().told, Told::TooWide(_)));
}
