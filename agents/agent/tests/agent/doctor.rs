//! The doctor reads a real sshd's configuration, accounts and files, and names each way round with the setting that closes it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use serde_json::Value;

use crate::bench::{text, without_root};
use crate::ssh_host::{ANA, Form, Host};

/// What `docs/ssh.md` recommends.
pub(crate) const RECOMMENDED: &str = "PermitRootLogin no\nDisableForwarding yes\nPermitUserRC no\n\
    PermitUserEnvironment no\nAcceptEnv LANG LC_*\nUnusedConnectionTimeout 60\n";

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can read what sshd does");
    }
    root
}

/// The doctor's exit code and report.
pub(crate) fn examine(host: &Host, flags: &[&str]) -> (Option<i32>, Value) {
    let program = host.program();
    let words = [&[program.to_str().unwrap(), "doctor", "--output", "json"][..], flags].concat();
    let output = host.root(&words).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    eprintln!("{}", text(&output.stderr));
    (output.status.code(), report)
}

fn codes(report: &Value, severity: &str) -> Vec<String> {
    let findings = report["Findings"].as_array().unwrap().iter();
    let of_severity = findings.filter(|finding| finding["Severity"] == severity);
    of_severity.map(|finding| finding["Code"].as_str().unwrap().to_owned()).collect()
}

/// The ways round that a configuration leaves open beside what is recommended.
fn ways(host: &Host, form: Form, also: &str) -> (Option<i32>, Vec<String>, Value) {
    host.configure(form, &format!("{also}\n{RECOMMENDED}"));
    let (code, report) = examine(host, &[]);
    (code, codes(&report, "WayRound"), report)
}

#[test]
fn the_recommended_set_up_has_no_way_round() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, RECOMMENDED);
    let (code, report) = examine(&host, &[]);
    assert_eq!(
        (code, &report["WaysRound"], &report["Unchecked"]),
        (Some(0), &0.into(), &0.into()),
        "{report:#}"
    );
    let table = host.root(&[host.program().to_str().unwrap(), "doctor"]).output().unwrap();
    assert!(text(&table.stdout).ends_with("no way round the recording was found\n"), "{table:?}");
}

#[test]
fn every_option_of_sshd_that_opens_a_way_is_named() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, "");
    for (option, code, close) in [
        ("Subsystem sftp internal-sftp", "internal-sftp", "Subsystem sftp /usr/lib/openssh/sftp-server"),
        ("Subsystem other internal-sftp -R", "internal-sftp", "Subsystem sftp /usr/lib/openssh/sftp-server"),
        ("ForceCommand internal-sftp", "forced-internal-sftp", "remove this ForceCommand"),
        ("PermitUserEnvironment yes", "user-environment", "PermitUserEnvironment no"),
        ("PermitUserEnvironment LC_*", "user-environment", "PermitUserEnvironment no"),
        ("AcceptEnv HANSARD_*", "accept-env", "take HANSARD_* out of AcceptEnv"),
        ("AcceptEnv TERM LD_*", "accept-env", "take LD_* out of AcceptEnv"),
        ("AcceptEnv BASH_ENV", "accept-env", "take BASH_ENV out of AcceptEnv"),
        ("AcceptEnv ENV", "accept-env", "take ENV out of AcceptEnv"),
        ("AcceptEnv *", "accept-env", "take * out of AcceptEnv"),
        ("PermitRootLogin prohibit-password", "root-login", "PermitRootLogin no"),
    ] {
        let (exit, ways, report) = ways(&host, Form::LoginShell, option);
        assert_eq!((exit, ways), (Some(1), vec![code.to_owned()]), "{option}: {report:#}");
        let finding = &report["Findings"][0];
        let line = fs::read_to_string(host.etc("ssh/sshd_config")).unwrap();
        let number = 1 + line.lines().position(|line| line == option).unwrap();
        let place = finding["Place"].as_str().unwrap();
        assert!(place.starts_with(&format!("/etc/ssh/sshd_config:{number}: ")), "{option}: {place}");
        assert!(finding["Close"].as_str().unwrap().starts_with(close), "{option}: {finding}");
        assert!(!finding["Why"].as_str().unwrap().is_empty());
        let who = if code == "root-login" { "root" } else { "ana" };
        assert_eq!(finding["Accounts"], serde_json::json!([who]), "{option}");
    }
    // sshd's defaults, where nothing is written.
    host.configure(Form::LoginShell, "");
    let (exit, report) = examine(&host, &[]);
    let found = codes(&report, "WayRound");
    for code in ["tcp-forwarding", "socket-forwarding", "root-login"] {
        assert!(found.iter().any(|found| found == code), "{code}: {found:?}");
    }
    for code in ["user-rc", "agent-forwarding", "no-session"] {
        assert!(codes(&report, "Note").iter().any(|found| found == code), "{code}: {report:#}");
    }
    assert_eq!(exit, Some(1));
    assert!(report["Findings"].to_string().contains("which is sshd's default"), "{report:#}");
}

