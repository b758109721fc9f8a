//! The player and the viewer's terminal: what its keys and its status line do, recordings that are still running, and
//! however the player ends, the terminal is restored.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::{Value, json};
use whole_system::{Client, Deployment, Instance, Person, program, until};

/// Signals of every kind: well-known ones, ones that are often forgotten, and the first and last real-time ones.
const ENDING_SIGNALS: [&str; 10] = ["HUP", "INT", "TERM", "ALRM", "USR1", "VTALRM", "PROF", "IO", "34", "64"];

/// The text between these two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// An instance that records.
fn recording_instance(deployment: &Deployment, id: &str) -> Instance {
    deployment.record_everything();
    let instance = Instance::enrol(deployment, id);
    instance.wait_until_recording_is(true);
    instance
}

/// The token of a recording.
fn token_of(record: &Value) -> String {
    record["TerminalSessionToken"].as_str().unwrap().to_owned()
}

/// A viewer who plays a recording between two lines that say how the terminal is.
fn viewer(client: &Client, arguments: &str) -> Person {
    let play = format!(
        "echo \"modes=$(stty -g).\"; sh -c 'echo player=$$.; exec \"{}\" recordings play {arguments}'; \
         echo code=$?.; echo \"afterwards=$(stty -g).\"",
        program("hansard").display()
    );
    let environment = client.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Person::run(&["sh", "-c", &play], &environment, 80, 24)
}

fn text(person: &Person) -> String {
    String::from_utf8_lossy(&person.shown()).into_owned()
}

/// Waits until the player has ended, and returns its exit code. The terminal's modes are those of before.
fn ended(person: &mut Person) -> String {
    let shown = until("the player ends", || {
        let shown = text(person);
        between(&shown, "afterwards=", ".").is_some().then_some(shown)
    });
    assert_eq!(between(&shown, "afterwards=", "."), between(&shown, "modes=", "."), "{shown:?}");
    person.leaves();
    between(&shown, "code=", ".").unwrap().to_owned()
}

/// Waits until the screen is as it should be.
fn shows(person: &Person, what: &str, is_shown: impl Fn(&[String]) -> bool) {
    let mut last = Vec::new();
    let wait = std::panic::AssertUnwindSafe(|| {
        until(what, || {
            last = person.screen_of_everything();
            is_shown(&last).then_some(())
        });
    });
    assert!(std::panic::catch_unwind(wait).is_ok(), "{what}: this is shown instead: {last:#?}");
}

fn status_is(lines: &[String], beginning: &str) -> bool {
    lines.last().is_some_and(|line| line.starts_with(beginning))
}

/// Whether a line says this. What did not go to a terminal has line feeds without returns, so that lines may be indented.
fn has(lines: &[String], line: &str) -> bool {
    lines.iter().any(|shown| shown.trim_start() == line)
}

