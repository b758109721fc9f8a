//! What `verify` says of recordings that somebody made otherwise, with good signatures or without.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use recording::{
    DeliveryMode, EvidenceName, ExitStatus, FolderSource, Integrity, Manifest, MemorySource, Micros,
    ObjectName, RecordingEnd, SealingKey, Segment, SegmentEntry, StreamEntry, TerminalEvent, TerminalSize,
    Totals, Verification, seal,
};

use crate::sealed::{
    check, cut, inconsistent, key, manifest, prefix, put, put_sealed, record, sample_events, start,
};

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

/// The sample with its manifest changed and signed again with the agent's key, as an agent could lie.
fn signed_again(change: impl FnOnce(&mut Manifest)) -> Verification {
    let mut source = record(&sample_events(), &[2, 4]);
    let mut manifest = Manifest::parse(&source.objects[&name("manifest-0000.json")]).unwrap();
    change(&mut manifest);
    put_sealed(&mut source, 0, &seal(&manifest, &key()));
    check(&source)
}

#[test]
fn a_whole_recording_is_complete_and_says_whose_key_sealed_it() {
    let verification = check(&record(&sample_events(), &[2, 4]));
    assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
    assert_eq!(
        (verification.segments(), verification.totals().events(), verification.totals().gaps()),
        (3, 8, 2)
    );
    assert_eq!(verification.end, Some(RecordingEnd::Exited(ExitStatus::Code(3))));
    assert_eq!(verification.start, Some(start()));
    let signer = verification.signer.unwrap();
    assert_eq!((signer.agent, signer.key, signer.signed), (start().agent, key().public_key(), true));
}

#[test]
fn a_recording_verifies_from_a_folder_too() {
    let source = record(&sample_events(), &[2, 4]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("terminal")).unwrap();
    for (name, bytes) in &source.objects {
        std::fs::write(folder.path().join(name.as_str()), bytes).unwrap();
    }
    assert_eq!(check(&FolderSource::new(folder.path())), check(&source));
}

#[test]
fn foreign_entries_of_a_folder_are_set_aside_and_change_no_verdict() {
    let recorded = record(&sample_events(), &[2, 4]);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("terminal")).unwrap();
    for (name, bytes) in &recorded.objects {
        std::fs::write(at(name.as_str()), bytes).unwrap();
    }
    symlink("/etc/hostname", at("README")).unwrap();
    symlink("/nonexistent", at("dangling")).unwrap();
    // A reader that opened the pipe would wait for ever.
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::fs::write(folder.path().join(OsStr::from_bytes(b"n\xe9")), b"x").unwrap();
    std::fs::create_dir(at("photos")).unwrap();
    std::fs::write(at("notes.txt"), b"x").unwrap();

    let mut verification = check(&FolderSource::new(folder.path()));
    let not_evidence = std::mem::take(&mut verification.not_evidence);
    assert_eq!(verification, check(&recorded));
    let expected = [
        "README (a symbolic link)",
        "dangling (a symbolic link)",
        "n\\xE9 (a name that no object has)",
        "notes.txt",
        "photos (a folder)",
        "pipe (a pipe)",
    ];
    assert_eq!(not_evidence.names().collect::<Vec<_>>(), expected);

    // A link in the place of evidence is not evidence, wherever it leads.
    let (segment, copy) = (at("terminal/000001.cast.zst"), at("copy"));
    std::fs::rename(&segment, &copy).unwrap();
    symlink(&copy, &segment).unwrap();
    prefix(&check(&FolderSource::new(folder.path())), Some(250_500), "terminal/000001.cast.zst is missing");
}

#[test]
fn without_a_manifest_nothing_is_signed() {
    let mut source = record(&sample_events(), &[2, 4]);
    source.objects.retain(|name, _| !name.as_str().starts_with("manifest"));
    let verification = check(&source);
    prefix(&verification, Some(61_000_001), "nothing is signed");
    assert_eq!((verification.signer.as_ref().unwrap().signed, verification.segments()), (false, 3));
    source.objects.get_mut(&name("terminal/000000.cast.zst")).unwrap()[80] ^= 1;
    assert!(matches!(check(&source).integrity, Integrity::Inconsistent { .. }));
}

