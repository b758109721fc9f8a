//! Recordings with several streams, of which a reader understands some; and those that earlier versions made.

use recording::events::EventLine;
use recording::{
    CaptureKind, EvidenceName, ExitStatus, Expected, FolderSource, Integrity, Manifest, MemorySource, Micros,
    ObjectName, RecordingEnd, Segment, Start, Stream, StreamEntry, TerminalEvent, Totals, Trust, Verdict,
    decode_recording, seal, to_asciicast, to_text, verify,
};

use crate::sealed::{
    check, cut, event_segment, inconsistent, key, manifest, prefix, put, put_sealed, record, sample_events,
    segment_of, start, stream_entry,
};

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

fn audio() -> Stream {
    Stream::parse("audio").unwrap()
}

fn event(at: u64, event: &str) -> EventLine {
    EventLine { at: Micros::new(at), event: event.to_owned(), members: serde_json::Map::new() }
}

/// The manifest of a source, changed and signed again by the agent.
fn sign_again(source: &mut MemorySource, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::parse(&source.objects[&name("manifest-0000.json")]).unwrap();
    change(&mut manifest);
    put_sealed(source, 0, &seal(&manifest, &key()));
}

/// The sample, with two segments of a stream besides, which the manifest lists.
fn with(segments: &[Segment]) -> MemorySource {
    let mut source = record(&sample_events(), &[2, 4]);
    let stream = segments[0].header.stream;
    for segment in segments {
        let number = segment.header.number;
        put(&mut source, EvidenceName::Segment { stream, number }, &segment.bytes);
    }
    let entry = stream_entry(stream, &start().to_document(), segments);
    sign_again(&mut source, |manifest| manifest.streams.push(entry));
    source
}

fn events() -> [Segment; 2] {
    let document = start().to_document();
    let first = event_segment(&document, 0, None, &[event(5, "shell_command"), event(9, "gap")]);
    let second = event_segment(&document, 1, Some(&first), &[event(9, "of_a_later_version")]);
    [first, second]
}

/// Of a stream that this version does not know: what is behind the headers is no zstd, and only the first stands alone.
fn sounds() -> [Segment; 2] {
    let document = start().to_document();
    let times = |first, last| (Micros::new(first), Micros::new(last));
    let totals = || Totals::new([("samples", 48_000)]);
    let first = segment_of(audio(), &document, 0, None, times(0, 1_000_000), b"\x00\xffbegun", totals());
    let second =
        segment_of(audio(), &document, 1, Some(&first), times(1_000_000, 2_000_000), b"went on", totals());
    [first, second]
}

#[test]
fn events_are_verified_beside_the_terminal() {
    let source = with(&events());
    let verification = check(&source);
    assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
    assert_eq!((verification.segments(), verification.totals().gaps()), (5, 3));
    assert_eq!(verification.streams[1].unknown_events, 2, "all but gaps");
    assert_eq!(verification.not_evidence.count(), 0);

    let mut changed = source.clone();
    sign_again(&mut changed, |it| it.streams[1].totals = Totals::new([("events", 3), ("gaps", 0)]));
    inconsistent(&check(&changed), "manifest-0000.json", "its counts");
    let mut changed = source.clone();
    sign_again(&mut changed, |it| it.streams[1].segments[1].last_at = Micros::new(10));
    inconsistent(&check(&changed), "events/000001.jsonl.zst", "its times");
    let mut cut_off = source.clone();
    cut_off.objects.remove(&name("events/000001.jsonl.zst"));
    // The terminal is proven to its end, and the whole only as far as the stream that breaks off.
    prefix(&check(&cut_off), Some(9), "events/000001.jsonl.zst is missing");
    let mut unlisted = source;
    sign_again(&mut unlisted, |it| it.streams.truncate(1));
    prefix(&check(&unlisted), Some(61_000_001), "events/000000.jsonl.zst is in no manifest");
}

