//! The program is replaced, and its agent restarted, while sessions run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use recording::{ExitStatus, RecordingEnd, TerminalSessionToken, Verdict};
use rustix::process::Pid;
use serde_json::Value;

use crate::bench::{AGENT, Instance, text, without_root};
use crate::person::Person;

/// A user without privileges, who is recorded.
const EVE: u32 = 54_334;

/// Eve in a recorded shell, by the program as it is now.
fn shell(instance: &Instance) -> Person {
    let user = EVE.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(instance.program());
    command.arg("--state-dir").arg(instance.state_dir());
    command.args(["record", "--", "bash", "--norc", "--noprofile"]);
    let person = Person::at_terminal_of(EVE, &command);
    person.sees("ready> ");
    person
}

/// Puts the program into its place anew, as a package manager does.
fn replace_program(instance: &Instance) {
    let program = instance.program();
    let before = fs::metadata(&program).unwrap().ino();
    let new = program.with_extension("new");
    assert!(Command::new("cp").arg(AGENT).arg(&new).status().unwrap().success());
    fs::rename(new, &program).unwrap();
    assert_ne!(fs::metadata(&program).unwrap().ino(), before);
}

/// Whether a process runs a program whose file is gone.
fn runs_the_old_one(process: Pid) -> bool {
    let program = fs::read_link(format!("/proc/{}/exe", process.as_raw_nonzero())).unwrap();
    program.to_string_lossy().ends_with("(deleted)")
}

/// Leaves of a session's note what the first version of the agent that had recorders of its own wrote there.
fn note_as_the_first_version(instance: &Instance, token: &TerminalSessionToken) {
    let file = instance.session_folder(token).join("session.json");
    let mut note: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let known = ["Kind", "StartBoottimeMicros", "UserId", "Recorder", "Configuration"];
    note.as_object_mut().unwrap().retain(|member, _| known.contains(&member.as_str()));
    assert_eq!(note.as_object().unwrap().len(), known.len());
    fs::write(file, serde_json::to_vec(&note).unwrap()).unwrap();
}

#[test]
fn sessions_go_on_while_the_program_is_replaced_and_the_agent_restarted() {
    if !rustix::process::geteuid().is_root() {
        return without_root("only root can become somebody else");
    }
    let mut instance = Instance::of_user(0);
    fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    instance.enrol();
    instance.start_agent();
    let mut sessions = vec![shell(&instance)];
    replace_program(&instance);
    // Its client is of the new program, its agent and its recorder are still of the old one.
    sessions.push(shell(&instance));
    for session in &sessions {
        assert!(runs_the_old_one(instance.recorder(&session.token())));
    }
    instance.stop_agent();
    for session in &mut sessions {
        session.types("echo without-$((1+1))-agent\r");
        session.sees("without-2-agent");
    }
    note_as_the_first_version(&instance, &sessions[0].token());
    instance.start_agent();
    let agent = i32::try_from(instance.agent_pid()).unwrap();
    assert!(!runs_the_old_one(Pid::from_raw(agent).unwrap()));
    sessions.push(shell(&instance));
    assert!(!runs_the_old_one(instance.recorder(&sessions[2].token())));

    for (code, mut session) in (3..).zip(sessions) {
        assert_eq!(session.owner_and_mode(), (0, 0), "the terminal around it stays taken");
        session.types(&format!("echo to-the-$((1+1))-end; exit {code}\r"));
        session.ends_with(i32::from(code));
        session.has_its_terminal_again(EVE);
        let recording = instance.control_plane.sealed(&session.token());
        assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(code)));
        assert_eq!(recording.verification().verdict(), Verdict::Complete);
        let output = text(&recording.output());
        assert!(output.contains("to-the-2-end"));
        assert_eq!(output.contains("without-2-agent"), code < 5, "{output}");
    }
    instance.spool_is_empty();
}
