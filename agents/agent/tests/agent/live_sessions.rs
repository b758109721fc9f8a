//! `hansard-agent sessions`, by which people on the instance reach the sessions that are recorded now.

use std::fs::Permissions;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use recording::{Cause, RecordingEnd};

use crate::bench::{Instance, Program, eventually, text, without_root};

fn sessions(instance: &Instance, words: &[&str]) -> std::process::Output {
    instance.command(&[&["sessions"], words].concat()).output().unwrap()
}

/// A person chooses their command. Whoever lists the sessions is root.
#[test]
fn no_list_of_sessions_drives_the_terminal_of_whoever_reads_it() {
    let instance = Instance::running();
    let hostile = "\u{9b}2J\u{202e}\u{1b}[2J";
    let mut person = instance.person(&["sh", "-c", "echo ready; read rest", hostile]);
    person.sees("ready");
    for words in [&["list"][..], &["list", "--output", "json"]] {
        let listed = text(&sessions(&instance, words).stdout);
        assert!(listed.contains("echo ready") && listed.contains("202e"), "{listed:?}");
        assert!(!listed.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{listed:?}");
    }
    let listed = sessions(&instance, &["list", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert!(listed[0]["Command"].as_str().unwrap().ends_with(hostile), "it is the same text to a program");
    person.types("\r");
    person.ends_with(0);
}

#[test]
fn sessions_are_listed_watched_told_something_and_ended() {
    let instance = Instance::running();
    assert_eq!(text(&sessions(&instance, &[]).stdout), "no session is recorded now\n");
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();

    let table = text(&sessions(&instance, &[]).stdout);
    assert_eq!(table.lines().count(), 1, "{table}");
    assert!(table.starts_with(token.as_str()) && table.contains("  since 20"), "{table}");
    assert!(table.contains("goes on, ") && table.ends_with(": bash --norc --noprofile\n"), "{table}");
    let listed = sessions(&instance, &["list", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["UserId"], rustix::process::geteuid().as_raw());
    let command = instance.command_of(&token).as_raw_nonzero().get();
    assert_eq!(listed[0]["Recorder"]["ProcessId"], command);
    assert_eq!(listed[0]["Recorder"]["IsHeld"], false);

    let mut watching = instance.command(&["sessions", "watch", token.as_str()]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 1];
    watching.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    person.types("printf 'a\\033[6nb\\033]0;title\\007'; echo seen-$((1+1))-live\r");
    person.sees("seen-2-live");

    let told = sessions(&instance, &["say", token.as_str(), "we restart at noon"]);
    assert!(told.status.success(), "{}", text(&told.stderr));
    person.sees("hansard-agent: we restart at noon\r\n");
    let ended = sessions(&instance, &["end", token.as_str(), "--reason", "maintenance begins"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    person.sees("the session was ended: maintenance begins");
    person.ends_with(125);

    // What was watched ends with the session, and could not drive the watcher's terminal.
    let watched = text(&watching.wait_with_output().unwrap().stdout);
    assert!(watched.contains("abseen-2-live") && !watched.contains("title\u{7}"), "{watched:?}");
    let recording = instance.control_plane.sealed(&token);
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("it did not end") };
    let causes: Vec<_> = recording.ledger().into_iter().map(|entry| entry.cause).collect();
    assert_eq!(causes, [Cause::SESSION_ENDED]);
    let by =
        format!("maintenance begins (said on the instance by user {}", rustix::process::geteuid().as_raw());
    assert!(reason.starts_with(&by), "{reason}");
    eventually("it is not listed any more", || {
        (text(&sessions(&instance, &[]).stdout) == "no session is recorded now\n").then_some(())
    });
    let gone = sessions(&instance, &["say", token.as_str(), "x"]);
    assert!(!gone.status.success() && text(&gone.stderr).contains("no session "), "{}", text(&gone.stderr));
}

#[test]
fn what_is_not_well_said_changes_nothing() {
    let instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    for words in [
        &["end", token.as_str()][..],
        &["end", token.as_str(), "--reason", " "],
        &["say", token.as_str(), &"x".repeat(1025)],
        &["say", "nonsense", "x"],
    ] {
        assert_eq!(sessions(&instance, words).status.code(), Some(2), "{words:?}");
    }
    person.types("exit 3\r");
    person.ends_with(3);
}

/// Only root can be another user.
#[test]
fn other_people_may_do_none_of_it() {
    if !rustix::process::geteuid().is_root() {
        return without_root("only root can become somebody else");
    }
    let instance = Instance::running();
    let program = Program::for_everybody();
    std::fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    for words in [
        &["list"][..],
        &["end", token.as_str(), "--reason", "x"],
        &["say", token.as_str(), "x"],
        &["watch", token.as_str()],
    ] {
        let mut command = program.run_by(65_534);
        let output =
            command.arg("--state-dir").arg(instance.state_dir()).arg("sessions").args(words).output();
        let output = output.unwrap();
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains("only the agent's user and root"),
            "{words:?}: {said}"
        );
    }
    person.types("exit 3\r");
    person.ends_with(3);
}
