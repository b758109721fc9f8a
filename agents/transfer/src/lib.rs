//! How file transfers through SSH are understood: which commands are transfers ([`classify()`]), and what passes in
//! them ([`Observer`]), as events of the stream `events`. Nothing here reads a clock, opens a file or starts a thread;
//! no byte is changed, memory is bounded whatever either side sends, and nothing that they send makes it panic.
//!
//! # What a recorded person could make of it
//!
//! What a transfer reads and puts out is not recorded as bytes. Whoever can make another program look like a transfer
//! has a shell of which nothing is seen. The person chooses the command's text, owns their start-up files and can
//! upload any program, so:
//!
//! - **Text that a shell reads otherwise** (`scp -t x; sh`, `scp -t $(sh)`, a line break, a quote that hides a word).
//!   A command is a transfer only if it is one plain simple command, in which nothing is expanded but a `~` that begins a
//!   path: it becomes the home of passwd, as an argument that nothing reads again. A pattern (`*`) is none: which files it
//!   names would be decided twice, in folders that the person can change in between. The words that were
//!   classified are those that must run ([`Transfer::arguments`]): then no second reading exists that could differ.
//! - **Another program of that name** (a `scp` in the person's `PATH`, `/home/ana/sftp-server`, an alias or a function
//!   in `~/.bashrc`). A transfer runs without the person's shell, by an absolute path in one of the system's folders
//!   ([`Transfer::candidates`]); a command that names another folder is none. Variables that make another program of
//!   it (`LD_PRELOAD`, `GIT_EXEC_PATH`) are kept away from it ([`Transfer::takes_variable`]). If a deployment runs it
//!   through the person's shell all the same, the events say what the wire looked like, and not which program it was.
//! - **Arguments that make the program run another** (`scp -S sh`, `scp -o ProxyCommand=`, `rsync --server --daemon`,
//!   whose configuration has hooks, `git -c`). Only arguments with which each program does nothing else are accepted,
//!   from a list; `rsync -s` is none, because further arguments come on its input, where nobody has read them before it runs.
//! - **A program that begins well and then speaks something else.** The observer takes what it does not understand for
//!   the sign: it says so in an event ([`Fact::TransferNotUnderstood`](recording::Fact)), and hands over the output
//!   from the first byte of what was not understood, to be recorded as bytes like that of any other command
//!   ([`ToRecord`]). The rules are strict, so that little can be hidden in what is well-formed: every answer must
//!   answer a request, file content is accepted only for a file that was opened, and what the two sides of scp tell
//!   each other in words is an event.
//! - **Content that is a shell.** Two programs of the person's own can speak through the content of files or the names
//!   in listings, and git runs hooks of a repository that the person owns, which reach its input and output. Of that
//!   the recording has the paths, the sizes, the times and the hashes, but not the bytes: this is the price of passing
//!   transfers at full speed. It needs a program of one's own at the far end, too; an ordinary client gets no shell
//!   that way. rsync and git are not taken apart at all, so that of those only how they begin, and git's packet lines,
//!   are checked.
//!
//! What a transfer puts out on its standard error is not part of its protocol: it is recorded like that of other
//! commands.

mod classify;
mod hashing;
mod limit;
mod opaque;
mod scp;
mod sftp;

use std::ops::Range;

use recording::events::fact::{self, Fact, Passed, Side};
use recording::{EventLine, Micros};

pub use classify::{Transfer, classify};
pub use limit::{DEFAULT_OUTPUT_LIMIT, OutputLimit};

use classify::Kind;
use hashing::Hash;

/// Understands one kind of traffic.
trait Watching {
    /// Takes bytes that one side sends to the other. Those of the client are told before the command can answer them.
    fn take(&mut self, side: Side, bytes: &[u8], facts: &mut Vec<Fact>) -> Taken;

    /// The beginning of something that is not whole yet, or that was not understood: the last bytes that were taken of this side.
    fn held(&self, side: Side) -> &[u8];

    /// The session has ended.
    fn end(&mut self, facts: &mut Vec<Fact>);

    /// How many events about files there were.
    fn files(&self) -> u64;

    /// Nothing is known of what passes but its hash.
    fn is_opaque(&self) -> bool {
        false
    }
}

/// What became of bytes.
#[derive(Debug)]
enum Taken {
    /// All of them were understood, as far as they are whole.
    All,
    /// Up to here they were taken; what is held then was not understood.
    NotUnderstood { consumed: usize, why: String },
}

impl Taken {
    fn not_understood(consumed: usize, why: impl Into<String>) -> Self {
        Taken::NotUnderstood { consumed, why: why.into() }
    }
}

/// One direction of a transfer.
#[derive(Default)]
struct Way {
    bytes: u64,
    /// Where hashing began, and the hash from there on.
    hash: Option<(u64, Hash)>,
}

impl Way {
    fn passed(&self) -> Passed {
        let (from, hash) = self.hash.as_ref().map(|(from, hash)| (*from, hash.value())).unzip();
        Passed { bytes: self.bytes, sha256: hash, hashed_from: from }
    }
}

/// What of the command's output is to be recorded as bytes, because it was not understood. Empty as long as all is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ToRecord {
    /// Bytes of earlier pieces, which were held until it was known what they are.
    pub before: Vec<u8>,
    /// The part of this piece that follows them.
    pub of_this: Range<usize>,
}

impl ToRecord {
    /// Whether there is nothing to record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.of_this.is_empty()
    }
}

