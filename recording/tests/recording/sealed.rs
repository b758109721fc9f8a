//! Whole sealed recordings, made as an agent makes them.

use recording::events::{EventLine, decode_segment, totals_of};
use recording::{
    AccountId, AgentId, CaptureKind, Cause, ChainValue, Compressor, CutPolicy, CutterState, DocumentFormat,
    EvidenceName, Expected, InstanceId, Integrity, Manifest, MemorySource, Micros, ObjectSource, Recorder,
    RecordingEnd, SealedManifest, SealingKey, Segment, SegmentCutter, SegmentHeader, Shortfall,
    ShortfallKind, Start, StartReference, Stream, StreamEntry, StreamLedger, TerminalEvent,
    TerminalEventKind, TerminalSessionToken, TerminalSize, Timestamp, Totals, Trust, Verification, seal,
    verify,
};

pub(crate) fn key() -> SealingKey {
    SealingKey::from_seed(&[7; 32])
}

pub(crate) fn start() -> Start {
    Start {
        format: DocumentFormat::V1,
        recording: TerminalSessionToken::parse("000102030405060708090a0b0c0d0e0f").unwrap(),
        kind: CaptureKind::Terminal,
        account: AccountId::parse("1234567890123456").unwrap(),
        instance: InstanceId::parse("i-example").unwrap(),
        agent: AgentId::parse("agent-00112233445566778899aabbccddeeff").unwrap(),
        agent_sealing_key: key().public_key(),
        agent_recording_number: 1,
        previous_manifest: None,
        configuration_revision: 3,
        recorder: Recorder::SameUser,
        notes: vec![],
        failure_policy: None,
        delivery_mode: None,
        started_at: Timestamp::from_millis(1_700_103_579_123),
        terminal: Some(TerminalSize { columns: 80, rows: 24 }),
        command: Some(vec!["bash".to_owned(), "-l".to_owned()]),
        claimed_user: Some("ana".to_owned()),
        term: Some("xterm-256color".to_owned()),
        shell: None,
        agent_version: None,
    }
}

/// Cuts after the events with these places, each time going on in a new cutter as after a restart.
pub(crate) fn cut(
    start_document: &[u8],
    events: &[TerminalEvent],
    cuts: &[usize],
) -> (Vec<Segment>, CutterState) {
    let mut compressor = Compressor::new().unwrap();
    let mut cutter = SegmentCutter::new(&start(), start_document, CutPolicy::default());
    let mut segments: Vec<Segment> = Vec::new();
    for (place, event) in events.iter().enumerate() {
        cutter.push(event);
        if cuts.contains(&place)
            && let Some(segment) = cutter.cut(&mut compressor).unwrap()
        {
            segments.push(segment);
            // The state passes through a file, as an agent keeps it.
            let kept = serde_json::to_string(cutter.state()).unwrap();
            cutter = SegmentCutter::resume(serde_json::from_str(&kept).unwrap(), CutPolicy::default());
        }
    }
    segments.extend(cutter.finish(&mut compressor).unwrap());
    (segments, cutter.state().clone())
}

pub(crate) fn manifest(
    number: u32,
    start_document: &[u8],
    events: &[TerminalEvent],
    stream: StreamEntry,
) -> Manifest {
    let start = start();
    let exit = events.iter().find_map(|event| match event.kind {
        TerminalEventKind::Exit(status) => Some(RecordingEnd::Exited(status)),
        _ => None,
    });
    let duration = events.last().map(|event| event.at).unwrap_or(Micros::ZERO);
    Manifest {
        format: DocumentFormat::V1,
        number,
        recording: start.recording,
        start: StartReference::of(start_document),
        agent: start.agent,
        agent_recording_number: start.agent_recording_number,
        previous_manifest: None,
        started_at: start.started_at,
        ended_at: start.started_at.plus(duration.as_duration()),
        duration,
        end: exit.unwrap_or(RecordingEnd::Interrupted { reason: "the agent was stopped".to_owned() }),
        streams: vec![stream],
        delivery_mode: None,
        sealed_by: None,
    }
}

pub(crate) fn put(source: &mut MemorySource, name: EvidenceName, bytes: &[u8]) {
    source.objects.insert(name.to_object_name(), bytes.to_vec());
}

pub(crate) fn put_sealed(source: &mut MemorySource, number: u32, sealed: &SealedManifest) {
    put(source, EvidenceName::Manifest(number), &sealed.bytes);
    put(source, EvidenceName::ManifestSignature(number), &sealed.signature);
}

/// What is found out when nothing is expected and any signer will do.
pub(crate) fn check(source: &dyn ObjectSource) -> Verification {
    verify(source, &Expected::default(), Trust::AnySigner).unwrap()
}

