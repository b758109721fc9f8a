//! What is known of a recorded session besides what it showed: transfers, file by file, and stated limits.

use recording::events::fact::{Fact, FileChange, FileTransfer, HashOf, Outcome, Passed};
use recording::events::read_lines;
use recording::sanitise::sanitised;
use recording::shell_words::shell_line;
use recording::{EventLine, Micros};
use serde_json::Value;

use super::replay_session::ReplaySession;
use crate::failure::Failure;

/// The lines of the recording's stream `events`.
///
/// # Errors
/// The server refuses, or what it gives is no such stream.
pub(super) async fn fetch(session: &ReplaySession<'_>) -> Result<Vec<EventLine>, Failure> {
    let text = session.bytes("the events", "events").await?;
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::failed(format!("the events cannot be read: {error}"));
    let lines = read_lines(&text).map_err(|error| unreadable(&error))?;
    lines.map(|line| line.map_err(|error| unreadable(&error))).collect()
}

/// The lines as JSON.
pub(super) fn json_of(lines: &[EventLine]) -> Value {
    let line = |line: &EventLine| {
        let mut object = line.members.clone();
        object.insert("at".to_owned(), line.at.get().into());
        object.insert("event".to_owned(), line.event.clone().into());
        Value::Object(object)
    };
    lines.iter().map(line).collect()
}

/// The lines for a reader, one sentence each.
pub(super) fn text_of(lines: &[EventLine]) -> String {
    if lines.is_empty() {
        return "No transfers, and no output beyond what is recorded.\n".to_owned();
    }
    let line = |line: &EventLine| format!("{:>10} s  {}\n", seconds(line.at), sanitised(&sentence(line)));
    lines.iter().map(line).collect()
}

fn seconds(at: Micros) -> String {
    format!("{}.{:03}", at.get() / 1_000_000, at.get() / 1_000 % 1_000)
}

fn sentence(line: &EventLine) -> String {
    if let Some(shortfall) = line.as_shortfall() {
        return shortfall.sentence(line.at);
    }
    let Some(fact) = Fact::of_line(line) else {
        // Something that a later version recorded.
        return format!("{} {}", line.event, Value::Object(line.members.clone()));
    };
    match fact {
        Fact::TransferStart { protocol, program, arguments } => {
            let words = std::iter::once(program).chain(arguments);
            format!("{protocol} begins: {}", shell_line(words))
        }
        Fact::TransferFile(file) => transfer(&file),
        Fact::FileChange(change) => changed(&change),
        Fact::TransferMessage { from, level, text } => format!("{level} of {from}: {text}"),
        Fact::TransferNotUnderstood { why, from, input_offset, output_offset } => format!(
            "not understood from byte {input_offset} of the input and {output_offset} of the output on, which is recorded \
             from there: {why} ({from})"
        ),
        Fact::TransferEnd { input, output, files } => {
            let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
            format!("the transfer ends: {files}; in {}; out {}", passed(&input), passed(&output))
        }
        Fact::OutputLimit { output, recorded_bytes, bytes, sha256 } => format!(
            "{bytes} bytes of {output} came after the {recorded_bytes} that are recorded; their SHA-256 is {sha256}"
        ),
    }
}

fn transfer(file: &FileTransfer) -> String {
    let hash = match (file.sha256, file.hash_of) {
        (Some(hash), Some(HashOf::File)) => format!(", SHA-256 of the file {hash}"),
        (Some(hash), _) => format!(", SHA-256 of what passed {hash}"),
        (None, _) => String::new(),
    };
    let name = file.name.as_ref().filter(|name| !file.path.path.ends_with(name.as_str()));
    let name = name.map(|name| format!(" (sent as {name})")).unwrap_or_default();
    let result = ended(file.result, file.reason.as_deref());
    format!("{} {}{name}: {result}, {} bytes{hash}", file.direction, file.path.path, file.size)
}

