//! A deleted recording, with its rows and folder, is reported: whichever it was, whoever asks, and once in the audit
//! trail.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::audit::AuditEvent;
use recording::{ContentHash, ExitStatus};
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::Value;

use crate::recording_agent::{Session, TestAgent};
use test_facts::postgres::{FAST, new_database};
use test_facts::until_async;
use test_server::Running;

const EXITED: Option<ExitStatus> = Some(ExitStatus::Code(0));

/// An agent and its recordings; each is sealed before the next one begins.
struct Recorded {
    agent: TestAgent,
    sessions: Vec<Session>,
}

async fn recorded(running: &Running, instance: &str, count: u64) -> Recorded {
    let agent = TestAgent::enrol(running, instance).await;
    let mut recorded = Recorded { agent, sessions: Vec::new() };
    for _ in 0..count {
        let session = recorded.next(running);
        recorded.agent.deliver_whole(running, &session).await;
        recorded.sessions.push(session);
    }
    recorded
}

impl Recorded {
    /// The next session.
    fn next(&self, running: &Running) -> Session {
        let number = self.sessions.len() as u64 + 1;
        self.agent.numbered_session(
            running,
            &[b"a"],
            EXITED,
            number,
            self.sessions.last().map(|last| self.manifest(last)),
        )
    }

    fn manifest(&self, session: &Session) -> ContentHash {
        recording::seal(&session.manifest, &self.agent.sealing).sha256()
    }
}

async fn execute(running: &Running, statement: &str) {
    let connection = Database::connect(running.database_address()).await.unwrap();
    connection.execute_unprepared(statement).await.unwrap();
    connection.close().await.unwrap();
}

async fn delete_rows(running: &Running, session: &Session) {
    for table in ["recording_segments", "recording_streams", "recordings"] {
        execute(running, &format!("DELETE FROM {table} WHERE token = '{}'", session.token())).await;
    }
}

/// The folder of a recording, under whichever day it is.
fn folder_of(running: &Running, session: &Session) -> PathBuf {
    let mut below = vec![running.objects_folder()];
    while let Some(folder) = below.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name == session.token()) {
                return path;
            }
            below.extend(path.is_dir().then_some(path));
        }
    }
    panic!("{} has no folder", session.token())
}

fn delete_folder(running: &Running, session: &Session) {
    std::fs::remove_dir_all(folder_of(running, session)).unwrap();
}

/// What is missing of each agent: kind of absence, number, token.
type Missing = Vec<(String, u64, Option<String>)>;

async fn verify(running: &Running, parameters: &[(&str, &str)]) -> BTreeMap<String, Missing> {
    let reply = running.call("VerifyAgentRecordings", parameters).await.ok();
    let agents = reply["Root"]["AgentList"].as_array().unwrap();
    let missing = |agent: &Value| {
        let list = agent["MissingList"].as_array().unwrap().iter();
        list.map(|item| {
            let token = item["TerminalSessionToken"].as_str().map(str::to_owned);
            (item["Absence"].as_str().unwrap().to_owned(), item["Number"].as_u64().unwrap_or(0), token)
        })
        .collect()
    };
    agents.iter().map(|agent| (agent["AgentId"].as_str().unwrap().to_owned(), missing(agent))).collect()
}

async fn verify_one(running: &Running, agent: &TestAgent) -> Missing {
    let id = agent.id.to_string();
    let mut found = verify(running, &[("AgentId", &id)]).await;
    assert_eq!(found.len(), 1);
    found.remove(&id).unwrap()
}

fn gone(number: u64, session: &Session) -> Missing {
    vec![("Gone".to_owned(), number, Some(session.token().to_owned()))]
}

fn not_arrived(number: u64) -> Missing {
    vec![("NotArrived".to_owned(), number, None)]
}

/// The next start checks at once; it comes a second later, so that the order in the trail is clear.
async fn next_round(running: Running) -> Running {
    running.advance_seconds(1);
    running.restart().await
}

