//! The old protocol of scp, between a *source* that sends files and a *sink* that takes them.
//!
//! The source sends lines (`C0644 5 name`, `D0755 0 name`, `E`, `T1700000000 0 1700000000 0`), and behind a `C` line so many bytes and a
//! zero byte. The sink answers the beginning, each line and each file with a zero byte. In the place of a line or a zero byte either
//! may send a 1 (it goes on) or a 2 (it ends) and a message that ends with a line feed.

use std::collections::VecDeque;

use recording::events::fact::{self, Direction, Fact, FileTransfer, HashOf, Level, Outcome, Path, Side};

use crate::hashing::Hash;
use crate::{Taken, Watching};

/// The longest line or message. scp's own are no longer than a path and some words.
const LONGEST_LINE: usize = fact::MAX_TEXT_BYTES;
/// The deepest folder.
const DEEPEST: usize = 1024;
/// How much the source may send ahead of the sink's answers. scp itself waits for each.
const MOST_UNANSWERED: usize = 1024;

/// How many messages there may be. Each is an event, which is longer than the shortest message.
const MOST_MESSAGES: u32 = 10_000;

/// Watches a copy.
pub(crate) struct Scp {
    source: Side,
    direction: Direction,
    /// The path to which names are added: a target that is a folder, or the only file that is sent.
    root: Root,
    /// The names of the folders that are open, below the root.
    folders: Vec<Vec<u8>>,
    sent: Sent,
    /// A line or message that is not whole.
    line: Vec<u8>,
    /// A message of the sink that is not whole.
    answer: Vec<u8>,
    /// What the sink has not answered.
    unanswered: VecDeque<Asked>,
    file: Option<File>,
    files: u64,
    messages: u32,
}

enum Root {
    /// Names are added to it.
    Folder(Vec<u8>),
    /// It is a folder or the file itself: only the sink knows.
    Either(Vec<u8>),
    /// The file or folder that is sent, whose last part is the first name.
    Only(Vec<u8>),
    /// There are several; only names are known.
    Several,
}

/// Where the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// At the beginning of a line, or in it.
    Line,
    /// In the content of a file.
    Content { left: u64 },
    /// At the byte behind it.
    Ending,
}

/// What the sink answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Begin,
    Line,
    FolderLine,
    FileLine,
    FileEnd,
}

struct File {
    path: Path,
    name: String,
    mode: String,
    size: u64,
    hash: Hash,
    passed: u64,
    /// All of it passed, and the source says that it read all of it.
    is_whole: bool,
    failure: Option<String>,
}

impl Scp {
    /// The command takes files into this target.
    pub(crate) fn receiving(target: &[u8], is_folder: bool) -> Self {
        let root = if is_folder { Root::Folder(target.to_vec()) } else { Root::Either(target.to_vec()) };
        Self::new(Side::Client, Direction::Upload, root)
    }

    /// The command sends these files.
    pub(crate) fn sending(files: &[Vec<u8>]) -> Self {
        let root = match files {
            [only] => Root::Only(only.clone()),
            _ => Root::Several,
        };
        Self::new(Side::Command, Direction::Download, root)
    }

    fn new(source: Side, direction: Direction, root: Root) -> Self {
        Scp {
            source,
            direction,
            root,
            folders: Vec::new(),
            sent: Sent::Line,
            line: Vec::new(),
            answer: Vec::new(),
            unanswered: VecDeque::from([Asked::Begin]),
            file: None,
            files: 0,
            messages: 0,
        }
    }

