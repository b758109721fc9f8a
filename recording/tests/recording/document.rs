//! `FORMAT.md` says what the code does: its example is read, and made again.

use recording::{
    ChainValue, EvidenceName, ExitStatus, Manifest, MemorySource, Micros, ObjectName, SegmentHeader,
    SpoolReader, SpoolWriter, Start, Stream, TerminalEvent, TerminalSize, Verdict, decode_recording,
    decode_segment, seal, to_asciicast, to_text, verify,
};

use crate::sealed::{cut, key, put, record, start};

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

fn chain(number: u32) -> ChainValue {
    ChainValue::parse(block(&format!("text chain_{number}")).trim()).unwrap()
}

fn example() -> MemorySource {
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, &text("json start.json"));
    for number in 0..2 {
        let name = EvidenceName::Segment { stream: Stream::Terminal, number };
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
        TerminalEvent::output(at(2_000_250), b"caf\xe9"),
        TerminalEvent::gap(at(3_000_000), "the disk was full", 42),
        TerminalEvent::exit(at(61_000_001), ExitStatus::Code(0)),
    ]
}

#[test]
fn the_example_is_a_complete_recording() {
    let source = example();
    assert_eq!(verify(&source, None).unwrap().verdict, Verdict::Complete { manifest: 0 });
    assert_eq!(to_text(&source).unwrap(), b"$ echo \xe2\x82\xac\r\n\xe2\x82\xac\r\ncaf\xe9");
    let lines: Vec<u8> =
        (0..2).flat_map(|number| text(&format!("json lines of terminal/{number:06}.cast.zst"))).collect();
    assert_eq!(to_asciicast(&source).unwrap(), lines);
    assert_eq!(decode_recording(&source).unwrap().events.len(), 7);
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
    let (segments, _) = cut(&text("json start.json"), &captured(), &[2]);
    for (segment, number) in segments.iter().zip(0..) {
        let name = EvidenceName::Segment { stream: Stream::Terminal, number };
        let decoded = decode_segment(&segment.bytes).unwrap();
        assert_eq!(decoded.text, text(&format!("json lines of {name}")));
        assert_eq!(decoded.totals, segment.totals);
    }
    assert_eq!(record(&captured(), &[2]).objects.len(), example().objects.len());
}

#[test]
fn the_example_chain_is_the_one_of_the_formula() {
    let document = text("json start.json");
    assert_eq!(Start::parse(&document).unwrap(), start());
    assert_eq!(start().to_document(), document);
    assert!(FORMAT.contains(&format!("`start.json`, {} bytes with the line feed", document.len())));
    assert_eq!(ChainValue::first(&document, Stream::Terminal), chain(0));
    for number in 0..2 {
        let object = bytes(&format!("hex terminal/{number:06}.cast.zst"));
        let (header, length) = SegmentHeader::parse(&object).unwrap();
        assert_eq!(header.to_frame(), object[..length]);
        assert_eq!(header.chain_before, chain(number));
        let sha256 = recording::ContentHash::of(&object);
        assert_eq!(chain(number).next(number, object.len() as u64, &sha256), chain(number + 1));
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
