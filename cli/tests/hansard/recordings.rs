//! `hansard recordings` against a server that answers with a prepared list: the calls that it makes, and what it
//! prints.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::deployment::{hansard, stderr};

const ONE: &str = "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52";
const OTHER: &str = "5f0c99e1c8b04a1c9a3f5d0c8e7b6a52";

/// What a recording's stream `events` holds.
const EVENTS: &str = concat!(
    r#"{"at":1500000,"event":"transfer_start","protocol":"scp","program":"scp","arguments":["-t","/srv"]}"#,
    "\n",
    r#"{"at":1600000,"event":"transfer_file","path":"/srv/a\u001b[2J","direction":"upload","size":5,"result":"ok"}"#,
    "\n",
);

/// Answers every call for a list with those of its recordings that match the TokenPrefix, and every call for a view
/// with an address.
struct Lists {
    address: SocketAddr,
    /// The action and the body of each call.
    calls: Arc<Mutex<Vec<(String, String)>>>,
}

impl Lists {
    fn start(records: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let (mut request, mut length, mut action) = (BufReader::new(&stream), 0, String::new());
                let mut first = String::new();
                request.read_line(&mut first).unwrap();
                let path = first.split(' ').nth(1).unwrap().to_owned();
                loop {
                    let mut line = String::new();
                    request.read_line(&mut line).unwrap();
                    match line.trim_end().split_once(": ") {
                        Some(("content-length", value)) => length = value.parse().unwrap(),
                        Some(("x-acs-action", value)) => value.clone_into(&mut action),
                        None if line.trim_end().is_empty() => break,
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                request.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                let (reply, cookie) = match path.rsplit('/').next() {
                    Some("exchange") => ("{}".to_owned(), "set-cookie: hansard_replay=c; Path=/\r\n"),
                    Some("events") => (EVENTS.to_owned(), ""),
                    _ => (answer(&action, &body, &records).to_string(), ""),
                };
                kept.lock().unwrap().push((action, body));
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n{cookie}"
                );
                let length = reply.len();
                write!(&stream, "{head}content-length: {length}\r\n\r\n{reply}").unwrap();
            }
        });
        Self { address, calls }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        hansard(&[&["recordings"], arguments].concat())
            .env("HANSARD_ENDPOINT", format!("http://{}", self.address))
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "key")
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
            .env_remove("BROWSER")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    /// The action and the parameters of the last call.
    fn last_call(&self) -> (String, String) {
        self.calls.lock().unwrap().last().unwrap().clone()
    }
}

fn answer(action: &str, body: &str, records: &[Value]) -> Value {
    if action == "ViewInstanceRecords" {
        return json!({"ReplayUrl": "http://h/replay#ticket=t", "ReplayUrlExpireTime": "2026-11-30T12:00:00Z"});
    }
    let prefix = body.split('&').find_map(|pair| pair.strip_prefix("TokenPrefix=")).unwrap_or_default();
    let token = |record: &&Value| record["TerminalSessionToken"].as_str().unwrap().starts_with(prefix);
    let mut listed: Vec<&Value> = records.iter().filter(token).collect();
    let total = listed.len();
    if body.contains("PageSize=1") && !body.contains("PageSize=10") {
        listed.truncate(1);
    }
    let mut reply = json!({"Root": {"TotalCount": total, "RecordList": listed}});
    if listed.len() < total {
        reply["NextToken"] = json!("next");
        reply["Root"]["TotalCountIsLowerBound"] = json!(true);
    }
    reply
}

fn record(token: &str, members: &Value) -> Value {
    let mut record = json!({
        "AccountId": 1_609_982_529_000_000_i64, "AgentId": "agent-1", "CaptureKind": "terminal",
        "ClaimedUser": "ana (uid 1000)", "Command": "psql -c 'select 1'",
        "ExpireTime": "2023-11-16T02:59:39Z", "GmtCreate": "2023-04-10T12:41:28Z", "InstanceId": "i-web1",
        "InstanceRecordUrl": "http://h/x", "RecordDurationMillis": 185_000, "Recorder": "same-user",
        "Status": "finished", "TerminalSessionToken": token,
    });
    record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    record
}