/// Demands that this object contradicts the rest, for this reason.
pub(crate) fn inconsistent(verification: &Verification, object: &str, why: &str) {
    let Integrity::Inconsistent { object: found, why: said } = &verification.integrity else {
        panic!("{verification:?}");
    };
    assert!(found == object && said.contains(why), "{verification:?}");
}

/// Demands that it is proven up to here and something is missing, for this reason.
pub(crate) fn prefix(verification: &Verification, up_to: Option<u64>, why: &str) {
    let Integrity::ProvenPrefix { up_to: found, why: said } = &verification.integrity else {
        panic!("{verification:?}");
    };
    assert!(*found == up_to.map(Micros::new) && said.contains(why), "{verification:?}");
}

/// A whole sealed recording of these events.
pub(crate) fn record(events: &[TerminalEvent], cuts: &[usize]) -> MemorySource {
    let document = start().to_document();
    let (segments, state) = cut(&document, events, cuts);
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, &document);
    for segment in &segments {
        let name = EvidenceName::Segment { stream: segment.header.stream, number: segment.header.number };
        put(&mut source, name, &segment.bytes);
    }
    let entry = state.stream_entry(segments.iter().map(Segment::entry).collect());
    put_sealed(&mut source, 0, &seal(&manifest(0, &document, events, entry), &key()));
    source
}

/// A segment of the stream `events` with these lines, behind another.
pub(crate) fn event_segment(
    start_document: &[u8],
    number: u32,
    behind: Option<&Segment>,
    lines: &[EventLine],
) -> Segment {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let content = Compressor::new().unwrap().compress(text.as_bytes()).unwrap();
    let (first, last) = (lines.first().unwrap(), lines.last().unwrap());
    let times = (first.at, last.at);
    segment_of(Stream::Events, start_document, number, behind, times, &content, totals_of(lines))
}

/// A segment of any stream, with these bytes behind its header.
pub(crate) fn segment_of(
    stream: Stream,
    start_document: &[u8],
    number: u32,
    behind: Option<&Segment>,
    (first_at, last_at): (Micros, Micros),
    content: &[u8],
    totals: Totals,
) -> Segment {
    let header = SegmentHeader {
        recording: start().recording,
        stream,
        number,
        first_at,
        chain_before: behind.map_or(ChainValue::first(start_document, stream), |before| before.chain_after),
        prelude: Vec::new(),
    };
    Segment::new(header, content, last_at, totals).unwrap()
}

/// What the manifest says of a stream with these segments.
pub(crate) fn stream_entry(stream: Stream, start_document: &[u8], segments: &[Segment]) -> StreamEntry {
    let first = ChainValue::first(start_document, stream);
    StreamEntry {
        stream,
        segments: segments.iter().map(Segment::entry).collect(),
        final_chain: segments.last().map_or(first, |last| last.chain_after),
        totals: segments.iter().fold(Totals::default(), |sum, segment| sum.plus(&segment.totals)),
        ledger: (stream == Stream::Events).then(|| ledger_of(segments)),
    }
}

/// What segments of the stream `events` lack.
fn ledger_of(segments: &[Segment]) -> StreamLedger {
    let mut ledger = StreamLedger::default();
    for segment in segments {
        let decoded = decode_segment(&segment.bytes).unwrap();
        decoded.shortfalls.iter().for_each(|(at, shortfall)| ledger.add(*at, shortfall));
    }
    ledger
}

/// A small recording with everything in it: text, a split character, bytes that are no text, standard error, a resize, gaps,
/// a stated limit, an exit.
pub(crate) fn sample_events() -> Vec<TerminalEvent> {
    let at = Micros::new;
    vec![
        TerminalEvent::output(at(1_000), "$ echo \"h\u{e9}llo\"\r\n"),
        TerminalEvent::output(at(250_000), b"\xe2\x82"),
        TerminalEvent::output(at(250_500), b"\xac \x1b[1mbold\x1b[0m"),
        TerminalEvent::resize(at(1_500_000), TerminalSize { columns: 100, rows: 30 }),
        TerminalEvent::output(at(2_000_000), b"\xff\x00\xfe"),
        TerminalEvent::error_output(at(2_000_001), b"no such file\n\xfe"),
        TerminalEvent::gap(at(2_500_000), "the spool was full", 42),
        TerminalEvent::shortfall(
            at(2_600_000),
            Shortfall::new(ShortfallKind::StatedLimit, Cause::new("output_limit"), "more than 64 MiB"),
        ),
        TerminalEvent::shortfall(
            at(2_700_000),
            Shortfall::new(ShortfallKind::Drop, Cause::new("queue_full"), "the queue was full")
                .with_lost_bytes(7)
                .counted(3, at(2_650_000)),
        ),
        TerminalEvent::exit(at(61_000_001), recording::ExitStatus::Code(3)),
    ]
}