#[test]
fn an_unknown_stream_is_verified_by_hashes_and_chain_and_named() {
    let source = with(&sounds());
    let verification = check(&source);
    assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
    let of = &verification.streams[1];
    assert_eq!((of.stream, of.segments, of.totals.get("samples")), (audio(), 2, 96_000));
    assert!(!of.stream.is_understood() && verification.verdict() == Verdict::CompleteWithLoss);

    let object = "audio/000001.segment";
    let mut changed = source.clone();
    *changed.objects.get_mut(&name(object)).unwrap().last_mut().unwrap() ^= 1;
    inconsistent(&check(&changed), object, "not those that the manifest lists");
    // Without a manifest the next segment's header still tells.
    let mut unsigned = source.clone();
    unsigned.objects.retain(|name, _| !name.as_str().starts_with("manifest"));
    prefix(&check(&unsigned), Some(1_000_000), "nothing is signed");
    *unsigned.objects.get_mut(&name("audio/000000.segment")).unwrap().last_mut().unwrap() ^= 1;
    inconsistent(&check(&unsigned), object, "another chain");
    let mut missing = source.clone();
    missing.objects.remove(&name("audio/000000.segment"));
    prefix(&check(&missing), None, "audio/000000.segment is missing");
    let mut late = source;
    sign_again(&mut late, |it| it.streams[1].segments[1].last_at = Micros::new(999_999));
    inconsistent(&check(&late), object, "its times");
}

#[test]
fn a_gap_in_a_stream_that_is_not_understood_is_a_loss() {
    let document = start().to_document();
    let times = (Micros::new(1), Micros::new(2));
    let silent = segment_of(audio(), &document, 0, None, times, b"", Totals::new([("gaps", 1)]));
    let mut source = record(
        &[
            TerminalEvent::output(Micros::new(1), "a"),
            TerminalEvent::exit(Micros::new(2), ExitStatus::Code(0)),
        ],
        &[],
    );
    assert_eq!(check(&source).verdict(), Verdict::Complete);
    put(&mut source, EvidenceName::Segment { stream: audio(), number: 0 }, &silent.bytes);
    sign_again(&mut source, |it| it.streams.push(stream_entry(audio(), &document, &[silent])));
    assert_eq!(check(&source).verdict(), Verdict::CompleteWithLoss);
}

#[test]
fn evidence_of_later_versions_is_named_and_not_called_something_else() {
    let mut source = record(&sample_events(), &[2, 4]);
    let reserved = ["heads/000000.json", "heads/000000.proof", "holds/0000.sig", "manifest-0000.countersig"];
    for extra in reserved.iter().chain(&["notes.txt"]) {
        source.objects.insert(name(extra), b"x".to_vec());
    }
    let verification = check(&source);
    assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
    assert_eq!(verification.not_understood, reserved);
    assert_eq!(verification.not_evidence.names().collect::<Vec<_>>(), ["notes.txt"]);
}

/// A recording that has no terminal's stream.
fn only_events(kind: CaptureKind, end: RecordingEnd) -> MemorySource {
    let document = Start { kind, terminal: None, ..start() }.to_document();
    let segment = event_segment(&document, 0, None, &[event(5, "network_connect")]);
    let entry = stream_entry(Stream::Events, &document, std::slice::from_ref(&segment));
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, &document);
    put(&mut source, EvidenceName::Segment { stream: Stream::Events, number: 0 }, &segment.bytes);
    let manifest = Manifest { end, duration: Micros::new(5), ..manifest(0, &document, &[], entry) };
    put_sealed(&mut source, 0, &seal(&manifest, &key()));
    source
}