/// Watches one transfer. For each piece of bytes call [`Observer::input`] before the command can see it, or
/// [`Observer::output`] before the client can, then [`Observer::take_events`]; when both ways have ended, [`Observer::end`] and
/// [`Observer::take_events`] once more. Pieces may have any size, and the events are the same however the bytes are cut.
pub struct Observer {
    watching: Box<dyn Watching + Send>,
    input: Way,
    output: Way,
    is_understood: bool,
    /// Output that was held when the input was not understood: it is recorded with the next output.
    rest: Vec<u8>,
    events: Vec<EventLine>,
    facts: Vec<Fact>,
    has_ended: bool,
}

impl Observer {
    /// Watches a transfer that begins now.
    #[must_use]
    pub fn new(transfer: &Transfer, at: Micros) -> Self {
        let watching: Box<dyn Watching + Send> = match transfer.kind() {
            Kind::Sftp => Box::new(sftp::Sftp::new()),
            Kind::ScpTo { target, is_folder } => Box::new(scp::Scp::receiving(target, *is_folder)),
            Kind::ScpFrom { files } => Box::new(scp::Scp::sending(files)),
            Kind::Rsync => Box::new(opaque::Opaque::rsync()),
            Kind::Git => Box::new(opaque::Opaque::git()),
        };
        let hashed = || Way { bytes: 0, hash: watching.is_opaque().then(|| (0, Hash::new())) };
        let (input, output) = (hashed(), hashed());
        let start = Fact::TransferStart {
            protocol: transfer.protocol(),
            program: transfer.program().to_owned(),
            arguments: shown_arguments(transfer.argument_bytes()),
        };
        Observer {
            watching,
            input,
            output,
            is_understood: true,
            rest: Vec::new(),
            events: vec![start.to_line(at)],
            facts: Vec::new(),
            has_ended: false,
        }
    }

    /// Takes bytes that go to the command.
    pub fn input(&mut self, at: Micros, bytes: &[u8]) {
        self.take(at, Side::Client, bytes);
    }

    /// Takes bytes that the command puts out. What was not understood is to be recorded as output.
    pub fn output(&mut self, at: Micros, bytes: &[u8]) -> ToRecord {
        self.take(at, Side::Command, bytes)
    }

    /// The events since it was last asked, in their order.
    pub fn take_events(&mut self) -> Vec<EventLine> {
        std::mem::take(&mut self.events)
    }

    /// Whether everything was understood so far.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        self.is_understood
    }

    /// The transfer has ended. Output that is returned was held until it was known what it is, and is to be recorded.
    pub fn end(&mut self, at: Micros) -> Vec<u8> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Vec::new();
        }
        self.watching.end(&mut self.facts);
        let broken_off = [Side::Command, Side::Client]
            .into_iter()
            .find(|side| self.is_understood && !self.watching.held(*side).is_empty());
        if let Some(side) = broken_off {
            self.not_understood(side, "it ended in the middle");
        }
        self.facts.push(Fact::TransferEnd {
            input: self.input.passed(),
            output: self.output.passed(),
            files: self.watching.files(),
        });
        self.tell(at);
        std::mem::take(&mut self.rest)
    }

    fn tell(&mut self, at: Micros) {
        self.events.extend(self.facts.drain(..).map(|fact| fact.to_line(at)));
    }

    fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.input,
            Side::Command => &mut self.output,
        }
    }

    fn take(&mut self, at: Micros, side: Side, bytes: &[u8]) -> ToRecord {
        if self.has_ended {
            return ToRecord::default();
        }
        let before = self.way(side).bytes;
        let mut understood = 0;
        let mut to_record = ToRecord::default();
        if self.is_understood {
            match self.watching.take(side, bytes, &mut self.facts) {
                Taken::All => understood = bytes.len(),
                Taken::NotUnderstood { consumed, why } => {
                    understood = consumed.min(bytes.len());
                    self.way(side).bytes += understood as u64;
                    self.not_understood(side, &why);
                    self.way(side).bytes = before;
                }
            }
            self.tell(at);
        }
        let is_understood = self.is_understood;
        let is_opaque = self.watching.is_opaque();
        let way = self.way(side);
        way.bytes += bytes.len() as u64;
        if let Some((_, hash)) = &mut way.hash {
            // What is held was hashed when it was found not to be understood.
            hash.update(if is_opaque { bytes } else { &bytes[understood..] });
        }
        if !is_understood && side == Side::Command {
            let held = std::mem::take(&mut self.rest);
            // The last bytes of what is held are of this piece.
            let of_this = understood.min(held.len());
            to_record.before = held[..held.len() - of_this].to_vec();
            to_record.of_this = understood - of_this..bytes.len();
        }
        to_record
    }

    /// Says that what is held of this side is not understood: from its first byte on, and of the other side from the first byte
    /// of what is not whole there.
    fn not_understood(&mut self, from: Side, why: &str) {
        self.is_understood = false;
        self.rest = self.watching.held(Side::Command).to_vec();
        let is_opaque = self.watching.is_opaque();
        let [input_offset, output_offset] = [Side::Client, Side::Command].map(|side| {
            let held = self.watching.held(side).to_vec();
            let way = self.way(side);
            let offset = way.bytes.saturating_sub(held.len() as u64);
            if !is_opaque {
                let mut hash = Hash::new();
                hash.update(&held);
                way.hash = Some((offset, hash));
            }
            offset
        });
        let why = fact::text_of(why.as_bytes(), fact::MAX_REASON_BYTES);
        self.facts.push(Fact::TransferNotUnderstood { why, from, input_offset, output_offset });
    }
}

/// The arguments as texts of limited length.
fn shown_arguments(arguments: &[Vec<u8>]) -> Vec<String> {
    let mut left = fact::MAX_TEXT_BYTES;
    let mut shown = Vec::new();
    for argument in arguments {
        if argument.len() > left || shown.len() >= 256 {
            shown.push("…".to_owned());
            break;
        }
        left -= argument.len();
        shown.push(String::from_utf8_lossy(argument).into_owned());
    }
    shown
}
