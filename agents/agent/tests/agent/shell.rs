//! `shell`, which people are made to run: nothing that they can set, own or write to selects the agent.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::bench::{Instance, Program, eventually, text, token_in, without_root};
use recording::Micros;

/// A user without privileges, who exists only in the passwd file of these tests.
const ANA: u32 = 54_321;

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can become somebody else");
    }
    root
}

/// An instance of root that other users can reach.
fn instance_of_root() -> Instance {
    let instance = Instance::running();
    fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    instance
}

/// A user's own agent, with a control plane that has recording switched off.
fn own_agent_that_records_nothing() -> Instance {
    let mut instance = Instance::of_user(ANA);
    instance.control_plane.configure(|state| state.recording_on = false);
    instance.enrol();
    instance.start_agent();
    eventually("recording is off", || (instance.status()["Recording"] == false).then_some(()));
    instance
}

/// A machine as Ana sees it: with an /etc of its own (visible only to what runs through this), in which she has an
/// account.
struct Machine {
    etc: TempDir,
    program: Program,
}

impl Machine {
    fn new() -> Self {
        let etc = TempDir::new().unwrap();
        fs::set_permissions(etc.path(), Permissions::from_mode(0o755)).unwrap();
        let shell = etc.path().join("anas-shell");
        fs::write(&shell, "#!/bin/sh\necho \"the account's shell: $*\"\nexec /bin/sh \"$@\"\n").unwrap();
        fs::set_permissions(&shell, Permissions::from_mode(0o755)).unwrap();
        let passwd = format!("root:x:0:0:root:/root:/bin/sh\nana:x:{ANA}:{ANA}::/:/etc/anas-shell\n");
        fs::write(etc.path().join("passwd"), passwd).unwrap();
        Machine { etc, program: Program::for_everybody() }
    }

    fn settings(&self) -> PathBuf {
        self.etc.path().join("hansard-agent/agent.toml")
    }

    /// With an agent's state directory that the administrator has set.
    fn naming(state_dir: &Path) -> Self {
        let machine = Machine::new();
        fs::create_dir(machine.etc.path().join("hansard-agent")).unwrap();
        fs::write(machine.settings(), format!("state-dir = '{}'\n", state_dir.display())).unwrap();
        machine
    }

    /// What sshd would run for a user, with these variables in its environment.
    fn run(&self, user_id: u32, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let script = r#"mount --bind "$0" /etc && cd / && user=$1 && shift &&
            exec setpriv --reuid "$user" --regid "$user" --clear-groups -- "$@""#;
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(self.etc.path())
            .arg(user_id.to_string())
            .arg(self.program.path())
            .args(arguments)
            .stdin(Stdio::null())
            .env_remove("HANSARD_AGENT_STATE_DIR")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        eprintln!("{}", text(&output.stderr));
        output
    }
}

fn refuses(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stdout));
    assert_eq!(text(&output.stdout), "", "nothing runs");
    assert!(text(&output.stderr).contains(why), "{} does not say {why:?}", text(&output.stderr));
}

#[test]
fn the_environment_does_not_pick_the_agent_of_a_shell() {
    if !we_are_root() {
        return;
    }
    let instance = instance_of_root();
    let own = own_agent_that_records_nothing();
    let own_dir = own.state_dir();
    let machine = Machine::naming(&instance.state_dir());
    let environment = [
        ("HANSARD_AGENT_STATE_DIR", own_dir.to_str().unwrap()),
        ("SHELL", "/bin/false"),
        ("SSH_ORIGINAL_COMMAND", "echo \"it is $(id -u)\"; exit 7"),
    ];
    let output = machine.run(ANA, &environment, &["shell"]);
    let token = token_in(&text(&output.stderr)).expect("it is recorded");
    let shown = format!("the account's shell: -c echo \"it is $(id -u)\"; exit 7\nit is {ANA}\n");
    assert_eq!(text(&output.stdout), shown);
    assert_eq!(output.status.code(), Some(7));
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(text(&recording.output()), shown);
    let start = recording.start();
    assert_eq!(start.command.unwrap(), ["/etc/anas-shell", "-c", "echo \"it is $(id -u)\"; exit 7"]);
    assert_eq!(start.shell.as_deref(), Some("/etc/anas-shell"));
    assert_eq!(start.claimed_user.unwrap(), format!("uid {ANA}"));
}