#[test]
fn a_missing_segment_leaves_a_proven_prefix() {
    let mut source = record(&sample_events(), &[2, 4]);
    source.objects.remove(&name("terminal/000001.cast.zst"));
    let verification = check(&source);
    prefix(&verification, Some(250_500), "terminal/000001.cast.zst is missing");
    assert_eq!(verification.segments(), 1);
}

#[test]
fn objects_that_a_recording_does_not_have_are_reported() {
    let mut source = record(&sample_events(), &[2, 4]);
    for extra in ["notes.txt", "terminal/000009.cast", "manifest-0000.countersig", "derived/0000-1/index"] {
        source.objects.insert(name(extra), b"x".to_vec());
    }
    let verification = check(&source);
    assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
    let not_evidence: Vec<_> = verification.not_evidence.names().collect();
    assert_eq!(not_evidence, ["notes.txt", "terminal/000009.cast"]);
    let strange = source.objects[&name("terminal/000000.cast.zst")].clone();
    source.objects.insert(name("terminal/000003.cast.zst"), strange);
    inconsistent(&check(&source), "terminal/000003.cast.zst", "another place");
}

#[test]
fn another_key_cannot_seal_the_recording() {
    let mut source = record(&sample_events(), &[2, 4]);
    let manifest = Manifest::parse(&source.objects[&name("manifest-0000.json")]).unwrap();
    put_sealed(&mut source, 0, &seal(&manifest, &SealingKey::generate()));
    inconsistent(&check(&source), "manifest-0000.sig", "no signature of manifest-0000.json");
}

#[test]
fn a_signed_manifest_must_agree_with_everything() {
    let object = "manifest-0000.json";
    inconsistent(&signed_again(|it| it.number = 1), object, "its number");
    inconsistent(&signed_again(|it| it.start.length += 1), object, "start.json");
    inconsistent(&signed_again(|it| it.agent_recording_number += 1), object, "recording number");
    inconsistent(&signed_again(|it| it.streams.push(it.streams[0].clone())), object, "twice");
    inconsistent(&signed_again(|it| it.streams[0].segments[1].length += 1), object, "chain");
    inconsistent(&signed_again(|it| it.streams[0].segments.rotate_left(1)), object, "without a hole");
    inconsistent(
        &signed_again(|it| it.streams[0].final_chain = it.streams[0].segments[0].chain),
        object,
        "last chain",
    );
    inconsistent(&signed_again(|it| it.streams[0].totals = Totals::new([("events", 1)])), object, "counts");
    inconsistent(&signed_again(|it| it.duration = Micros::new(61_000_000)), object, "duration");
    inconsistent(&signed_again(|it| it.end = RecordingEnd::Exited(ExitStatus::Code(0))), object, "its end");
    let other_mode = signed_again(|it| it.delivery_mode = Some(DeliveryMode::Sync));
    inconsistent(&other_mode, object, "delivery mode");
    let interrupted = RecordingEnd::Interrupted { reason: "no".to_owned() };
    // It may say less than is shown, never more.
    assert_eq!(signed_again(|it| it.end = interrupted).verdict(), recording::Verdict::Interrupted);
    let segment = "terminal/000001.cast.zst";
    inconsistent(&signed_again(|it| it.streams[0].segments[1].last_at = Micros::new(1)), segment, "times");
    let shorter = signed_again(|it| {
        let segments = &mut it.streams[0].segments;
        segments.pop();
        it.streams[0].final_chain = segments.last().unwrap().chain;
    });
    prefix(&shorter, Some(2_000_000), "terminal/000002.cast.zst is in no manifest");
}

