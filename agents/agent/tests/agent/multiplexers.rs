//! `tmux` and `screen` in sessions that a real sshd begins: what they show is recorded, once, by whoever is attached.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use recording::TerminalSessionToken;

use crate::bench::{eventually, text, without_root};
use crate::person::Person;
use crate::ssh_host::{ANA, Form, Host};

struct Multiplexer {
    start: &'static str,
    attach: &'static str,
    /// The keys by which a client leaves it.
    detach: &'static str,
}

const ALL: [Multiplexer; 2] = [
    Multiplexer { start: "tmux -f /dev/null new-session", attach: "tmux attach", detach: "\u{2}d" },
    Multiplexer { start: "screen", attach: "screen -r", detach: "\u{1}d" },
];

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can run an sshd for others");
    }
    root
}

/// A host on which both keep their sockets in Ana's home.
fn host() -> Host {
    let host = Host::running(Form::LoginShell, "");
    let sockets = host.home().join("sockets");
    fs::create_dir(&sockets).unwrap();
    chown(&sockets, Some(ANA), Some(ANA)).unwrap();
    fs::set_permissions(&sockets, Permissions::from_mode(0o700)).unwrap();
    let profile = "PS1='ready> '; export TMUX_TMPDIR=~/sockets SCREENDIR=~/sockets\n";
    for file in [".bash_profile", ".bashrc"] {
        fs::write(host.home().join(file), profile).unwrap();
    }
    fs::write(host.home().join(".screenrc"), "startup_message off\n").unwrap();
    host
}

/// Somebody who types lines, and waits for what they lead to.
struct Login {
    person: Person,
    typed_at: usize,
}

impl Login {
    fn new(host: &Host) -> Self {
        let login = Login { person: Person::at_terminal(&host.ssh(&["-tt"], &[])), typed_at: 0 };
        login.sees("ready> ");
        login
    }

    fn types(&mut self, keys: &str) {
        self.typed_at = self.person.shown_bytes();
        self.person.types(keys);
    }

    fn sees(&self, what: &str) {
        self.person.sees_after(self.typed_at, what);
    }

    /// Types keys, and waits for what is shown.
    fn gets(&mut self, keys: &str, what: &str) {
        self.types(keys);
        self.sees(what);
    }

    /// Waits until the multiplexer has said that its last window is closed.
    fn has_ended(&self) {
        eventually("it has ended", || {
            let shown = self.person.screen();
            (shown.contains("[exited]") || shown.contains("terminating")).then_some(())
        });
    }

    fn leaves(mut self) -> TerminalSessionToken {
        self.types("exit 5\r");
        self.person.ends_with(5);
        self.person.token()
    }
}

#[test]
fn what_is_done_inside_of_them_is_one_recording() {
    if !we_are_root() {
        return;
    }
    for Multiplexer { start, attach, detach } in ALL {
        let host = host();
        let mut login = Login::new(&host);
        login.gets(&format!("{start}\r"), "ready> ");
        login.gets("echo in-$((40+2))\r", "in-42");
        login.gets(detach, "detached");
        login.gets(&format!("{attach}\r"), "in-42");
        login.gets("echo back-$((40+3))\r", "back-43");
        login.types("exit\r");
        login.has_ended();
        let token = login.leaves();
        assert_eq!(host.sessions(), 1, "{start}");
        let shown = text(&host.instance.control_plane.sealed(&token).output());
        assert!(shown.contains("in-42") && shown.contains("back-43"), "{start}: {shown}");
    }
}

#[test]
fn what_outlives_a_session_is_recorded_by_whoever_attaches_as_far_as_it_is_shown() {
    if !we_are_root() {
        return;
    }
    for Multiplexer { start, attach, detach } in ALL {
        let host = host();
        let [go, done] = ["go", "done"].map(|name| host.home().join(name));
        let mut first = Login::new(&host);
        first.gets(&format!("{start}\r"), "ready> ");
        let waits = "echo waiting; until [ -e go ]; do sleep 0.1; done; echo unseen-44; clear; touch done\n";
        fs::write(host.home().join("waits"), waits).unwrap();
        first.gets(". ./waits\r", "waiting\r\n");
        first.gets(detach, "detached");
        let first = first.leaves();
        let first = host.instance.control_plane.sealed(&first);

        fs::write(go, "").unwrap();
        eventually("it goes on while nobody is attached", || done.exists().then_some(()));
        let mut second = Login::new(&host);
        second.gets(&format!("{attach}\r"), "ready>");
        second.gets("echo seen-$((40+5))\r", "seen-45");
        second.types("exit\r");
        second.has_ended();
        let second = second.leaves();
        assert_eq!(host.sessions(), 2, "{start}");
        let second = text(&host.instance.control_plane.sealed(&second).output());
        assert!(second.contains("seen-45"), "{start}: {second}");
        for shown in [text(&first.output()), second] {
            assert!(!shown.contains("unseen-44"), "{start}: nobody was shown it: {shown}");
        }
    }
}
