//! Following sessions, on spools that tests write.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use agent_protocol::capture::{
    BadState, Capability, Pushed, Segmenter, SegmenterState, Segmenting, SpoolName,
};
use capture_terminal::TerminalSegmenting;
use recording::spool::BadRecord;
use recording::{
    EventLine, ExitStatus, Segment, SegmentEntry, SegmentError, Shortfall, SpoolRecord, SpoolWriter, Start,
    TerminalEvent, decode_segment,
};
use rustix::fs::{FlockOperation, flock};

use super::*;
use crate::identity::{Identity, Keys};
use crate::run::session::Note;
use crate::settings::{DiskLimits, RunOptions, SyncSettings, UserLimits};
use crate::state_directory::StateDirectory;

/// A session that an agent left which knew no more than one spool, and noted none.
const EARLIER_SESSION: &str = "32eb12214d6db92d59ce6cc97543937a";

fn earlier_session() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/cutting/testdata").join(EARLIER_SESSION)
}

pub(super) fn start() -> Start {
    Start::parse(&fs::read(earlier_session().join("start.json")).unwrap()).unwrap()
}

pub(super) fn agent(folder: &Path, kinds: Vec<Box<dyn Segmenting>>) -> Agent {
    let directory = StateDirectory::create(&folder.join("state")).unwrap();
    let start = start();
    let identity = Identity {
        agent_id: start.agent,
        account_id: start.account,
        instance_id: start.instance,
        region: recording::Region::parse("cn-hangzhou").unwrap(),
        server_url: "http://localhost".parse().unwrap(),
        server_keys: vec![],
    };
    let options = RunOptions {
        disk: DiskLimits::of_tests(0),
        user_limits: UserLimits::of_tests(1),
        most_output_bytes: 1,
        sync: SyncSettings { hold_after: Duration::from_secs(10), end_after: Duration::from_secs(30) },
        quarantine_after: Duration::from_secs(24 * 3600),
        log: "error".to_owned(),
    };
    Agent::new(directory, identity, Keys::generate().unwrap(), &options, kinds).unwrap()
}

/// A kind with a second stream, whose segmenter writes down in another form where it stood.
struct Both;

struct Second(Box<dyn Segmenter>);

impl Both {
    fn names() -> [SpoolName; 2] {
        ["terminal", "second"].map(|name| SpoolName::parse(name).unwrap())
    }
}

impl Segmenting for Both {
    fn capability(&self) -> Capability {
        Capability { kind: "both".to_owned(), version: "1".to_owned() }
    }

    fn spools(&self) -> Vec<SpoolName> {
        Both::names().to_vec()
    }

    fn segmenter(
        &self,
        spool: &SpoolName,
        start: &Start,
        start_document: &[u8],
        resume: Option<&SegmenterState>,
    ) -> Result<Box<dyn Segmenter>, BadState> {
        let terminal = TerminalSegmenting::default();
        if *spool == Both::names()[0] {
            return terminal.segmenter(spool, start, start_document, resume);
        }
        let resume = resume.map(SegmenterState::read::<[SegmenterState; 1]>).transpose()?;
        let state = resume.as_ref().map(|[state]| state);
        Ok(Box::new(Second(terminal.segmenter(spool, start, start_document, state)?)))
    }
}

impl Segmenter for Second {
    fn push(&mut self, record: &SpoolRecord<'_>) -> Result<Pushed, BadRecord> {
        self.0.push(record)
    }

    fn push_shortfall(&mut self, at: Micros, shortfall: &Shortfall) {
        self.0.push_shortfall(at, shortfall);
    }

    fn due(&self, now: Micros) -> bool {
        self.0.due(now)
    }

    fn due_at(&self) -> Option<Micros> {
        self.0.due_at()
    }

    fn cut(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        self.0.cut(compressor)
    }

    fn finish(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        self.0.finish(compressor)
    }

    fn state(&self) -> Result<SegmenterState, BadState> {
        SegmenterState::of(&[self.0.state()?])
    }

    fn last_at(&self) -> Micros {
        self.0.last_at()
    }

    fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        self.0.stream_entry(segments)
    }
}

struct Cutting {
    agent: Agent,
    searches: DamageSearches,
    compressor: Compressor,
}

impl Cutting {
    fn with(folder: &Path, kinds: Vec<Box<dyn Segmenting>>) -> Self {
        Cutting {
            agent: agent(folder, kinds),
            searches: DamageSearches::start(|| ()).unwrap(),
            compressor: Compressor::new().unwrap(),
        }
    }

    /// Does what there is to do now.
    fn advance(&mut self, followed: &mut Followed) -> Next {
        loop {
            let next = followed.advance(&self.agent, &self.searches, &mut self.compressor);
            assert_eq!(followed.session.progress().trouble, None);
            if next != Next::LookNow {
                return next;
            }
        }
    }
}

pub(super) fn append(spool: &File, event: &TerminalEvent) {
    let good_end = spool.metadata().unwrap().len();
    SpoolWriter::new(spool, good_end).append_terminal(event).unwrap();
}

