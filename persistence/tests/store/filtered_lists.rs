//! Lists that their caller filters: they show a row exactly when it matches the filter itself and policies admit it.

use domain::TerminalSessionToken;
use domain::condition_keys::SessionOwner;
use domain::gate::PrincipalPolicies;
use domain::principal::Principal;
use domain::recording_filter::{RecordingFilter, TokenPrefix};
use domain::recording_life::{Recording, RecordingSealed, SessionEnd, WireStatus};
use persistence::{PageRequest, RecordingQuery};
use policies::Layers;
use test_facts::{
    Backend, DAY, World, account, at, list_of, on_both, opened, owner, recording, seal, sealed,
};

use crate::counters::Draw;
use crate::scoped_lists::{Generator, NOW, Rows, listed_by, owned_by, tag, tokens, user};

on_both!(a_filtered_list_is_what_each_row_alone_fits, what_fits_a_filter_is_counted_up_to_ten_thousand,);

const CLAIMS: [Option<&str>; 9] = [
    None,
    Some("ana"),
    Some("ana (uid 1000)"),
    Some("anabel (uid 1001)"),
    Some("ANA (uid 1002)"),
    Some("ana(uid 1003)"),
    Some("uid 1000"),
    Some("bén_x (uid 1004)"),
    Some("root (uid 0)"),
];

const NAMES: [&str; 12] = [
    "ana",
    "ANA",
    "an_",
    "a%",
    "bén_x",
    "bénax",
    "uid 1000",
    "root",
    "ben",
    "ops/ana",
    "nobody",
    "ana (uid 1000)",
];

fn owners() -> Vec<Option<SessionOwner>> {
    let root = SessionOwner::of(&Principal::Account { account: account() });
    let arn = format!("acs:ram::{}:role/ops/ana", account());
    let session = Some(SessionOwner { arn, id: "role/1/key".to_owned() });
    vec![None, None, owned_by(1, "ana"), owned_by(2, "ben"), root, session]
}

/// Recordings of every status, some expired, of owners and claims of many forms, half of them with tokens that begin
/// alike.
async fn rows(world: &World, draw: &mut Draw, count: u64) -> Rows {
    let mut agents = Vec::new();
    for name in ["web1", "web2", "db1"] {
        agents.push(world.enrol(&account(), name).await);
    }
    tag(world, "web1", &[("env", "prod")]).await;
    let mut known = Vec::new();
    for _ in 0..count {
        let mut pick = |most: usize| usize::try_from(draw.below(most as u64)).unwrap();
        let agent = &agents[pick(agents.len())];
        let started = NOW - i64::try_from(pick(8)).unwrap() * DAY
            + i64::try_from(pick(3) * pick(40_000_000)).unwrap() / 4;
        let made = recording(agent, at(started), 3);
        let token = match pick(2) {
            0 => TerminalSessionToken::parse(&format!("abcdef{}", &made.token.as_str()[6..])).unwrap(),
            _ => made.token.clone(),
        };
        let made = Recording {
            token,
            owner: owners()[pick(6)].clone(),
            claimed_owner: CLAIMS[pick(CLAIMS.len())].map(str::to_owned),
            ..made
        };
        test_facts::open(&world.store, agent, opened(made.clone())).await.unwrap();
        let segments = u32::try_from(pick(3).min(1)).unwrap();
        if segments == 1 {
            world.acknowledge(agent, &made.token, 0, started + 2).await.unwrap();
        }
        let end = match pick(3) {
            0 => None,
            1 => Some(SessionEnd::Exited),
            _ => Some(SessionEnd::Interrupted { reason: "cut off".to_owned() }),
        };
        if let Some(end) = end {
            let change = RecordingSealed { end, ..sealed(&made.token, segments, at(started + 5)) };
            seal(&world.store, agent, change).await.unwrap();
        }
        known.push(made);
    }
    // Recordings from which nothing was heard for two days become abandoned; the others continue.
    world.sweep(&account(), NOW, std::time::Duration::from_secs(2 * 86_400)).await;
    let (mut recordings, mut instances) = (Vec::new(), Vec::new());
    for made in known {
        recordings.push(world.find(&made).await.unwrap());
    }
    for agent in agents {
        let facts = world.store.instance_facts(&account(), agent.instance, &test_facts::region()).await;
        instances.push(facts.unwrap());
    }
    Rows { instances, recordings }
}

fn drawn(draw: &mut Draw, rows: &Rows) -> RecordingFilter {
    let mut pick = |most: usize| usize::try_from(draw.below(most as u64)).unwrap();
    let some = rows.recordings[pick(rows.recordings.len())].clone();
    let other = rows.recordings[pick(rows.recordings.len())].clone();
    let given = [pick(3) == 0, pick(3) == 0, pick(3) == 0, pick(3) == 0, pick(4) == 0];
    // The moment of an existing row, to test on which side of the bound the row is.
    let prefix = if pick(2) == 0 { "abcdef" } else { &some.token.as_str()[..4 + pick(29)] };
    RecordingFilter {
        started_after: given[0].then(|| some.listed_at()),
        started_before: given[1].then(|| other.listed_at()),
        status: given[2].then(|| WireStatus::ALL[pick(4)]),
        user_name: given[3].then(|| NAMES[pick(NAMES.len())].to_owned()),
        token_prefix: given[4].then(|| TokenPrefix::parse(prefix).unwrap()),
    }
}

