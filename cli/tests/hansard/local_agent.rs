//! How the server supervises the local agent. The agent here is a script that records how it was started, because
//! these tests are about the supervisor. The whole-system tests run the real agent.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, test_kill_process};

use crate::deployment::{Server, until};

/// A program that records its arguments and variables, and then runs until it is told to end.
fn script(folder: &Path, stays: &str) -> PathBuf {
    let path = folder.join("agent");
    let text = format!(
        "#!/bin/sh\nset -e\nnotes='{}'\nenv >\"$notes/$1.environment\"\necho \"$@\" >\"$notes/$1.arguments\"\n\
         if [ \"$1\" = run ]; then echo $$ >>\"$notes/processes.new\"; mv \"$notes/processes.new\" \
         \"$notes/processes\"; cp \"$notes/processes\" \"$notes/processes.new\"; {stays}; fi\n",
        folder.display()
    );
    std::fs::write(path.with_extension("text"), text).unwrap();
    // Written by another process: a file that this process had open for writing could not be executed as long as a
    // child of another test, between its fork and its exec, had it open too.
    let mut install = std::process::Command::new("install");
    assert!(
        install.args(["-m", "755"]).arg(path.with_extension("text")).arg(&path).status().unwrap().success()
    );
    path
}

fn started(folder: &Path, count: usize) -> Vec<Pid> {
    until("the agent is started", || {
        let text = std::fs::read_to_string(folder.join("processes")).ok()?;
        let pids: Vec<_> = text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect();
        (pids.len() >= count).then_some(pids)
    })
}

fn server_with(agent: &Path) -> Server {
    Server::start(&["--with-local-agent", "--local-agent-program", agent.to_str().unwrap()])
}

#[test]
fn it_is_enrolled_run_and_ended_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server_with(&script(folder.path(), "exec sleep 1000"));
    let agent = started(folder.path(), 1)[0];
    let note = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let arguments = note("enrol.arguments");
    let expected = format!("enrol --server http://{} --instance-id i-local --replace", server.address);
    assert!(arguments.starts_with(&expected), "{arguments}");
    let state = server.data().canonicalize().unwrap().join("agent");
    assert!(arguments.contains(&format!("--state-dir {}", state.display())), "{arguments}");
    assert!(!arguments.contains("hjt-"), "others can read arguments");
    assert!(note("enrol.environment").contains("HANSARD_AGENT_JOIN_TOKEN=hjt-"));
    assert!(!note("run.environment").contains("hjt-"));
    assert!(!note("run.environment").lines().any(|line| line.starts_with("ALIBABA_CLOUD_")));

    assert_eq!(server.stop(Signal::TERM).code(), Some(0), "{}", server.log());
    assert!(test_kill_process(agent).is_err(), "it ended before the server did");
}

#[test]
fn it_ends_when_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server_with(&script(folder.path(), "exec sleep 1000"));
    let agent = started(folder.path(), 1)[0];
    server.stop(Signal::KILL);
    until("the agent ends", || test_kill_process(agent).is_err().then_some(()));
}

#[test]
fn it_is_restarted_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = server_with(&script(folder.path(), "exit 3"));
    let agents = started(folder.path(), 2);
    assert_ne!(agents[0], agents[1]);
    until("the log says so", || {
        server.log().contains("the local agent ended; it is restarted").then_some(())
    });
    assert!(server.printed().contains("Hansard serves at http://"), "the server serves all the same");
}
