//! People who log in through a real sshd, `su` and `sudo`: what they do is recorded, and they notice no difference.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Output, Stdio};

use crate::bench::{eventually, text, token_in, without_root};
use crate::person::Person;
use crate::ssh_host::{ANA, Form, Host, PASSWORD};

const RECORDED: [Form; 2] = [Form::LoginShell, Form::ForceCommand];

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can run an sshd for others");
    }
    root
}

fn output_of(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    eprintln!("{}", text(&output.stderr));
    output
}

/// What the recording has of a session whose announcement is in this text.
fn recorded(host: &Host, shown: &str) -> String {
    let token = token_in(shown).unwrap_or_else(|| panic!("no session is announced in {shown:?}"));
    text(&host.instance.control_plane.sealed(&token).output())
}

#[test]
fn a_command_over_ssh_keeps_its_streams_and_its_exit_code() {
    if !we_are_root() {
        return;
    }
    for form in RECORDED {
        let host = Host::running(form, "");
        let command =
            "echo \"out of $(id -un)\"; echo err >&2; test \"$SHELL\" = /bin/bash || exit 1; exit 7";
        let output = output_of(&mut host.ssh(&[], &[command]));
        assert_eq!(text(&output.stdout), "out of ana\n", "{form:?}");
        assert_eq!(output.status.code(), Some(7), "{form:?}");
        let said = text(&output.stderr);
        assert_eq!(said.lines().last(), Some("err"), "{form:?}");
        let shown = recorded(&host, &said);
        assert!(shown.contains("out of ana\n") && shown.contains("err\n"), "{form:?}: {shown}");

        // A password that PAM checks, and one that it refuses.
        let output = output_of(&mut host.ssh_with_password(PASSWORD, &["echo in; exit 5"]));
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("in\n", Some(5)), "{form:?}");
        assert_eq!(recorded(&host, &text(&output.stderr)), "in\n");
        let refused = output_of(&mut host.ssh_with_password("wrong", &["echo in"]));
        assert_eq!((text(&refused.stdout).as_str(), refused.status.code()), ("", Some(255)), "{form:?}");
    }
}

#[test]
fn a_login_over_ssh_has_a_terminal() {
    if !we_are_root() {
        return;
    }
    for form in RECORDED {
        let host = Host::running(form, "");
        fs::write(host.home().join(".bash_profile"), "echo \"a profile for $0\"; PS1='ready> '\n").unwrap();
        let mut person = Person::at_terminal(&host.ssh(&["-tt"], &[]));
        person.sees("a profile for -bash");
        person.sees("ready> ");
        person.types("tty; echo \"<$SHELL>\"; stty size\r");
        person.sees("</bin/bash>");
        person.sees("24 80");
        person.resizes(99, 33);
        eventually("the size arrives", || {
            person.types("stty size\r");
            person.screen().contains("33 99").then_some(())
        });
        person.types("exit 3\r");
        person.ends_with(3);
        let shown = recorded(&host, &person.screen());
        assert!(shown.contains("a profile for -bash") && shown.contains("33 99"), "{form:?}: {shown}");

        // With a terminal for one command.
        let mut person = Person::at_terminal(&host.ssh(&["-tt"], &["tty && exit 9"]));
        person.ends_with(9);
        assert!(recorded(&host, &person.screen()).contains("/dev/pts/"), "{form:?}");
    }
}

#[test]
fn a_login_without_a_terminal_reads_its_commands() {
    if !we_are_root() {
        return;
    }
    for form in RECORDED {
        let host = Host::running(form, "");
        let commands = host.file("commands");
        fs::write(&commands, "echo \"it is $((6*7))\"\ntty\nexit 4\n").unwrap();
        let mut ssh = host.ssh(&["-T"], &[]);
        let output = output_of(ssh.stdin(fs::File::open(&commands).unwrap()));
        // The host's message of the day comes first.
        let shown = text(&output.stdout);
        assert!(shown.ends_with("it is 42\nnot a tty\n"), "{form:?}: {shown}");
        assert_eq!(output.status.code(), Some(4), "{form:?}");
        assert!(recorded(&host, &text(&output.stderr)).contains("it is 42\n"), "{form:?}");
    }
}

