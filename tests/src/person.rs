//! A person at a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{deployment, until};

/// The beginning of the line in which `record` announces, before anything else, that it records.
const ANNOUNCEMENT: &[u8] = b"hansard-agent: recording this session as ";

/// The beginning of the line in which `record` says, after everything else, how to play the recording.
const LAST_LINE: &[u8] = b"hansard-agent: recorded; to play it: ";

/// A program on a pseudo-terminal of its own, its output so far, and a keyboard.
#[derive(Debug)]
pub struct Person {
    process: Child,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    size: (u16, u16),
}

impl Person {
    /// Starts `command` on a new terminal.
    #[must_use]
    pub fn run(command: &[&str], environment: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo-terminal");
        grantpt(&terminal).expect("grantpt");
        unlockpt(&terminal).expect("unlockpt");
        let name = ptsname(&terminal, Vec::new()).expect("ptsname");
        let line = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().expect("a path"))
            .expect("the other end");
        set_size(&terminal, columns, rows);

        // setsid makes the terminal the controlling terminal, so that Ctrl-C becomes a signal.
        let mut start = Command::new("setsid");
        start.args(["--ctty", "--wait"]).args(command).env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        start.env("PS1", "$ ").env_remove("PROMPT_COMMAND").envs(environment.iter().copied());
        start
            .stdin(line.try_clone().expect("the line"))
            .stdout(line.try_clone().expect("the line"))
            .stderr(line);
        let process = start.spawn().expect("setsid starts");
        drop(start);

        let keyboard = File::from(terminal);
        let mut screen = keyboard.try_clone().expect("the terminal");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            // Linux returns EIO when the last process has closed the terminal.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                kept.lock().expect("no panic in here").extend_from_slice(&buffer[..read]);
            }
        });
        Self { process, keyboard, shown, reader: Some(reader), size: (columns, rows) }
    }

    /// Types these keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Changes the size of the terminal window.
    pub fn resizes(&mut self, columns: u16, rows: u16) {
        set_size(&self.keyboard, columns, rows);
        self.size = (columns, rows);
    }

    /// Every byte shown so far.
    #[must_use]
    pub fn shown(&self) -> Vec<u8> {
        self.shown.lock().expect("no panic in the reader").clone()
    }

    /// Waits until `text` was shown.
    pub fn sees(&self, text: &str) {
        self.sees_times(text, 1);
    }

    /// Waits until `text` was shown `times` times.
    pub fn sees_times(&self, text: &str, times: usize) {
        until(&format!("{text:?} is shown {times} times; shown so far: {:?}", self.tail()), || {
            (count(&self.shown(), text.as_bytes()) >= times).then_some(())
        });
    }

    /// Every byte of what was recorded: all but the line in which `record` announces that it records, and the line in
    /// which it says how to play the recording.
    #[must_use]
    pub fn shown_of_the_program(&self) -> Vec<u8> {
        let shown = self.shown();
        assert!(shown.starts_with(ANNOUNCEMENT), "no announcement before {:?}", self.tail());
        let end = shown.windows(2).position(|window| window == b"\r\n").expect("the announcement is a line");
        let of_the_program = &shown[end + 2..];
        let last_line = of_the_program.windows(LAST_LINE.len()).rposition(|window| window == LAST_LINE);
        of_the_program[..last_line.unwrap_or(of_the_program.len())].to_vec()
    }

    /// The lines on a screen of this size after what was recorded.
    #[must_use]
    pub fn screen(&self) -> Vec<String> {
        screen_of(&self.shown_of_the_program(), self.size.0, self.size.1)
    }

    /// The lines on a screen of this size after everything that was shown. The size must not have changed.
    #[must_use]
    pub fn screen_of_everything(&self) -> Vec<String> {
        screen_of(&self.shown(), self.size.0, self.size.1)
    }

    /// The same with the lines that have scrolled out.
    #[must_use]
    pub fn screen_and_history(&self) -> Vec<String> {
        let (columns, rows) = (usize::from(self.size.0), usize::from(self.size.1));
        let mut terminal = avt::Terminal::with_scrollback(columns, rows, None).expect("a size above zero");
        terminal.feed(String::from_utf8_lossy(&self.shown()).as_ref());
        terminal.screen().all_lines().map(|line| line.text().trim_end().to_owned()).collect()
    }

    /// Waits until the program has ended and everything that it showed has arrived.
    pub fn leaves(&mut self) -> ExitStatus {
        let status = until(&format!("the program ends; shown so far: {:?}", self.tail()), || {
            self.process.try_wait().expect("a child of ours")
        });
        if let Some(reader) = self.reader.take() {
            until("the terminal closes", || reader.is_finished().then_some(()));
            reader.join().expect("the reader does not panic");
        }
        status
    }

    /// The process id of the program that runs on the terminal.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    fn tail(&self) -> String {
        let shown = self.shown();
        String::from_utf8_lossy(&shown[shown.len().saturating_sub(400)..]).into_owned()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if self.process.try_wait().expect("a child of ours").is_none() {
            deployment::signal(&self.process, rustix::process::Signal::HUP);
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// The lines that a terminal shows after `bytes`, without trailing blanks.
#[must_use]
fn screen_of(bytes: &[u8], columns: u16, rows: u16) -> Vec<String> {
    let mut terminal =
        avt::Terminal::new(usize::from(columns), usize::from(rows)).expect("a size above zero");
    terminal.feed(String::from_utf8_lossy(bytes).as_ref());
    let screen = terminal.screen();
    let line = |row| screen.line(row).map(|line| line.text().trim_end().to_owned()).unwrap_or_default();
    (0..usize::from(rows)).map(line).collect()
}

fn set_size(terminal: impl rustix::fd::AsFd, columns: u16, rows: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
        .expect("a size");
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).filter(|window| *window == part).count()
}
