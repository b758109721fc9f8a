//! A person at a terminal: a pseudo-terminal whose other end runs a command of the agent program.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use recording::TerminalSessionToken;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Termios, Winsize};

use crate::bench::{AGENT, LAST_LINE, eventually, text, token_in};

pub(crate) struct Person {
    terminal: fs::File,
    /// Kept open, so that the terminal's settings can be read after the end.
    other_end: fs::File,
    screen: Arc<Mutex<Vec<u8>>>,
    process: Child,
    modes_before: LocalModes,
}

impl Person {
    /// Runs a command as a shell in a terminal window would: in a session of its own, with this as its controlling
    /// terminal.
    pub(crate) fn at_terminal(command: &Command) -> Self {
        Person::at_terminal_of(rustix::process::geteuid().as_raw(), command)
    }

    /// The same, with a terminal that belongs to this user.
    pub(crate) fn at_terminal_of(user_id: u32, command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&terminal).unwrap();
        rustix::pty::unlockpt(&terminal).unwrap();
        let other_end = rustix::pty::ioctl_tiocgptpeer(&terminal, flags).unwrap();
        std::os::unix::fs::fchown(&other_end, Some(user_id), None).unwrap();
        fs::set_permissions(path_of(&other_end), Permissions::from_mode(0o620)).unwrap();
        let size = Winsize { ws_col: 80, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&terminal, size).unwrap();

        let modes_before = rustix::termios::tcgetattr(&other_end).unwrap().local_modes;

        let stdio = || Stdio::from(other_end.try_clone().unwrap());
        let process = Command::new(AGENT)
            .args(["pty-child", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_remove("HANSARD_AGENT_STATE_DIR")
            .env("TERM", "xterm-256color")
            .env("PS1", "ready> ")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();

        let terminal = fs::File::from(terminal);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, shown) = (terminal.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(read) = reader.read(&mut buffer) {
                if read == 0 {
                    return;
                }
                shown.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Person { terminal, other_end: other_end.into(), screen, process, modes_before }
    }

    /// The name of the terminal.
    pub(crate) fn path(&self) -> String {
        path_of(&self.other_end)
    }

    /// Whose the terminal is, and who may open it.
    pub(crate) fn owner_and_mode(&self) -> (u32, u32) {
        let metadata = self.other_end.metadata().unwrap();
        (metadata.uid(), metadata.mode() & 0o7777)
    }

    /// Waits until the agent has given it back.
    pub(crate) fn has_its_terminal_again(&self, user_id: u32) {
        eventually("the terminal is given back", || {
            (self.owner_and_mode() == (user_id, 0o620)).then_some(())
        });
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that was shown so far.
    pub(crate) fn screen(&self) -> String {
        text(&self.screen.lock().unwrap())
    }

    /// What was shown after this text and before the last line of `record`, as soon as it has this many bytes.
    pub(crate) fn screen_bytes_after(&self, text: &str, length: usize) -> Option<Vec<u8>> {
        let screen = self.screen.lock().unwrap();
        let begin = screen.windows(text.len()).position(|window| window == text.as_bytes())? + text.len();
        let last_line = screen.windows(LAST_LINE.len()).rposition(|window| window == LAST_LINE.as_bytes());
        let shown = screen.get(begin..last_line.unwrap_or(screen.len()))?;
        (shown.len() == length).then(|| shown.to_vec())
    }

    pub(crate) fn sees(&self, what: &str) {
        self.sees_after(0, what);
    }

    /// How many bytes were shown so far.
    pub(crate) fn shown_bytes(&self) -> usize {
        self.screen.lock().unwrap().len()
    }

    /// Waits until it is shown after this many bytes.
    pub(crate) fn sees_after(&self, place: usize, what: &str) {
        let screen = || text(&self.screen.lock().unwrap()[place..]);
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&format!("{what:?} is shown"), || screen().contains(what).then_some(()));
        }));
        assert!(seen.is_ok(), "{what:?} was never shown, but:\n{}", self.screen());
    }

    pub(crate) fn token(&self) -> TerminalSessionToken {
        eventually("the session's token is shown", || token_in(&self.screen()))
    }

    pub(crate) fn resizes(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.terminal, size).unwrap();
    }

    pub(crate) fn settings(&self) -> Termios {
        rustix::termios::tcgetattr(&self.other_end).unwrap()
    }

    /// The modes of the terminal before anything ran on it.
    pub(crate) fn modes_before(&self) -> LocalModes {
        self.modes_before
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.process)
    }

    pub(crate) fn signals(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn ends(&mut self) -> ExitStatus {
        let process = &mut self.process;
        eventually("the session ends", || process.try_wait().unwrap())
    }

    /// Waits for the end, with this exit code.
    pub(crate) fn ends_with(&mut self, code: i32) {
        let status = self.ends();
        assert_eq!(status.code(), Some(code), "{status:?}; shown:\n{}", self.screen());
    }
}

fn path_of(terminal: &impl AsFd) -> String {
    rustix::termios::ttyname(terminal, Vec::new()).unwrap().into_string().unwrap()
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