#[test]
fn without_a_wish_of_its_own_a_shell_is_the_accounts() {
    if !we_are_root() {
        return;
    }
    let instance = instance_of_root();
    let machine = Machine::naming(&instance.state_dir());
    let output = machine.run(ANA, &[("SHELL", "/bin/false"), ("SSH_ORIGINAL_COMMAND", "")], &["shell"]);
    assert_eq!(text(&output.stdout).lines().next(), Some("the account's shell: "));
    let token = token_in(&text(&output.stderr)).unwrap();
    assert_eq!(instance.control_plane.sealed(&token).start().command.unwrap(), ["/etc/anas-shell"]);
    let nobody_known = machine.run(ANA + 1, &[], &["shell"]);
    refuses(&nobody_known, "no account");
}

#[test]
fn without_a_command_a_login_shell_is_started() {
    if !we_are_root() {
        return;
    }
    let instance = instance_of_root();
    let machine = Machine::naming(&instance.state_dir());
    let passwd = format!("root:x:0:0:root:/root:/bin/sh\nana:x:{ANA}:{ANA}::/:/bin/sh\n");
    fs::write(machine.etc.path().join("passwd"), passwd).unwrap();
    fs::write(machine.etc.path().join("profile"), "echo \"the profile of $0\"\n").unwrap();
    let profile_read = "the profile of -sh\n";
    let output = machine.run(ANA, &[], &["shell"]);
    let token = token_in(&text(&output.stderr)).unwrap();
    assert_eq!(text(&output.stdout), profile_read);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(text(&recording.output()), profile_read);
    assert_eq!(recording.start().command.unwrap(), ["/bin/sh"]);
    let output = machine.run(ANA, &[("SSH_ORIGINAL_COMMAND", "echo ran")], &["shell"]);
    assert_eq!(text(&output.stdout), "ran\n", "a command reads no profile");

    instance.control_plane.configure(|state| state.recording_on = false);
    eventually("recording is off", || (instance.status()["Recording"] == false).then_some(()));
    let output = machine.run(ANA, &[], &["shell"]);
    assert_eq!(text(&output.stdout), profile_read, "{}", text(&output.stderr));
}

#[test]
fn a_person_with_another_clock_is_recorded_by_the_recorders() {
    if !we_are_root() {
        return;
    }
    let instance = Instance::running();
    let record = instance.command(&["record", "--", "echo", "ran"]);
    let output = Command::new("unshare")
        .args(["--time", "--boottime", "100000", "--fork"])
        .arg(record.get_program())
        .args(record.get_args())
        .env_remove("HANSARD_AGENT_STATE_DIR")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "ran\n", "{}", text(&output.stderr));
    let token = token_in(&text(&output.stderr)).unwrap();
    let recording = instance.control_plane.sealed(&token);
    assert!(recording.manifest().duration < Micros::from(Duration::from_secs(600)));
}

