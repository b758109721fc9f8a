//! One agent that runs twice, with two copies of its state, against two control planes on one PostgreSQL and one store:
//! whichever of the two is heard first, what is kept is one whole recording, and nothing that is not kept is erased.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use whole_system::{Deployment, DeploymentOptions, Instance, postgresql};

const RECORDINGS: usize = 6;

/// Two replicas with one database, one file of keys and one store.
fn replicas(keys: &Path) -> (Deployment, Deployment) {
    let keys = keys.join("keys.toml").to_str().unwrap().to_owned();
    let with_keys = vec!["--server-keys".to_owned(), keys];
    // The keys of a deployment with SQLite are generated; the replicas then share that file.
    drop(Deployment::start_with(DeploymentOptions { arguments: with_keys.clone(), ..Default::default() }));
    let database = postgresql();
    let options = || DeploymentOptions {
        arguments: [&["--database-url".to_owned(), database.clone()], &with_keys[..]].concat(),
        ..Default::default()
    };
    let (one, mut other) = (Deployment::start_with(options()), Deployment::start_with(options()));
    other.stop();
    let objects = |of: &Deployment| of.data_folder().join("objects");
    std::fs::remove_dir_all(objects(&other)).unwrap();
    std::os::unix::fs::symlink(objects(&one), objects(&other)).unwrap();
    other.resume();
    (one, other)
}

fn records(deployment: &Deployment) -> BTreeMap<String, String> {
    let listed = deployment.root.call("ListInstanceRecords", &["IncludeExpired=true"]);
    let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    let records = listed["Root"]["RecordList"].as_array().cloned().unwrap_or_default();
    records.iter().map(|record| (text(record, "TerminalSessionToken"), text(record, "Status"))).collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What the agent says of its sessions: by token, whether one is being delivered, or refused.
fn sessions(instance: &Instance) -> BTreeMap<String, String> {
    let status = instance.agent(&["status", "--output", "json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let sessions = status["Running"]["Sessions"].as_array().cloned().unwrap_or_default();
    let text = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
    sessions.iter().map(|session| (text(session, "TerminalSessionToken"), text(session, "State"))).collect()
}

fn exported(deployment: &Deployment, token: &str) -> Vec<u8> {
    let folder = tempfile::tempdir_in(deployment.scratch()).unwrap();
    let out = folder.path().join("exported.txt");
    let options = ["recordings", "export", token, "--format", "txt", "--out", out.to_str().unwrap()];
    let _ = deployment.root.stdout(&options);
    std::fs::read(out).unwrap()
}

/// Records with an agent that is killed before the sessions end, lets `change` work on the copy of its state, and runs
/// both against the two replicas at once.
fn agent_twice(change: impl Fn(&Path)) {
    let keys = tempfile::tempdir().unwrap();
    let (one, other) = replicas(keys.path());
    one.record_everything();
    let mut agent = Instance::enrol(&one, "i-zombie");
    agent.wait_until_recording_is(true);
    let command = ["sh", "-c", "echo the be''ginning; read line; seq 1 20000; echo the e''nd"];
    let mut people: Vec<_> = (0..RECORDINGS).map(|_| agent.record(&command)).collect();
    for person in &people {
        person.sees("the beginning\r\n");
    }
    // A part of each has arrived, and is erased here.
    wait_until("all recordings run", || records(&one).len() == RECORDINGS);
    let tokens: Vec<String> = records(&one).into_keys().collect();
    for token in &tokens {
        wait_until("its beginning has arrived", || {
            let out = one.scratch().join("early.txt");
            let _ = std::fs::remove_file(&out);
            let options = ["recordings", "export", token, "--format", "txt", "--out", out.to_str().unwrap()];
            let _ = one.root.run(&options);
            std::fs::read_to_string(out).is_ok_and(|text| text.contains("the beginning"))
        });
    }
    agent.kill();
    for person in &mut people {
        person.types("\r");
        assert!(person.leaves().success());
    }
    let shown = people[0].shown_of_the_program();
    assert!(people.iter().all(|person| person.shown_of_the_program() == shown));

    let mut zombie = agent.copied(&other);
    for token in &tokens {
        change(&zombie.state_folder().join("spool").join(token));
    }
    // Neither waits for the other.
    std::thread::scope(|scope| {
        scope.spawn(|| zombie.resume());
        scope.spawn(|| agent.resume());
    });
    wait_until("every recording is sealed", || {
        records(&one).values().all(|status| status == "finished" || status == "interrupted")
    });
    wait_until("both agents know what becomes of theirs", || {
        [&agent, &zombie].iter().all(|agent| sessions(agent).values().all(|state| state == "refused"))
    });
    assert_eq!(records(&one), records(&other));
    for (token, status) in records(&one) {
        let verified = [&one, &other].map(|replica| replica.root.run(&["recordings", "verify", &token]));
        for verified in verified {
            let said = String::from_utf8_lossy(&verified.stdout).into_owned();
            let whole = said.lines().any(|line| line.starts_with("Integrity") && line.ends_with("complete"));
            assert!(whole, "{status} {said}");
        }
        let kept = exported(&one, &token);
        if status == "finished" {
            assert!(kept == shown, "every byte of {token}, once");
        } else {
            // The copy with less was first. Nothing invented, and the rest is still where it was.
            let same = kept.iter().zip(&shown).take_while(|(kept, shown)| kept == shown).count();
            let rest = String::from_utf8_lossy(&kept[same..]).into_owned();
            assert!(rest.trim_start().starts_with("[hansard: truncation (record_torn)"), "{rest:?}");
            assert_eq!(rest.trim().lines().count(), 1, "{rest:?}");
            let rest = agent.state_folder().join("spool").join(&token);
            assert!(rest.join("manifest-0000.json").exists() && sessions(&agent)[&token] == "refused");
        }
    }
    agent.stop();
    zombie.stop();
}

#[test]
fn one_agent_that_runs_twice_with_the_same_bytes_makes_one_recording() {
    agent_twice(|_| {});
}

#[test]
fn an_agent_and_its_older_copy_make_one_recording_and_erase_nothing_that_is_not_kept() {
    agent_twice(|session| {
        // The copy was made before the session ended: the last of it is missing.
        let spool = std::fs::OpenOptions::new().write(true).open(session.join("terminal.spool")).unwrap();
        let length = spool.metadata().unwrap().len();
        spool.set_len(length - 4_000).unwrap();
    });
}