/// What the kept segments of a stream hold.
pub(super) fn output(session: &Session, stream: usize) -> Vec<u8> {
    let spool = &session.spools[stream];
    let segments = spool.cut_records().unwrap().into_iter().map(|record| {
        let segment = decode_segment(&spool.segment_bytes(&record).unwrap()).unwrap();
        segment.events.into_iter().filter_map(|event| event.kind.shown().map(<[u8]>::to_vec)).collect()
    });
    segments.collect::<Vec<Vec<Vec<u8>>>>().concat().concat()
}

#[test]
fn a_session_of_two_spools_is_sealed_when_both_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut cutting = Cutting::with(folder.path(), vec![Box::new(Both)]);
    let note = Note {
        kind: "both".to_owned(),
        spools: Both::names().to_vec(),
        // Long enough ago for a first segment.
        start_boottime_micros: agent_protocol::clock::boottime_micros().saturating_sub(10_000_000),
        user_id: None,
        // So that it is each spool's own lock that says whether somebody still writes to it.
        recorder: None,
        configuration: None,
        failure_policy: None,
    };
    let (session, files) = Session::create(&cutting.agent.directory.spool(), start(), note).unwrap();
    for file in &files {
        flock(file, FlockOperation::LockExclusive).unwrap();
    }
    append(&files[0], &TerminalEvent::output(Micros::new(1), *b"shown"));
    append(&files[1], &TerminalEvent::output(Micros::new(2), *b"noted"));
    append(&files[0], &TerminalEvent::exit(Micros::new(3), ExitStatus::Code(4)));

    let session = Arc::new(session);
    let mut followed = Followed::open(&cutting.agent, &session, &Watches::new()).unwrap();
    assert_eq!(cutting.advance(&mut followed), Next::LookLater);
    let cut = |session: &Session| [0, 1].map(|stream| session.spools[stream].progress().segments);
    assert_eq!(cut(&session), [1, 1]);
    flock(&files[0], FlockOperation::Unlock).unwrap();
    assert_eq!(cutting.advance(&mut followed), Next::LookLater);
    assert!(!session.progress().sealed);
    assert_eq!(cut(&session), [2, 1], "the first is cut to its end, the second is open");

    // Each goes on from where it stood when the agent starts again.
    let spools = cutting.agent.directory.spool();
    let reopen = || Arc::new(Session::open(&spools.join(session.token().as_str())).unwrap());
    append(&files[1], &TerminalEvent::gap(Micros::new(4), "why", 0));
    let again = reopen();
    assert_eq!(cut(&again), [2, 1]);
    let mut followed = Followed::open(&cutting.agent, &again, &Watches::new()).unwrap();
    assert_eq!(cutting.advance(&mut followed), Next::LookLater);
    append(&files[1], &TerminalEvent::output(Micros::new(6_000_000), *b" more"));
    flock(&files[1], FlockOperation::Unlock).unwrap();
    assert_eq!(cutting.advance(&mut followed), Next::Nothing);
    assert!(again.progress().sealed && reopen().progress().sealed);

    let manifest = Manifest::parse(&again.find_manifest().unwrap().unwrap().bytes).unwrap();
    assert_eq!(manifest.end, RecordingEnd::Exited(ExitStatus::Code(4)));
    assert_eq!(output(&again, 0), b"shown");
    assert_eq!(output(&again, 1), b"noted more");
    let listed: Vec<Vec<SegmentEntry>> = manifest.streams.into_iter().map(|stream| stream.segments).collect();
    let kept = again.spools.iter().map(|spool| spool.cut_records().unwrap());
    let kept: Vec<Vec<SegmentEntry>> =
        kept.map(|records| records.into_iter().map(|record| record.entry).collect()).collect();
    assert_eq!(listed, kept);
}