#[test]
fn an_agent_of_ones_own_is_refused_and_record_warns() {
    if !we_are_root() {
        return;
    }
    let own = own_agent_that_records_nothing();
    let own_dir = own.state_dir();
    let machine = Machine::new();
    let with_own = |arguments: &[&str]| {
        let flag = ["--state-dir", own_dir.to_str().unwrap()];
        machine.run(ANA, &[("SSH_ORIGINAL_COMMAND", "echo ran")], &[&flag, arguments].concat())
    };
    refuses(&with_own(&["shell"]), "belongs to user 54321");
    let recorded = with_own(&["record", "--", "echo", "ran"]);
    assert_eq!(text(&recorded.stdout), "ran\n");
    assert!(text(&recorded.stderr).contains("warning: this agent may be the recorded person's own"));
    // Root may use the agent of any user.
    let flag = ["--state-dir", own_dir.to_str().unwrap(), "shell"];
    let by_root = machine.run(0, &[("SSH_ORIGINAL_COMMAND", "echo ran")], &flag);
    assert_eq!(text(&by_root.stdout), "ran\n");

    // The directory now belongs to root, but the process in it is still Ana's.
    chown(own_dir.parent().unwrap(), Some(0), Some(0)).unwrap();
    fs::set_permissions(own_dir.parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    chown(&own_dir, Some(0), Some(0)).unwrap();
    refuses(&with_own(&["shell"]), "it is a process of user 54321");
    let recorded = with_own(&["record", "--", "echo", "ran"]);
    assert_eq!(text(&recorded.stdout), "ran\n");
    assert!(text(&recorded.stderr).contains("it is a process of user 54321"));
}

#[test]
fn a_directory_that_the_person_can_change_or_replace_is_refused() {
    if !we_are_root() {
        return;
    }
    let instance = instance_of_root();
    let machine = Machine::new();
    let state_dir = instance.state_dir();
    let parent = state_dir.parent().unwrap().to_owned();
    let shell_in = |directory: &Path| {
        machine.run(
            ANA,
            &[("SSH_ORIGINAL_COMMAND", "exit 0")],
            &["--state-dir", directory.to_str().unwrap(), "shell"],
        )
    };
    assert_eq!(shell_in(&state_dir).status.code(), Some(0));

    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(&parent, 0o777);
    refuses(&shell_in(&state_dir), &format!("user 54321, who asks, may write to {}", parent.display()));
    mode(&parent, 0o1777);
    assert_eq!(
        shell_in(&state_dir).status.code(),
        Some(0),
        "nobody can move what is root's out of a sticky folder"
    );
    refuses(&shell_in(&parent.join("none")), "cannot be checked");
    mode(&parent, 0o711);
    mode(&state_dir, 0o1777);
    refuses(&shell_in(&state_dir), "may write to");
    mode(&state_dir, 0o711);

    // Links that other users can redirect.
    let links =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir_in("/tmp").unwrap();
    let link = links.path().join("link");
    std::os::unix::fs::symlink(&state_dir, &link).unwrap();
    assert_eq!(shell_in(&link).status.code(), Some(0));
    std::os::unix::fs::lchown(&link, Some(ANA), Some(ANA)).unwrap();
    refuses(&shell_in(&link), "belongs to user 54321");
}

#[test]
fn the_administrators_file_is_believed_only_if_it_is_roots_alone() {
    if !we_are_root() {
        return;
    }
    let instance = instance_of_root();
    let machine = Machine::naming(&instance.state_dir());
    let shell = || machine.run(ANA, &[("SSH_ORIGINAL_COMMAND", "exit 0")], &["shell"]);
    let (settings, folder) = (machine.settings(), machine.settings().parent().unwrap().to_owned());
    for path in [&settings, &folder, &machine.etc.path().to_owned()] {
        let before = fs::metadata(path).unwrap().permissions();
        for mode in [0o775, 0o757] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            refuses(&shell(), "others than root may write to");
        }
        fs::set_permissions(path, before).unwrap();
        chown(path, Some(ANA), None).unwrap();
        refuses(&shell(), "is not trusted");
        chown(path, Some(0), None).unwrap();
        assert_eq!(shell().status.code(), Some(0));
    }
    fs::write(&settings, "state-directory = '/tmp'\n").unwrap();
    refuses(&shell(), "no setting state-directory");

    // Without the settings file, the default location of agents is used, whatever the environment says.
    fs::remove_file(&settings).unwrap();
    let state_dir = instance.state_dir();
    let named = [("HANSARD_AGENT_STATE_DIR", state_dir.to_str().unwrap())];
    let output = machine.run(ANA, &named, &["shell"]);
    refuses(&output, "/var/lib/hansard-agent");
    // A user who set the variable is told that it is ignored.
    let ignored = "HANSARD_AGENT_STATE_DIR is set, and `shell` does not read it";
    refuses(&output, ignored);
    let by_root = machine.run(0, &named, &["shell"]);
    refuses(&by_root, "no agent is running on /var/lib/hansard-agent");
    refuses(&by_root, ignored);
    let unset = machine.run(0, &[], &["shell"]);
    refuses(&unset, "no agent is running on /var/lib/hansard-agent");
    assert!(!text(&unset.stderr).contains("HANSARD_AGENT_STATE_DIR"));
}