/// What the trail says of an agent's recordings, as soon as the job of this start has reported `count` findings in
/// all.
async fn told(running: &Running, agent: &TestAgent, count: usize) -> Vec<(String, Option<String>)> {
    let about =
        |row: &AuditEvent| row.action == "CheckAgentRecordings" && row.how.contains(agent.id.as_str());
    until_async(&format!("the job has told {count} things"), async || {
        let rows: Vec<_> = running.audit_rows().await.into_iter().filter(about).collect();
        (rows.len() >= count).then(|| rows.into_iter().map(|row| (row.result, row.recording)).collect())
    })
    .await
}

async fn counts(running: &Running, agent: &TestAgent) -> (i64, i64) {
    let reply = running.call("ListAgents", &[("PageSize", "100")]).await.ok();
    let agents = reply["Root"]["AgentList"].as_array().unwrap();
    let listed = agents.iter().find(|listed| listed["AgentId"] == agent.id.as_str()).unwrap();
    (listed["RecordingsGone"].as_i64().unwrap(), listed["RecordingsNotArrived"].as_i64().unwrap())
}

macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$test(super::Running::start().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                let database = super::new_database(super::FAST).await;
                super::$test(super::Running::start_with(Some(database)).await).await;
            }
        }
    )+};
}

on_both!(
    every_deleted_recording_is_found_as_gone,
    the_remains_of_a_recording_show_that_it_is_gone,
    each_finding_and_its_recovery_are_reported_once,
    a_recording_known_only_by_its_number_has_not_arrived,
    a_recording_known_only_from_links_is_gone,
);

async fn every_deleted_recording_is_found_as_gone(running: Running) {
    running.record("*", "7").await;
    let mut all = Vec::new();
    for instance in ["i-first", "i-middle", "i-last", "i-none"] {
        all.push(recorded(&running, instance, 3).await);
    }
    // A recording that runs at the same time as the others is not a finding.
    let open = all[3].next(&running);
    all[3].agent.open(&running, &open).await.ok();
    assert!(verify(&running, &[]).await.values().all(Vec::is_empty));
    for (place, recorded) in all[..3].iter().enumerate() {
        delete_rows(&running, &recorded.sessions[place]).await;
        delete_folder(&running, &recorded.sessions[place]);
    }
    let expected = |place: usize| gone(place as u64 + 1, &all[place].sessions[place]);
    for (place, recorded) in all[..3].iter().enumerate() {
        assert_eq!(verify_one(&running, &recorded.agent).await, expected(place));
    }
    let found = verify(&running, &[]).await;
    assert_eq!((found.len(), &found[all[3].agent.id.as_str()]), (4, &Vec::new()));
    // This also holds for an agent that was replaced, and for one that only the trail still knows.
    let replacing = TestAgent::enrol_with(&running, "i-first", true).await;
    let found = verify(&running, &[("InstanceId", "i-first")]).await;
    assert_eq!((found.len(), &found[replacing.id.as_str()]), (2, &Vec::new()));
    assert_eq!(found[all[0].agent.id.as_str()], expected(0));
    for session in &all[1].sessions {
        delete_rows(&running, session).await;
    }
    let id = all[1].agent.id.as_str();
    for table in ["agent_capabilities", "agents"] {
        execute(&running, &format!("DELETE FROM {table} WHERE agent_id = '{id}'")).await;
    }
    assert_eq!(verify(&running, &[("InstanceId", "i-middle")]).await[id].len(), 3);

    // Who may ask: for one instance, a user with permission for it; for all instances, a user with permission for
    // all.
    let one = running
        .user(
            "one",
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:VerifyAgentRecordings","Resource":"acs:ecs-workbench:*:*:workbench/i-last"}]}"#,
        )
        .await;
    let as_one =
        async |parameters: &[(&str, &str)]| running.call_as(&one, "VerifyAgentRecordings", parameters).await;
    let reply = as_one(&[("InstanceId", "i-last")]).await.ok();
    assert_eq!(reply["Root"]["AgentList"].as_array().unwrap().len(), 1);
    assert_eq!(as_one(&[("InstanceId", "i-first")]).await.refusal(), (403, "Forbidden.RAM"));
    assert_eq!(as_one(&[]).await.refusal(), (403, "Forbidden.RAM"));
    let elsewhere = as_one(&[("InstanceId", "i-last"), ("AgentId", all[3].agent.id.as_str())]).await.ok();
    assert_eq!(elsewhere["Root"]["AgentList"], Value::Array(vec![]));
    let malformed = running.call("VerifyAgentRecordings", &[("AgentId", "agent-x")]).await;
    assert_eq!(malformed.refusal(), (400, "InvalidAgentId"));
}

