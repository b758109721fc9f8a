//! The events about transfers: what a session did with files through scp, sftp, rsync or git, and how far its output was
//! recorded. One definition for whoever writes them and whoever shows them; `FORMAT.md` names every member.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::EventLine;
use crate::chain::ContentHash;
use crate::timestamp::Micros;

/// The most bytes of a path that an event keeps. No path that a system call takes is longer.
pub const MAX_PATH_BYTES: usize = 4096;

/// The most bytes of a reason that an event keeps.
pub const MAX_REASON_BYTES: usize = 512;

/// The most bytes of a message, and of a command's arguments together, that an event keeps.
pub const MAX_TEXT_BYTES: usize = 8192;

/// Something that is known about a transfer, or about output that is not recorded as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Fact {
    /// A transfer began: from here on the session's input and output are not bytes on a screen.
    TransferStart {
        /// What is spoken.
        protocol: Protocol,
        /// The program.
        program: String,
        /// Its arguments, at most [`MAX_TEXT_BYTES`] in all; the last one is an ellipsis where there were more.
        arguments: Vec<String>,
    },
    /// Content of a file passed.
    TransferFile(FileTransfer),
    /// Something other than content was done to a file.
    FileChange(FileChange),
    /// One side told the other of a difficulty in words.
    TransferMessage {
        /// Who said it.
        from: Side,
        /// Whether the transfer goes on.
        level: Level,
        /// The words.
        text: String,
    },
    /// From here on the traffic was not understood: what the command puts out is recorded as bytes again.
    TransferNotUnderstood {
        /// What was wrong.
        why: String,
        /// Which side sent it.
        from: Side,
        /// How many bytes of the command's input were understood.
        input_offset: u64,
        /// How many bytes of the command's output were understood.
        output_offset: u64,
    },
    /// The transfer ended.
    TransferEnd {
        /// The bytes that went into the command.
        input: Passed,
        /// The bytes that came out of it.
        output: Passed,
        /// How many events `transfer_file` there were.
        files: u64,
    },
    /// Output beyond what is recorded of a command without a terminal: a stated limit, and no loss.
    OutputLimit {
        /// Whose.
        output: Output,
        /// How many bytes stand in the recording.
        recorded_bytes: u64,
        /// How many came after them.
        bytes: u64,
        /// The SHA-256 of those.
        sha256: ContentHash,
    },
}

/// The protocol of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// The SSH file transfer protocol.
    Sftp,
    /// The old protocol of scp.
    Scp,
    /// That of rsync.
    Rsync,
    /// That of git.
    Git,
}

/// One of the two sides of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Whoever started the command from afar.
    Client,
    /// The command on this instance.
    Command,
}

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The transfer goes on.
    Warning,
    /// It ends.
    Error,
}

/// An output of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Standard output.
    Output,
    /// Standard error.
    ErrorOutput,
}

/// Whether content went to the instance or came from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the instance.
    Upload,
    /// From the instance.
    Download,
}

/// What the SHA-256 of a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashOf {
    /// Of the whole file: it passed from its first byte to its last.
    File,
    /// Of the bytes that passed, in the order in which they passed.
    Passed,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it was asked for.
    Ok,
    /// It was refused, or broke off with an error.
    Failed,
    /// The session ended before it did: a file was never closed, a request never answered.
    Unfinished,
}