    /// Tells of a message, whose first byte says how grave it is.
    fn message(&mut self, from: Side, message: &[u8], facts: &mut Vec<Fact>) -> Result<(), &'static str> {
        if self.messages >= MOST_MESSAGES {
            return Err("there are more messages than are followed");
        }
        self.messages += 1;
        facts.push(Fact::TransferMessage {
            from,
            level: if message.first() == Some(&2) { Level::Error } else { Level::Warning },
            text: fact::text_of(message.get(1..).unwrap_or_default(), fact::MAX_TEXT_BYTES),
        });
        Ok(())
    }

    /// Where a file of this name goes to or comes from, as far as that is known.
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let below = |root: &[u8], names: &[&[u8]]| {
            let mut path = root.to_vec();
            for name in names {
                if !path.is_empty() && !path.ends_with(b"/") {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                if path.len() > fact::MAX_PATH_BYTES {
                    break;
                }
            }
            path
        };
        let mut names: Vec<&[u8]> = self.folders.iter().map(Vec::as_slice).collect();
        names.push(name);
        match &self.root {
            Root::Folder(target) => below(target, &names),
            Root::Either(target) if names.len() == 1 => target.clone(),
            Root::Either(target) => below(target, &names),
            Root::Only(path) => {
                // A name that is not its last part comes from a pattern or a link: then only names are certain.
                let last = path.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty());
                if last == names.first().copied() { below(path, &names[1..]) } else { below(b"", &names) }
            }
            Root::Several => below(b"", &names),
        }
    }

    fn tell(&mut self, outcome: Outcome, reason: Option<String>, facts: &mut Vec<Fact>) {
        let Some(file) = self.file.take() else { return };
        let is_file = outcome == Outcome::Ok && file.is_whole;
        self.files += 1;
        facts.push(Fact::TransferFile(FileTransfer {
            path: file.path,
            direction: self.direction,
            size: file.passed,
            sha256: Some(file.hash.value()),
            hash_of: Some(if is_file { HashOf::File } else { HashOf::Passed }),
            result: outcome,
            reason,
            name: Some(file.name),
            mode: Some(file.mode),
        }));
    }

    fn ask(&mut self, asked: Asked) -> Result<(), &'static str> {
        if self.unanswered.len() >= MOST_UNANSWERED {
            return Err("more is sent than the other side answers");
        }
        self.unanswered.push_back(asked);
        Ok(())
    }

    /// Takes a line of the source without its line feed.
    fn line(&mut self, facts: &mut Vec<Fact>) -> Result<(), &'static str> {
        let line = std::mem::take(&mut self.line);
        let taken = self.take_line(&line, facts);
        if taken.is_err() {
            // It is what was not understood.
            self.line = line;
            self.line.push(b'\n');
        }
        taken
    }

    fn take_line(&mut self, line: &[u8], facts: &mut Vec<Fact>) -> Result<(), &'static str> {
        match line {
            [1 | 2, ..] => self.message(self.source, line, facts),
            [b'T', times @ ..] => {
                let numbers: Vec<_> = times.split(|byte| *byte == b' ').map(number).collect();
                if numbers.len() != 4 || numbers.iter().any(Option::is_none) {
                    return Err("a line with times has none");
                }
                self.ask(Asked::Line)
            }
            b"E" => {
                self.folders.pop().ok_or("a folder ends that did not begin")?;
                self.ask(Asked::Line)
            }
            [kind @ (b'C' | b'D'), rest @ ..] => {
                let mut parts = rest.splitn(3, |byte| *byte == b' ');
                let (Some(mode), Some(size), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
                    return Err("a line about a file is cut off");
                };
                let is_mode = mode.len() == 4 && mode.iter().all(|digit| (b'0'..=b'7').contains(digit));
                let Some(size) = number(size).filter(|_| is_mode) else {
                    return Err("a line about a file has no mode and size");
                };
                // What scp itself refuses.
                if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
                    return Err("a file has a name that none can have");
                }
                if *kind == b'D' {
                    if self.folders.len() >= DEEPEST {
                        return Err("folders lie deeper than is followed");
                    }
                    self.folders.push(name.to_vec());
                    return self.ask(Asked::FolderLine);
                }
                if self.file.is_some() {
                    return Err("a file begins before the one before it was taken");
                }
                self.ask(Asked::FileLine)?;
                self.file = Some(File {
                    path: Path::of(&self.path_of(name)),
                    name: fact::text_of(name, fact::MAX_REASON_BYTES),
                    mode: String::from_utf8_lossy(mode).into_owned(),
                    size,
                    hash: Hash::new(),
                    passed: 0,
                    is_whole: false,
                    failure: None,
                });
                Ok(())
            }
            _ => Err("a line is none of scp's"),
        }
    }

    /// Takes bytes of the source; an error says how many were taken.
    fn take_of_source(&mut self, bytes: &[u8], facts: &mut Vec<Fact>) -> Result<(), (usize, &'static str)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.sent {
                Sent::Content { left } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    if let Some(file) = &mut self.file {
                        file.hash.update(&rest[..taken]);
                        file.passed += taken as u64;
                    }
                    rest = &rest[taken..];
                    let left = left - taken as u64;
                    self.sent = if left == 0 { Sent::Ending } else { Sent::Content { left } };
                }
                Sent::Ending if self.line.is_empty() && rest[0] == 0 => {
                    rest = &rest[1..];
                    self.ends(None).map_err(|why| (bytes.len() - rest.len(), why))?;
                }
                // Some sources do not wait until the sink wants the file.
                Sent::Line if self.line.is_empty() && self.wants_content() => self.begins_content(),
                Sent::Line | Sent::Ending => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    let room = LONGEST_LINE - self.line.len();
                    let taken = end.unwrap_or(rest.len()).min(room);
                    self.line.extend_from_slice(&rest[..taken]);
                    rest = &rest[taken..];
                    let first = self.line.first().copied();
                    let may_be = match self.sent {
                        Sent::Line => {
                            first.is_none_or(|first| matches!(first, 1 | 2 | b'C' | b'D' | b'E' | b'T'))
                        }
                        _ => first.is_none_or(|first| matches!(first, 1 | 2)),
                    };
                    if !may_be || !rest.is_empty() && rest[0] != b'\n' {
                        let why =
                            if may_be { "a line is longer than any" } else { "a line is none of scp's" };
                        return Err((bytes.len() - rest.len(), why));
                    }
                    if rest.is_empty() {
                        return Ok(());
                    }
                    rest = &rest[1..];
                    let taken = if self.sent == Sent::Line {
                        self.line(facts)
                    } else if self.line.is_empty() {
                        self.line.push(b'\n');
                        Err("a file does not end as scp's do")
                    } else {
                        self.failed_ending(facts)
                    };
                    taken.map_err(|why| (bytes.len() - rest.len(), why))?;
                }
            }
        }
        Ok(())
    }

    /// A message stands in the place of the byte behind a file's content.
    fn failed_ending(&mut self, facts: &mut Vec<Fact>) -> Result<(), &'static str> {
        let message = std::mem::take(&mut self.line);
        if let Err(why) = self.message(self.source, &message, facts) {
            self.line = message;
            self.line.push(b'\n');
            return Err(why);
        }
        self.ends(Some(fact::text_of(&message[1..], fact::MAX_REASON_BYTES)))
    }

    /// A file was announced, and not refused.
    fn wants_content(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.failure.is_none() && file.passed == 0 && !file.is_whole)
            && self.sent == Sent::Line
    }

    fn begins_content(&mut self) {
        let size = self.file.as_ref().map_or(0, |file| file.size);
        self.sent = if size == 0 { Sent::Ending } else { Sent::Content { left: size } };
    }

    /// The content of a file has passed, and the source says how that went.
    fn ends(&mut self, failure: Option<String>) -> Result<(), &'static str> {
        self.sent = Sent::Line;
        if let Some(file) = &mut self.file {
            file.is_whole = failure.is_none();
            file.failure = failure;
        }
        self.ask(Asked::FileEnd)
    }

    /// Takes bytes of the sink; an error says how many were taken.
    fn take_of_sink(&mut self, bytes: &[u8], facts: &mut Vec<Fact>) -> Result<(), (usize, &'static str)> {
        for (place, byte) in bytes.iter().enumerate() {
            let wrong = |why| (place + 1, why);
            if self.answer.is_empty() {
                match byte {
                    0 => match self.unanswered.pop_front() {
                        Some(asked) => self.accepted(asked, facts),
                        None => {
                            self.answer.push(0);
                            return Err(wrong("an answer is for nothing"));
                        }
                    },
                    1 | 2 => self.answer.push(*byte),
                    _ => {
                        self.answer.push(*byte);
                        return Err(wrong("an answer is none of scp's"));
                    }
                }
            } else if *byte == b'\n' {
                let message = std::mem::take(&mut self.answer);
                if let Err(why) = self.refused(&message, facts) {
                    self.answer = message;
                    self.answer.push(b'\n');
                    return Err(wrong(why));
                }
            } else {
                self.answer.push(*byte);
                if self.answer.len() > LONGEST_LINE {
                    return Err(wrong("a message is longer than any"));
                }
            }
        }
        Ok(())
    }

    fn accepted(&mut self, asked: Asked, facts: &mut Vec<Fact>) {
        match asked {
            Asked::Begin | Asked::Line | Asked::FolderLine => {}
            Asked::FileLine if self.wants_content() => self.begins_content(),
            Asked::FileLine => {}
            Asked::FileEnd => {
                let failure = self.file.as_mut().and_then(|file| file.failure.take());
                let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Ok };
                self.tell(outcome, failure, facts);
            }
        }
    }

    /// The sink said with a message that something did not go well.
    fn refused(&mut self, message: &[u8], facts: &mut Vec<Fact>) -> Result<(), &'static str> {
        let text = &message[1..];
        let sink = if self.source == Side::Client { Side::Command } else { Side::Client };
        self.message(sink, message, facts)?;
        // A message may also come where no answer is due.
        match self.unanswered.pop_front() {
            Some(Asked::FileLine | Asked::FileEnd) => {
                let reason = fact::text_of(text, fact::MAX_REASON_BYTES);
                let has_begun = self.sent != Sent::Line;
                if has_begun {
                    // A source that did not wait goes on sending it.
                    if let Some(file) = &mut self.file {
                        file.failure.get_or_insert(reason);
                    }
                } else {
                    self.tell(Outcome::Failed, Some(reason), facts);
                }
            }
            // Nothing of it is sent then, nor that it ends.
            Some(Asked::FolderLine) => drop(self.folders.pop()),
            Some(Asked::Line | Asked::Begin) | None => {}
        }
        Ok(())
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Watching for Scp {
    fn take(&mut self, side: Side, bytes: &[u8], facts: &mut Vec<Fact>) -> Taken {
        let taken = if side == self.source {
            self.take_of_source(bytes, facts)
        } else {
            self.take_of_sink(bytes, facts)
        };
        match taken {
            Ok(()) => Taken::All,
            Err((consumed, why)) => Taken::not_understood(consumed, why),
        }
    }

    fn held(&self, side: Side) -> &[u8] {
        if side == self.source { &self.line } else { &self.answer }
    }

    fn end(&mut self, facts: &mut Vec<Fact>) {
        self.tell(Outcome::Unfinished, Some("it did not pass to its end".to_owned()), facts);
    }

    fn files(&self) -> u64 {
        self.files
    }
}
