//! Ways round the recording, taken on a real sshd, and closed with the setting that the doctor names.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::bench::{eventually, text, without_root};
use crate::person::Person;
use crate::ssh_host::{ANA, Form, Host, PASSWORD};

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can run an sshd for others");
    }
    root
}

fn output_of(mut command: Command) -> Output {
    let output = command.output().unwrap();
    eprintln!("{}", text(&output.stderr));
    output
}

/// A file of Ana's.
fn put(host: &Host, name: &str, content: &str) {
    let file = host.home().join(name);
    let folder = file.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    fs::write(&file, content).unwrap();
    for path in [folder, &file] {
        chown(path, Some(ANA), Some(ANA)).unwrap();
    }
}

/// Takes the setting into force.
fn configure(host: &mut Host, form: Form, also: &str) {
    host.configure(form, also);
    host.restart_sshd();
}

/// What prints `unrecorded` instead of the command, if it is obeyed before anything is recorded.
const DETOUR: &str = "echo unrecorded; exit 0\n";

fn goes_round(host: &Host, command: Command) -> bool {
    let before = host.sessions();
    let output = output_of(command);
    let shown = text(&output.stdout);
    match (shown.as_str(), host.sessions() - before) {
        ("unrecorded\n", 0) => true,
        // Inside the session the same file may say the same, and that is recorded.
        (_, 1) => false,
        (shown, sessions) => panic!("{shown:?} in {sessions} sessions"),
    }
}

#[test]
fn a_start_up_file_runs_before_a_forced_command_and_inside_a_login_shell() {
    if !we_are_root() {
        return;
    }
    let host = Host::running(Form::ForceCommand, "");
    put(&host, ".bashrc", DETOUR);
    assert!(goes_round(&host, host.ssh(&[], &["echo it"])));
    host.change_shell(&host.login_shell());
    assert!(!goes_round(&host, host.ssh(&[], &["echo it"])));
}

#[test]
fn variables_that_a_shell_obeys_run_before_a_forced_command() {
    if !we_are_root() {
        return;
    }
    let mut host = Host::running(Form::ForceCommand, "AcceptEnv *");
    put(&host, "detour", DETOUR);
    // Debian's bash reads ~/.bashrc instead, unless it believes that a shell has started it.
    let variables = ["SHLVL=2".to_owned(), format!("BASH_ENV={}", host.home().join("detour").display())];
    let sent = format!("SetEnv={}", variables.join(" "));
    assert!(goes_round(&host, host.ssh(&["-o", &sent], &["echo it"])));
    configure(&mut host, Form::ForceCommand, "AcceptEnv LANG LC_*");
    assert!(!goes_round(&host, host.ssh(&["-o", &sent], &["echo it"])));

    put(&host, ".ssh/environment", &(variables.join("\n") + "\n"));
    configure(&mut host, Form::ForceCommand, "PermitUserEnvironment yes");
    assert!(goes_round(&host, host.ssh(&[], &["echo it"])));
    configure(&mut host, Form::ForceCommand, "PermitUserEnvironment no");
    assert!(!goes_round(&host, host.ssh(&[], &["echo it"])));
}

#[test]
fn an_sftp_inside_sshd_starts_no_login_shell() {
    if !we_are_root() {
        return;
    }
    let mut host = Host::running(Form::LoginShell, "Subsystem sftp internal-sftp");
    let copy = |host: &Host| {
        let before = host.sessions();
        let output = output_of(host.sftp("put /etc/hostname there\nrm there\n"));
        (output.status.success(), host.sessions() - before)
    };
    assert_eq!(copy(&host), (true, 0));
    configure(&mut host, Form::LoginShell, "");
    assert_eq!(copy(&host), (true, 1));
    configure(&mut host, Form::LoginShell, "ForceCommand internal-sftp");
    assert_eq!(copy(&host), (true, 0));
    // Beside a ForceCommand that records it is no way round: the system's sftp-server runs, and is recorded.
    host.change_shell(Path::new("/bin/bash"));
    configure(&mut host, Form::ForceCommand, "Subsystem sftp internal-sftp");
    assert_eq!(copy(&host), (true, 1));
}

#[test]
fn the_rc_file_of_a_person_is_a_recording_of_its_own() {
    if !we_are_root() {
        return;
    }
    let mut host = Host::running(Form::LoginShell, "");
    let marker = host.home().join("ran");
    put(&host, ".ssh/rc", &format!("touch {}\n", marker.display()));
    let runs = |host: &Host| {
        let _ = fs::remove_file(&marker);
        let before = host.sessions();
        assert_eq!(text(&output_of(host.ssh(&[], &["echo it"])).stdout), "it\n");
        (marker.exists(), host.sessions() - before)
    };
    assert_eq!(runs(&host), (true, 2));
    configure(&mut host, Form::LoginShell, "PermitUserRC no");
    assert_eq!(runs(&host), (false, 1));
    host.change_shell(Path::new("/bin/bash"));
    configure(&mut host, Form::ForceCommand, "");
    assert_eq!(runs(&host), (false, 1), "sshd does not run it beside a ForceCommand");
}

