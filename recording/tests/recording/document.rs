//! `FORMAT.md` says what the code does: its example is read, and made again.

use recording::events::EventLine;
use recording::{
    Cause, ChainValue, EvidenceName, ExitStatus, Integrity, Manifest, MemorySource, Micros, ObjectName,
    Recorder, SealedManifest, Segment, SegmentHeader, Shortfall, ShortfallKind, SpoolReader, SpoolWriter,
    Start, Stream, TerminalEvent, TerminalSize, decode_recording, decode_segment, seal, to_asciicast,
    to_text,
};

use crate::sealed::{check, cut, event_segment, key, manifest, put, start, stream_entry};

const FORMAT: &str = include_str!("../../FORMAT.md");

/// The contents of the fenced block with this label, with its last line feed.
fn block(label: &str) -> &'static str {
    let fence = format!("```{label}\n");
    let (_, behind) = FORMAT.split_once(&fence).unwrap_or_else(|| panic!("FORMAT.md has no block {label}"));
    let (block, _) = behind.split_once("```").unwrap();
    block
}

fn bytes(label: &str) -> Vec<u8> {
    hex::decode(block(label).replace('\n', "")).unwrap()
}

fn text(label: &str) -> Vec<u8> {
    block(label).as_bytes().to_vec()
}

fn chain(stream: Stream, number: u32) -> ChainValue {
    ChainValue::parse(block(&format!("text chain_{number} of {stream}")).trim()).unwrap()
}

/// The example's segments.
fn names() -> Vec<EvidenceName> {
    let segment = |stream, number| EvidenceName::Segment { stream, number };
    vec![segment(Stream::Terminal, 0), segment(Stream::Terminal, 1), segment(Stream::Events, 0)]
}

fn example() -> MemorySource {
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, &text("json start.json"));
    for name in names() {
        put(&mut source, name, &bytes(&format!("hex {name}")));
    }
    put(&mut source, EvidenceName::Manifest(0), &text("json manifest-0000.json"));
    put(&mut source, EvidenceName::ManifestSignature(0), &bytes("hex manifest-0000.sig"));
    source
}

fn captured() -> Vec<TerminalEvent> {
    let at = Micros::new;
    vec![
        TerminalEvent::output(at(1_000), "$ echo €\r\n"),
        TerminalEvent::output(at(250_000), b"\xe2\x82"),
        TerminalEvent::resize(at(1_500_000), TerminalSize { columns: 100, rows: 30 }),
        TerminalEvent::output(at(2_000_000), b"\xac\r\n"),
        TerminalEvent::error_output(at(2_000_100), "oops\n"),
        TerminalEvent::output(at(2_000_250), b"caf\xe9"),
        TerminalEvent::gap(at(3_000_000), "the disk was full", 42),
        TerminalEvent::shortfall(
            at(4_000_000),
            Shortfall::new(ShortfallKind::Drop, Cause::new("queue_full"), "the queue was full")
                .with_lost_bytes(9)
                .counted(2, at(3_500_000)),
        ),
        TerminalEvent::shortfall(
            at(5_000_000),
            Shortfall::new(ShortfallKind::DegradedMode, Cause::new("delivered_late"), "delivered late"),
        ),
        TerminalEvent::exit(at(61_000_001), ExitStatus::Code(0)),
    ]
}

fn happened() -> Vec<EventLine> {
    let line = |at, event: &str, members: serde_json::Value| EventLine {
        at: Micros::new(at),
        event: event.to_owned(),
        members: members.as_object().unwrap().clone(),
    };
    vec![
        line(900, "shell_command", serde_json::json!({ "command": "echo €" })),
        line(2_500_000, "gap", serde_json::json!({ "reason": "the buffer was full", "lost_events": 3 })),
        EventLine::shortfall(
            Micros::new(2_600_000),
            &Shortfall::new(ShortfallKind::StatedLimit, Cause::new("file_hash_partial"), "only what passed"),
        ),
    ]
}

/// The example as it is made: what was captured, and what happened beside it.
fn made() -> (Vec<u8>, Vec<Segment>, SealedManifest) {
    let document = start().to_document();
    let (mut segments, state) = cut(&document, &captured(), &[2]);
    let entry = state.stream_entry(segments.iter().map(Segment::entry).collect());
    let events = event_segment(&document, 0, None, &happened());
    let mut manifest = manifest(0, &document, &captured(), entry);
    manifest.streams.push(stream_entry(Stream::Events, &document, std::slice::from_ref(&events)));
    segments.push(events);
    (document, segments, seal(&manifest, &key()))
}

#[test]
fn the_example_is_a_complete_recording() {
    let source = example();
    let verification = check(&source);
    assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
    assert_eq!(verification.totals().gaps(), 3);
    let entries: Vec<_> = verification.streams.iter().map(|of| of.ledger.entries().len()).collect();
    assert_eq!(entries, [3, 2]);
    let streams: Vec<_> =
        verification.streams.iter().map(|of| (of.stream, of.segments, of.unknown_events)).collect();
    assert_eq!(streams, [(Stream::Terminal, 2, 0), (Stream::Events, 1, 1)]);
    assert_eq!(to_text(&source).unwrap(), b"$ echo \xe2\x82\xac\r\n\xe2\x82\xac\r\noops\ncaf\xe9");
    let lines: Vec<u8> =
        (0..2).flat_map(|number| text(&format!("json lines of terminal/{number:06}.cast.zst"))).collect();
    assert_eq!(to_asciicast(&source).unwrap(), lines);
    assert_eq!(decode_recording(&source).unwrap().events.len(), 10);
}

