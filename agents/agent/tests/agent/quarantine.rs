//! Recordings that are refused for long: put into quarantine, shown, taken out by hand, tried again.

use agent_protocol::AgentErrorCode;
use recording::{Expected, FolderSource, Integrity, Trust};

use crate::bench::{Instance, eventually, text};

#[test]
fn a_recording_in_quarantine_is_shown_exported_and_delivered_when_somebody_asks() {
    let mut instance = Instance::new().with_run_arguments(&["--quarantine-after", "0ms"]);
    instance.enrol();
    instance.start_agent();
    instance.control_plane.state().refuses_recordings = true;
    let (output, token) = instance.record(&["echo", "kept"]);
    // By its token: the agent may still have another one, whose seal it has not heard of.
    let session = |status: &serde_json::Value| {
        let mut sessions = status["Running"]["Sessions"].as_array()?.iter();
        sessions.find(|session| session["TerminalSessionToken"] == token.as_str()).cloned()
    };
    eventually("it is in quarantine", || {
        (session(&instance.status())?["Delivery"] == "quarantined").then_some(())
    });
    eventually("it is sealed", || {
        instance.session_folder(&token).join("manifest-0000.json").exists().then_some(())
    });
    let table = text(&instance.command(&["status"]).output().unwrap().stdout);
    assert!(table.contains("0 pending, 0 retrying, 1 in quarantine, 0 delivered"), "{table}");
    let line = table.lines().find(|line| line.contains(token.as_str())).unwrap();
    assert!(line.contains("in quarantine since 20") && line.contains("InvalidStart"), "{line}");

    // Others are delivered past it, and the link that opens anew wakes nobody.
    instance.control_plane.state().refuses_recordings = false;
    let (_, other) = instance.record(&["true"]);
    instance.control_plane.sealed(&other);
    instance.stop_agent();

    // Without an agent it is named all the same.
    let table = text(&instance.command(&["status"]).output().unwrap().stdout);
    assert!(table.contains("in quarantine since 20") && table.contains("InvalidStart"), "{table}");
    let to = instance.state_dir().with_file_name("exported");
    let export = || {
        let mut command = instance.command(&["export", token.as_str(), "--to"]);
        command.arg(&to).output().unwrap()
    };
    let exported = export();
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let source = FolderSource::new(&to);
    let verified = recording::verify(&source, &Expected::default(), Trust::AnySigner).unwrap();
    assert_eq!(verified.integrity, Integrity::Complete { manifest: 0 });
    let events = recording::decode_recording(&source).unwrap().events;
    let shown: Vec<u8> = events.iter().filter_map(|event| event.kind.shown()).flatten().copied().collect();
    assert!(shown == output.stdout, "every byte");
    let again = export();
    assert!(!again.status.success() && text(&again.stderr).contains("exists"), "{}", text(&again.stderr));

    // A new start leaves it at rest; it is tried when somebody asks.
    let retry = |what: &str| instance.command(&["retry", what]).output().unwrap();
    assert!(text(&retry("--all").stderr).contains("no agent is running"));
    instance.start_agent();
    eventually("the link is open", || (instance.status()["Running"]["Link"] == "connected").then_some(()));
    assert_eq!(session(&instance.status()).unwrap()["Delivery"], "quarantined");
    // The control plane is told, though nobody has refused anything since the start.
    eventually("the control plane knows", || {
        let (recordings, reason) = instance.control_plane.state().waiting.last()?.clone();
        (recordings == 1 && reason?.starts_with("in quarantine: ")).then_some(())
    });
    let retry = |what: &str| instance.command(&["retry", what]).output().unwrap();
    let unknown = retry("0123456789abcdef0123456789abcdef");
    assert!(text(&unknown.stderr).contains("no such recording"), "{}", text(&unknown.stderr));
    let tried = retry(token.as_str());
    assert!(text(&tried.stdout).contains("1 recordings are tried now"), "{}", text(&tried.stderr));
    assert!(instance.control_plane.sealed(&token).output() == output.stdout);
    instance.spool_is_empty();
    eventually("it is counted", || {
        (instance.status()["Running"]["Deliveries"]["Delivered"].as_u64()? >= 1).then_some(())
    });
    assert_eq!(instance.command(&["retry"]).output().unwrap().status.code(), Some(2));
    assert!(!text(&instance.command(&["status"]).output().unwrap().stdout).contains(token.as_str()));
}

#[test]
fn what_is_delivered_in_part_is_exported_as_such() {
    let instance = Instance::running();
    let mut person = instance.person(&["sh", "-c", "echo one; read line; echo two"]);
    person.sees("one");
    let folder = eventually("it is there", || instance.spooled().into_iter().next());
    let token = folder.file_name().unwrap().to_string_lossy().into_owned();
    eventually("the first segment is acknowledged", || {
        (instance.status()["Running"]["Sessions"].get(0)?["Acknowledged"].as_u64()? > 0).then_some(())
    });
    instance.control_plane.state().puts_off = Some(("/grants", AgentErrorCode::InternalError));
    person.types("\n");
    eventually("it is sealed", || folder.join("manifest-0000.json").exists().then_some(()));
    let to = instance.state_dir().with_file_name("exported");
    let mut export = instance.command(&["export", &token, "--to"]);
    let exported = export.arg(&to).output().unwrap();
    let said = text(&exported.stdout);
    assert!(said.contains("1 segments before them were delivered"), "{said} {}", text(&exported.stderr));
    let verified =
        recording::verify(&FolderSource::new(&to), &Expected::default(), Trust::AnySigner).unwrap();
    assert!(matches!(verified.integrity, Integrity::ProvenPrefix { .. }), "{:?}", verified.integrity);
}