#[test]
fn what_a_session_brings_along_arrives() {
    if !we_are_root() {
        return;
    }
    for form in RECORDED {
        let host = Host::running(form, "AcceptEnv LANG");
        // The agent of the other end, which holds a key.
        let socket = host.file("keys.sock");
        let mut keys =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        eventually("the keys' agent listens", || socket.exists().then_some(()));
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(host.file("key-of-ana"))
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.unwrap().success());
        let mut ssh =
            host.ssh(&["-A", "-o", "SetEnv=LANG=C.UTF-8"], &["ssh-add -l; echo $LANG; umask; pwd; cat"]);
        let input = host.file("input");
        fs::write(&input, "the input\n").unwrap();
        let output = output_of(ssh.env("SSH_AUTH_SOCK", &socket).stdin(fs::File::open(&input).unwrap()));
        keys.kill().unwrap();
        keys.wait().unwrap();
        let shown = text(&output.stdout);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].contains("ana's key (ED25519)"), "{form:?}: {shown}");
        assert_eq!(lines[1..], ["C.UTF-8", "0022", host.home().to_str().unwrap(), "the input"], "{form:?}");

        // A command that a signal ends has the exit code that shells give it, where ssh alone would say 255.
        let output = output_of(&mut host.ssh(&[], &["kill -TERM $$; sleep 1000"]));
        assert_eq!(output.status.code(), Some(128 + 15), "{form:?}");
    }
}

#[test]
fn files_are_copied_byte_for_byte() {
    if !we_are_root() {
        return;
    }
    let random: Vec<u8> = {
        let mut bytes = vec![0; 3 << 20];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
        bytes
    };
    for form in RECORDED {
        let host = Host::running(form, "");
        let (here, back) = (host.file("here"), host.file("back"));
        fs::write(&here, &random).unwrap();
        let (here, back) = (here.to_str().unwrap(), back.to_str().unwrap());
        for (how, flags) in [("scp", &["-O"][..]), ("sftp in scp", &["-s"])] {
            let there = host.home().join("there");
            let output = output_of(&mut host.scp(flags, &[here, "remote:there"]));
            assert!(output.status.success(), "{form:?} {how}");
            assert!(fs::read(&there).unwrap() == random, "{form:?} {how}: what arrived differs");
            assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(&there).unwrap()), ANA);
            let output = output_of(&mut host.scp(flags, &["remote:there", back]));
            assert!(output.status.success(), "{form:?} {how}");
            assert!(fs::read(back).unwrap() == random, "{form:?} {how}: what came back differs");
            fs::remove_file(there).unwrap();
            let missing = output_of(&mut host.scp(flags, &["remote:none", back]));
            assert!(!missing.status.success(), "{form:?} {how}");
        }
        let batch = format!("put {here} there\nrename there elsewhere\nget elsewhere {back}-by-sftp\nls\n");
        let output = output_of(&mut host.sftp(&batch));
        assert!(output.status.success(), "{form:?}");
        assert!(text(&output.stdout).contains("elsewhere"), "{form:?}");
        assert!(fs::read(format!("{back}-by-sftp")).unwrap() == random, "{form:?}");
        // Each of these was a session of its own, and nobody can copy without one.
        let sessions = host.instance.control_plane.state().recordings.len();
        assert!(sessions >= 7, "{form:?}: {sessions} sessions");
    }
}

#[test]
fn su_and_sudo_start_the_recorded_login_shell() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, "");
    fs::write(host.home().join(".bash_profile"), "echo profile\n").unwrap();
    let look = "echo \"$(id -un) $0 $SHELL $#\"; exit 6";
    for (words, expected) in [
        (&["su", "-", "ana", "-c", look][..], "profile\nana -bash /bin/bash 0\n"),
        (&["su", "ana", "-c", look], "ana bash /bin/bash 0\n"),
        (&["su", "ana", "-c", "echo \"$# $1\"; exit 6", "zero", "one"], "1 one\n"),
        (&["sudo", "-u", "ana", "-i", "echo", "in; exit", "6"], "profile\nin; exit 6\n"),
        (&["runuser", "-l", "ana", "-c", look], "profile\nana -bash /bin/bash 0\n"),
    ] {
        let output = output_of(&mut host.root(words));
        let shown = text(&output.stdout);
        let shown = shown.replace("/bin/bash /bin/bash", "bash /bin/bash").replace("-/bin/", "-");
        assert_eq!(shown, expected, "{words:?}");
        let code = if words[0] == "sudo" { 0 } else { 6 };
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert!(!recorded(&host, &text(&output.stderr)).is_empty(), "{words:?}");
    }
    for words in [&["su", "-", "ana"][..], &["sudo", "-u", "ana", "-i"]] {
        let mut person = Person::at_terminal(&host.root(words));
        person.sees("profile");
        person.types("PS1=; echo \"at $((40+2)) of $(id -un)\"; exit 8\r");
        person.ends_with(8);
        assert!(recorded(&host, &person.screen()).contains("at 42 of ana"), "{words:?}");
    }
}

