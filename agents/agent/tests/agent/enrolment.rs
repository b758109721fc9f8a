//! Enrolment, the link and the configuration.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use agent_protocol::PrivateKey;

use crate::bench::{Instance, eventually, text};
use crate::control_plane::{INSTANCE, JOIN_TOKEN};

fn mode(instance: &Instance, name: &str) -> u32 {
    std::fs::metadata(instance.state_dir().join(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_kept_to_their_owner_and_people_can_reach_the_agent() {
    let instance = Instance::running();
    assert_eq!(mode(&instance, ""), 0o711);
    assert_eq!(mode(&instance, "spool"), 0o700);
    for secret in ["authentication.key", "sealing.key", "ledger.json"] {
        if instance.state_dir().join(secret).exists() {
            assert_eq!(mode(&instance, secret), 0o600, "{secret}");
        }
    }
    assert_eq!(mode(&instance, "agent.sock"), 0o666);
    assert_eq!(mode(&instance, "configuration.json"), 0o644);
    let log = instance.agent_log();
    assert!(!log.contains("Bearer") && !log.contains(JOIN_TOKEN), "{log}");
}

#[test]
fn the_join_token_comes_from_wherever_it_is_safe() {
    let instance = Instance::new();
    let server = instance.control_plane.address().to_owned();
    let enrol = ["enrol", "--server", &server, "--instance-id", INSTANCE, "--token-file", "-"];
    let mut process = instance.command(&enrol).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(process.stdin.take().unwrap(), "{JOIN_TOKEN}").unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("enrolled as agent-"));

    let again = instance.command(&enrol).stdin(Stdio::null()).output().unwrap();
    assert!(text(&again.stderr).contains("the join token is empty"), "{}", text(&again.stderr));
    let again = ["enrol", "--server", &server, "--instance-id", INSTANCE, "--token", JOIN_TOKEN];
    let output = instance.command(&again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--replace enrols it again"), "{}", text(&output.stderr));
    let output = instance.command(&again).arg("--replace").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn sessions_that_wait_can_be_set_aside_by_a_new_enrolment() {
    let mut instance = Instance::running();
    instance.control_plane.state().away = true;
    let (_, token) = instance.record(&["echo", "kept"]);
    let manifest = instance.session_folder(&token).join("manifest-0000.json");
    eventually("it is sealed", || manifest.exists().then_some(()));
    instance.stop_agent();
    instance.control_plane.state().away = false;
    let server = instance.control_plane.address().to_owned();
    let enrol = ["enrol", "--server", &server, "--instance-id", INSTANCE, "--token", JOIN_TOKEN, "--replace"];
    let key = std::fs::read(instance.state_dir().join("sealing.key")).unwrap();

    let enrolled = instance.command(&enrol).arg("--abandon-spool").output().unwrap();
    assert!(enrolled.status.success(), "{}", text(&enrolled.stderr));
    assert!(
        text(&enrolled.stdout).contains("1 sessions of the previous agent"),
        "{}",
        text(&enrolled.stdout)
    );
    let aside = std::fs::read_dir(instance.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("spool-before-agent-"))
        .unwrap();
    assert!(aside.join(token.as_str()).join("terminal.spool").exists());
    assert_eq!(std::fs::read(aside.join("sealing.key")).unwrap(), key);
    // No agent delivers it, but it can be taken out, and is whole.
    let to = instance.state_dir().with_file_name("exported");
    let exported =
        instance.command(&["export", token.as_str(), "--to", to.to_str().unwrap()]).output().unwrap();
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let verified = recording::verify(
        &recording::FolderSource::new(&to),
        &recording::Expected::default(),
        recording::Trust::AnySigner,
    );
    assert_eq!(verified.unwrap().integrity, recording::Integrity::Complete { manifest: 0 });
    instance.start_agent();
    let (_, token) = instance.record(&["true"]);
    instance.control_plane.sealed(&token);
}

#[test]
fn what_cannot_be_enrolled_is_said_in_one_line_and_changes_nothing() {
    let instance = Instance::new();
    let server = instance.control_plane.address().to_owned();
    let enrol = |server: &str, id: &str, token: &str| {
        let output = instance
            .command(&["enrol", "--server", server, "--instance-id", id, "--token", token])
            .output()
            .unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let wrong = enrol(&server, INSTANCE, "wrong");
    assert!(wrong.contains("InvalidJoinToken.NotFound"), "{wrong}");
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
    assert!(enrol("http://127.0.0.1:1", INSTANCE, "x").contains("cannot be reached"));
    assert!(enrol("ftp://x", INSTANCE, "x").contains("neither http nor https"));
    assert!(enrol(&server, "I 1", "x").contains("not an instance id"));
    assert!(!instance.state_dir().join("agent.json").exists());

    let run = instance.command(&["run"]).output().unwrap();
    assert!(text(&run.stderr).contains("is not enrolled"), "{}", text(&run.stderr));
    let record = instance.record_with_input(&["true"], Stdio::null());
    assert_eq!(record.status.code(), Some(125));
    assert!(text(&record.stderr).contains("is not enrolled"), "{}", text(&record.stderr));
}

#[test]
fn one_agent_at_a_time_uses_a_state_directory() {
    let instance = Instance::running();
    let second = instance.command(&["run"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another hansard-agent is running"), "{}", text(&second.stderr));
}

#[test]
fn a_change_reaches_the_agent_at_once_and_is_obeyed_and_outlives_it() {
    let mut instance = Instance::running();
    let off = instance.control_plane.configure(|state| state.recording_on = false);
    eventually("the change is applied", || {
        instance.control_plane.state().applied_revisions.contains(&off).then_some(())
    });
    let output = instance.record_with_input(&["echo", "hello"], Stdio::null());
    assert_eq!(text(&output.stdout), "hello\n");
    assert!(text(&output.stderr).contains("not recorded: recording is off"), "{}", text(&output.stderr));

    // Recording is known to be off, so the session runs even without an agent. Nothing else lets a session run
    // unrecorded.
    assert_eq!(instance.stop_agent(), Some(0));
    let output = instance.record_with_input(&["sh", "-c", "exit 7"], Stdio::null());
    assert_eq!(output.status.code(), Some(7));
    let path = instance.state_dir().join("configuration.json");
    let signed = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, signed.replacen("eyJ", "eyK", 1)).unwrap();
    let output = instance.record_with_input(&["true"], Stdio::null());
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("is not accepted"), "{}", text(&output.stderr));
}

#[test]
fn a_configuration_of_another_signer_is_not_obeyed() {
    let instance = Instance::running();
    instance.control_plane.configure(|state| {
        state.recording_on = false;
        state.forges_configurations = true;
    });
    eventually("the forgery is noticed", || {
        instance.agent_log().contains("a configuration is not obeyed").then_some(())
    });
    let (_, token) = instance.record(&["true"]);
    instance.control_plane.state().forges_configurations = false;
    instance.control_plane.sealed(&token);
}

#[test]
fn keys_of_the_control_plane_can_be_changed() {
    let mut instance = Instance::running();
    let applied = |instance: &Instance, revision: u64| {
        eventually("the change is applied", || {
            instance.control_plane.state().applied_revisions.contains(&revision).then_some(())
        });
    };
    for (id, off) in [("k2", true), ("k3", false)] {
        let revision = instance.control_plane.configure(|state| {
            state.server_keys.insert(0, (id.into(), PrivateKey::generate().unwrap()));
            state.recording_on = !off;
        });
        applied(&instance, revision);
        // The old key is removed from the key ring.
        let revision = instance.control_plane.configure(|state| state.server_keys.truncate(1));
        applied(&instance, revision);
        // A restart, and `record` without an agent, use the keys that are pinned now.
        instance.stop_agent();
        let output = instance.record_with_input(&["true"], Stdio::null());
        assert_eq!(output.status.code(), Some(if off { 0 } else { 125 }), "{}", text(&output.stderr));
        instance.start_agent();
    }
    let (_, token) = instance.record(&["true"]);
    instance.control_plane.sealed(&token);
}

#[test]
fn a_wrong_clock_stops_nothing() {
    let mut instance = Instance::new();
    instance.control_plane.state().clock_ahead = 3600;
    instance.enrol();
    instance.start_agent();
    let (_, token) = instance.record(&["true"]);
    instance.control_plane.sealed(&token);
}

#[test]
fn nonsense_on_the_socket_disturbs_nobody() {
    let instance = Instance::running();
    let socket = instance.state_dir().join("agent.sock");
    let connect = || UnixStream::connect(&socket).unwrap();
    // Connections that stay open without sending anything, as long as the test runs.
    let silent: Vec<UnixStream> = (0..30).map(|_| connect()).collect();
    for line in [&b"{}\n"[..], b"begin\n", b"{\"Type\":\"status\"", b"\n", &vec![b'x'; 300_000]] {
        let mut stream = connect();
        // The agent may have closed it before everything was written.
        let _ = stream.write_all(line);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    let (_, token) = instance.record(&["true"]);
    instance.control_plane.sealed(&token);
    drop(silent);
}

#[test]
fn status_tells_how_the_agent_stands() {
    let mut instance = Instance::running();
    eventually("the link is open", || (instance.status()["Running"]["Link"] == "connected").then_some(()));
    let output = instance.command(&["status"]).output().unwrap();
    let shown = text(&output.stdout);
    for part in ["instance       i-one", "on, to bucket for 7 days", "link           open"] {
        assert!(shown.contains(part), "{shown}");
    }
    instance.stop_agent();
    let output = instance.command(&["status"]).output().unwrap();
    assert!(text(&output.stdout).contains("not running"));
}
