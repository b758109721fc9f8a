//! The ledger of a whole recording: made of what its segments say, listed by the manifest, compared when it is verified.

use proptest::prelude::*;
use recording::{
    Cause, Compressor, CutPolicy, CutterState, EvidenceName, ExitStatus, Expected, FolderSource, LedgerEntry,
    Manifest, MemorySource, Micros, SegmentCutter, Shortfall, ShortfallKind, Stream, StreamLedger,
    TerminalEvent, TerminalEventKind, Trust, Verdict, Verification, decode_recording, decode_segment, seal,
    to_text, verify,
};

use crate::generated::terminal_events;
use crate::sealed::{
    check, event_segment, inconsistent, key, manifest, put, put_sealed, record, start, stream_entry,
};

const MANIFEST: &str = "manifest-0000.json";

fn at(micros: u64) -> Micros {
    Micros::new(micros)
}

fn shortfall(kind: ShortfallKind) -> Shortfall {
    Shortfall::new(kind, Cause::new("too_much"), "there was too much").with_lost_bytes(5)
}

/// A session with these shortfalls, which ended by itself.
fn with(shortfalls: &[(u64, Shortfall)]) -> MemorySource {
    let shortfalls = shortfalls.iter().cloned();
    let mut events = vec![TerminalEvent::output(at(1), "a")];
    events.extend(shortfalls.map(|(micros, shortfall)| TerminalEvent::shortfall(at(micros), shortfall)));
    events.push(TerminalEvent::exit(at(9), ExitStatus::Code(0)));
    record(&events, &[1])
}

/// The recording with another manifest, signed with the right key.
fn with_manifest(mut source: MemorySource, change: impl FnOnce(&mut Manifest)) -> Verification {
    let document = &source.objects[&EvidenceName::Manifest(0).to_object_name()];
    let mut manifest = Manifest::parse(document).unwrap();
    change(&mut manifest);
    put_sealed(&mut source, 0, &seal(&manifest, &key()));
    check(&source)
}

fn entries_of(verification: &Verification) -> Vec<LedgerEntry> {
    verification.streams.iter().flat_map(|stream| stream.ledger.entries().to_vec()).collect()
}

#[test]
fn a_loss_gives_complete_with_loss_and_a_limit_leaves_the_verdict() {
    for kind in ShortfallKind::ALL {
        let verification = check(&with(&[(3, shortfall(kind)), (5, shortfall(kind))]));
        let expected = if kind.is_loss() { Verdict::CompleteWithLoss } else { Verdict::Complete };
        assert_eq!(verification.verdict(), expected, "{kind}");
        let [entry] = &entries_of(&verification)[..] else { panic!("{verification:?}") };
        assert_eq!((entry.kind, entry.cause.as_str()), (kind, "too_much"));
        assert_eq!((entry.count, entry.lost_bytes), (2, 10));
        assert_eq!((entry.first_at, entry.last_at), (at(3), at(5)));
        // A reader that knows no ledger counts each loss as a gap, and nothing else of it.
        let losses = if kind.is_loss() { 2 } else { 0 };
        let totals = verification.totals();
        assert_eq!(
            (totals.gaps(), totals.get("lost_bytes"), totals.events()),
            (losses, 5 * losses, 2 + losses)
        );
    }
}

#[test]
fn a_manifest_that_hides_or_invents_an_entry_is_inconsistent() {
    for kind in ShortfallKind::ALL {
        let whole = || with(&[(2, shortfall(ShortfallKind::Gap)), (3, shortfall(kind))]);
        assert!(matches!(check(&whole()).verdict(), Verdict::CompleteWithLoss));
        let ledger = |entries: Vec<LedgerEntry>| StreamLedger::try_from(entries).unwrap();
        let change = |change: &dyn Fn(&mut Vec<LedgerEntry>)| {
            with_manifest(whole(), |manifest| {
                let listed = &mut manifest.streams[0].ledger;
                let mut entries = listed.as_ref().unwrap().entries().to_vec();
                change(&mut entries);
                *listed = Some(ledger(entries));
            })
        };
        inconsistent(&change(&|entries| entries.clear()), MANIFEST, "hides an entry");
        inconsistent(&change(&|entries| drop(entries.pop())), MANIFEST, "hides an entry");
        let invented = |entries: &mut Vec<LedgerEntry>| {
            entries.push(LedgerEntry { cause: Cause::OTHER, ..entries[0].clone() });
        };
        inconsistent(&change(&invented), MANIFEST, "has an entry");
        inconsistent(&change(&|entries| entries[0].last_at = at(9)), MANIFEST, "other times, counts");
        inconsistent(
            &change(&|entries| entries[0].reason.clear()),
            MANIFEST,
            "other times, counts or reasons",
        );
        let without = with_manifest(whole(), |manifest| manifest.streams[0].ledger = None);
        inconsistent(&without, MANIFEST, "it has no ledger");
    }
    let clean = with_manifest(with(&[]), |manifest| {
        let mut ledger = StreamLedger::default();
        ledger.add(at(3), &shortfall(ShortfallKind::StatedLimit));
        manifest.streams[0].ledger = Some(ledger);
    });
    inconsistent(&clean, MANIFEST, "has an entry");
    let without = with_manifest(with(&[]), |manifest| manifest.streams[0].ledger = None);
    assert_eq!(without.verdict(), Verdict::Complete);
}

