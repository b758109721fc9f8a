//! TotalCount is exact after any events in any order (DECISIONS F10).

use std::time::Duration;

use domain::agent::Agent;
use domain::recording_life::Recording;
use persistence::PageRequest;

use test_facts::{Backend, DAY, World, account, on_both, other_account};

/// Numbers that look random and are the same in every run (SplitMix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

on_both!(counters_are_exact_after_any_sequence, concurrent_calls_lose_no_count);

struct Known {
    agent: Agent,
    recording: Recording,
    segments: u32,
    sealed: bool,
}

async fn counters_are_exact_after_any_sequence(world: World) {
    let mut draw = Draw(20_261_120);
    let mut agents = Vec::new();
    for name in ["web1", "web2", "web3"] {
        agents.push(world.enrol(&account(), name).await);
    }
    agents.push(world.enrol(&other_account(), "web1").await);
    let mut known: Vec<Known> = Vec::new();
    let mut now = 0;
    let steps = match world.database.backend {
        // On SQLite each of its commits waits for the disk.
        Backend::Sqlite => 150,
        Backend::Postgres | Backend::MariaDb => 250,
    };
    for step in 0..steps {
        now += i64::try_from(draw.below(8 * 3_600_000)).unwrap();
        match draw.below(10) {
            0..=3 => {
                let agent = agents[usize::try_from(draw.below(4)).unwrap()].clone();
                let days = 1 + i64::try_from(draw.below(5)).unwrap();
                let started = now - i64::try_from(draw.below(3 * 86_400_000)).unwrap();
                let recording = world.open(&agent, started, days).await;
                known.push(Known { agent, recording, segments: 0, sealed: false });
            }
            4..=8 if !known.is_empty() => {
                let index = usize::try_from(draw.below(known.len() as u64)).unwrap();
                let one = &mut known[index];
                let token = one.recording.token.clone();
                if draw.below(2) == 0 {
                    let done = world.acknowledge(&one.agent, &token, one.segments, now).await;
                    assert_eq!(done.is_ok(), !one.sealed, "step {step}: {done:?}");
                    one.segments += u32::from(done.is_ok());
                } else {
                    // Ended long before it is delivered, sometimes so long that it has expired before it arrives.
                    let ended = now - i64::try_from(draw.below(6 * 86_400_000)).unwrap();
                    let done = world.seal(&one.agent, &token, one.segments, ended, now).await;
                    assert_eq!(done.is_ok(), !one.sealed, "step {step}: {done:?}");
                    one.sealed = true;
                }
            }
            _ => {
                let whose = if draw.below(4) == 0 { other_account() } else { account() };
                world.sweep(&whose, now, Duration::from_secs(86_400)).await;
            }
        }
        if step % 10 == 0 || step + 1 == steps {
            // Also later: the exact number follows from the rows and not from the last sweep.
            for later in [0, DAY / 2, 4 * DAY] {
                assert_exact(&world, &known, now + later).await;
            }
        }
    }
    assert!(
        world.count("recordings", "NOT counted").await > 0,
        "the sequence never reached a sweep that counted"
    );
    assert!(
        world.count("recordings", "state = 'abandoned'").await > 0,
        "the sequence never abandoned anything"
    );
}

/// Compares every number with a recount by the domain's own rule, over the recordings as they are stored.
async fn assert_exact(world: &World, known: &[Known], now: i64) {
    let mut recordings = Vec::new();
    for one in known {
        recordings.push(world.find(&one.recording).await.expect("what was opened is found"));
    }
    let moment = test_facts::at(now);
    for whose in [account(), other_account()] {
        for of in [None, Some("web1"), Some("web2"), Some("web3")] {
            let of = of.map(test_facts::instance);
            let fits =
                |r: &&Recording| r.account == whose && of.as_ref().is_none_or(|only| r.instance == *only);
            let total = recordings.iter().filter(fits).count() as u64;
            let visible = recordings.iter().filter(fits).filter(|r| !r.expired(moment)).count() as u64;
            let page = PageRequest::Number { number: 1, size: 1 };
            assert_eq!(world.list(&whose, of.as_ref(), now, false, page.clone()).await.total_count, visible);
            assert_eq!(world.list(&whose, of.as_ref(), now, true, page).await.total_count, total);
        }
    }
}

async fn concurrent_calls_lose_no_count(world: World) {
    use domain::actions::OpenRecording;

    let agents = [world.enrol(&account(), "web1").await, world.enrol(&account(), "web2").await];
    let replica = world.replica().await;
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..40_usize {
        let agent = agents[number % 2].clone();
        let store = if number % 4 < 2 { world.store.clone() } else { replica.clone() };
        opening.spawn(async move {
            let change = test_facts::opened(test_facts::recording(&agent, test_facts::at(10), 1));
            let granted = test_facts::as_agent::<OpenRecording>(&agent);
            store.apply(&granted, change, test_facts::event(&agent.account, "OpenRecording")).await
        });
    }
    let mut sweeping = tokio::task::JoinSet::new();
    for store in [&world.store, &replica, &world.store, &replica] {
        let store = store.clone();
        sweeping.spawn(async move {
            let granted = test_facts::as_system(&account());
            store.sweep(&granted, test_facts::at(10 + DAY), Duration::from_secs(1)).await
        });
    }
    for opened in opening.join_all().await {
        opened.unwrap();
    }
    for swept in sweeping.join_all().await {
        swept.unwrap();
    }
    let now = 10 + DAY;
    world.sweep(&account(), now, Duration::from_secs(1)).await;
    let page = PageRequest::Number { number: 1, size: 1 };
    assert_eq!(world.list(&account(), None, now, true, page.clone()).await.total_count, 40);
    assert_eq!(world.list(&account(), None, now, false, page.clone()).await.total_count, 0);
    assert_eq!(world.list(&account(), None, 10, true, page).await.total_count, 40);
    assert_eq!(world.count("recording_counters", "visible <> 0").await, 0);
}