#[test]
fn a_recording_with_only_events_is_not_empty() {
    let interrupted = || RecordingEnd::Interrupted { reason: "the agent was stopped".to_owned() };
    let exited = || RecordingEnd::Exited(ExitStatus::Code(0));
    assert_eq!(check(&only_events(CaptureKind::Terminal, interrupted())).verdict(), Verdict::Interrupted);
    assert_eq!(check(&only_events(CaptureKind::Desktop, exited())).verdict(), Verdict::Complete);
    // Nobody saw the command end.
    for kind in [CaptureKind::Terminal, CaptureKind::Command] {
        inconsistent(&check(&only_events(kind, exited())), "manifest-0000.json", "its end");
    }
}

#[test]
fn a_stream_with_no_segment_counts_nothing() {
    let document = start().to_document();
    let mut source = record(&sample_events(), &[2, 4]);
    let nothing =
        StreamEntry { totals: Totals::new([("events", 0)]), ..stream_entry(Stream::Events, &document, &[]) };
    sign_again(&mut source, |it| it.streams.push(nothing));
    assert_eq!(check(&source).integrity, Integrity::Complete { manifest: 0 });
    sign_again(&mut source, |it| it.streams[1].totals = Totals::new([("events", 1)]));
    inconsistent(&check(&source), "manifest-0000.json", "its counts");
}

#[test]
fn codes_of_later_versions_may_begin_and_end_a_segment() {
    let document = start().to_document();
    let (segments, state) = cut(&document, &[TerminalEvent::output(Micros::new(2), "a")], &[]);
    let lines = zstd::decode_all(&segments[0].bytes[..]).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    let (header, output) = lines.split_once('\n').unwrap();
    let text = format!("{header}\n[0.000001,\"q\",\"\"]\n{output}[0.000003,\"i\",\"typed\"]\n");
    let content = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let header = recording::SegmentHeader { first_at: Micros::new(1), ..segments[0].header.clone() };
    let segment = Segment::new(header, &content, Micros::new(3), segments[0].totals.clone()).unwrap();
    let entry = StreamEntry {
        segments: vec![segment.entry()],
        final_chain: segment.chain_after,
        ..state.stream_entry(vec![])
    };
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, &document);
    put(&mut source, EvidenceName::Segment { stream: Stream::Terminal, number: 0 }, &segment.bytes);
    let manifest = Manifest { duration: Micros::new(3), ..manifest(0, &document, &[], entry) };
    put_sealed(&mut source, 0, &seal(&manifest, &key()));
    let verification = check(&source);
    assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 }, "{verification:?}");
    assert_eq!((verification.streams[0].unknown_events, verification.totals().events()), (2, 1));
    assert_eq!(to_text(&source).unwrap(), b"a");
}

/// Recordings that the program made before segments had headers of version 2: one on a terminal, one between pipes.
#[test]
fn recordings_of_the_version_before_are_read_as_they_are() {
    let folder = |which: &str| {
        FolderSource::new(format!("{}/tests/fixtures/header-1/{which}", env!("CARGO_MANIFEST_DIR")))
    };
    for (which, segments, end, output) in [
        (
            "terminal",
            2,
            ExitStatus::Code(3),
            &b"caf\xe9 \xe2\x82\xac\r\nready\r\nhello\r\ngot hello\r\n30 100\r\n"[..],
        ),
        ("pipes", 1, ExitStatus::Signal(9), b"out\nerr\n"),
    ] {
        let source = folder(which);
        let verification = verify(&source, &Expected::default(), Trust::AnySigner).unwrap();
        assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 }, "{which}");
        assert_eq!(
            (verification.segments(), &verification.end),
            (segments, &Some(RecordingEnd::Exited(end)))
        );
        assert_eq!(verification.verdict(), Verdict::Complete);
        assert_eq!(to_text(&source).unwrap(), output);
        assert!(decode_recording(&source).unwrap().start.terminal.is_some(), "it named a size either way");
        assert!(to_asciicast(&source).unwrap().starts_with(b"{\"version\":2,\"width\":80,\"height\":24,"));
    }
}