#[test]
fn the_entries_of_a_recording_that_is_not_sealed_are_those_of_its_segments() {
    let mut source = with(&[(2, shortfall(ShortfallKind::RateLimit))]);
    source.objects.retain(|name, _| !name.as_str().starts_with("manifest"));
    let verification = check(&source);
    assert_eq!(verification.verdict(), Verdict::ProvenPrefix);
    assert_eq!(entries_of(&verification)[0].kind, ShortfallKind::RateLimit);
}

#[test]
fn the_events_stream_has_a_ledger_of_its_own() {
    let document = start().to_document();
    let limit = shortfall(ShortfallKind::StatedLimit);
    let drop = shortfall(ShortfallKind::Drop).with_lost_events(4);
    let line = |micros, shortfall: &Shortfall| recording::events::EventLine::shortfall(at(micros), shortfall);
    let first = event_segment(&document, 0, None, &[line(1, &limit)]);
    let second = event_segment(&document, 1, Some(&first), &[line(2, &drop), line(3, &limit)]);
    let mut source = with(&[]);
    for (segment, number) in [(&first, 0), (&second, 1)] {
        put(&mut source, EvidenceName::Segment { stream: Stream::Events, number }, &segment.bytes);
    }
    let entry = stream_entry(Stream::Events, &document, &[first, second]);
    let hidden = with_manifest(source.clone(), |manifest| {
        manifest
            .streams
            .push(recording::StreamEntry { ledger: Some(StreamLedger::default()), ..entry.clone() });
    });
    inconsistent(&hidden, MANIFEST, "of the stream events, its ledger hides an entry");
    let verification = with_manifest(source, |manifest| manifest.streams.push(entry));
    assert_eq!(verification.verdict(), Verdict::CompleteWithLoss);
    let entries = entries_of(&verification);
    assert_eq!((entries[0].kind, entries[0].count, entries[0].last_at), (limit.kind, 2, at(3)));
    assert_eq!((entries[1].kind, entries[1].lost_events), (drop.kind, 4));
    assert_eq!(verification.streams[1].unknown_events, 0);
}

#[test]
fn of_a_stream_that_is_not_understood_the_manifest_is_believed() {
    let document = start().to_document();
    let mut entry = stream_entry(Stream::parse("audio").unwrap(), &document, &[]);
    let mut ledger = StreamLedger::default();
    ledger.add(at(1), &shortfall(ShortfallKind::Drop));
    entry.ledger = Some(ledger);
    let verification = with_manifest(with(&[]), |manifest| manifest.streams.push(entry));
    assert_eq!(verification.verdict(), Verdict::CompleteWithLoss);
    assert_eq!(entries_of(&verification).len(), 1);
}