#[test]
fn keys_lead_through_a_recording_and_a_status_line_says_where_one_is() {
    let deployment = Deployment::start();
    let instance = recording_instance(&deployment, "i-keys");
    let steps = "for n in 1 2 3 4 5 6; do sleep 0.3; echo step $n; done";
    assert!(instance.agent(&["record", "--quiet", "--", "sh", "-c", steps]).status.success());
    let token = token_of(&deployment.root.one_recording("finished"));
    let mut person = viewer(&deployment.root, &format!("{token} --speed 0.01"));
    shows(&person, "it plays", |lines| {
        let status = lines.last().unwrap();
        status.starts_with(" playing  0:0")
            && status.contains(" / 0:0")
            && status.contains("  0.01x  ")
            && status.contains(&token[..9])
            && status.ends_with("? help")
    });
    person.types(" ");
    shows(&person, "the pause is marked", |lines| status_is(lines, " PAUSED  "));
    person.types("\x1b[F");
    shows(&person, "the end", |lines| status_is(lines, " PAUSED at the end") && has(lines, "step 6"));
    person.types("\x1b[H");
    shows(&person, "the start", |lines| status_is(lines, " PAUSED  0:00") && !has(lines, "step 1"));
    person.types(".");
    shows(&person, "one step", |lines| has(lines, "step 1") && !has(lines, "step 2"));
    person.types("9");
    shows(&person, "nine tenths", |lines| has(lines, "step 5") && !has(lines, "step 6"));
    person.types("\x1b[D");
    shows(&person, "five seconds back", |lines| !has(lines, "step 1"));
    person.types("\x1b[C");
    shows(&person, "five seconds forward", |lines| has(lines, "step 6"));
    person.types("\x1b[5~");
    shows(&person, "a page back", |lines| !has(lines, "step 1"));
    person.types("?");
    shows(&person, "the help", |lines| lines.iter().any(|line| line.contains("5 seconds back or forward")));
    person.types("x");
    shows(&person, "the help is gone", |lines| !lines.iter().any(|line| line.contains("seconds")));
    person.types(">");
    shows(&person, "twice as fast", |lines| lines.last().unwrap().contains("  0.02x  "));
    person.types("s");
    shows(&person, "no status line", |lines| lines.last().unwrap().is_empty());
    person.types("s.");
    shows(&person, "it is back", |lines| status_is(lines, " PAUSED  0:00") && has(lines, "step 1"));
    person.types("q");
    assert_eq!(ended(&mut person), "0");
    let lines = person.screen_and_history();
    assert!(has(&lines, "step 1") && !lines.iter().any(|line| line.contains("PAUSED")), "{lines:#?}");
    assert!(!text(&person).contains("end after"), "{lines:#?}");
    // In a window of another size the line has the lowest row there.
    let mut person = viewer(&deployment.root, &format!("{token} --speed 0.01"));
    person.sees("\x1b[24;1H\x1b[0;7m playing");
    person.resizes(60, 10);
    person.sees("\x1b[10;1H\x1b[0;7m playing");
    person.types("q");
    assert_eq!(ended(&mut person), "0");
    // Whoever plays to the end sees how it ended, on the line below.
    let mut person = viewer(&deployment.root, &format!("{token} --speed 100"));
    assert_eq!(ended(&mut person), "0");
    let lines = person.screen_and_history();
    let at = |text: &str| lines.iter().position(|line| line.contains(text));
    assert!(at("step 6").is_some() && at("step 6") < at("end after"), "{lines:#?}");
    assert!(lines[at("end after").unwrap()].ends_with(": exit code 0"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("playing")), "{lines:#?}");
}

#[test]
fn a_signal_is_named_and_a_command_keeps_its_quoting() {
    let deployment = Deployment::start();
    let instance = recording_instance(&deployment, "i-signal");
    let script = "echo 'a  b'; kill -9 $$";
    assert_eq!(instance.agent(&["record", "--quiet", "--", "sh", "-c", script]).status.code(), Some(137));
    let token = token_of(&deployment.root.one_recording("finished"));
    let played = deployment.root.run(&["recordings", "play", &token, "--speed", "1000"]);
    let (stdout, stderr) =
        (String::from_utf8(played.stdout).unwrap(), String::from_utf8(played.stderr).unwrap());
    assert!(stderr.trim_end().ends_with(": ended by signal 9 (SIGKILL)"), "{stderr}");
    assert!(stdout.contains("a  b"), "{stdout:?}");
    // What is no terminal gets no status line.
    assert!(!stdout.contains("playing") && !stdout.contains(&token[..9]), "{stdout:?}");
    let quoted = r"sh -c 'echo '\''a  b'\''; kill -9 $$'";
    let shown = deployment.root.stdout(&["recordings", "show", "latest"]);
    assert!(shown.contains(quoted), "{shown}");
    let cast = deployment.root.stdout(&["recordings", "export", &token, "--format", "cast"]);
    let header: Value = serde_json::from_str(cast.lines().next().unwrap()).unwrap();
    assert_eq!(header["command"], quoted);
}

