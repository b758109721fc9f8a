//! The audit trail: listed, exported, verified, and complete after a kill.

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
    // Names of callers, a decision in any letter case, and a relative time, as people write them.
    let of_root = ls(&["--principal", "root", "--decision", "ALLOWED", "--start-time", "1h", "--all"]);
    assert!(of_root.iter().any(|event| event["Action"] == "SetInstanceRecordConfig"), "{of_root:?}");
    assert!(of_root.iter().all(|event| event["Principal"] == format!("acs:ram::{account}:root")));
    assert_eq!(ls(&["--principal", "ana"]).len(), 0, "she has called nothing");
    assert_eq!(ls(&["--principal", "root", "--end-time", "1h"]).len(), 0);
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
    assert!(stderr(&refused).contains("it must be a time in UTC such as"), "{}", stderr(&refused));

    server.stop(Signal::TERM);
    let offline = server.admin(&["audit", "--instance-id", "i-one", "--action", "SetInstanceRecordConfig"]);
    assert_eq!(offline, Value::Array(of_one));
    let by_name =
        ["audit", "--principal", "root", "--decision", "allowed", "--action", "SetInstanceRecordConfig"];
    assert_eq!(server.admin(&by_name), offline);
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
    // Rows that another process writes while the server runs are exported by the server.
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
    // The files cannot be written any more; calls are still served.
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
    // Each row is in the files once, and the next process vouches for the chain of the killed one.
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
    // Only the database is unchanged.
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

/// Removes files that the database still has the rows of, and checks what verify reports.
#[test]
fn missing_exported_files_are_found() {
    let mut server = Server::start(&[]);
    for _ in 0..4 {
        assert!(server.as_root(&["agents", "ls"]).status.success());
    }
    server.stop(Signal::TERM);
    assert_eq!(verify(&server, &[]).0, Some(0));
    let audit = server.data().join("audit");
    let file = files(&server).remove(0);
    let day = file.file_stem().unwrap().to_str().unwrap().trim_start_matches("events-").to_owned();
    let good = fs::read(&file).unwrap();
    let missed = |what: &str| {
        let (code, said) = verify(&server, &[]);
        assert_eq!((code, &said["Verdict"]), (Some(4), &"inconsistent".into()), "{what}: {said:#}");
        let finding = &said["Database"]["Findings"][0];
        assert_eq!(finding["Fault"], "NotInFiles", "{what}: {said:#}");
        (finding["Number"].as_u64().unwrap(), finding["Through"].as_u64().unwrap())
    };
    let other = audit.join("events-2001-01-01.log");
    fs::rename(&file, &other).unwrap();
    assert_eq!(missed("another day's name"), (1, 4));
    fs::remove_file(&other).unwrap();
    assert_eq!(missed("all files"), (1, 4));
    // If this day is named as archived, and no other one.
    assert_eq!(verify(&server, &["--archived", &day]).0, Some(0));
    assert_eq!(verify(&server, &["--archived", "2001-01-01"]).0, Some(4));
    assert_eq!(verify(&server, &["--audit-log-dir", "off"]).0, Some(0));
    let refused = hansard(&["audit", "verify", "--archived", "yesterday"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("it must be a UTC day such as 2023-11-16"), "{}", stderr(&refused));
    // Another name.
    fs::write(audit.join("events.log.1"), &good).unwrap();
    assert_eq!(missed("another name"), (1, 4));
    // Cut off at the end.
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&file, lines[..2].concat()).unwrap();
    assert_eq!(missed("a cut end"), (3, 4));
    fs::write(&file, "").unwrap();
    assert_eq!(missed("an empty file"), (1, 4));
    // Cut out of the middle.
    fs::write(&file, [&lines[..1], &lines[2..]].concat().concat()).unwrap();
    assert_eq!(missed("a line of the middle"), (2, 2));
    // All of it is removed.
    fs::remove_dir_all(&audit).unwrap();
    assert_eq!(missed("the folder"), (1, 4));
}