fn changed(change: &FileChange) -> String {
    let to = change.to.as_ref().map(|to| format!(" -> {}", to.to)).unwrap_or_default();
    let mut set = Vec::new();
    set.extend(change.mode.as_ref().map(|mode| format!("mode {mode}")));
    set.extend(change.size.map(|size| format!("size {size}")));
    set.extend(change.owner.map(|owner| format!("owner {owner}")));
    set.extend(change.group.map(|group| format!("group {group}")));
    set.extend(change.modified.map(|modified| format!("modified {modified}")));
    set.extend(change.bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("{bytes} bytes")));
    let set = if set.is_empty() { String::new() } else { format!(" ({})", set.join(", ")) };
    let result = ended(change.result, change.reason.as_deref());
    format!("{} {}{to}{set}: {result}", change.change, change.path.path)
}

fn ended(result: Outcome, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{result}, {reason}"),
        None => result.to_string(),
    }
}

fn passed(passed: &Passed) -> String {
    let hash = passed.sha256.map(|hash| match passed.hashed_from {
        None | Some(0) => format!(", SHA-256 {hash}"),
        Some(from) => format!(", SHA-256 from byte {from} on {hash}"),
    });
    format!("{} bytes{}", passed.bytes, hash.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use recording::events::fact::{Change, Direction, Path, Side, Target};
    use recording::{Cause, ContentHash, Shortfall, ShortfallKind};

    use super::*;

    fn told(fact: &Fact) -> String {
        text_of(&[fact.to_line(Micros::new(1_234_567))])
    }

    #[test]
    fn each_fact_is_a_sentence_without_control_characters() {
        let hash = ContentHash::of(b"x");
        let file = FileTransfer {
            path: Path::of(b"/srv/a\x1b[31m"),
            direction: Direction::Upload,
            size: 5,
            sha256: Some(hash),
            hash_of: Some(HashOf::File),
            result: Outcome::Ok,
            reason: None,
            name: Some("a".to_owned()),
            mode: None,
        };
        assert_eq!(
            told(&Fact::TransferFile(file.clone())),
            format!("     1.234 s  upload /srv/a\\u{{1b}}[31m (sent as a): ok, 5 bytes, SHA-256 of the file {hash}\n")
                .replace("\\u{1b}", &sanitised("\u{1b}"))
        );
        let broken = FileTransfer {
            path: Path::of(b"/srv/a"),
            hash_of: Some(HashOf::Passed),
            result: Outcome::Failed,
            reason: Some("permission denied".to_owned()),
            ..file
        };
        assert!(told(&Fact::TransferFile(broken)).ends_with(&format!(
            "upload /srv/a: failed, permission denied, 5 bytes, SHA-256 of what passed {hash}\n"
        )));
        let change = FileChange {
            change: Change::Rename,
            path: Path::of(b"a"),
            to: Some(Target::of(b"b")),
            mode: Some("0600".to_owned()),
            size: None,
            owner: None,
            group: None,
            modified: None,
            bytes: None,
            result: Outcome::Ok,
            reason: None,
        };
        assert!(told(&Fact::FileChange(change)).ends_with("s  rename a -> b (mode 0600): ok\n"));
        let not_understood = Fact::TransferNotUnderstood {
            why: "a packet is longer than any".to_owned(),
            from: Side::Command,
            input_offset: 4,
            output_offset: 9,
        };
        assert!(told(&not_understood).contains("from byte 4 of the input and 9 of the output on"));
        let gap = Shortfall::new(ShortfallKind::Gap, Cause::SPOOL_FAILED, "the disk was full");
        let lines = [EventLine::shortfall(Micros::ZERO, &gap)];
        assert!(
            text_of(&lines).contains("gap (spool_failed) at 0.000000 s: the disk was full"),
            "{}",
            text_of(&lines)
        );
        assert_eq!(json_of(&lines)[0]["event"], "gap");
        assert!(text_of(&[]).starts_with("No transfers"));
    }
}