/// The sample as far as its first segments, sealed so, and then as a whole.
fn sealed_twice() -> (MemorySource, Vec<Segment>) {
    let document = start().to_document();
    let (segments, state) = cut(&document, &sample_events(), &[2, 4]);
    let mut source = record(&sample_events(), &[2, 4]);
    let whole = state.stream_entry(segments.iter().map(Segment::entry).collect());
    let early = StreamEntry {
        segments: vec![segments[0].entry()],
        final_chain: segments[0].chain_after,
        totals: segments[0].totals.clone(),
        ..whole.clone()
    };
    let mut first = manifest(0, &document, &[], early);
    first.duration = segments[0].last_at;
    put_sealed(&mut source, 0, &seal(&first, &key()));
    put_sealed(&mut source, 1, &seal(&manifest(1, &document, &sample_events(), whole), &key()));
    (source, segments)
}

#[test]
fn the_highest_manifest_wins_when_it_includes_the_earlier() {
    let (mut source, segments) = sealed_twice();
    assert_eq!(check(&source).integrity, Integrity::Complete { manifest: 1 });

    let document = start().to_document();
    let other = SegmentEntry { length: 1, ..segments[0].entry() };
    let chain = recording::ChainValue::first(&document, segments[0].header.stream).next(0, 1, &other.sha256);
    let fork = StreamEntry {
        stream: segments[0].header.stream,
        segments: vec![SegmentEntry { chain, ..other }],
        final_chain: chain,
        totals: segments[0].totals.clone(),
        ledger: None,
    };
    put_sealed(&mut source, 2, &seal(&manifest(2, &document, &[], fork), &key()));
    inconsistent(&check(&source), "manifest-0002.json", "leaves out segments of manifest-0001.json");
}

#[test]
fn a_missing_manifest_is_reported() {
    let (whole, _) = sealed_twice();
    for (removed, why) in [
        ("manifest-0001.sig", "manifest-0001.sig is missing"),
        ("manifest-0001.json", "manifest-0001.json is missing"),
        ("manifest-0000.sig", "manifest-0000.sig is missing"),
    ] {
        let mut source = whole.clone();
        source.objects.remove(&name(removed));
        let verification = check(&source);
        let Integrity::ProvenPrefix { why: said, .. } = &verification.integrity else {
            panic!("{verification:?}")
        };
        assert!(said.contains(why), "{said}");
        assert!(verification.signer.unwrap().signed);
    }
    let mut source = whole;
    source.objects.retain(|name, _| !name.as_str().starts_with("manifest-0000"));
    prefix(&check(&source), Some(61_000_001), "a manifest before manifest-0001.json is missing");
}

#[test]
fn a_command_ends_once() {
    let twice = [
        TerminalEvent::exit(Micros::new(1), ExitStatus::Code(0)),
        TerminalEvent::exit(Micros::new(2), ExitStatus::Code(1)),
    ];
    inconsistent(&check(&record(&twice, &[])), "terminal/000000.cast.zst", "a second time");
}

#[test]
fn untrusted_text_is_escaped() {
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, "{\"format\":\"\u{9b}2J\\u001b[2J\"}".as_bytes());
    let Integrity::Inconsistent { why, .. } = check(&source).integrity else { panic!("it is no start") };
    assert!(
        why.chars().all(|character| matches!(character, ' '..='~')) && why.contains("unknown variant"),
        "{why}"
    );
}

#[test]
fn the_size_of_the_terminal_goes_through_all_segments() {
    let size = TerminalSize { columns: 1, rows: 1 };
    let events = [TerminalEvent::resize(Micros::new(1), size), TerminalEvent::output(Micros::new(2), "a")];
    let whole = record(&events, &[0]);
    assert_eq!(check(&whole).integrity, Integrity::Complete { manifest: 0 });
    // The second segment of another recording with the same start, whose first did not resize.
    let events = [TerminalEvent::output(Micros::new(1), "b"), TerminalEvent::output(Micros::new(2), "a")];
    let mut mixed = whole.clone();
    let second = name("terminal/000001.cast.zst");
    mixed.objects.insert(second.clone(), record(&events, &[0]).objects[&second].clone());
    mixed.objects.retain(|name, _| !name.as_str().starts_with("manifest"));
    inconsistent(&check(&mixed), "terminal/000001.cast.zst", "another chain");
}