#[test]
fn a_running_recording_is_exported_and_followed_to_its_end() {
    let mut deployment = Deployment::start();
    let instance = recording_instance(&deployment, "i-running");
    let mut recorded =
        instance.record(&["sh", "-c", "echo one; read x; echo two; read x; echo three; exit 3"]);
    recorded.sees("one");
    let token = token_of(&deployment.root.one_recording("running"));
    let file = deployment.scratch().join("so-far.cast");
    let file = file.to_str().unwrap();
    until("the beginning has arrived", || {
        let export = ["recordings", "export", &token, "--format", "cast", "--out", file, "--force"];
        let exported = deployment.root.run(&export);
        let said = String::from_utf8(exported.stderr).unwrap();
        assert!(exported.status.success() && said.contains("is still running"), "{said}");
        assert!(said.contains("what has arrived so far, and not the whole"), "{said}");
        std::fs::read_to_string(file).unwrap().contains("one").then_some(())
    });
    let played = deployment.root.run(&["recordings", "play", &token]);
    let said = String::from_utf8(played.stderr).unwrap();
    assert!(String::from_utf8(played.stdout).unwrap().contains("one"));
    assert!(said.contains("--follow shows what comes"), "{said}");
    assert!(said.contains("this is what has arrived so far") && said.contains("goes on"), "{said}");
    assert!(!said.contains("end after"), "{said}");

    // One follows to the end, another leaves before.
    let mut follower = viewer(&deployment.root, &format!("{token} --follow"));
    let mut leaver = viewer(&deployment.root, &format!("{token} --follow"));
    for person in [&follower, &leaver] {
        shows(person, "it waits", |lines| {
            has(lines, "one")
                && status_is(lines, " waiting for more  ")
                && lines.last().unwrap().contains("so far")
        });
    }
    recorded.types("\r");
    for person in [&follower, &leaver] {
        shows(person, "what was recorded meanwhile", |lines| has(lines, "two"));
    }
    leaver.types("\x03");
    assert_eq!(ended(&mut leaver), "0");
    // A server that is lost is said, and found again.
    assert_eq!(deployment.stop(), Some(0));
    shows(&follower, "the server is missed", |lines| lines.last().unwrap().contains("no answer from"));
    deployment.resume();
    recorded.types("\r");
    assert_eq!(recorded.leaves().code(), Some(3));
    assert_eq!(ended(&mut follower), "0");
    let lines = follower.screen_and_history();
    assert!(has(&lines, "three") && lines.iter().any(|line| line.ends_with("exit code 3")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("waiting")), "{lines:#?}");
}

#[test]
fn whoever_may_no_longer_look_is_told_so() {
    let deployment = Deployment::start();
    let instance = recording_instance(&deployment, "i-refused");
    let mut recorded = instance.record(&["sh", "-c", "echo one; read x"]);
    recorded.sees("one");
    let token = token_of(&deployment.root.one_recording("running"));
    let ana =
        deployment.user("ana", &json!([{"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*"}]));
    let mut person = viewer(&ana, &format!("{token} --follow"));
    shows(&person, "it waits", |lines| status_is(lines, " waiting for more  "));
    let _ = deployment.admin(&["policy", "detach", "ana", "--user", "ana"]);
    assert_eq!(ended(&mut person), "1");
    let shown = text(&person);
    assert!(shown.contains("error: ViewInstanceRecords: ") && !shown.contains("end after"), "{shown:?}");
    recorded.types("\r");
    recorded.leaves();
}