#[test]
fn the_number_of_streams_in_a_manifest_is_limited() {
    let document = start().to_document();
    let mut source = record(&sample_events(), &[2, 4]);
    let empty = |number| stream_entry(Stream::parse(&format!("s{number}")).unwrap(), &document, &[]);
    sign_again(&mut source, |it| it.streams.extend((1..64).map(empty)));
    assert_eq!(check(&source).integrity, Integrity::Complete { manifest: 0 });
    sign_again(&mut source, |it| it.streams.push(empty(64)));
    inconsistent(&check(&source), "manifest-0000.json", "more streams than a recording may have");
}

#[test]
fn a_desktop_says_itself_how_it_ended() {
    let document = Start { kind: CaptureKind::Desktop, ..start() }.to_document();
    let (segments, state) = cut(&document, &[TerminalEvent::output(Micros::new(1), "beside it")], &[]);
    let entry = state.stream_entry(segments.iter().map(Segment::entry).collect());
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, &document);
    put(&mut source, EvidenceName::Segment { stream: Stream::Terminal, number: 0 }, &segments[0].bytes);
    let end = RecordingEnd::Exited(ExitStatus::Code(0));
    let manifest = Manifest { end, duration: Micros::new(1), ..manifest(0, &document, &[], entry) };
    put_sealed(&mut source, 0, &seal(&manifest, &key()));
    assert_eq!(check(&source).verdict(), Verdict::Complete);
}

/// What a manifest says of a stream, in JSON, with these members besides.
fn entry_with(members: &str) -> Result<StreamEntry, String> {
    let chain = "00".repeat(32);
    let json = format!("{{\"stream\":\"audio\",\"segments\":[],\"final_chain\":\"{chain}\"{members}}}");
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

#[test]
fn counts_of_a_stream_are_kept_and_other_members_are_skipped() {
    let entry =
        entry_with(r#","events":3,"rate":-1,"codec":"x","more":[[{"a":null}],1.5],"samples":7"#).unwrap();
    assert_eq!(entry.totals, Totals::new([("events", 3), ("samples", 7)]));
    for (members, why) in [
        (r#","gaps":-1"#.to_owned(), "gaps is no count"),
        (r#","events":"3""#.to_owned(), "events is no count"),
        (r#","samples":1,"samples":2"#.to_owned(), "twice"),
        (r#","segments":[]"#.to_owned(), "twice"),
        ((0..33).map(|number| format!(",\"c{number}\":1")).collect(), "more counts than any"),
    ] {
        let error = entry_with(&members).unwrap_err();
        assert!(error.contains(why), "{members} {error}");
    }
    assert!(serde_json::from_str::<StreamEntry>(r#"{"stream":"audio","segments":[]}"#).is_err());
    // Reads back as it was written.
    let written = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<StreamEntry>(&written).unwrap(), entry);
}

/// A segment of few bytes whose text has very many members: what is not known takes no memory. The longest line is checked
/// so often that keeping it would show.
#[test]
fn a_segment_of_events_is_checked_without_being_kept() {
    let document = start().to_document();
    let zeros = "0,".repeat(32_000);
    let line = format!("{{\"at\":5,\"event\":\"gap\",\"more\":[{}0]}}\n", zeros);
    let text = line.repeat(24 * 1024 * 1024 / line.len());
    let content = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let lines = text.lines().count() as u64;
    let times = (Micros::new(5), Micros::new(5));
    let totals = Totals::new([("events", lines), ("gaps", lines)]);
    let segment = segment_of(Stream::Events, &document, 0, None, times, &content, totals.clone());
    let before = peak_kibibytes();
    let (_, checked) = recording::check_segment(&segment.bytes).unwrap();
    assert_eq!(checked.totals, totals);
    let grown = peak_kibibytes() - before;
    assert!(grown < 200 * 1024, "{grown} KiB for a segment of {} bytes", segment.bytes.len());
}

/// The most memory that this process had so far.
fn peak_kibibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
