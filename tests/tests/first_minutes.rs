//! What somebody sees who starts Hansard on a terminal, and whether it works as it stands there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use whole_system::{Person, free_port, program, until, without_root};

fn serve(folder: &Path, port: u16) -> Person {
    let (hansard, data) = (program("hansard"), folder.join("data"));
    let listen = format!("127.0.0.1:{port}");
    let command = [
        hansard.to_str().unwrap(),
        "serve",
        "--with-local-agent",
        "--data-dir",
        data.to_str().unwrap(),
        "--listen",
        &listen,
    ];
    Person::run(&command, &[], 80, 50)
}

fn text_of(person: &Person) -> String {
    String::from_utf8(person.shown()).unwrap().replace("\r\n", "\n")
}

/// The block to paste, a line each.
fn block(text: &str) -> Vec<String> {
    let after = text.split_once("Paste this block into another terminal:\n\n").unwrap().1;
    after.split("\n\n").next().unwrap().lines().map(str::to_owned).collect()
}

fn ends_by_an_interrupt(mut server: Person) -> String {
    server.types("\x03");
    assert!(server.leaves().success(), "{}", text_of(&server));
    text_of(&server)
}

/// A shell far from the checkout and from the data.
fn shell_elsewhere() -> Person {
    Person::run(&["env", "-C", "/", "bash", "--norc", "--noprofile", "-i"], &[], 80, 50)
}

/// Types lines and waits for the success of the last one. What is typed after a line could be keys for its program.
fn runs(shell: &mut Person, line: &str, number: usize) {
    shell.types(&format!("{line}; echo \"status $? of line $((1000 + {number}))\"\n"));
    shell.sees(&format!("status 0 of line {}", 1000 + number));
}

/// Runs these lines one after the other; a shell that is recorded gets something to do.
fn run_all(shell: &mut Person, server: &Person, lines: &[&str]) {
    for (number, line) in lines.iter().enumerate() {
        if line.contains("record -- bash") {
            shell.types(&format!("{line}\n"));
            shell.sees("recording this session as");
            shell.types("echo $((7 * 191)) in the recording; exit\n");
            shell.sees("recorded; to play it");
            until("the recording is delivered", || {
                text_of(server).contains("the recording is delivered").then_some(())
            });
        } else {
            // A comment would take in the marker that follows.
            runs(shell, line.split(" # ").next().unwrap(), number + 1);
        }
    }
}

#[test]
fn what_the_first_start_says_works_as_it_stands_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(folder.path(), port);
    server.sees("recordings play latest");
    server.sees("Nothing leaves this machine.");
    let text = text_of(&server);
    assert!(text.starts_with(&format!("\nHansard serves at http://127.0.0.1:{port}\n")), "{text}");

    let mut shell = shell_elsewhere();
    let block = block(&text);
    assert!(block.iter().all(|line| line.starts_with("export ")), "{block:?}");
    runs(&mut shell, &block.join("\n"), 0);
    let next: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(next.len(), 5, "{text}");
    run_all(&mut shell, &server, &next);
    shell.sees_times("1337 in the recording", 2);
    shell.types("exit\n");
    shell.leaves();

    let text = ends_by_an_interrupt(server);
    assert!(text.contains("stopping, and the agent of this machine with it"), "{text}");
    assert!(text.contains("a session begins"), "the agent's own news are shown: {text}");
    assert!(!text.contains("answered"), "no line for each request: {text}");

    let server = serve(folder.path(), port);
    server.sees("hansard recordings ls");
    let text = ends_by_an_interrupt(server);
    assert!(text.starts_with(&format!("\nHansard serves again at http://127.0.0.1:{port}\n")), "{text}");
    assert!(text.contains("This machine is recorded.") && !text.contains("Nothing leaves"), "{text}");
}

/// The lines of the first block of code after `text`, with this beginning.
fn code_after<'a>(text: &'a str, heading: &str, fence: &str) -> Vec<&'a str> {
    let after = text.split_once(heading).unwrap().1.split_once(&format!("\n{fence}\n")).unwrap().1;
    after.split_once("\n```").unwrap().0.lines().collect()
}

#[test]
fn the_lines_of_the_readme_work_as_they_stand_from_any_folder() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), free_port());
    server.sees("Nothing leaves this machine.");
    let mut shell = shell_elsewhere();
    runs(&mut shell, &block(&text_of(&server)).join("\n"), 0);
    let lines = code_after(&readme, "## The first recording", "```");
    assert!(lines.len() >= 7, "{lines:?}");
    run_all(&mut shell, &server, &lines);
    shell.types("exit\n");
    shell.leaves();

    let mut shell = shell_elsewhere();
    runs(&mut shell, &block(&text_of(&server)).join("\n"), 0);
    let elsewhere = tempfile::tempdir().unwrap();
    runs(&mut shell, &format!("cd {}", elsewhere.path().display()), 900);
    let policy = code_after(&readme, "save this as `auditors.json`", "```json").join("\n");
    std::fs::write(elsewhere.path().join("auditors.json"), policy).unwrap();
    let lines = code_after(&readme, "save this as `auditors.json`", "```\nhansard admin user create ana");
    run_all(&mut shell, &server, &[&["hansard admin user create ana"], &lines[..]].concat());
    shell.types("exit\n");
    shell.leaves();
    ends_by_an_interrupt(server);
}

#[test]
fn a_failed_start_shows_what_was_logged_before() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let first = serve(folder.path(), port);
    first.sees("Nothing leaves this machine.");
    let mut second = serve(folder.path(), free_port());
    assert!(!second.leaves().success());
    let text = text_of(&second);
    assert!(text.contains("error: another `hansard serve` uses the data directory"), "{text}");
    assert!(!text.contains("Paste this block"), "{text}");
    ends_by_an_interrupt(first);
}

#[test]
fn other_users_record_through_the_agent_of_the_first_start() {
    if without_root("only root can become somebody else") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let server = serve(folder.path(), free_port());
    server.sees("Nothing leaves this machine.");
    let mut shell = shell_elsewhere();
    runs(&mut shell, &block(&text_of(&server)).join("\n"), 0);
    runs(&mut shell, "hansard call SetInstanceRecordConfig Enabled=true 'InstanceId=*'", 1);

    // The programs that were just built may lie where others cannot reach them.
    let agent = folder.path().join("agent-for-all");
    let mut install = Command::new("install");
    assert!(
        install.args(["-m", "755"]).arg(program("hansard-agent")).arg(&agent).status().unwrap().success()
    );
    let data = folder.path().join("data");
    let nobody = |command: &[&str]| {
        let mut all = Command::new("setpriv");
        all.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(command).output().unwrap()
    };
    let state = data.join("agent");
    let recorded = nobody(&[
        agent.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
        "record",
        "--",
        "id",
        "-u",
    ]);
    assert_eq!(String::from_utf8_lossy(&recorded.stdout), "65534\n", "{recorded:?}");
    // Nothing but the socket is within their reach.
    for name in ["hansard.db", "root-access-key.toml", "server-keys.toml", "objects", "audit", "agent/spool"]
    {
        assert!(data.join(name).exists(), "{name}");
        let tried = nobody(&["find", data.join(name).to_str().unwrap(), "-exec", "cat", "{}", "+"]);
        assert!(String::from_utf8_lossy(&tried.stderr).contains("Permission denied"), "{name}: {tried:?}");
    }
    shell.types("exit\n");
    shell.leaves();
    ends_by_an_interrupt(server);
}