/// Commands that run beside a server use the existing database, and do not create one.
#[test]
fn a_missing_database_is_reported_and_not_created() {
    let mut server = Server::start(&[]);
    assert!(server.as_root(&["agents", "ls"]).status.success());
    server.stop(Signal::TERM);
    let data = server.data();
    let mistyped = server.folder.path().join("hansrad.db");
    let url = format!("sqlite:{}", mistyped.display());
    let commands = [
        &["audit", "verify"][..],
        &["audit", "verify", "--audit-log-dir", "off"],
        &["audit", "anchors"],
        &["admin", "user", "list"],
        &["admin", "user", "create", "ana"],
        &["admin", "audit"],
    ];
    let refused = |arguments: &[&str], database: &std::path::Path| {
        let mut command = hansard(arguments);
        let output = command.arg("--data-dir").arg(&data).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        let expected = format!("the database sqlite:{}: there is no such file", database.display());
        assert!(said.contains(&expected), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && !database.exists(), "{arguments:?}");
    };
    for command in commands {
        refused(&[command, &["--database-url", url.as_str()]].concat(), &mistyped);
    }
    // The same if somebody removed it.
    for entry in fs::read_dir(&data).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("hansard.db") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let database = data.canonicalize().unwrap().join("hansard.db");
    for command in commands {
        refused(command, &database);
    }
}

#[test]
fn an_empty_trail_is_not_called_whole() {
    let mut server = Server::start(&[]);
    server.stop(Signal::TERM);
    let empty = server.file("events-2023-11-16.log", "");
    for arguments in [&[][..], &["--audit-log-dir", "off"], &["--file", &empty]] {
        let mut command = hansard(&["audit", "verify", "--data-dir"]);
        let output = command.arg(server.data()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("nothing to verify"), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn anchors_kept_elsewhere_reveal_a_deployment_that_was_reset() {
    let folder = tempfile::TempDir::new().unwrap();
    let (file, printed) = (folder.path().join("anchors"), folder.path().join("printed"));
    let flag = format!("--audit-anchors-file={}", file.display());
    let mut server = Server::start(&[&flag]);
    assert!(server.as_root(&["agents", "ls"]).status.success());
    server.stop(Signal::TERM);
    let before = folder.path().join("before");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(copied.success());
    };
    copy(&server.data(), &before);
    server.resume(&[&flag]);
    assert!(server.as_root(&["agents", "ls"]).status.success());
    server.stop(Signal::TERM);
    let anchors = hansard(&["audit", "anchors", "--data-dir"]).arg(server.data()).output().unwrap();
    assert!(anchors.status.success(), "{}", stderr(&anchors));
    fs::write(&printed, &anchors.stdout).unwrap();
    assert!(fs::read_to_string(&file).unwrap().lines().count() >= 2);
    let kept = [file.to_str().unwrap(), printed.to_str().unwrap()];
    for kept in kept {
        let (code, said) = verify(&server, &["--anchors", kept]);
        assert_eq!((code, &said["KeptAnchors"]["TornLines"]), (Some(0), &0.into()), "{said:#}");
    }
    fs::remove_dir_all(server.data()).unwrap();
    copy(&before, &server.data());
    assert_eq!(verify(&server, &[]).0, Some(0), "it agrees with itself");
    for kept in kept {
        let (code, said) = verify(&server, &["--anchors", kept]);
        assert_eq!(code, Some(4), "{said:#}");
        assert_eq!(said["Database"]["Findings"][0]["Fault"], "RolledBack", "{said:#}");
    }
    // So do its exported files alone, which are all that an auditor without the database has.
    let file = files(&server).remove(0);
    let file = file.to_str().unwrap();
    assert_eq!(verify(&server, &["--file", file]).0, Some(0));
    for kept in kept {
        let (code, said) = verify(&server, &["--file", file, "--anchors", kept]);
        let fault = &said["Files"]["Findings"][0]["Fault"];
        assert_eq!((code, fault), (Some(3), &"Elsewhere".into()), "{said:#}");
    }
    let with_another = [anchors.stdout.as_slice(), b"no anchor\n"].concat();
    for (text, why) in [(&b""[..], "there is no anchor in"), (&with_another[..], "printed: line ")] {
        fs::write(&printed, text).unwrap();
        let refused = hansard(&["audit", "verify", "--anchors"]).arg(&printed).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(why), "{}", stderr(&refused));
    }
}