/// Whether one recording matches the filter.
fn fits(filter: &RecordingFilter, recording: &Recording) -> bool {
    let owner = recording.owner.as_ref().map(|owner| owner.arn.splitn(5, ':').last().unwrap());
    let owner_is = |name: &str| match owner {
        Some("root") => name == "root",
        Some(owner) => owner.strip_prefix("user/").or_else(|| owner.strip_prefix("role/")) == Some(name),
        None => false,
    };
    let claim_is = |name: &str| {
        let claim = recording.claimed_owner.as_deref();
        claim.is_some_and(|claim| {
            claim == name || claim.split_once(" (uid ").is_some_and(|(who, _)| who == name)
        })
    };
    filter.started_after.is_none_or(|from| recording.started_at >= from)
        && filter.started_before.is_none_or(|until| recording.started_at < until)
        && filter.status.is_none_or(|status| recording.status() == status)
        && filter.user_name.as_deref().is_none_or(|name| owner_is(name) || claim_is(name))
        && filter
            .token_prefix
            .as_ref()
            .is_none_or(|prefix| recording.token.as_str().starts_with(prefix.as_str()))
}

async fn a_filtered_list_is_what_each_row_alone_fits(world: World) {
    let mut draw = Draw(20_261_130);
    let rows = rows(&world, &mut draw, 80).await;
    for status in WireStatus::ALL {
        assert!(rows.recordings.iter().any(|recording| recording.status() == status), "{status:?}");
    }
    let mut generator = Generator(Draw(9));
    let everything = PrincipalPolicies::new(Layers { owner: true, ..Layers::default() });
    let root = Principal::Account { account: account() };
    let (mut narrowed, mut nothing) = (0, 0);
    for round in 0..150 {
        let filter = drawn(&mut draw, &rows);
        let include_expired = draw.below(2) == 0;
        let (text, caller, policies) = if draw.below(2) == 0 {
            (String::new(), root.clone(), everything.clone())
        } else {
            let (text, policies) = generator.policies();
            (text, user(1, "ana"), policies)
        };
        let of = (draw.below(3) == 0).then(|| rows.recordings[0].instance.clone());
        let expected: Vec<&Recording> = rows
            .allowed(&caller, &policies, NOW)
            .into_iter()
            .filter(|recording| of.as_ref().is_none_or(|only| recording.instance == *only))
            .filter(|recording| include_expired || !recording.expired(at(NOW)))
            .filter(|recording| fits(&filter, recording))
            .collect();
        let expected = tokens(expected);
        let page = PageRequest::After { token: None, size: 7 };
        let query = RecordingQuery { include_expired, filter: filter.clone(), page, now: at(NOW) };
        let about = format!("round {round}, {filter:?}, {of:?}, {include_expired}:\n{text}");
        match listed_by(&world, &caller, &policies, of.as_ref(), query).await {
            Ok((found, total)) => {
                assert_eq!(found, expected, "{about}");
                assert_eq!(total, expected.len() as u64, "{about}");
                narrowed += usize::from(!found.is_empty() && found.len() < rows.recordings.len());
            }
            Err(_) => {
                assert_eq!(expected, [], "{about}");
                nothing += 1;
            }
        }
    }
    assert!(narrowed > 40 && nothing > 5, "{narrowed} narrowed, {nothing} refused");
}

async fn what_fits_a_filter_is_counted_up_to_ten_thousand(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let made = world.open(&agent, 10, 7).await;
    let token = match world.database.backend {
        Backend::Sqlite => "substr('00000000000000000000000000000000' || i, -32)",
        Backend::Postgres => "lpad(i::text, 32, '0')",
        Backend::MariaDb => "lpad(seq, 32, '0')",
    };
    let (numbers, column) = match world.database.backend {
        Backend::Sqlite | Backend::Postgres => (
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n) AS n",
            "i",
        ),
        Backend::MariaDb => ("seq_1_to_10000", "seq"),
    };
    let columns = "account_id, instance_id, agent_id, kind, target, folder, start_sha256, opened_at, last_heard_at, \
                   expiration_days, state, segments, stored_bytes, last_at_micros, counted";
    let copies = format!(
        "INSERT INTO recordings (token, started_at, listed_at, {columns}) \
         SELECT {token}, started_at + {column}, listed_at + {column}, {columns} FROM recordings, {numbers} \
         WHERE token = '{}'",
        made.token
    );
    world.database.execute(&copies).await;
    let granted = owner::<domain::actions::ListInstanceRecords>(&account(), list_of(None));
    let count = async |filter: RecordingFilter| {
        let page = PageRequest::After { token: None, size: 10 };
        let query = RecordingQuery { include_expired: false, filter, page, now: at(10) };
        let page = world.store.list_recordings(&granted, query).await.unwrap();
        (page.total_count, page.total_is_lower_bound)
    };
    let after =
        |offset: i64| RecordingFilter { started_after: Some(at(10 + offset)), ..RecordingFilter::default() };
    assert_eq!(count(after(0)).await, (10_000, true), "10,001 fit");
    assert_eq!(count(after(1)).await, (10_000, false));
    assert_eq!(count(after(2)).await, (9_999, false));
    let zeros =
        RecordingFilter { token_prefix: TokenPrefix::parse("0000").ok(), ..RecordingFilter::default() };
    assert_eq!(count(zeros).await, (10_000, false));
    let running = RecordingFilter { status: Some(WireStatus::Running), ..RecordingFilter::default() };
    assert_eq!(count(running).await, (10_000, true));
    // Without a filter the number comes from the counters, which do not include these copies.
    assert_eq!(count(RecordingFilter::default()).await, (1, false));
}