#[test]
fn each_kind_of_forwarding_is_named_and_closed() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, "");
    let others = RECOMMENDED.replace("DisableForwarding yes\n", "");
    let off =
        ["AllowTcpForwarding no", "AllowStreamLocalForwarding no", "PermitTunnel no", "X11Forwarding no"];
    let on = [
        "AllowTcpForwarding local",
        "AllowStreamLocalForwarding yes",
        "PermitTunnel ethernet",
        "X11Forwarding yes",
    ];
    let codes_of = ["tcp-forwarding", "socket-forwarding", "tunnel", "x11-forwarding"];
    let look = |options: &[&str]| {
        host.configure(Form::LoginShell, &format!("{}\n{others}", options.join("\n")));
        let (exit, report) = examine(&host, &[]);
        (exit, codes(&report, "WayRound"), codes(&report, "Note"))
    };
    assert_eq!(look(&off), (Some(0), vec![], vec!["agent-forwarding".to_owned()]));
    for (number, code) in codes_of.into_iter().enumerate() {
        let mut options = off;
        options[number] = on[number];
        let (exit, ways, _) = look(&options);
        assert_eq!((exit, ways), (Some(1), vec![code.to_owned()]), "{options:?}");
    }
    let mut nowhere = off;
    nowhere[0] = "PermitOpen none\nPermitListen none";
    assert_eq!(look(&nowhere).0, Some(0), "it may be forwarded, to nowhere");
    let (_, _, notes) = {
        host.configure(Form::LoginShell, &RECOMMENDED.replace("UnusedConnectionTimeout 60\n", ""));
        let (exit, report) = examine(&host, &[]);
        (exit, (), codes(&report, "Note"))
    };
    assert_eq!(notes, ["no-session"]);
}

