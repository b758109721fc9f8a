//! Spools that are cut off at any byte, as a machine leaves them that loses its power: what stands before is delivered,
//! and what was torn is said.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use recording::spool::Trailing;
use recording::{Cause, LedgerEntry, RecordingEnd, ShortfallKind, SpoolReader, TerminalSessionToken};
use rustix::process::{Signal, kill_process};

use crate::append_only::allow_changes;
use crate::bench::{Instance, eventually, text, token_in};

/// How many sessions are recorded at the same time: fewer than an agent lets one user have.
const AT_ONCE: usize = 32;

/// Each line is a record of its own, unless the machine is slow.
const SCRIPT: &str = "echo one; sleep 0.02; echo two; sleep 0.02; echo three; exec sleep 1000";

/// A session whose agent and recorder are gone.
struct Severed {
    person: Child,
    token: TerminalSessionToken,
}

/// Records sessions of which nothing is cut yet, and kills all that records them.
fn severed(instance: &mut Instance, count: usize) -> Vec<Severed> {
    let begin = |instance: &Instance| {
        let mut person = instance
            .command(&["record", "--", "sh", "-c", SCRIPT])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut notice = String::new();
        BufReader::new(person.stderr.take().unwrap()).read_line(&mut notice).unwrap();
        Severed { person, token: token_in(&notice).unwrap() }
    };
    let mut sessions: Vec<Severed> = (0..count).map(|_| begin(instance)).collect();
    for session in &mut sessions {
        let shown = BufReader::new(session.person.stdout.take().unwrap());
        assert!(shown.lines().map_while(Result::ok).any(|line| line == "three"));
    }
    instance.kill_agent();
    for session in &mut sessions {
        kill_process(instance.recorder(&session.token), Signal::KILL).unwrap();
        eventually("the session ends", || session.person.try_wait().unwrap());
    }
    sessions
}

/// What whole records of a spool show, and what stands behind the last.
fn read(spool: &[u8]) -> (Vec<u8>, Trailing) {
    let mut reader = SpoolReader::new(spool, 0);
    let mut shown = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let event = record.terminal_event().unwrap();
        shown.extend_from_slice(event.kind.shown().unwrap_or_default());
    }
    (shown, reader.trailing())
}

#[test]
fn a_spool_that_is_cut_off_at_any_byte_is_delivered_up_to_there_and_the_torn_record_is_said() {
    let mut instance = Instance::running();
    let (mut length, mut longest) = (0, 1);
    let mut torn_records = 0;
    while length <= longest {
        let mut expected = Vec::new();
        for session in severed(&mut instance, AT_ONCE) {
            let spool = instance.session_folder(&session.token).join("terminal.spool");
            allow_changes(&spool);
            let whole = std::fs::read(&spool).unwrap();
            longest = longest.max(whole.len());
            // A slow machine may have cut a segment already; then a shorter spool is another matter.
            let is_cut = File::open(spool.with_file_name("segments").join("000000.cast.zst")).is_ok();
            let here = length.min(whole.len());
            if !is_cut {
                OpenOptions::new().write(true).open(&spool).unwrap().set_len(here as u64).unwrap();
                length += 1;
            }
            expected.push((session.token, if is_cut { whole } else { whole[..here].to_vec() }));
        }
        instance.start_agent();
        for (token, left) in expected {
            let recording = instance.control_plane.sealed(&token);
            let (shown, trailing) = read(&left);
            assert_eq!(text(&recording.output()), text(&shown), "{} bytes are left", left.len());
            let RecordingEnd::Interrupted { reason } = recording.end() else {
                panic!("{:?}", recording.end())
            };
            assert!(reason.contains("the recorder ended"), "{reason}");
            let torn: Vec<LedgerEntry> =
                recording.ledger().into_iter().filter(|entry| entry.cause == Cause::RECORD_TORN).collect();
            match trailing {
                Trailing::Nothing => assert_eq!(torn, [], "{} bytes are left", left.len()),
                Trailing::Incomplete { bytes } => {
                    torn_records += 1;
                    let [entry] = &torn[..] else { panic!("{} bytes are left: {torn:?}", left.len()) };
                    assert_eq!((entry.kind, entry.count), (ShortfallKind::Truncation, 1));
                    assert_eq!(entry.lost_bytes, bytes, "{} bytes are left", left.len());
                }
                Trailing::Damaged => panic!("{} bytes are left, and look damaged", left.len()),
            }
        }
        instance.spool_is_empty();
    }
    assert!(torn_records > longest / 2, "{torn_records} of {longest}");
}