async fn the_remains_of_a_recording_show_that_it_is_gone(running: Running) {
    running.record("*", "7").await;
    let rows = recorded(&running, "i-rows", 3).await;
    delete_rows(&running, &rows.sessions[1]).await;
    assert_eq!(verify_one(&running, &rows.agent).await, gone(2, &rows.sessions[1]));
    let folder = recorded(&running, "i-folder", 3).await;
    delete_folder(&running, &folder.sessions[2]);
    let (absence, _, token) = gone(0, &folder.sessions[2]).remove(0);
    // Its number is in its start.json and in the trail.
    assert_eq!(verify_one(&running, &folder.agent).await, [(absence, 3, token)]);
    let manifest = recorded(&running, "i-manifest", 2).await;
    std::fs::remove_file(folder_of(&running, &manifest.sessions[0]).join("manifest-0000.json")).unwrap();
    assert_eq!(verify_one(&running, &manifest.agent).await, gone(1, &manifest.sessions[0]));
    // The contents of the folder are not what was accepted.
    type Harm = (&'static str, fn(&std::path::Path));
    let harms: [Harm; 5] = [
        ("manifest-0000.sig", |object| std::fs::remove_file(object).unwrap()),
        ("start.json", |object| std::fs::write(object, "").unwrap()),
        ("terminal/000000.cast.zst", |object| std::fs::remove_file(object).unwrap()),
        ("terminal/000000.cast.zst", |object| std::fs::write(object, "short").unwrap()),
        // Four tebibytes that take no space on the disk.
        ("terminal/000000.cast.zst", |object| {
            std::fs::File::options().write(true).open(object).unwrap().set_len(4 << 40).unwrap();
        }),
    ];
    for (harm, (name, harming)) in harms.into_iter().enumerate() {
        let harmed = recorded(&running, &format!("i-harmed{harm}"), 2).await;
        harming(&folder_of(&running, &harmed.sessions[0]).join(name));
        assert_eq!(verify_one(&running, &harmed.agent).await, gone(1, &harmed.sessions[0]), "{harm}: {name}");
    }
    // A row that was reset to a time before its seal.
    let back = recorded(&running, "i-back", 2).await;
    let token = back.sessions[1].token();
    let state = "state = 'open', manifest_sha256 = NULL, ended_at = NULL, end_kind = NULL, end_reason = NULL, expires_at = NULL";
    execute(&running, &format!("UPDATE recordings SET {state} WHERE token = '{token}'")).await;
    assert_eq!(verify_one(&running, &back.agent).await, gone(2, &back.sessions[1]));
    // A row that somebody made unreadable does not prevent the check of the others.
    for (harm, damage) in ["manifest_sha256 = 'x'", "start_sha256 = 'x'", "state = 'lost'", "folder = '../x'"]
        .into_iter()
        .enumerate()
    {
        let damaged = recorded(&running, &format!("i-damaged{harm}"), 3).await;
        let token = damaged.sessions[0].token();
        execute(&running, &format!("UPDATE recordings SET {damage} WHERE token = '{token}'")).await;
        let told = verify_one(&running, &damaged.agent).await;
        assert_eq!(told, gone(1, &damaged.sessions[0]), "{damage}");
    }
}

async fn each_finding_and_its_recovery_are_reported_once(running: Running) {
    running.record("*", "7").await;
    let one = recorded(&running, "i-one", 3).await;
    let other = recorded(&running, "i-other", 2).await;
    let folder = folder_of(&running, &one.sessions[1]);
    let away = running.objects_folder().join("away");
    std::fs::rename(&folder, &away).unwrap();
    let token = Some(one.sessions[1].token().to_owned());
    let found = ("RecordingGone".to_owned(), token.clone());
    let running = next_round(running).await;
    assert_eq!(told(&running, &one.agent, 1).await, std::slice::from_ref(&found));
    assert_eq!((counts(&running, &one.agent).await, counts(&running, &other.agent).await), ((1, 0), (0, 0)));
    // The next round finds another one, and reports only that one.
    delete_rows(&running, &other.sessions[1]).await;
    delete_folder(&running, &other.sessions[1]);
    let running = next_round(running).await;
    let of_other = ("RecordingGone".to_owned(), Some(other.sessions[1].token().to_owned()));
    assert_eq!(told(&running, &other.agent, 1).await, std::slice::from_ref(&of_other));
    assert_eq!(told(&running, &one.agent, 1).await, std::slice::from_ref(&found));
    assert_eq!((counts(&running, &one.agent).await, counts(&running, &other.agent).await), ((1, 0), (1, 0)));
    std::fs::rename(&away, &folder).unwrap();
    let running = next_round(running).await;
    assert_eq!(told(&running, &one.agent, 2).await, [found, ("RecordingThereAgain".to_owned(), token)]);
    assert_eq!(told(&running, &other.agent, 1).await, [of_other]);
    assert_eq!(counts(&running, &one.agent).await, (0, 0));
    let row = running.audit_rows().await.into_iter().find(|row| row.result == "RecordingGone").unwrap();
    assert_eq!(row.resource, "acs:ecs-workbench:cn-hangzhou:1000000000000001:workbench/i-one");
    assert!(
        row.how.ends_with("number 2: it has a row, but its start.json is not in the bucket any more"),
        "{}",
        row.how
    );
}

async fn a_recording_known_only_by_its_number_has_not_arrived(running: Running) {
    running.record("*", "7").await;
    let mut recorded = recorded(&running, "i-late", 1).await;
    // Two begin at the same time; the second arrives first.
    let late = recorded.next(&running);
    let previous = Some(recorded.manifest(&recorded.sessions[0]));
    let early = recorded.agent.numbered_session(&running, &[b"b"], EXITED, 3, previous);
    recorded.agent.deliver_whole(&running, &early).await;
    recorded.sessions.push(early);
    assert_eq!(verify_one(&running, &recorded.agent).await, not_arrived(2));
    let running = next_round(running).await;
    // It may still be on its way, so nothing is reported before ten minutes have passed.
    running.advance_seconds(11 * 60);
    let running = next_round(running).await;
    let found = ("RecordingNotArrived".to_owned(), None);
    assert_eq!(told(&running, &recorded.agent, 1).await, std::slice::from_ref(&found));
    assert_eq!(counts(&running, &recorded.agent).await, (0, 1));
    recorded.agent.deliver_whole(&running, &late).await;
    assert_eq!(verify_one(&running, &recorded.agent).await, []);
    let running = next_round(running).await;
    let healed = ("RecordingThereAgain".to_owned(), None);
    assert_eq!(told(&running, &recorded.agent, 2).await, [found, healed]);
    assert_eq!(counts(&running, &recorded.agent).await, (0, 0));
}

/// Somebody has removed it from the trail, too; it is up to `hansard audit verify` to report that.
async fn a_recording_known_only_from_links_is_gone(running: Running) {
    running.record("*", "7").await;
    let recorded = recorded(&running, "i-links", 4).await;
    let session = &recorded.sessions[1];
    delete_rows(&running, session).await;
    delete_folder(&running, session);
    let sqlite = running.database_address().starts_with("sqlite");
    let lift = match sqlite {
        true => "DROP TRIGGER audit_events_undeleted",
        false => "DROP TRIGGER audit_events_undeleted ON audit_events",
    };
    execute(&running, lift).await;
    execute(&running, &format!("DELETE FROM audit_events WHERE recording = '{}'", session.token())).await;
    assert_eq!(verify_one(&running, &recorded.agent).await, [("Gone".to_owned(), 2, None)]);
    // In this case, nothing knows the last one.
    let last = &recorded.sessions[3];
    delete_rows(&running, last).await;
    execute(&running, &format!("DELETE FROM audit_events WHERE recording = '{}'", last.token())).await;
    assert_eq!(verify_one(&running, &recorded.agent).await, [("Gone".to_owned(), 2, None)]);
}