#[test]
fn forwarding_passes_no_shell() {
    if !we_are_root() {
        return;
    }
    let mut host = Host::running(Form::LoginShell, "");
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = service.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in service.incoming() {
            stream.unwrap().write_all(b"served").unwrap();
        }
    });
    let forwarded = |host: &Host| text(&output_of(host.ssh(&["-W", &address], &[])).stdout);
    assert_eq!((forwarded(&host).as_str(), host.sessions()), ("served", 0));
    for closed in ["AllowTcpForwarding no", "DisableForwarding yes", "PermitOpen none"] {
        configure(&mut host, Form::LoginShell, closed);
        assert_eq!(forwarded(&host), "", "{closed}");
    }

    let (there, here) = (host.file("there.sock"), host.file("here.sock"));
    let service = UnixListener::bind(&there).unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o666)).unwrap();
    std::thread::spawn(move || {
        for stream in service.incoming() {
            stream.unwrap().write_all(b"served").unwrap();
        }
    });
    let forwarded = |host: &Host| {
        let _ = fs::remove_file(&here);
        let both = format!("{}:{}", here.display(), there.display());
        let mut ssh = host.ssh(&["-N", "-L", &both], &[]).spawn().unwrap();
        let mut stream = eventually("ssh listens", || UnixStream::connect(&here).ok());
        let mut served = String::new();
        // A connection that is not let through is closed.
        let _ = stream.read_to_string(&mut served);
        ssh.kill().unwrap();
        ssh.wait().unwrap();
        served
    };
    configure(&mut host, Form::LoginShell, "");
    assert_eq!((forwarded(&host).as_str(), host.sessions()), ("served", 0));
    for closed in ["AllowStreamLocalForwarding no", "DisableForwarding yes"] {
        configure(&mut host, Form::LoginShell, closed);
        assert_eq!(forwarded(&host), "", "{closed}");
    }
}

#[test]
fn a_connection_without_a_session_ends() {
    if !we_are_root() {
        return;
    }
    let host = Host::running(Form::LoginShell, "DisableForwarding yes\nUnusedConnectionTimeout 1");
    let mut ssh = host.ssh(&["-N"], &[]).stderr(Stdio::null()).spawn().unwrap();
    let ended = eventually("sshd ends it", || ssh.try_wait().unwrap());
    assert_eq!((ended.code(), host.sessions()), (Some(255), 0));
}

#[test]
fn accounts_with_another_shell_and_root_are_not_recorded() {
    if !we_are_root() {
        return;
    }
    let mut host = Host::running(Form::Unrecorded, "PermitRootLogin prohibit-password");
    assert!(goes_round(&host, host.ssh(&[], &["echo unrecorded"])));
    fs::copy(host.etc("ssh/keys-of-ana"), host.etc("ssh/keys-of-root")).unwrap();
    let as_root = |host: &Host| host.ssh(&["-l", "root", "-o", "User=root"], &["echo unrecorded"]);
    let words: Vec<_> =
        as_root(&host).get_args().map(|word| word.to_string_lossy().replace("ana@", "root@")).collect();
    let log_in = || {
        let mut ssh = Command::new("ssh");
        ssh.args(&words).stdin(Stdio::null());
        ssh
    };
    assert!(goes_round(&host, log_in()));
    configure(&mut host, Form::LoginShell, "PermitRootLogin no");
    assert_eq!(text(&output_of(log_in()).stdout), "");
    host.change_shell(&host.login_shell());
    assert!(!goes_round(&host, host.ssh(&[], &["echo unrecorded"])));
}

#[test]
fn a_login_shell_that_is_not_listed_cannot_be_left() {
    if !we_are_root() {
        return;
    }
    let host = Host::running(Form::LoginShell, "");
    // As Ana on a terminal of her own, outside of a recorded session: what counts is what chsh permits.
    let change = || {
        let words =
            ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "chsh", "-s", "/bin/bash"];
        let mut person = Person::at_terminal(&host.root(&words));
        let asked = eventually("chsh asks or refuses", || {
            let screen = person.screen();
            (screen.contains("Password") || screen.contains("may not change"))
                .then(|| screen.contains("Password"))
        });
        if asked {
            person.types(&format!("{PASSWORD}\r"));
        }
        person.ends().code() == Some(0)
    };
    let shell_of_ana = || {
        let passwd = fs::read_to_string(host.etc("passwd")).unwrap();
        passwd.lines().find(|line| line.starts_with("ana:")).unwrap().rsplit(':').next().unwrap().to_owned()
    };
    assert!(!change());
    assert_eq!(shell_of_ana(), host.login_shell().to_str().unwrap());
    host.append("shells", &format!("{}\n", host.login_shell().display()));
    assert!(change());
    assert_eq!(shell_of_ana(), "/bin/bash");
    assert!(goes_round(&host, host.ssh(&[], &["echo unrecorded"])));
}