fn two() -> Lists {
    let owner = json!({"SessionOwner": "acs:ram::1609982529000000:user/ben", "InstanceId": "i-db1"});
    Lists::start(vec![record(ONE, &json!({})), record(OTHER, &owner)])
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn each_flag_is_a_parameter() {
    let lists = two();
    for (flags, parameter) in [
        (&["--started-after", "2023-11-16T02:59:39Z"][..], "StartedAfter=2023-11-16T02%3A59%3A39.000Z"),
        (&["--started-before", "2023-11-16T02:59:39.5Z"], "StartedBefore=2023-11-16T02%3A59%3A39.500Z"),
        (&["--started-after", "2h"], "StartedAfter=20"),
        (&["--status", "running"], "Status=running"),
        (&["--user", "ana"], "UserName=ana"),
        (&["--token-prefix", "5f0c"], "TokenPrefix=5f0c"),
        (&["--instance-id", "i-web1"], "InstanceId=i-web1"),
    ] {
        let output = lists.run(&[&["ls"], flags].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let (action, body) = lists.last_call();
        assert_eq!(action, "ListInstanceRecords");
        assert!(body.split('&').any(|pair| pair.starts_with(parameter)), "{body}");
    }
    for (flags, rule) in [
        (["--started-after", "yesterday"], "or how long ago, such as 2h or 3d"),
        (["--status", "open"], "running, finished, interrupted, failed"),
        (["--token-prefix", "5f0"], "it must have 4 to 32 lower-case hexadecimal digits"),
    ] {
        let output = lists.run(&[&["ls"], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(rule), "{}", stderr(&output));
    }
}

#[test]
fn a_list_says_who_and_what_and_whether_there_are_more() {
    let lists = two();
    let output = lists.run(&["ls", "--page-size", "1", "--user", "ana"]);
    let text = stdout(&output);
    for shown in
        [ONE, "2023-04-10T12:41:28Z", "3:05", "finished", "claimed: ana", "i-web1", "psql -c 'select 1'"]
    {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let said = stderr(&output);
    assert!(said.contains("1 of more than 2 recordings; --all lists all"), "{said}");
    assert!(stdout(&lists.run(&["ls"])).contains("proven: ben"));
}

#[test]
fn transfers_are_listed_when_they_are_asked_for() {
    let lists = two();
    let shown = lists.run(&["show", ONE, "--transfers"]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    let text = stdout(&shown);
    assert!(text.contains("     1.500 s  scp begins: scp -t /srv\n"), "{text}");
    assert!(text.contains("     1.600 s  upload /srv/a\\u{1b}[2J: ok, 5 bytes\n"), "{text}");
    let shown = lists.run(&["show", ONE, "--transfers", "--output", "json"]);
    let shown = serde_json::from_slice::<Value>(&shown.stdout).unwrap();
    assert_eq!((&shown["TerminalSessionToken"], &shown["Events"][1]["size"]), (&json!(ONE), &json!(5)));
    let exported = lists.run(&["export", ONE, "--format", "events"]);
    assert!(exported.status.success() && stdout(&exported) == EVENTS, "{}", stderr(&exported));
}

#[test]
fn a_recording_is_named_by_a_prefix_or_as_the_latest() {
    let lists = two();
    let shown = lists.run(&["show", "5f0c9"]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    let text = stdout(&shown);
    for line in [
        format!("Token      {OTHER}"),
        "Opened by  acs:ram::1609982529000000:user/ben (proven)".to_owned(),
        "User       ana (uid 1000) (claimed by the agent)".to_owned(),
        "Length     3 min 05 s".to_owned(),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    let shown = lists.run(&["show", ONE, "--output", "json"]);
    assert_eq!(serde_json::from_slice::<Value>(&shown.stdout).unwrap(), record(ONE, &json!({})));

    let views = lists.calls.lock().unwrap().iter().filter(|call| call.0 == "ViewInstanceRecords").count();
    assert_eq!(views, 0, "what a list says is no reading of the recording");

    let latest = lists.run(&["open", "latest"]);
    assert!(latest.status.success(), "{}", stderr(&latest));
    assert!(stderr(&latest).starts_with(&format!("the latest is {ONE} of i-web1\n")), "{}", stderr(&latest));
    assert_eq!(lists.last_call().1, format!("InstanceId=i-web1&TerminalSessionToken={ONE}"));

    for command in [&["open"][..], &["play"], &["show"], &["verify"], &["export", "--format", "cast"]] {
        let several = lists.run(&[command, &["5f0c"]].concat());
        assert_eq!(several.status.code(), Some(2), "{command:?}");
        let said = stderr(&several);
        let line = format!(
            "error: 5f0c is the beginning of several recordings: {ONE} of i-web1 (started 2023-04-10T12:41:28Z), \
             {OTHER} of i-db1 (started 2023-04-10T12:41:28Z)\n"
        );
        assert_eq!(said, line, "{command:?}");
        let none = lists.run(&[command, &["abcd"]].concat());
        assert_eq!(none.status.code(), Some(1), "{command:?}");
        assert!(stderr(&none).contains("there is no recording abcd among those that you may list"));
    }
    let bad = lists.run(&["play", "5f0"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(stderr(&bad).contains("the first 4 or more of them, or latest"), "{}", stderr(&bad));
    let nothing = Lists::start(Vec::new()).run(&["play", "latest"]);
    assert!(stderr(&nothing).contains("there is no recording among those"), "{}", stderr(&nothing));
}

#[test]
fn a_recording_opens_in_the_browser_where_there_is_one() {
    let lists = two();
    let folder = tempfile::tempdir().unwrap();
    let (browser, noted) = (folder.path().join("browser"), folder.path().join("noted"));
    std::fs::write(&browser, format!("echo \"$1\" >'{}'\n", noted.display())).unwrap();
    let browser = format!("sh {}", browser.display());
    let with_browser = [("BROWSER", browser.as_str())];
    for (arguments, environment, printed) in [
        (&["open", ONE][..], &with_browser[..], false),
        (&["open", ONE, "--print"], &with_browser, true),
        (&["open", ONE], &[("BROWSER", "/nowhere/at-all")], true),
        (&["open", ONE], &[], true),
    ] {
        let output = lists.run_with(arguments, environment);
        assert!(output.status.success(), "{}", stderr(&output));
        let expected = if printed { "http://h/replay#ticket=t\n" } else { "" };
        assert_eq!(stdout(&output), expected, "{arguments:?} {environment:?}");
        assert_eq!(noted.exists(), !printed, "{arguments:?} {environment:?}");
        if noted.exists() {
            assert_eq!(std::fs::read_to_string(&noted).unwrap(), "http://h/replay#ticket=t\n");
            std::fs::remove_file(&noted).unwrap();
            assert!(!stderr(&output).contains("ticket"), "{}", stderr(&output));
        }
    }
}