#[test]
fn raw_bytes_leave_no_mode_on() {
    let deployment = Deployment::start();
    let instance = recording_instance(&deployment, "i-raw");
    let modes = r"printf '\033[?1049h\033[?1000;1006;1004;2004h\033[?25l\033[?1h\033=\033[3;9r\033[?2026h\033[>1u\033[5 q\033[31m'";
    let script = format!("{modes}; echo modes are set; sleep 0.5; echo end");
    assert!(instance.agent(&["record", "--quiet", "--", "sh", "-c", &script]).status.success());
    let token = token_of(&deployment.root.one_recording("finished"));
    for leaving in ["the end", "q", "\x03", "TERM"] {
        let speed = if leaving == "the end" { "10" } else { "0.01" };
        let mut person = viewer(&deployment.root, &format!("{token} --raw --speed {speed}"));
        person.sees("modes are set");
        match leaving {
            "the end" => {}
            "TERM" => {
                let shown = text(&person);
                let player = between(&shown, "player=", ".").unwrap();
                assert!(Command::new("kill").args(["-TERM", player]).status().unwrap().success());
            }
            key => person.types(key),
        }
        assert_eq!(ended(&mut person), "0", "{leaving:?}");
        let shown = text(&person);
        let (_, behind) = shown.split_once("modes are set").unwrap();
        for off in [
            "\x1b[?2026l",
            "\x1b[?1049l",
            "1000;",
            "1006;",
            "1004;",
            ";2004;2027;2031;2048l",
            "\x1b[!p",
            "\x1b[?1l\x1b>",
            "\x1b[?7;25h",
        ] {
            assert!(behind.contains(off), "{leaving:?}: {off:?} in {behind:?}");
        }
        for off in ["\x1b[0 q", "\x1b[=0u", "\x1b[0m", "\x1b[23;0t"] {
            assert!(behind.contains(off), "{leaving:?}: {off:?} in {behind:?}");
        }
        // The shell's next lines stand on the screen of before, in its whole height.
        let lines = person.screen_and_history();
        assert!(lines.iter().any(|line| line.starts_with("modes=")), "{leaving:?}: {lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("afterwards=")), "{leaving:?}: {lines:#?}");
    }
    // A file gets what was recorded and nothing else.
    let raw = deployment.root.run(&["recordings", "play", &token, "--raw", "--speed", "100"]).stdout;
    let exported = deployment.root.run(&["recordings", "export", &token, "--format", "txt"]).stdout;
    assert_eq!(raw, exported);
}

#[test]
fn the_terminal_is_restored_whichever_signal_ends_the_player() {
    let deployment = Deployment::start();
    let instance = recording_instance(&deployment, "i-playing");
    let recorded =
        instance.agent(&["record", "--quiet", "--", "sh", "-c", "echo first; sleep 1; echo second"]);
    assert!(recorded.status.success());
    let token = token_of(&deployment.root.one_recording("finished"));
    for signal in ENDING_SIGNALS {
        let mut person = viewer(&deployment.root, &format!("{token} --speed 0.02"));
        person.sees("first");
        let shown = text(&person);
        let player = between(&shown, "player=", ".").unwrap();
        let killed = Command::new("kill").args([&format!("-{signal}"), player]).status().unwrap();
        assert!(killed.success());
        assert_eq!(ended(&mut person), "0", "{signal}");
        // The painted screen stays, without the status line.
        let lines = person.screen_and_history();
        assert!(has(&lines, "first") && !lines.iter().any(|line| line.contains("playing")), "{lines:#?}");
    }
}

#[test]
fn a_very_wide_recording_is_laid_out_as_it_was_or_a_note_says_that_it_is_not() {
    let deployment = Deployment::start();
    let instance = recording_instance(&deployment, "i-wide");
    let words: String = (0..240).map(|number| format!("{number:04}|")).collect();
    let file = deployment.scratch().join("wide.txt");
    std::fs::write(&file, format!("{words}\nend\n")).unwrap();
    for (columns, note) in [(1200, None), (5000, Some("the recording is 5000x24, and 4096x24 of it at most"))]
    {
        let mut person = instance.record_sized(&["cat", file.to_str().unwrap()], columns, 24);
        assert!(person.leaves().success());
        let shown = String::from_utf8(person.shown()).unwrap();
        let token = shown.rsplit("recordings play ").next().unwrap().trim().to_owned();
        until("the whole has arrived", || {
            let shown = deployment.root.json(&["recordings", "show", &token]);
            (shown["Status"] == "finished").then_some(())
        });
        let played = deployment.root.run(&["recordings", "play", &token, "--speed", "1000"]);
        let (stdout, stderr) =
            (String::from_utf8(played.stdout).unwrap(), String::from_utf8(played.stderr).unwrap());
        assert!(stdout.contains(&words), "{columns}: {stdout}");
        match note {
            Some(note) => assert!(stderr.contains(note), "{stderr}"),
            None => assert!(!stderr.contains("can be shown"), "{stderr}"),
        }
    }
}