#[test]
fn accounts_are_told_apart_as_sshd_does() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, "");
    host.append("passwd", "bob:x:54322:54322::/nowhere:/bin/bash\n");
    host.append("passwd", "service:x:54323:54323::/:/usr/sbin/nologin\n");
    let program = host.program().display().to_string();
    let (exit, found, report) = ways(&host, Form::LoginShell, "");
    assert_eq!((exit, found), (Some(1), vec!["other-login-shell".to_owned()]));
    assert_eq!(report["Findings"][0]["Accounts"], serde_json::json!(["bob"]));

    // Settings of a Match block end what holds for all, so that they come last.
    let look = |block: &str| {
        host.configure(Form::LoginShell, RECOMMENDED);
        host.append("ssh/sshd_config", block);
        let (exit, report) = examine(&host, &[]);
        (exit, codes(&report, "WayRound"), report)
    };
    let (_, found, _) = look(&format!("Match User bob\n  ForceCommand {program} shell\n"));
    // Nobody can write his home, which is not there; but the shells of /etc/shells are many.
    assert_eq!(found, ["chsh"]);
    let (_, found, _) = look("Match User bob\n  ForceCommand /bin/true shell\n");
    assert_eq!(found, ["other-login-shell"]);
    host.change_shell(&host.login_shell());
    let passwd = fs::read_to_string(host.etc("passwd"))
        .unwrap()
        .replace("bob:x:54322:54322::/nowhere:/bin/bash\n", "");
    fs::write(host.etc("passwd"), passwd).unwrap();
    let (exit, found, report) =
        look("Match User ana Address 10.0.0.0/8\n  AllowTcpForwarding yes\n  DisableForwarding no\n");
    assert_eq!(
        (exit, found),
        (Some(1), vec!["tcp-forwarding".to_owned(), "socket-forwarding".to_owned()]),
        "{report:#}"
    );
    assert!(
        report["Findings"][0]["Place"].as_str().unwrap().contains("allowtcpforwarding yes"),
        "{report:#}"
    );
    let (exit, found, report) = look("Match Host example.org\n  DisableForwarding no\n");
    assert_eq!((exit, found, codes(&report, "Unchecked")), (Some(2), vec![], vec!["match".to_owned()]));
    // Who is not let in needs no settings.
    host.append("group", "ops:x:54399:ana,ben\n");
    for (lists, keeps_out) in [
        ("DenyUsers ana", true),
        ("AllowUsers ben", true),
        ("DenyGroups wheel op?", true),
        ("AllowGroups wheel", true),
        ("AllowGroups ops\nDenyUsers ben", false),
        ("AllowGroups ana", false),
    ] {
        let (exit, found, _) = ways(&host, Form::LoginShell, &format!("AcceptEnv LD_*\n{lists}"));
        let expected = if keeps_out { (Some(0), vec![]) } else { (Some(1), vec!["accept-env".to_owned()]) };
        assert_eq!((exit, found), expected, "{lists}");
    }
}

#[test]
fn a_forced_command_is_only_as_good_as_the_shell_that_runs_it() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::ForceCommand, "");
    let shells = host.etc("shells");
    fs::write(&shells, "").unwrap();
    let look = |also: &str| ways(&host, Form::ForceCommand, also);
    let (exit, found, report) = look("");
    assert_eq!((exit, found), (Some(1), vec!["start-up-file".to_owned()]), "{report:#}");
    assert_eq!(report["Findings"][0]["Place"], host.home().join(".bashrc").to_str().unwrap());
    // A file that nobody can change or replace, a home that is root's, or a shell that reads nothing.
    let start_up = host.home().join(".bashrc");
    fs::write(&start_up, "").unwrap();
    let attribute = |sign: &str| {
        let changed =
            std::process::Command::new("chattr").arg(format!("{sign}i")).arg(&start_up).output().unwrap();
        assert!(changed.status.success(), "{changed:?}");
    };
    attribute("+");
    let guarded = look("").0;
    attribute("-");
    assert_eq!(guarded, Some(0));
    fs::remove_file(&start_up).unwrap();
    chown(host.home(), Some(0), Some(0)).unwrap();
    assert_eq!(look("").0, Some(0));
    fs::write(host.home().join(".bashrc"), "").unwrap();
    assert_eq!(look("").0, Some(0));
    chown(host.home().join(".bashrc"), Some(ANA), None).unwrap();
    assert_eq!(look("").1, ["start-up-file"]);
    host.change_shell(Path::new("/bin/sh"));
    assert_eq!(look("").0, Some(0));
    fs::write(&shells, "/bin/sh\n").unwrap();
    assert_eq!(look("").1, ["chsh"]);
    fs::write(&shells, "").unwrap();
    // sshd does not run ~/.ssh/rc beside it, and its word for sftp makes the system's program run.
    assert_eq!(look("PermitUserRC yes").0, Some(0));
    let (exit, _, report) = look("Subsystem sftp internal-sftp");
    assert_eq!((exit, codes(&report, "Note")), (Some(0), Vec::<String>::new()));
}