#[test]
fn the_administrator_chooses_the_real_shell() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, "");
    let shell = |words: &[&str]| {
        let login_shell = host.login_shell();
        let setpriv = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "--"];
        let words = setpriv.into_iter().chain([login_shell.to_str().unwrap()]).chain(words.iter().copied());
        output_of(host.root(&words.collect::<Vec<_>>()).env("SHELL", "/bin/false"))
    };
    let look = &["-c", "readlink /proc/$$/exe; echo $SHELL"][..];
    let seen = |output: &Output| text(&output.stdout);
    assert!(seen(&shell(look)).ends_with("bash\n/bin/bash\n"));
    host.settings("shell.default = '/bin/dash'");
    assert!(seen(&shell(look)).ends_with("dash\n/bin/dash\n"));
    host.settings("[shell]\ndefault = '/bin/dash'\nusers = { ana = '/bin/bash', bob = '/bin/false' }");
    assert!(seen(&shell(look)).ends_with("bash\n/bin/bash\n"));
    // What it does not know itself is the real shell's.
    let output = shell(&["--norc", "-l", "-c", "shopt -q login_shell && echo login"]);
    assert!(seen(&output).contains("login\n"));

    for (settings, why) in [
        (format!("shell.default = '{}'", host.login_shell().display()), "this program itself"),
        (format!("shell.default = '{}'", host.program().display()), "this program itself"),
        ("shell.default = 'bash'".to_owned(), "must be an absolute path"),
        ("shel.default = '/bin/bash'".to_owned(), "shel"),
    ] {
        host.settings(&settings);
        let refused = shell(look);
        assert_eq!((seen(&refused).as_str(), refused.status.code()), ("", Some(125)), "{settings}");
        assert!(text(&refused.stderr).contains(why), "{settings}: {}", text(&refused.stderr));
    }
}

#[test]
fn a_login_shell_within_the_persons_reach_is_refused() {
    if !we_are_root() {
        return;
    }
    for form in RECORDED {
        let host = Host::running(form, "");
        let runs = || output_of(&mut host.ssh(&[], &["echo ran"]));
        let refused = |why: &str| {
            let output = runs();
            assert_eq!(
                (text(&output.stdout).as_str(), output.status.code()),
                ("", Some(125)),
                "{form:?} {why}"
            );
            assert!(text(&output.stderr).contains(why), "{form:?}: {}", text(&output.stderr));
        };
        assert_eq!(text(&runs().stdout), "ran\n", "{form:?}");
        let folder = host.program().parent().unwrap().to_owned();
        for path in [&folder, &host.program()] {
            chown(path, Some(ANA), None).unwrap();
            refused("belongs to user 54321");
            chown(path, Some(0), Some(ANA)).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o775)).unwrap();
            refused("may be written by user 54321");
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
            chown(path, Some(0), Some(0)).unwrap();
        }
        assert_eq!(text(&runs().stdout), "ran\n", "{form:?}");
        if form == Form::LoginShell {
            std::os::unix::fs::lchown(host.login_shell(), Some(ANA), None).unwrap();
            refused("belongs to user 54321");
            std::os::unix::fs::lchown(host.login_shell(), Some(0), None).unwrap();
        }
        // The agent of the settings is the person's own.
        chown(host.instance.state_dir(), Some(ANA), None).unwrap();
        refused("the agent may be the recorded person's own");
        chown(host.instance.state_dir(), Some(0), None).unwrap();
    }
}

#[test]
fn a_copy_under_the_name_of_the_login_shell_is_one() {
    if !we_are_root() {
        return;
    }
    let host = Host::running(Form::LoginShell, "");
    fs::remove_file(host.login_shell()).unwrap();
    assert!(Command::new("cp").arg(host.program()).arg(host.login_shell()).status().unwrap().success());
    let output = output_of(&mut host.ssh(&[], &["echo $SHELL; exit 2"]));
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("/bin/bash\n", Some(2)));
    assert!(token_in(&text(&output.stderr)).is_some());
    // A forced command beside it runs through it, and takes the real shell of the settings.
    let forced = format!("ForceCommand {} shell\n", host.program().display());
    let mut host = host;
    host.configure(Form::LoginShell, &forced);
    host.restart_sshd();
    let output = output_of(host.ssh(&[], &["echo $SHELL; exit 2"]).stdin(Stdio::null()));
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("/bin/bash\n", Some(2)));
}
