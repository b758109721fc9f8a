//! What ends the server, and what makes it end sooner. The local agent here is a script that takes time to end, so
//! that there is something to wait for.

use std::path::Path;

use rustix::process::Signal;

use crate::deployment::{Server, until};

/// A server whose agent ends once the file `may-end` is in the folder.
fn slow_to_end(folder: &Path) -> Server {
    let path = folder.join("agent");
    let text = format!(
        "#!/bin/sh\ncd '{}'\n[ \"$1\" = run ] || exit 0\ntrap 'touch asked' TERM\ntouch started\n\
         while [ -e started ] && ! [ -e may-end ]; do sleep 0.05; done\ntouch ended\n",
        folder.display()
    );
    std::fs::write(path.with_extension("text"), text).unwrap();
    // Written by another process: a file that this process had open for writing could not be executed as long as a
    // child of another test, between its fork and its exec, had it open too.
    let mut install = std::process::Command::new("install");
    assert!(
        install.args(["-m", "755"]).arg(path.with_extension("text")).arg(&path).status().unwrap().success()
    );
    let server = Server::start(&["--with-local-agent", "--local-agent-program", path.to_str().unwrap()]);
    until("the agent runs", || folder.join("started").exists().then_some(()));
    server
}

#[test]
fn a_second_sigterm_close_behind_the_first_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = slow_to_end(folder.path());
    server.signal(Signal::TERM);
    until("the agent is asked to end", || folder.path().join("asked").exists().then_some(()));
    server.signal(Signal::TERM);
    // An interrupt that arrives at the same time does not make it end sooner either: it is the first interrupt.
    server.signal(Signal::INT);
    until("the log says that the server stops already", || {
        server.log().contains("stopping already").then_some(())
    });
    std::fs::write(folder.path().join("may-end"), "").unwrap();
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    assert!(folder.path().join("ended").exists(), "the agent came to its end");
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[test]
fn a_second_interrupt_hurries() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = slow_to_end(folder.path());
    server.signal(Signal::INT);
    until("the agent is asked to end", || folder.path().join("asked").exists().then_some(()));
    // Two signals that a program sends at once count as one; a person is slower.
    let mut interrupts = 0;
    let status = until("the server ends at once", || {
        interrupts += 1;
        server.signal(Signal::INT);
        server.has_ended()
    });
    assert_eq!(status.code(), Some(1), "{}", server.log());
    assert!(interrupts > 0 && server.log().contains("ended at once by a second signal"), "{}", server.log());
}
