//! Every call of the system by which a recorder writes fails in its turn. What the person saw is in the spool exactly once,
//! or a gap says how much is not.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use agent_protocol::clock;
use recording::{SpoolReader, TerminalEventKind};
use rustix::io::Errno;

use super::*;
use crate::spool_file::SpoolFile;
use crate::spool_file::faults::{Fault, Faults};

const FAULTS: [Fault; 11] = [
    Fault::Once(Errno::NOSPC),
    Fault::Once(Errno::IO),
    Fault::Torn(Errno::NOSPC),
    Fault::Torn(Errno::IO),
    Fault::Twice(Errno::IO, 1),
    Fault::Twice(Errno::IO, 2),
    Fault::Twice(Errno::IO, 3),
    Fault::Twice(Errno::IO, 4),
    Fault::Twice(Errno::NOSPC, 5),
    Fault::FullFromThen,
    Fault::GoneFromThen,
];
const OUTPUTS: usize = 6;

/// Spools in memory: the shown one, and that of events.
struct Spools {
    files: [PathBuf; 2],
    faults: [Faults; 2],
}

impl Spools {
    fn new(faults: [Faults; 2]) -> Self {
        let name = recording::TerminalSessionToken::generate();
        let path = |kind| std::env::temp_dir().join(format!("hansard-faults-{kind}-{name}"));
        Spools { files: ["shown", "events"].map(path), faults }
    }

    fn spooler(&self, number: usize) -> io::Result<Spooler> {
        let open = OpenOptions::new().create(true).append(true).read(true).open(&self.files[number]);
        let mut file = SpoolFile::new(open.unwrap());
        file.faults = self.faults[number].clone();
        Spooler::over(file, clock::boottime_micros(), 0)
    }

    fn events(&self) -> Vec<TerminalEventKind> {
        let mut reader = SpoolReader::new(File::open(&self.files[0]).unwrap(), 0);
        let mut events = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            events.push(record.terminal_event().unwrap().kind);
        }
        events
    }

    /// How many events are written, and how many are said to be lost.
    fn noted(&self) -> [u64; 2] {
        let mut reader = SpoolReader::new(File::open(&self.files[1]).unwrap(), 0);
        let [mut written, mut lost] = [0, 0];
        while let Some(record) = reader.next_record().unwrap() {
            match record.shortfall() {
                Ok(gap) => lost += gap.lost_events,
                Err(_) => written += 1,
            }
        }
        [written, lost]
    }
}

