//! Whatever is captured decodes to the same bytes and times.

use proptest::prelude::*;
use recording::{
    AsciicastHeader, Integrity, Micros, SpoolReader, SpoolWriter, TerminalEvent, Trailing, decode_recording,
    decode_segment, to_asciicast, to_text,
};

use crate::generated::{by_byte, bytes_of, terminal_events};
use crate::sealed::{check, cut, record, start};

/// Reads asciicast v2 with nothing of ours: a header line, then lines of time, code and text.
fn check_asciicast(file: &[u8]) {
    let text = std::str::from_utf8(file).unwrap();
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(
        (&header["version"], &header["width"], &header["height"]),
        (&2.into(), &80.into(), &24.into())
    );
    assert_eq!(header["timestamp"], 1_700_103_579);
    let mut last = 0.0;
    for line in lines {
        let (at, code, _text): (f64, String, String) = serde_json::from_str(line).unwrap();
        assert!(at >= last && code.len() == 1, "{line}");
        last = at;
    }
}

proptest! {
    #[test]
    fn what_was_captured_plays_back(
        events in terminal_events(),
        cuts in proptest::collection::vec(0usize..60, 0..6),
    ) {
        let source = record(&events, &cuts);
        let decoded = decode_recording(&source).unwrap();
        prop_assert_eq!(&decoded.start, &start());
        prop_assert_eq!(by_byte(&decoded.events, false), by_byte(&events, true));
        let bytes = bytes_of(&by_byte(&events, true));
        prop_assert_eq!(to_text(&source).unwrap(), &bytes[..]);
        check_asciicast(&to_asciicast(&source).unwrap());

        let verification = check(&source);
        prop_assert_eq!(&verification.integrity, &Integrity::Complete { manifest: 0 });
        prop_assert_eq!(verification.totals().get("output_bytes"), bytes.len() as u64);
    }

    #[test]
    fn each_segment_decodes_alone(
        events in terminal_events(),
        cuts in proptest::collection::vec(0usize..60, 0..6),
    ) {
        let document = start().to_document();
        let (segments, _) = cut(&document, &events, &cuts);
        let mut text = Vec::new();
        for segment in &segments {
            let decoded = decode_segment(&segment.bytes).unwrap();
            prop_assert_eq!(decoded.header.number, segment.header.number);
            prop_assert_eq!(decoded.header.first_at, segment.header.first_at);
            prop_assert_eq!(decoded.events.last().unwrap().at, segment.last_at);
            prop_assert_eq!(&decoded.header, &segment.header);
            prop_assert_eq!(decoded.header.chain_before, segment.header.chain_before);
            prop_assert_eq!(decoded.totals.to_totals(), segment.totals.clone());
            text.extend(decoded.text);
        }
        // The stored objects, one behind the other, are what zstd itself makes of the same text.
        let stored: Vec<u8> = segments.iter().flat_map(|segment| segment.bytes.clone()).collect();
        if !stored.is_empty() {
            prop_assert_eq!(zstd::decode_all(&stored[..]).unwrap(), text);
        }
    }

    #[test]
    fn a_spool_reads_back(events in terminal_events()) {
        let mut writer = SpoolWriter::new(Vec::new(), 0);
        for event in &events {
            writer.append_terminal(event).unwrap();
        }
        let spool = writer.into_inner();
        let mut reader = SpoolReader::new(&spool[..], 0);
        let mut read = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            read.push(record.terminal_event().unwrap());
        }
        // Empty output leaves no record.
        let expected: Vec<_> = events.into_iter().filter(|event| event.kind.shown() != Some(&[])).collect();
        prop_assert_eq!(read, expected);
        prop_assert_eq!((reader.good_end(), reader.trailing()), (spool.len() as u64, Trailing::Nothing));
    }

    #[test]
    fn times_never_run_backwards(
        events in terminal_events(),
        times in proptest::collection::vec(any::<u64>(), 61),
    ) {
        let events: Vec<_> = events
            .into_iter()
            .zip(times)
            .map(|(event, at)| TerminalEvent { at: Micros::new(at), ..event })
            .collect();
        let source = record(&events, &[3, 7]);
        let decoded = decode_recording(&source).unwrap().events;
        prop_assert!(decoded.is_sorted_by_key(|event| event.at));
        prop_assert_eq!(to_text(&source).unwrap(), bytes_of(&by_byte(&events, true)));
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_segment(&bytes);
        let _ = recording::decode_lines(&bytes);
        let _ = recording::Start::parse(&bytes);
        let _ = recording::Manifest::parse(&bytes);
        let mut reader = SpoolReader::new(&bytes[..], 0);
        while let Some(record) = reader.next_record().unwrap() {
            let _ = record.terminal_event();
        }
        prop_assert!(reader.good_end() <= bytes.len() as u64);
    }

    #[test]
    fn any_lines_decode_without_panic(
        lines in proptest::collection::vec("(\\[[0-9.]{0,10},\"[obegrxq]\",\"[^\"\\\\]{0,8}\"\\]|\\{\"version\":2,\"width\":1,\"height\":1\\}|.{0,20})\n", 0..5),
    ) {
        let text = lines.concat();
        if let Ok(decoded) = recording::decode_lines(text.as_bytes()) {
            prop_assert!(decoded.events.is_sorted_by_key(|event| event.at));
        }
    }
}

#[test]
fn a_recording_of_nothing_is_a_valid_asciicast_file() {
    let source = record(&[], &[]);
    let file = to_asciicast(&source).unwrap();
    check_asciicast(&file);
    assert_eq!(file, AsciicastHeader::of(&start()).to_line());
    assert_eq!(check(&source).integrity, Integrity::Complete { manifest: 0 });
}
