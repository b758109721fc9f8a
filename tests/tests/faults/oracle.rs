//! What must hold after every fault: the recording has what the person saw, exactly once, and `verify` passes or says
//! what is missing.

use std::time::{Duration, Instant};

use recording::{DecodedLines, TerminalEventKind, decode_lines};
use whole_system::Client;

use crate::session::Seen;

/// How long a recording may take to be closed: many failures in a row make an agent wait for half a minute each time.
const PATIENCE: Duration = Duration::from_secs(180);

/// How far the recording of a session has come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// The program ended, and all that it printed was seen: the recording has these bytes and no others.
    Whole,
    /// The session was cut off, for a reason with this text: the recording begins with what was seen, and may have a
    /// little more, since a recorder shows nothing that is not recorded.
    Cut(&'static str),
}

/// Output that is recorded, and that the person has not taken yet, is at most this.
const MOST_NOT_SEEN: usize = 256 * 1024;

/// Checks the recording of a session, as soon as it is closed. Returns its events.
pub(crate) fn check(client: &Client, seen: &Seen, ending: Ending) -> DecodedLines {
    let token = seen.token.as_str();
    let (status, code, verdict) = match ending {
        Ending::Whole => ("finished", 0, "complete"),
        Ending::Cut(_) => ("interrupted", 7, "interrupted"),
    };
    let deadline = Instant::now() + PATIENCE;
    let mut told = String::new();
    while !is(client, token, status, &mut told) {
        assert!(Instant::now() < deadline, "recording {token} is not {status} after {PATIENCE:?}: {told}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let verified = client.run(&["recordings", "verify", token]);
    let report = String::from_utf8_lossy(&verified.stdout);
    assert_eq!(verified.status.code(), Some(code), "{token}: {report}");
    assert!(report.lines().next().unwrap().ends_with(verdict), "{report}");
    assert!(
        report.lines().any(|line| line.starts_with("Integrity") && line.ends_with("complete")),
        "{report}"
    );

    let exported = client.run(&["recordings", "export", token, "--format", "cast"]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let decoded = decode_lines(&exported.stdout).unwrap();
    let recorded = shown(&decoded);
    match ending {
        Ending::Whole => {
            assert!(recorded == seen.bytes, "{token}: {}", difference(&recorded, &seen.bytes));
        }
        Ending::Cut(why) => {
            let end = report.lines().find(|line| line.starts_with("End ")).unwrap_or_default();
            assert!(end.contains("interrupted: ") && end.contains(why), "{token}: {report}");
            // The person's side may have ended the line before it said why the session ends.
            let bytes = seen.bytes.as_slice();
            let without_end = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
            let begins = recorded.starts_with(bytes) || recorded.starts_with(without_end);
            assert!(begins, "{token}: {}", difference(&recorded, bytes));
            assert!(recorded.len() <= bytes.len() + MOST_NOT_SEEN, "{} {}", recorded.len(), bytes.len());
        }
    }
    decoded
}

/// Checks a recording of which it does not matter how it ended: it is whole, and begins with what was seen.
pub(crate) fn check_closed(client: &Client, seen: &Seen) {
    let token = seen.token.as_str();
    let verified = client.run(&["recordings", "verify", token]);
    let report = String::from_utf8_lossy(&verified.stdout);
    assert!(matches!(verified.status.code(), Some(0 | 7)), "{token}: {report}");
    assert!(
        report.lines().any(|line| line.starts_with("Integrity") && line.ends_with("complete")),
        "{report}"
    );
    let exported = client.run(&["recordings", "export", token, "--format", "cast"]);
    let recorded = shown(&decode_lines(&exported.stdout).unwrap());
    let without_end = seen.bytes.strip_suffix(b"\r\n").unwrap_or(&seen.bytes);
    assert!(recorded.starts_with(without_end), "{token}: {}", difference(&recorded, &seen.bytes));
}

/// Whether a recording shows this status.
fn is(client: &Client, token: &str, status: &str, told: &mut String) -> bool {
    let output = client.run(&["recordings", "show", token, "--output", "json"]);
    *told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    serde_json::from_str::<serde_json::Value>(told).is_ok_and(|record| record["Status"] == status)
}

/// How many recordings there are.
pub(crate) fn count(client: &Client) -> u64 {
    let listed = client.call("ListInstanceRecords", &["IncludeExpired=true"]);
    listed["Root"]["TotalCount"].as_u64().unwrap()
}

/// The bytes that a recording shows.
pub(crate) fn shown(decoded: &DecodedLines) -> Vec<u8> {
    decoded.events.iter().filter_map(|event| event.kind.shown()).flatten().copied().collect()
}

/// Whether anything is said to be missing.
pub(crate) fn has_loss(decoded: &DecodedLines) -> bool {
    let is_loss =
        |kind: &TerminalEventKind| matches!(kind, TerminalEventKind::Shortfall(of) if of.kind.is_loss());
    decoded.events.iter().any(|event| is_loss(&event.kind))
}

/// Where what was recorded differs from what was seen.
fn difference(recorded: &[u8], seen: &[u8]) -> String {
    let same = recorded.iter().zip(seen).take_while(|(one, other)| one == other).count();
    let from = same.saturating_sub(60);
    let part = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[from.min(bytes.len())..(same + 120).min(bytes.len())]).into_owned()
    };
    format!(
        "{} bytes are recorded and {} were seen; they differ at {same}: recorded {:?}, seen {:?}",
        recorded.len(),
        seen.len(),
        part(recorded),
        part(seen)
    )
}