#[test]
fn the_events_of_a_terminal_are_listed_if_there_are_any_and_say_nothing_of_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut cutting = Cutting::with(folder.path(), crate::capture_kinds());
    let names = TerminalSegmenting::default().spools();
    assert_eq!(names.len(), 2);
    let mut seal = |events: &[EventLine], forged: bool| {
        let note = Note {
            kind: "terminal".to_owned(),
            spools: names.clone(),
            start_boottime_micros: 0,
            user_id: None,
            recorder: None,
            configuration: None,
            failure_policy: None,
        };
        let start = Start { recording: recording::TerminalSessionToken::generate(), ..start() };
        let (session, files) = Session::create(&cutting.agent.directory.spool(), start, note).unwrap();
        append(&files[0], &TerminalEvent::output(Micros::new(1), *b"shown"));
        for event in events {
            let good_end = files[1].metadata().unwrap().len();
            SpoolWriter::new(&files[1], good_end).append_event(event).unwrap();
        }
        if forged {
            append(&files[1], &TerminalEvent::exit(Micros::new(2), ExitStatus::Code(0)));
        } else {
            append(&files[0], &TerminalEvent::exit(Micros::new(9), ExitStatus::Code(4)));
        }
        drop(files);
        let session = Arc::new(session);
        let mut followed = Followed::open(&cutting.agent, &session, &Watches::new()).unwrap();
        assert_eq!(cutting.advance(&mut followed), Next::Nothing);
        let manifest = Manifest::parse(&session.find_manifest().unwrap().unwrap().bytes).unwrap();
        (session, manifest)
    };
    let (session, manifest) = seal(&[], false);
    let [terminal] = &manifest.streams[..] else { panic!("{manifest:?}") };
    assert_eq!(terminal.stream, recording::Stream::Terminal);
    assert_eq!(session.next_to_deliver(0, &BTreeSet::from([0])), None, "nothing of it is delivered");

    let event = EventLine {
        at: Micros::new(12),
        event: "file_change".to_owned(),
        members: std::iter::empty().collect(),
    };
    let (session, manifest) = seal(std::slice::from_ref(&event), false);
    assert_eq!((manifest.duration, &manifest.end), (event.at, &RecordingEnd::Exited(ExitStatus::Code(4))));
    let [_, events] = &manifest.streams[..] else { panic!("{manifest:?}") };
    assert_eq!((events.stream, events.totals.events()), (recording::Stream::Events, 1));
    let spool = &session.spools[1];
    let record = spool.cut_record(0).unwrap();
    let decoded = recording::events::decode_segment(&spool.segment_bytes(&record).unwrap()).unwrap();
    let lines: Vec<_> =
        recording::events::read_lines(&decoded.text).unwrap().map(|line| line.unwrap()).collect();
    assert_eq!(lines, [event]);

    let (_, manifest) = seal(&[], true);
    assert!(matches!(manifest.end, RecordingEnd::Interrupted { .. }), "{manifest:?}");
    assert_eq!(manifest.streams[1].totals.gaps(), 1);
}

#[test]
fn streams_take_turns_in_delivery_and_each_erases_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut cutting = Cutting::with(folder.path(), vec![Box::new(Both)]);
    let note = Note {
        kind: "both".to_owned(),
        spools: Both::names().to_vec(),
        start_boottime_micros: 0,
        user_id: None,
        recorder: None,
        configuration: None,
        failure_policy: None,
    };
    let (session, files) = Session::create(&cutting.agent.directory.spool(), start(), note).unwrap();
    for (file, segments) in files.iter().zip([3, 2]) {
        for number in 0..segments {
            // Each is so long after the one before that it is a segment of its own.
            append(file, &TerminalEvent::output(Micros::new(number * 60_000_000), *b"x"));
            append(file, &TerminalEvent::output(Micros::new(number * 60_000_000 + 30_000_000), *b"y"));
        }
    }
    drop(files);
    let session = Arc::new(session);
    let mut followed = Followed::open(&cutting.agent, &session, &Watches::new()).unwrap();
    assert_eq!(cutting.advance(&mut followed), Next::Nothing);

    // One that is held up holds up no other.
    assert_eq!(session.next_to_deliver(0, &BTreeSet::from([1])), Some((0, 0)));
    assert_eq!(session.next_to_deliver(0, &BTreeSet::from([0, 1])), None);
    let mut delivered = Vec::new();
    let mut last = 0;
    while let Some((stream, number)) = session.next_to_deliver(last, &BTreeSet::new()) {
        let spool = &session.spools[stream];
        let record = spool.cut_record(number).unwrap();
        assert_eq!(record.entry.number, number);
        spool.erase_segment(&record).unwrap();
        assert!(spool.segment_bytes(&record).is_err());
        delivered.push((stream, number));
        last = stream;
    }
    assert_eq!(delivered, [(1, 0), (0, 0), (1, 1), (0, 1), (0, 2)]);
    let again = Session::open(&cutting.agent.directory.spool().join(session.token().as_str())).unwrap();
    assert_eq!(again.next_to_deliver(0, &BTreeSet::new()), None);
}

#[test]
fn what_an_agent_left_that_knew_one_spool_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut cutting = Cutting::with(folder.path(), crate::capture_kinds());
    let left = cutting.agent.directory.spool().join(EARLIER_SESSION);
    fs::create_dir_all(left.join("segments")).unwrap();
    for name in
        ["start.json", "session.json", "terminal.spool", "segments/000000.json", "segments/000000.cast.zst"]
    {
        fs::copy(earlier_session().join(name), left.join(name)).unwrap();
    }
    let session = Arc::new(Session::open(&left).unwrap());
    assert_eq!(session.next_to_deliver(0, &BTreeSet::new()), Some((0, 0)));
    let before = session.spools[0].cut_records().unwrap();
    let mut followed = Followed::open(&cutting.agent, &session, &Watches::new()).unwrap();
    assert_eq!(cutting.advance(&mut followed), Next::Nothing);

    assert_eq!(output(&session, 0), b"first\r\noops\r\nsecond\r\n");
    let manifest = Manifest::parse(&session.find_manifest().unwrap().unwrap().bytes).unwrap();
    let [stream] = &manifest.streams[..] else { panic!("{manifest:?}") };
    assert_eq!(stream.segments.len(), 2);
    assert_eq!(stream.segments[0], before[0].entry);
    assert!(matches!(manifest.end, RecordingEnd::Interrupted { .. }));
}