impl Drop for Spools {
    fn drop(&mut self) {
        self.files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
}

/// What happened in a session.
#[derive(Default)]
struct Session {
    shown: Vec<u8>,
    noted: u64,
    /// It ended with its command.
    ended_well: bool,
    began: bool,
}

/// A session as a recorder leads it: what fails ends it, and the recording says why.
fn session(spools: &Spools, policy: FailurePolicy) -> Session {
    let mut session = Session::default();
    let (Ok(shown), Ok(events)) = (spools.spooler(0), spools.spooler(1)) else { return session };
    session.began = true;
    let mut scribe = Scribe { events: Some(events), ..Scribe::of_terminal(shown, policy) };
    let mut record = || -> Result<(), CaptureError> {
        for number in 0..OUTPUTS {
            // Long enough that room is reserved again and again.
            let output = format!("{number}{}", "x".repeat(40_000));
            scribe.output(Output::Terminal, output.as_bytes())?;
            session.shown.extend_from_slice(output.as_bytes());
            scribe.resize(TerminalSize { columns: 80 + u16::try_from(number).unwrap(), rows: 24 })?;
            let line = |number| EventLine {
                at: Micros::new(number),
                event: "file_change".to_owned(),
                members: std::iter::empty().collect(),
            };
            scribe.note(&[line(1), line(2)])?;
            session.noted += 2;
        }
        Ok(())
    };
    match record().and_then(|()| scribe.check()) {
        Ok(()) => session.ended_well = scribe.exit(ExitStatus::Code(3)).is_ok(),
        Err(error) => scribe.give_up(cause_of(&error), &in_one_line(&error)),
    }
    session
}

fn output(events: &[TerminalEventKind]) -> Vec<u8> {
    events.iter().filter_map(|kind| kind.shown()).flatten().copied().collect()
}

fn gaps(events: &[TerminalEventKind]) -> Vec<Shortfall> {
    let gap = |kind: &TerminalEventKind| match kind {
        TerminalEventKind::Shortfall(shortfall) => Some(shortfall.clone()),
        _ => None,
    };
    events.iter().filter_map(gap).collect()
}

/// Tries each fault at each call of each spool, until no call is left.
fn at_every_call(mut check: impl FnMut(&Spools, Fault, &str)) {
    let mut tried = 0;
    for spool in [0, 1] {
        for fault in FAULTS {
            for call in 0.. {
                let mut faults = [Faults::default(), Faults::default()];
                faults[spool] = Faults::at(call, fault);
                let spools = Spools::new(faults);
                check(&spools, fault, &format!("{fault:?} at call {call} of spool {spool}"));
                if !spools.faults[spool].have_struck() {
                    break;
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "only {tried} faults");
}

#[test]
fn under_strict_all_that_was_shown_is_recorded_once_and_the_end_says_what_failed() {
    at_every_call(|spools, fault, what| {
        let session = session(spools, FailurePolicy::Strict);
        if !session.began {
            return;
        }
        let events = spools.events();
        assert!(output(&events) == session.shown, "{what}");
        let gone = fault == Fault::GoneFromThen && spools.faults[0].have_struck();
        match (session.ended_well, events.last()) {
            (true, last) => assert!(matches!(last, Some(TerminalEventKind::Exit(_))), "{what}"),
            // The second fault may strike when the reason is written.
            (false, last) if matches!(fault, Fault::Twice(..)) && gaps(&events).is_empty() => {
                assert!(!matches!(last, Some(TerminalEventKind::Exit(_))), "{what}");
            }
            // On a disk that is gone nothing can be said. The agent sees that the recorder ended first.
            (false, _) if gone => assert_eq!(gaps(&events).len(), 0, "{what}"),
            (false, last) => {
                let Some(TerminalEventKind::Shortfall(gap)) = last else { panic!("{what}: {last:?}") };
                assert_eq!(gap.cause, Cause::SPOOL_FAILED, "{what}");
                assert!(gap.reason.contains("could not be "), "{what}: {}", gap.reason);
            }
        }
        assert!(!events.iter().any(|kind| matches!(kind, TerminalEventKind::Exit(_))) || session.ended_well);
    });
}

#[test]
fn under_best_effort_what_is_not_recorded_is_counted_and_all_else_is_recorded_once() {
    at_every_call(|spools, fault, what| {
        let session = session(spools, FailurePolicy::BestEffort);
        if !session.began {
            return;
        }
        assert!(session.ended_well && session.shown.len() == OUTPUTS * 40_001, "{what}: it goes on");
        let events = spools.events();
        let recorded = output(&events);
        // Each output begins with its number, so that what is missing is missing as a whole.
        let kept: Vec<u8> = (0..OUTPUTS)
            .map(|number| &session.shown[number * 40_001..(number + 1) * 40_001])
            .filter(|piece| recorded.chunks(40_001).any(|chunk| chunk == *piece))
            .flatten()
            .copied()
            .collect();
        assert!(kept == recorded, "{what}: in order, and once");
        let missing = (session.shown.len() - recorded.len()) as u64;
        let gaps = gaps(&events);
        let told: u64 = gaps.iter().map(|gap| gap.lost_bytes).sum();
        let in_words = format!("the last {} bytes of output are not recorded", missing - told);
        let ends = matches!(events.last(), Some(TerminalEventKind::Exit(_)));
        if fault == Fault::GoneFromThen && spools.faults[0].have_struck() {
            assert!(!ends, "{what}");
            return;
        }
        let passes = matches!(fault, Fault::Once(_) | Fault::Torn(_) | Fault::Twice(..));
        assert!(ends || !passes || missing == 0, "{what}: it is recorded again");
        if matches!(fault, Fault::Twice(..)) && !ends {
            // The second fault may strike when the reason is written.
            return;
        }
        if ends {
            assert_eq!(missing, told, "{what}: {gaps:?}");
            let [written, lost] = spools.noted();
            assert_eq!(written + lost, session.noted, "{what}");
        } else {
            let last = gaps.last().unwrap_or_else(|| panic!("{what}: nothing says how it ended"));
            assert!(missing == told || last.reason.contains(&in_words), "{what}: {missing} {last:?}");
        }
    });
}

#[test]
fn what_the_ledger_is_told_while_nothing_can_be_recorded_is_written_once_when_it_can() {
    let mut recovered = 0;
    for call in 0..12 {
        let spools = Spools::new([Faults::at(call, Fault::Once(Errno::IO)), Faults::default()]);
        let Ok(spooler) = spools.spooler(0) else { continue };
        let mut scribe = Scribe::of_terminal(spooler, FailurePolicy::BestEffort);
        for _ in 0..3 {
            if scribe.unrecorded.is_none() {
                scribe.output(Output::Terminal, b"some output").unwrap();
            }
        }
        scribe.not_acknowledged("late".to_owned()).unwrap();
        if let Some(lost) = &mut scribe.unrecorded {
            lost.try_again_at = Instant::now() + Duration::from_secs(100);
            recovered += 1;
        }
        scribe.status_is_a_claim().unwrap();
        scribe.exit(ExitStatus::Code(0)).unwrap();
        let events = spools.events();
        let told = |cause: &Cause| {
            let is = |event: &&TerminalEventKind| matches!(event, TerminalEventKind::Shortfall(entry) if entry.cause == *cause);
            events.iter().filter(is).count()
        };
        if matches!(events.last(), Some(TerminalEventKind::Exit(_))) {
            let entries = [Cause::DELIVERY_NOT_ACKNOWLEDGED, Cause::new("exit_status_claimed")]
                .map(|cause| told(&cause));
            assert_eq!(entries, [1, 1], "call {call}: {events:?}");
        }
    }
    assert!(recovered > 0);
}

#[test]
fn a_session_that_may_is_paused_until_then_and_says_how_much_is_missing() {
    let spools = Spools::new([Faults::default(), Faults::default()]);
    let mut scribe = Scribe::of_terminal(spools.spooler(0).unwrap(), FailurePolicy::BestEffort);
    let until = Instant::now() + Duration::from_secs(100);
    scribe.output(Output::Terminal, b"before ").unwrap();
    scribe.pause("too much".to_owned(), until).unwrap();
    assert!(scribe.take_notice().unwrap().ends_with("(FailurePolicy best_effort): too much"));
    scribe.output(Output::Terminal, b"meanwhile ").unwrap();
    // Asked for again it is longer, and the person is told once.
    scribe.pause("too much still".to_owned(), until + Duration::from_secs(1)).unwrap();
    assert_eq!(scribe.take_notice(), None);
    let lost = scribe.unrecorded.as_mut().unwrap();
    assert_eq!(lost.try_again_at, until + Duration::from_secs(1));
    lost.try_again_at = Instant::now();
    scribe.output(Output::Terminal, b"after").unwrap();
    assert_eq!(scribe.take_notice().unwrap(), "the session is recorded again");
    scribe.exit(ExitStatus::Code(0)).unwrap();
    let events = spools.events();
    assert_eq!(output(&events), b"before after");
    let [gap] = &gaps(&events)[..] else { panic!("{events:?}") };
    assert_eq!((&gap.cause, gap.lost_bytes, gap.reason.as_str()), (&Cause::SPOOL_LIMIT, 10, "too much"));
    assert!(matches!(events.last(), Some(TerminalEventKind::Exit(_))));
}

#[test]
fn a_session_that_must_be_recorded_is_not_paused() {
    let spools = Spools::new([Faults::default(), Faults::default()]);
    let mut scribe = Scribe::of_terminal(spools.spooler(0).unwrap(), FailurePolicy::Strict);
    let refused = scribe.pause("too much".to_owned(), Instant::now() + Duration::from_secs(100)).unwrap_err();
    assert!(refused.contains("FailurePolicy strict"), "{refused}");
    scribe.output(Output::Terminal, b"all of it").unwrap();
    scribe.exit(ExitStatus::Code(0)).unwrap();
    assert_eq!(output(&spools.events()), b"all of it");
}