/// Content of one file that passed in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTransfer {
    /// The file, as the command was told.
    #[serde(flatten)]
    pub path: Path,
    /// To the instance or from it.
    pub direction: Direction,
    /// The bytes of content that passed.
    pub size: u64,
    /// Their SHA-256; absent where none passed because the file could not be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<ContentHash>,
    /// What it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_of: Option<HashOf>,
    /// How it ended.
    pub result: Outcome,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// scp: the name that was sent, where `path` may be the folder that it went into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The permissions that were asked for or sent, in octal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// What was done to a file besides its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// What.
    pub change: Change,
    /// The file.
    #[serde(flatten)]
    pub path: Path,
    /// The other file of a rename, a link or a copy.
    #[serde(flatten)]
    pub to: Option<Target>,
    /// Its new permissions, in octal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The size to which it was cut or extended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its new owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Its new group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Its new time of change, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<u64>,
    /// A copy: how many bytes were asked for; 0 for all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How it ended.
    pub result: Outcome,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What can be done to a file besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was removed.
    Remove,
    /// It got another name.
    Rename,
    /// A folder was made.
    Mkdir,
    /// A folder was removed.
    Rmdir,
    /// `path` was made a symbolic link to `to`.
    Symlink,
    /// `to` was made another name of `path`.
    Hardlink,
    /// Its permissions, owner, size or times were set.
    Attributes,
    /// Bytes of it were copied to another file on the instance, without passing.
    Copy,
}

/// A path, as text and, where it is no UTF-8 or longer than [`MAX_PATH_BYTES`], as the bytes that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// As text; bytes that are no UTF-8 are U+FFFD, and an ellipsis stands for what was cut off.
    pub path: String,
    /// The exact bytes in base64, where the text is not they.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
}

/// The second path of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// As for [`Path::path`].
    pub to: String,
    /// As for [`Path::path_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_bytes: Option<String>,
}

/// The bytes that passed in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// How many.
    pub bytes: u64,
    /// The SHA-256 of those from `hashed_from` on; absent where all were understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<ContentHash>,
    /// The first byte that the SHA-256 is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashed_from: Option<u64>,
}

fn shown(bytes: &[u8]) -> (String, Option<String>) {
    let kept = &bytes[..bytes.len().min(MAX_PATH_BYTES)];
    if kept.len() < bytes.len() {
        return (format!("{}…", String::from_utf8_lossy(kept)), Some(STANDARD.encode(kept)));
    }
    match std::str::from_utf8(kept) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(kept).into_owned(), Some(STANDARD.encode(kept))),
    }
}

impl Path {
    /// The path with these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let (path, path_bytes) = shown(bytes);
        Self { path, path_bytes }
    }
}

impl Target {
    /// The path with these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let (to, to_bytes) = shown(bytes);
        Self { to, to_bytes }
    }
}

/// The first bytes of a text, with an ellipsis where there are more.
#[must_use]
pub fn text_of(bytes: &[u8], most: usize) -> String {
    let kept = &bytes[..bytes.len().min(most)];
    let text = String::from_utf8_lossy(kept);
    if kept.len() < bytes.len() { format!("{text}…") } else { text.into_owned() }
}

impl Fact {
    /// The events that this version knows besides gaps.
    pub const NAMES: [&'static str; 7] = [
        "transfer_start",
        "transfer_file",
        "file_change",
        "transfer_message",
        "transfer_not_understood",
        "transfer_end",
        "output_limit",
    ];

    /// Its line in the stream.
    #[must_use]
    pub fn to_line(&self, at: Micros) -> EventLine {
        let value = serde_json::to_value(self).expect("texts and numbers can be written as JSON");
        let serde_json::Value::Object(mut members) = value else {
            unreachable!("it is written with its name as a member");
        };
        let event = match members.remove("event") {
            Some(serde_json::Value::String(event)) => event,
            _ => unreachable!("its name is a text"),
        };
        EventLine { at, event, members }
    }

    /// The fact that a line states; `None` where the line is another event, or one of another version.
    #[must_use]
    pub fn of_line(line: &EventLine) -> Option<Self> {
        if !Self::NAMES.contains(&line.event.as_str()) {
            return None;
        }
        let mut object = line.members.clone();
        object.insert("event".to_owned(), line.event.clone().into());
        serde_json::from_value(object.into()).ok()
    }
}

macro_rules! words {
    ($($type:ty: $($variant:ident $word:literal),+;)+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    )+};
}

