//! The audit trail: listed, exported, verified, and whole after a kill.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;

use crate::deployment::{Server, hansard, mode, stderr, until};

fn events(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap().as_array().unwrap().clone()
}

fn files(server: &Server) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(server.data().join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().starts_with("events-"));
    files.sort();
    files
}

fn exported(server: &Server) -> String {
    files(server).iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn verify(server: &Server, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = hansard(&["audit", "verify", "--output", "json", "--data-dir"]);
    let output = command.arg(server.data()).args(arguments).output().unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    (output.status.code(), said)
}

fn health(server: &Server) -> String {
    let reply = server.get("/healthz").unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let body: Value = serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["AuditExport"].as_str().unwrap().to_owned()
}

#[test]
fn the_trail_is_listed_by_the_api_and_without_a_server() {
    let mut server = Server::start(&[]);
    server.admin(&["user", "create", "ana"]);
    let set = ["call", "SetInstanceRecordConfig", "InstanceId=i-one", "Enabled=true"];
    assert!(server.as_root(&set).status.success());
    let ls = |arguments: &[&str]| {
        let mut all = vec!["audit", "ls", "--output", "json"];
        all.extend(arguments);
        events(&server.as_root(&all))
    };
    let of_one =
        ls(&["--instance-id", "i-one", "--action", "SetInstanceRecordConfig", "--decision", "Allowed"]);
    assert_eq!(of_one.len(), 1);
    assert_eq!((&of_one[0]["Result"], &of_one[0]["InstanceId"]), (&"OK".into(), &"i-one".into()));
    let (account, ..) = server.root();
    let operator = format!("acs:ecs-workbench::{account}:operator");
    assert_eq!(ls(&["--principal", &operator])[0]["How"], "user create");
    assert_eq!(ls(&["--resource", "user/ana"]).len(), 1);
    assert_eq!(ls(&["--decision", "Denied"]).len(), 0);
    assert_eq!(ls(&["--start-time", "2999-01-01T00:00:00Z"]).len(), 0);
    assert!(ls(&["--end-time", "2999-01-01T00:00:00Z", "--all", "--page-size", "1"]).len() > 3);

    let table = server.as_root(&["audit", "ls", "--page-size", "1"]);
    let shown = String::from_utf8(table.stdout.clone()).unwrap();
    assert!(shown.starts_with("TIME  ") && shown.contains("ListAuditEvents"), "{shown}");
    let said = stderr(&table);
    let token = said.split_once("--next-token ").unwrap().1.split_whitespace().next().unwrap();
    assert_eq!(ls(&["--page-size", "1", "--next-token", token])[0]["Action"], "ListAuditEvents");
    let refused = server.as_root(&["audit", "ls", "--start-time", "yesterday"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("it is a time in UTC such as"), "{}", stderr(&refused));

    server.stop(Signal::TERM);
    let offline = server.admin(&["audit", "--instance-id", "i-one", "--action", "SetInstanceRecordConfig"]);
    assert_eq!(offline, Value::Array(of_one));
    let all = server.admin(&["audit", "--all", "--page-size", "2"]);
    assert!(all.as_array().unwrap().iter().any(|event| event["How"] == "user create"));
}

#[test]
fn every_row_goes_to_private_files_that_can_be_followed() {
    let server = Server::start(&[]);
    let link = server.data().join("audit/events.log");
    assert!(server.as_root(&["agents", "ls"]).status.success());
    until("the row is exported", || exported(&server).contains("\"Action\":\"ListAgents\"").then_some(()));
    assert_eq!((mode(&server.data().join("audit")), mode(&files(&server)[0])), (0o700, 0o600));
    assert_eq!(fs::read_link(&link).unwrap().to_str(), files(&server)[0].file_name().unwrap().to_str());
    // What another process writes beside the server is exported by the server.
    server.admin(&["user", "create", "ana"]);
    until("the administrator's row is exported", || exported(&server).contains("user create").then_some(()));
    assert_eq!(health(&server), "ok");

    let elsewhere = server.folder.path().join("elsewhere");
    let flag = format!("--audit-log-dir={}", elsewhere.display());
    let other = Server::start(&[&flag]);
    assert!(other.as_root(&["agents", "ls"]).status.success());
    until("the other folder is written to", || {
        fs::read_to_string(elsewhere.join("events.log")).ok()?.contains("ListAgents").then_some(())
    });
    assert!(!other.data().join("audit").exists());
    // Two servers cannot share a folder.
    let third = Server::start(&["--audit-log-dir=off"]);
    assert_eq!(health(&third), "off");
    assert!(!third.data().join("audit").exists());
    let mut third = third;
    third.stop(Signal::TERM);
    let refused = third.refuses_to_start(&[&flag]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("another control plane exports its audit trail to"), "{said}");
    assert!(said.contains("--audit-log-dir names another folder, or off"), "{said}");
}

#[test]
fn a_kill_between_the_commit_and_the_write_loses_nothing_and_repeats_nothing() {
    let mut server = Server::start(&[]);
    for _ in 0..3 {
        assert!(server.as_root(&["agents", "ls"]).status.success());
    }
    until("the rows are exported", || (exported(&server).matches("ListAgents").count() == 3).then_some(()));
    // The files cannot be written any more; calls go on.
    let (audit, away) = (server.data().join("audit"), server.folder.path().join("away"));
    fs::rename(&audit, &away).unwrap();
    for _ in 0..3 {
        assert!(server.as_root(&["agents", "ls"]).status.success());
    }
    until("the export falls behind", || (health(&server) == "behind").then_some(()));
    assert_eq!(server.log().matches("audit rows cannot be exported").count(), 1, "it is said once");
    server.signal(Signal::KILL);
    server.ended();
    // As if the kill had come in the middle of a line.
    fs::rename(&away, &audit).unwrap();
    let newest = files(&server).pop().unwrap();
    let line = exported(&server).lines().next().unwrap()[..200].to_owned();
    fs::File::options().append(true).open(newest).unwrap().write_all(line.as_bytes()).unwrap();

    server.resume(&[]);
    until("what was left is exported", || {
        (exported(&server).matches("\"Action\":\"ListAgents\"").count() == 6).then_some(())
    });
    assert!(server.log().contains("the last line was torn"), "{}", server.log());
    assert!(server.as_root(&["agents", "ls"]).status.success());
    assert_eq!(server.stop(Signal::TERM).code(), Some(0));
    let (code, said) = verify(&server, &[]);
    assert_eq!((code, &said["Verdict"]), (Some(0), &"whole".into()), "{said:#}");
    // Each row once in the files, and the killed one's chain is vouched for by the one that came after it.
    let rows = |part: &str| {
        let writers = said[part]["Writers"].as_array().unwrap();
        let rows =
            |writer: &Value| (writer["WriterId"].clone().to_string(), writer["Rows"].as_u64().unwrap());
        writers.iter().map(rows).collect::<Vec<_>>()
    };
    assert_eq!(rows("Files"), rows("Database"));
    assert_eq!(rows("Files").iter().map(|(_, rows)| rows).sum::<u64>(), 7);
    for writer in said["Database"]["Writers"].as_array().unwrap() {
        assert_eq!(writer["AnchoredTo"], writer["Rows"], "{said:#}");
    }
}

#[test]
fn a_touched_trail_is_named_and_has_its_exit_code() {
    let mut server = Server::start(&[]);
    for _ in 0..4 {
        assert!(server.as_root(&["agents", "ls"]).status.success());
    }
    server.stop(Signal::TERM);
    let file = files(&server).remove(0);
    let name = file.to_str().unwrap();
    let (code, said) = verify(&server, &["--file", name]);
    assert_eq!((code, &said["Files"]["Anchors"]), (Some(0), &1.into()), "{said:#}");
    assert!(said.get("Database").is_none() && said["SignaturesChecked"] == true, "{said:#}");

    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replacen("127.0.0.1", "127.0.0.9", 1)).unwrap();
    for arguments in [&[][..], &["--file", name]] {
        let (code, said) = verify(&server, arguments);
        assert_eq!((code, &said["Verdict"], &said["ExitCode"]), (Some(4), &"inconsistent".into(), &4.into()));
        let finding = &said["Files"]["Findings"][0];
        assert_eq!((&finding["Fault"], &finding["Number"]), (&"Changed".into(), &1.into()), "{said:#}");
    }
    let text = hansard(&["audit", "verify", "--data-dir", server.data().to_str().unwrap()]).output().unwrap();
    let shown = String::from_utf8(text.stdout).unwrap();
    assert!(
        shown.contains(": row 1 was changed, moved or put in") && shown.contains("In the database:"),
        "{shown}"
    );
    assert!(shown.ends_with("Verdict: inconsistent\n"), "{shown}");
    // The database alone is untouched.
    assert_eq!(verify(&server, &["--audit-log-dir", "off"]).0, Some(0));

    // Without a data directory there are no keys: the chain is checked, the signatures are not.
    fs::write(&file, &good).unwrap();
    let nowhere = server.folder.path().join("nowhere");
    let (code, said) = {
        let mut command = hansard(&["audit", "verify", "--output", "json", "--file", name, "--data-dir"]);
        let output = command.arg(nowhere).output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    assert_eq!((code, &said["SignaturesChecked"]), (Some(0), &false.into()), "{said:#}");
    let missing = hansard(&["audit", "verify", "--file", "/nowhere/at-all.log"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("/nowhere/at-all.log: No such file"), "{}", stderr(&missing));
}
