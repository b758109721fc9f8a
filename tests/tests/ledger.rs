//! What a recording lacks is told wherever it is looked at: in lists, by `show`, `verify`, `play` and `export`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Output;

use recording::{Cause, Micros, Shortfall, ShortfallKind, SpoolWriter};
use serde_json::json;
use whole_system::{Client, Deployment, Instance, in_browser};

/// Records a session in whose spool its recorder says this, and returns the token.
fn recorded(deployment: &Deployment, instance: &Instance, shortfalls: &[Shortfall]) -> String {
    let mut person = instance.record(&["sh", "-c", "echo one; read line; echo two"]);
    person.sees("one");
    let running = deployment.root.one_recording("running");
    let token = running["TerminalSessionToken"].as_str().unwrap().to_owned();
    let mut writer = SpoolWriter::new(Vec::new(), 0);
    for shortfall in shortfalls {
        writer.append_shortfall(Micros::new(1), shortfall).unwrap();
    }
    let spool = instance.state_folder().join("spool").join(&token).join("terminal.spool");
    OpenOptions::new().append(true).open(spool).unwrap().write_all(&writer.into_inner()).unwrap();
    person.types("\r");
    assert!(person.leaves().success());
    let _ = deployment.root.one_recording("finished");
    token
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn verified(client: &Client, token: &str) -> (Option<i32>, String) {
    let output = client.run(&["recordings", "verify", token]);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn limit() -> Shortfall {
    Shortfall::new(ShortfallKind::StatedLimit, Cause::new("output_limit"), "more than 64 MiB")
}

#[test]
fn a_loss_is_told_wherever_a_recording_is_looked_at() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let instance = Instance::enrol(&deployment, "i-ledger1");
    instance.wait_until_recording_is(true);
    let drop = Shortfall::new(ShortfallKind::Drop, Cause::new("queue_full"), "the queue was full");
    let token = recorded(&deployment, &instance, &[drop.with_lost_bytes(42), limit()]);
    let root = &deployment.root;

    let listed = root.stdout(&["recordings", "ls"]);
    assert!(listed.contains("LEDGER") && listed.contains("  1 drop, 1 stated limit"), "{listed}");
    let shown = root.stdout(&["recordings", "show", &token]);
    assert!(shown.contains("the queue was full (42 bytes lost)"), "{shown}");
    assert!(shown.contains("stated limit at ") && shown.contains(": more than 64 MiB"), "{shown}");

    let (code, report) = verified(root, &token);
    assert_eq!(code, Some(6), "{report}");
    // Where the system spares the recorder when memory runs out, nothing more is there.
    let of_session = |line: &&str| line.starts_with("Ledger ") && !line.contains("not_spared_without_memory");
    let entries: Vec<_> = report.lines().filter(of_session).collect();
    assert!(entries[0].contains("drop (queue_full) at "), "{report}");
    assert!(entries[0].ends_with(": the queue was full (42 bytes lost), in the stream terminal"), "{report}");
    assert!(entries[1].contains("stated limit (output_limit) at "), "{report}");

    let played = stderr(&root.run(&["recordings", "play", &token, "--speed", "1000"]));
    assert!(
        played.contains("drop (queue_full) at ") && played.contains("stated limit (output_limit)"),
        "{played}"
    );
    let cast = root.run(&["recordings", "export", &token, "--format", "cast"]);
    assert!(
        stderr(&cast).contains("drop at ") && stderr(&cast).contains("(42 bytes lost)"),
        "{}",
        stderr(&cast)
    );
    let lines = recording::decode_lines(&cast.stdout).unwrap();
    assert_eq!(lines.totals.gaps, 1);
    let text = root.stdout(&["recordings", "export", &token, "--format", "txt"]);
    assert!(text.contains("[hansard: drop (queue_full) at "), "{text}");

    let view = root.json(&["recordings", "open", &token, "--print"]);
    let page = in_browser("replay.mjs", &[view["ReplayUrl"].as_str().unwrap()]);
    assert_eq!((&page["state"], &page["problems"]), (&json!("ready"), &json!([])), "{page}");
    let listed = page["gaps"].as_str().unwrap();
    assert!(listed.contains("Drop, so that output is missing, at "), "{listed}");
    assert!(listed.contains("Stated limit at ") && listed.contains(": more than 64 MiB"), "{listed}");
    let facts = page["facts"].as_str().unwrap();
    assert!(facts.contains("drop, at ") && facts.contains("; stated limit, at "), "{facts}");
}

#[test]
fn a_limit_is_told_and_changes_no_verdict() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let instance = Instance::enrol(&deployment, "i-ledger2");
    instance.wait_until_recording_is(true);
    let token = recorded(&deployment, &instance, &[limit()]);
    let (code, report) = verified(&deployment.root, &token);
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("stated limit (output_limit) at "), "{report}");
    let shown = deployment.root.stdout(&["recordings", "show", &token]);
    assert!(shown.contains("stated limit at "), "{shown}");
}
