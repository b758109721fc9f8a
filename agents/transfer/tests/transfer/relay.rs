//! A real client and a real command with an observer between them, as a login shell would stand there.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use recording::{ContentHash, Micros};
use tempfile::TempDir;
use transfer_observer::{Observer, classify};

use crate::wire::{Observed, facts_of};

/// How long anything may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// Stands in for ssh: it says which command is wanted on `far`, and joins its own input and output to pipes. It ends when the
/// command's output does, as ssh does.
const WRAPPER: &str = r#"#!/bin/sh
while [ $# -gt 0 ] && [ "$1" != far ]; do shift; done
[ $# -gt 0 ] && shift
printf '%s' "$*" >"$0.command"
exec 3<&0 </dev/null
cat <&3 3<&- >"$0.in" &
input=$!
exec 3<&-
cat <"$0.out"
kill "$input" 2>/dev/null
wait
"#;

/// A folder with what stands in for ssh, and room for files.
pub(crate) struct Far {
    folder: TempDir,
}

/// What the other end did.
pub(crate) struct Done {
    pub(crate) command: String,
    pub(crate) observed: Observed,
    pub(crate) succeeded: bool,
    pub(crate) said: String,
}

impl Far {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let far = Far { folder };
        fs::write(far.wrapper(), WRAPPER).unwrap();
        fs::set_permissions(far.wrapper(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["in", "out"] {
            let made = Command::new("mkfifo").arg(far.beside(name)).status().unwrap();
            assert!(made.success());
        }
        far
    }

    pub(crate) fn wrapper(&self) -> PathBuf {
        self.folder.path().join("wrapper")
    }

    fn beside(&self, what: &str) -> PathBuf {
        self.folder.path().join(format!("wrapper.{what}"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with these bytes.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs a client that reaches for `far` through the wrapper. A command that is no command line, as that of a subsystem, is
    /// replaced by `instead`.
    pub(crate) fn run(&self, client: &mut Command, instead: Option<&str>) -> Done {
        let mut client =
            client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let client_id = client.id();
        // Opening it waits for the wrapper, which has said by then what it wants.
        let input = File::open(self.beside("in")).unwrap();
        let output = OpenOptions::new().write(true).open(self.beside("out")).unwrap();
        let asked = fs::read_to_string(self.beside("command")).unwrap();
        let command = instead.unwrap_or(&asked).to_owned();
        let transfer =
            classify(command.as_bytes(), None).unwrap_or_else(|| panic!("{command:?} is a transfer"));
        let program = transfer.candidates().into_iter().find(|path| path.exists()).unwrap();
        let mut far = Command::new(program)
            .args(transfer.arguments())
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let watched = Arc::new(Mutex::new(Watched {
            observer: Observer::new(&transfer, Micros::ZERO),
            lines: Vec::new(),
            recorded: Vec::new(),
        }));
        let (to_far, from_far) = (far.stdin.take().unwrap(), far.stdout.take().unwrap());
        let theirs = Arc::clone(&watched);
        let carry_in =
            thread::spawn(move || carry(input, to_far, |bytes| theirs.lock().unwrap().input(bytes)));
        let theirs = Arc::clone(&watched);
        let carry_out =
            thread::spawn(move || carry(from_far, output, |bytes| theirs.lock().unwrap().output(bytes)));
        let mut far_said = far.stderr.take().unwrap();
        let far_says = thread::spawn(move || {
            let mut said = String::new();
            far_said.read_to_string(&mut said).unwrap();
            said
        });
        ends_in_time(&mut client, client_id);
        let output = client.wait_with_output().unwrap();
        carry_in.join().unwrap();
        carry_out.join().unwrap();
        far.wait().unwrap();
        let said = format!(
            "{}{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            far_says.join().unwrap()
        );
        let watched = Arc::into_inner(watched).unwrap().into_inner().unwrap();
        Done { command: asked, observed: watched.end(), succeeded: output.status.success(), said }
    }
}

/// Fails when the client hangs, and takes it along.
fn ends_in_time(client: &mut Child, id: u32) {
    let begun = Instant::now();
    while client.try_wait().unwrap().is_none() {
        if begun.elapsed() > LONGEST {
            client.kill().unwrap();
            panic!("the client {id} hangs");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

struct Watched {
    observer: Observer,
    lines: Vec<recording::EventLine>,
    recorded: Vec<u8>,
}

impl Watched {
    fn input(&mut self, bytes: &[u8]) {
        self.observer.input(Micros::ZERO, bytes);
        self.lines.extend(self.observer.take_events());
    }

    fn output(&mut self, bytes: &[u8]) {
        let to_record = self.observer.output(Micros::ZERO, bytes);
        self.recorded.extend(&to_record.before);
        self.recorded.extend(&bytes[to_record.of_this]);
        self.lines.extend(self.observer.take_events());
    }

    fn end(mut self) -> Observed {
        self.recorded.extend(self.observer.end(Micros::ZERO));
        self.lines.extend(self.observer.take_events());
        Observed { facts: facts_of(self.lines), recorded: self.recorded }
    }
}

/// Carries bytes to their end; they are seen before they are handed on.
fn carry(mut from: impl Read, mut to: impl Write, mut see: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).unwrap();
        if read == 0 {
            return;
        }
        see(&buffer[..read]);
        // Whoever has gone wants nothing more.
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// What `sha256sum` says of a file.
pub(crate) fn sha256sum(path: &Path) -> Option<ContentHash> {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_start_matches('\\').split_whitespace().next().map(|hash| hash.parse().unwrap())
}

/// Bytes that no two files share.
pub(crate) fn random(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}