#[test]
fn what_was_captured_becomes_the_example() {
    let mut writer = SpoolWriter::new(Vec::new(), 0);
    for event in captured() {
        writer.append_terminal(&event).unwrap();
    }
    assert_eq!(hex::encode(writer.into_inner()), hex::encode(bytes("hex spool")));
    let spool = bytes("hex spool");
    let mut reader = SpoolReader::new(&spool[..], 0);
    for event in captured() {
        assert_eq!(reader.next_record().unwrap().unwrap().terminal_event().unwrap(), event);
    }

    // The compressed bytes are zstd's affair and differ between its versions; everything else is the same.
    let (document, segments, _) = made();
    assert_eq!(document, text("json start.json"));
    for segment in &segments {
        let (stream, number) = (segment.header.stream, segment.header.number);
        let label = format!("json lines of {}", EvidenceName::Segment { stream, number });
        if stream == Stream::Terminal {
            let decoded = decode_segment(&segment.bytes).unwrap();
            assert_eq!(decoded.text, text(&label));
            assert_eq!(decoded.totals.to_totals(), segment.totals);
        } else {
            let decoded = recording::events::decode_segment(&segment.bytes).unwrap();
            assert_eq!(decoded.text, text(&label));
            let lines = recording::events::read_lines(&decoded.text).unwrap();
            assert_eq!(lines.collect::<Result<Vec<_>, _>>().unwrap(), happened());
            assert_eq!(decoded.content.totals, segment.totals);
        }
    }
}

#[test]
fn the_example_chain_is_the_one_of_the_formula() {
    let document = text("json start.json");
    assert_eq!(Start::parse(&document).unwrap(), start());
    assert_eq!(start().to_document(), document);
    assert!(FORMAT.contains(&format!("`start.json`, {} bytes with the line feed", document.len())));
    for name in names() {
        let EvidenceName::Segment { stream, number } = name else { unreachable!() };
        assert_eq!(ChainValue::first(&document, stream), chain(stream, 0));
        let object = bytes(&format!("hex {name}"));
        let (header, length) = SegmentHeader::parse(&object).unwrap();
        assert_eq!(header.to_frame(), object[..length]);
        assert_eq!((header.stream, header.number), (stream, number));
        assert_eq!(header.chain_before, chain(stream, number));
        let sha256 = recording::ContentHash::of(&object);
        let after = chain(stream, number).next(number, object.len() as u64, &sha256);
        assert_eq!(after, chain(stream, number + 1));
    }
}

#[test]
fn the_example_seal_is_made_again() {
    let source = example();
    let document = &source.objects[&ObjectName::parse("manifest-0000.json").unwrap()];
    let sealed = seal(&Manifest::parse(document).unwrap(), &key());
    assert_eq!(&sealed.bytes, document);
    assert_eq!(hex::encode(sealed.signature), block("hex manifest-0000.sig").replace('\n', ""));
}

#[test]
fn a_start_without_a_recorder_counts_as_the_recorded_users_own_process() {
    let text = String::from_utf8(start().to_document()).unwrap();
    let without = text.replace("  \"recorder\": \"same-user\",\n", "");
    assert_ne!(without, text);
    assert_eq!(Start::parse(without.as_bytes()).unwrap().recorder, Recorder::SameUser);
    let other = text.replace("same-user", "a-better-one");
    let error = Start::parse(other.as_bytes()).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("a-better-one") && why.contains("same-user"), "{why}");
}

/// Writes the example anew. The compressed bytes are those of the zstd at hand, and everything behind them follows.
fn made_anew() -> String {
    let lines = |bytes: &[u8]| {
        let text = hex::encode(bytes);
        let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let (document, segments, sealed) = made();
    let first =
        |stream| (format!("text chain_0 of {stream}"), format!("{}\n", ChainValue::first(&document, stream)));
    let mut spool = SpoolWriter::new(Vec::new(), 0);
    for event in captured() {
        spool.append_terminal(&event).unwrap();
    }
    let mut blocks = vec![
        ("hex spool".to_owned(), lines(&spool.into_inner())),
        ("json start.json".to_owned(), String::from_utf8(document.clone()).unwrap()),
        first(Stream::Terminal),
        first(Stream::Events),
        ("json manifest-0000.json".to_owned(), String::from_utf8(sealed.bytes.clone()).unwrap()),
        ("hex manifest-0000.sig".to_owned(), lines(&sealed.signature)),
    ];
    for segment in &segments {
        let (stream, number) = (segment.header.stream, segment.header.number);
        let name = EvidenceName::Segment { stream, number };
        let decoded = zstd::decode_all(&segment.bytes[..]).unwrap();
        blocks.push((format!("hex {name}"), lines(&segment.bytes)));
        blocks.push((format!("json lines of {name}"), String::from_utf8(decoded).unwrap()));
        blocks.push((format!("text chain_{} of {stream}", number + 1), format!("{}\n", segment.chain_after)));
    }
    let mut text = FORMAT.to_owned();
    for (label, new) in blocks {
        let fence = format!("```{label}\n");
        text = text.replace(&format!("{fence}{}```", block(&label)), &format!("{fence}{new}```"));
    }
    let (before, behind) = text.split_once("`start.json`, ").unwrap();
    let (_, behind) = behind.split_once(" bytes with the line feed").unwrap();
    format!("{before}`start.json`, {} bytes with the line feed{behind}", document.len())
}

/// After a change of the format, `UPDATE_FORMAT=1 cargo test -p recording --test recording anew` writes the example.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test program's own switch, not a setting of the product")]
fn the_example_is_written_anew_when_it_is_asked_for() {
    let text = made_anew();
    if std::env::var_os("UPDATE_FORMAT").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/FORMAT.md");
        std::fs::write(path, &text).unwrap();
    }
    // Whatever zstd made them, the example's places are found.
    assert_eq!(text.lines().next(), FORMAT.lines().next());
}