words! {
    Protocol: Sftp "sftp", Scp "scp", Rsync "rsync", Git "git";
    Direction: Upload "upload", Download "download";
    Outcome: Ok "ok", Failed "failed", Unfinished "unfinished";
    Side: Client "the client", Command "the command";
    Level: Warning "warning", Error "error";
    Output: Output "standard output", ErrorOutput "standard error";
    Change: Remove "remove", Rename "rename", Mkdir "make folder", Rmdir "remove folder", Symlink "symbolic link",
        Hardlink "link", Attributes "set attributes", Copy "copy";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &[u8]) -> FileTransfer {
        FileTransfer {
            path: Path::of(path),
            direction: Direction::Upload,
            size: 5,
            sha256: Some(ContentHash::of(b"hello")),
            hash_of: Some(HashOf::File),
            result: Outcome::Ok,
            reason: None,
            name: None,
            mode: Some("0644".to_owned()),
        }
    }

    fn change(path: &[u8], to: Option<&[u8]>) -> FileChange {
        FileChange {
            change: Change::Rename,
            path: Path::of(path),
            to: to.map(Target::of),
            mode: None,
            size: None,
            owner: None,
            group: None,
            modified: None,
            bytes: None,
            result: Outcome::Failed,
            reason: Some("permission denied".to_owned()),
        }
    }

    #[test]
    fn every_fact_reads_back_under_its_name() {
        let passed = Passed { bytes: 7, sha256: None, hashed_from: None };
        let hashed = Passed { bytes: 7, sha256: Some(ContentHash::of(b"x")), hashed_from: Some(0) };
        let facts = [
            Fact::TransferStart {
                protocol: Protocol::Scp,
                program: "scp".to_owned(),
                arguments: vec!["-t".to_owned(), "/tmp".to_owned()],
            },
            Fact::TransferFile(file(b"/tmp/a")),
            Fact::FileChange(change(b"/tmp/a\xff", Some(b"/tmp/b"))),
            Fact::TransferMessage { from: Side::Client, level: Level::Error, text: "no".to_owned() },
            Fact::TransferNotUnderstood {
                why: "a packet has no type".to_owned(),
                from: Side::Command,
                input_offset: 9,
                output_offset: 0,
            },
            Fact::TransferEnd { input: passed, output: hashed, files: 1 },
            Fact::OutputLimit {
                output: Output::Output,
                recorded_bytes: 64,
                bytes: 1,
                sha256: ContentHash::of(b"x"),
            },
        ];
        for (fact, name) in facts.iter().zip(Fact::NAMES) {
            let line = fact.to_line(Micros::new(3));
            assert_eq!(line.event, name);
            assert_eq!(Fact::of_line(&line).as_ref(), Some(fact), "{line}");
        }
        assert_eq!(facts.len(), Fact::NAMES.len());
        let gap = EventLine::shortfall(Micros::new(3), &crate::Shortfall::unstated("why".to_owned(), 0));
        assert_eq!(Fact::of_line(&gap), None);
        assert_eq!(
            Fact::FileChange(change(b"a\xff", Some(b"b"))).to_line(Micros::ZERO).to_string(),
            "{\"at\":0,\"change\":\"rename\",\"event\":\"file_change\",\"path\":\"a\u{fffd}\",\"path_bytes\":\"Yf8=\",\
             \"reason\":\"permission denied\",\"result\":\"failed\",\"to\":\"b\"}"
        );
    }

    #[test]
    fn the_longest_paths_and_texts_fit_into_a_line() {
        // The worst byte as text: six characters in JSON, and one that is no UTF-8 so that the bytes stand there too.
        let worst = [vec![0; MAX_PATH_BYTES - 1], vec![0xff; 10]].concat();
        let mut change = change(&worst, Some(&worst));
        change.reason = Some(text_of(&[0; 5000], MAX_REASON_BYTES));
        let message = Fact::TransferMessage {
            from: Side::Command,
            level: Level::Warning,
            text: text_of(&[0; 10_000], MAX_TEXT_BYTES),
        };
        for fact in [Fact::FileChange(change), message] {
            let line = fact.to_line(Micros::LATEST);
            assert!(line.to_payload().is_ok(), "{} bytes", line.to_string().len());
            assert_eq!(Fact::of_line(&line), Some(fact));
        }
    }
}