#[test]
fn files_that_others_can_change_are_named() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, RECOMMENDED);
    let clean = |what: &str| assert_eq!(examine(&host, &[]).0, Some(0), "{what}");
    let state_dir = host.instance.state_dir();
    let program_folder = host.program().parent().unwrap().to_owned();
    for (path, code) in [
        (host.etc("hansard-agent/agent.toml"), "settings-file"),
        (host.etc("hansard-agent"), "settings-file"),
        (host.program(), "program"),
        (program_folder, "program"),
        (host.etc("ssh/sshd_config"), "sshd-configuration"),
        (state_dir.clone(), "agent-directory"),
        (state_dir.parent().unwrap().to_owned(), "agent-directory"),
    ] {
        clean("before");
        let before = fs::metadata(&path).unwrap().permissions();
        // Nobody but root is in root's group; a settings file that a group may write is not read all the same.
        fs::set_permissions(&path, Permissions::from_mode(before.mode() & 0o777 | 0o020)).unwrap();
        let (exit, report) = examine(&host, &[]);
        let expected = if code == "settings-file" { Some(2) } else { Some(0) };
        assert_eq!(exit, expected, "{path:?}: {report:#}");
        chown(&path, None, Some(ANA)).unwrap();
        for mode in [0o775, 0o757] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let (exit, report) = examine(&host, &[]);
            let found = codes(&report, "WayRound");
            assert!(found.iter().any(|found| found == code), "{path:?} {mode:o}: {report:#}");
            assert_eq!(exit, Some(1));
        }
        fs::set_permissions(&path, before).unwrap();
        chown(&path, Some(ANA), None).unwrap();
        let (exit, report) = examine(&host, &[]);
        assert!(codes(&report, "WayRound").iter().any(|found| found == code), "{path:?}: {report:#}");
        assert_eq!(exit, Some(1));
        chown(&path, Some(0), Some(0)).unwrap();
    }
    // The login shell in /etc/shells.
    let shells = fs::read_to_string(host.etc("shells")).unwrap();
    host.append("shells", &format!("{}\n", host.login_shell().display()));
    let (exit, report) = examine(&host, &[]);
    assert_eq!((exit, codes(&report, "WayRound")), (Some(1), vec!["shell-listed".to_owned()]));
    fs::write(host.etc("shells"), shells).unwrap();
    clean("after");
}

#[test]
fn a_program_that_people_may_read_is_named() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, RECOMMENDED);
    let program = host.program();
    for (mode, group, is_named) in
        [(0o711, 0, false), (0o755, 0, true), (0o751, 0, false), (0o751, ANA, true), (0o111, ANA, false)]
    {
        chown(&program, None, Some(group)).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(mode)).unwrap();
        let (exit, report) = examine(&host, &[]);
        let expected =
            if is_named { (Some(1), vec!["program-readable".to_owned()]) } else { (Some(0), vec![]) };
        assert_eq!((exit, codes(&report, "WayRound")), expected, "{mode:o} {group}: {report:#}");
        if is_named {
            let close = format!("chmod 0711 {}", program.display());
            assert_eq!(report["Findings"][0]["Close"], close, "{report:#}");
        }
    }
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    if !we_are_root() {
        return;
    }
    let host = Host::prepared(Form::LoginShell, RECOMMENDED);
    let (exit, report) = examine(&host, &["--sshd-config", "/etc/ssh/none"]);
    assert_eq!((exit, codes(&report, "Unchecked")), (Some(2), vec!["sshd".to_owned()]), "{report:#}");
    host.configure(Form::LoginShell, "NoSuchOption yes");
    let (exit, report) = examine(&host, &[]);
    assert_eq!(exit, Some(2), "{report:#}");
    assert!(report.to_string().contains("NoSuchOption"), "{report:#}");
    // Another file is the one that is looked at.
    let other = host.etc("ssh/other");
    host.configure(Form::LoginShell, RECOMMENDED);
    fs::copy(host.etc("ssh/sshd_config"), &other).unwrap();
    host.configure(Form::LoginShell, "");
    assert_eq!(examine(&host, &[]).0, Some(1));
    assert_eq!(examine(&host, &["--sshd-config", "/etc/ssh/other"]).0, Some(0));
}