/// The example of the format as it was before there was a ledger.
#[test]
fn a_recording_from_before_the_ledger_is_verified_as_it_was() {
    let folder = format!("{}/tests/fixtures/before-the-ledger", env!("CARGO_MANIFEST_DIR"));
    let source = FolderSource::new(folder);
    let verification = verify(&source, &Expected::default(), Trust::AnySigner).unwrap();
    assert_eq!(verification.verdict(), Verdict::CompleteWithLoss);
    assert_eq!((verification.totals().gaps(), verification.totals().get("lost_bytes")), (2, 42));
    assert_eq!(to_text(&source).unwrap(), b"$ echo \xe2\x82\xac\r\n\xe2\x82\xac\r\noops\ncaf\xe9");
    let [terminal, events] = &entries_of(&verification)[..] else { panic!("{verification:?}") };
    for (entry, reason) in [(terminal, "the disk was full"), (events, "the buffer was full")] {
        assert_eq!((entry.kind, &entry.cause), (ShortfallKind::Gap, &Cause::UNSTATED));
        assert_eq!((entry.reason.as_str(), entry.count), (reason, 1));
    }
    assert_eq!((terminal.lost_bytes, events.lost_events), (42, 3));
    // Its documents are printed again as they are.
    let document = std::fs::read(format!(
        "{}/tests/fixtures/before-the-ledger/manifest-0000.json",
        env!("CARGO_MANIFEST_DIR")
    ));
    let document = document.unwrap();
    assert_eq!(seal(&Manifest::parse(&document).unwrap(), &key()).bytes, document);
}

/// A session that a version without a ledger began, and in which it noted a gap, is gone on with by this version.
#[test]
fn a_recording_that_has_no_ledger_goes_on_without_one() {
    let document = start().to_document();
    let mut compressor = Compressor::new().unwrap();
    let begun = |gap: bool| {
        let mut cutter = SegmentCutter::new(&start(), &document, CutPolicy::default());
        cutter.push_output(at(1), b"a");
        if gap {
            cutter.push(&TerminalEvent::gap(at(2), "the disk was full", 3));
        }
        let segment = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap();
        let state = CutterState { ledger: None, ..cutter.state().clone() };
        (segment, SegmentCutter::resume(state, CutPolicy::default()))
    };
    for gap in [false, true] {
        let (first, mut cutter) = begun(gap);
        cutter.push(&TerminalEvent::shortfall(at(3), shortfall(ShortfallKind::StatedLimit)));
        cutter.push(&TerminalEvent::shortfall(at(4), shortfall(ShortfallKind::Drop)));
        let exit = TerminalEvent::exit(at(5), ExitStatus::Code(0));
        cutter.push(&exit);
        let second = cutter.finish(&mut compressor).unwrap().unwrap();
        let kinds: Vec<_> = decode_segment(&second.bytes).unwrap().events;
        let shortfalls = kinds.iter().filter(|event| matches!(event.kind, TerminalEventKind::Shortfall(_)));
        assert_eq!(shortfalls.count(), if gap { 1 } else { 2 });
        let entry = cutter.stream_entry(vec![first.entry(), second.entry()]);
        assert_eq!(entry.ledger.is_some(), !gap);
        let mut source = MemorySource::default();
        put(&mut source, EvidenceName::Start, &document);
        for (segment, number) in [(&first, 0), (&second, 1)] {
            put(&mut source, EvidenceName::Segment { stream: Stream::Terminal, number }, &segment.bytes);
        }
        put_sealed(&mut source, 0, &seal(&manifest(0, &document, &[exit], entry), &key()));
        assert_eq!(check(&source).verdict(), Verdict::CompleteWithLoss, "{:?}", check(&source));
    }
}

#[test]
fn a_line_cannot_call_a_loss_a_limit() {
    let text = |code: &str, kind: ShortfallKind| {
        let shortfall = serde_json::to_string(&shortfall(kind)).unwrap();
        format!("[1.000000,\"{code}\",{}]\n", serde_json::to_string(&shortfall).unwrap())
    };
    for kind in ShortfallKind::ALL {
        let (right, wrong) = if kind.is_loss() { ("g", "l") } else { ("l", "g") };
        assert!(recording::decode_lines(text(right, kind).as_bytes()).is_ok());
        assert!(recording::decode_lines(text(wrong, kind).as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_ledger_of_the_manifest_is_that_of_the_segments(
        events in terminal_events(),
        cuts in proptest::collection::vec(0usize..60, 0..6),
    ) {
        let source = record(&events, &cuts);
        let verification = check(&source);
        prop_assert!(
            matches!(verification.integrity, recording::Integrity::Complete { .. }),
            "{:?}", verification.integrity
        );
        let mut expected = StreamLedger::default();
        for event in decode_recording(&source).unwrap().events {
            if let TerminalEventKind::Shortfall(shortfall) = &event.kind {
                expected.add(event.at, shortfall);
            }
        }
        let said = events.iter().filter(|event| matches!(event.kind, TerminalEventKind::Shortfall(_))).count();
        prop_assert_eq!(expected.entries().is_empty(), said == 0);
        prop_assert_eq!(entries_of(&verification), expected.entries());
    }
}
