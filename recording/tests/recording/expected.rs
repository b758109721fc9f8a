//! A recording is held against what is known of it: which one is meant, what the control plane took in, and whose key
//! is trusted. What is forged agrees with itself, so nothing else finds it.

use recording::{
    ContentHash, Enrolment, EvidenceName, Expected, InstanceId, Integrity, MemorySource, Micros, SealingKey,
    Standing, Stream, TerminalEvent, TerminalSessionToken, Timestamp, Trust, TrustedKey, TrustedKeys,
    Verdict, Verification, seal, verify,
};

use crate::sealed::{cut, key, manifest, put, put_sealed, record, sample_events, start};

fn bound(from: i64, until: Option<i64>) -> TrustedKey {
    let start = start();
    let at = |millis: i64| Timestamp::from_millis(start.started_at.as_millis() + millis);
    TrustedKey {
        key: key().public_key(),
        enrolment: Some(Enrolment {
            agent: start.agent.clone(),
            account: start.account.clone(),
            instance: start.instance.clone(),
            from: at(from),
            until: until.map(at),
        }),
    }
}

/// What a control plane that has taken in these objects says of them.
fn taken_in(source: &MemorySource) -> Expected {
    let start = start();
    Expected {
        recording: Some(start.recording),
        instance: Some(start.instance),
        account: Some(start.account),
        read_at: None,
        objects: source
            .objects
            .iter()
            .map(|(name, bytes)| (EvidenceName::parse(name.as_str()).unwrap(), ContentHash::of(bytes)))
            .filter(|(name, _)| !matches!(name, EvidenceName::ManifestSignature(_)))
            .collect(),
    }
}

fn verdict(source: &MemorySource, expected: &Expected, trust: Trust<'_>) -> (Verdict, Verification) {
    let verification = verify(source, expected, trust).unwrap();
    (verification.verdict(), verification)
}

fn finished() -> MemorySource {
    record(
        &[
            TerminalEvent::output(Micros::new(1), "a"),
            TerminalEvent::exit(Micros::new(2), recording::ExitStatus::Code(0)),
        ],
        &[0],
    )
}

fn contradiction(verification: &Verification) -> &str {
    let Integrity::Inconsistent { why, .. } = &verification.integrity else { panic!("{verification:?}") };
    why
}

#[test]
fn another_recording_in_its_place_is_not_the_one_that_was_asked_for() {
    let source = finished();
    for expected in [
        Expected { recording: Some(TerminalSessionToken::generate()), ..Expected::default() },
        Expected { instance: Some(InstanceId::parse("i-other").unwrap()), ..Expected::default() },
        Expected { account: Some("1999999999999999".parse().unwrap()), ..Expected::default() },
    ] {
        let (verdict, verification) = verdict(&source, &expected, Trust::AnySigner);
        assert_eq!(verdict, Verdict::Inconsistent, "{expected:?}");
        assert!(
            contradiction(&verification).ends_with(
                "this is recording 000102030405060708090a0b0c0d0e0f of instance i-example, account 1234567890123456"
            ),
            "{verification:?}"
        );
    }
    let expected = taken_in(&source);
    assert_eq!(verdict(&source, &expected, Trust::AnySigner).0, Verdict::Complete);
}

/// The same names in everything, other contents, another key: it agrees with itself from end to end.
fn forged() -> MemorySource {
    let forger = SealingKey::from_seed(&[66; 32]);
    let mut begin = start();
    begin.agent_sealing_key = forger.public_key();
    let document = begin.to_document();
    let events = [TerminalEvent::output(Micros::new(1), "nothing happened")];
    let (segments, state) = cut(&document, &events, &[]);
    let mut source = MemorySource::default();
    put(&mut source, EvidenceName::Start, &document);
    for segment in &segments {
        put(
            &mut source,
            EvidenceName::Segment { stream: segment.header.stream, number: segment.header.number },
            &segment.bytes,
        );
    }
    let entry = state.stream_entry(segments.iter().map(recording::Segment::entry).collect());
    put_sealed(&mut source, 0, &seal(&manifest(0, &document, &events, entry), &forger));
    source
}

#[test]
fn a_forged_recording_is_not_trusted_and_is_not_the_accepted_one() {
    let forged = forged();
    let nothing = Expected::default();
    let keys = TrustedKeys::from(bound(0, None));
    assert_eq!(verdict(&forged, &nothing, Trust::Nothing).0, Verdict::Untrusted);
    assert_eq!(verdict(&forged, &nothing, Trust::Given(&keys)).0, Verdict::Untrusted);
    assert_eq!(verdict(&forged, &nothing, Trust::Enrolled(&keys)).0, Verdict::Untrusted);
    let (found, verification) = verdict(&forged, &taken_in(&finished()), Trust::AnySigner);
    assert_eq!(found, Verdict::Inconsistent);
    assert!(contradiction(&verification).contains("not those that the control plane took in"));
    // It agrees with itself, which says something only to whoever asks for no more.
    assert_eq!(verdict(&forged, &nothing, Trust::AnySigner).1.integrity, Integrity::Complete { manifest: 0 });
}

#[test]
fn objects_that_the_control_plane_accepted_must_exist() {
    let whole = finished();
    let expected = taken_in(&whole);
    let segment = |number| EvidenceName::Segment { stream: Stream::Terminal, number };
    for missing in [EvidenceName::Manifest(0), segment(0), segment(1)] {
        let mut source = whole.clone();
        source.objects.remove(&missing.to_object_name());
        if missing == EvidenceName::Manifest(0) {
            // Without its signature too, nothing in the folder says that there ever was one.
            source.objects.remove(&EvidenceName::ManifestSignature(0).to_object_name());
        }
        let (found, verification) = verdict(&source, &expected, Trust::AnySigner);
        assert_eq!(found, Verdict::ProvenPrefix, "{missing}");
        let Integrity::ProvenPrefix { why, .. } = &verification.integrity else { panic!("{verification:?}") };
        assert!(why.contains(&format!("{missing} is missing")), "{why}");
    }
    // Cut off with the last segment, and sealed again by whoever has the key.
    let document = start().to_document();
    let events = [TerminalEvent::output(Micros::new(1), "a")];
    let (segments, state) = cut(&document, &events, &[]);
    let mut shorter = MemorySource::default();
    put(&mut shorter, EvidenceName::Start, &document);
    put(&mut shorter, segment(0), &segments[0].bytes);
    put_sealed(
        &mut shorter,
        0,
        &seal(&manifest(0, &document, &events, state.stream_entry(vec![segments[0].entry()])), &key()),
    );
    assert_eq!(verdict(&shorter, &expected, Trust::AnySigner).0, Verdict::Inconsistent);
}

#[test]
fn a_recording_cannot_begin_after_it_is_read() {
    let source = finished();
    let enrolled = TrustedKeys::from(bound(-1_000, None));
    for (earlier, expected) in
        [(0, Verdict::Complete), (300_000, Verdict::Complete), (300_001, Verdict::Untrusted)]
    {
        let read_at = Some(Timestamp::from_millis(start().started_at.as_millis() - earlier));
        let expect = Expected { read_at, ..Expected::default() };
        assert_eq!(verdict(&source, &expect, Trust::Enrolled(&enrolled)).0, expected, "{earlier} ms");
    }
}

#[test]
fn complete_hides_no_loss() {
    let at = Micros::new;
    let exit = || TerminalEvent::exit(at(9), recording::ExitStatus::Code(0));
    let keys = TrustedKeys::from(bound(0, None));
    for (events, expected) in [
        (vec![TerminalEvent::output(at(1), "a"), exit()], Verdict::Complete),
        (vec![TerminalEvent::gap(at(1), "lost", 1 << 40), exit()], Verdict::CompleteWithLoss),
        (vec![TerminalEvent::gap(at(1), "nobody knows how much", 0), exit()], Verdict::CompleteWithLoss),
        (vec![TerminalEvent::output(at(1), "a")], Verdict::Interrupted),
        (vec![TerminalEvent::gap(at(1), "lost", 0)], Verdict::Interrupted),
        (vec![], Verdict::Empty),
    ] {
        let source = record(&events, &[]);
        assert_eq!(verdict(&source, &taken_in(&source), Trust::Given(&keys)).0, expected, "{events:?}");
        // Who signed comes before how much there is, and a contradiction before both.
        assert_eq!(verdict(&source, &Expected::default(), Trust::Nothing).0, Verdict::Untrusted);
        let other = Expected { recording: Some(TerminalSessionToken::generate()), ..Expected::default() };
        assert_eq!(verdict(&source, &other, Trust::Nothing).0, Verdict::Inconsistent);
    }
}

#[test]
fn an_unsealed_recording_is_a_prefix_however_much_exists() {
    let mut running = finished();
    running.objects.retain(|name, _| !name.as_str().starts_with("manifest"));
    let (found, verification) =
        verdict(&running, &taken_in(&running), Trust::Enrolled(&bound(0, None).into()));
    assert_eq!(found, Verdict::ProvenPrefix);
    assert!(!verification.signer.unwrap().signed);
    assert_eq!(verification.end, None);
}

/// A recording of which a part of its seal is left, or of whose seal the control plane knows, is not still running.
#[test]
fn the_report_names_exactly_the_missing_parts_of_a_seal() {
    let whole = finished();
    let (manifest, signature) = (EvidenceName::Manifest(0), EvidenceName::ManifestSignature(0));
    let sealed = |name: EvidenceName| {
        format!("{name} is missing, and the recording was sealed with it; nothing is signed")
    };
    for (removed, of_a_token, of_a_folder) in [
        (
            &[signature][..],
            sealed(signature),
            "manifest-0000.sig is missing, and its manifest is there; nothing is signed",
        ),
        (
            &[manifest][..],
            sealed(manifest),
            "manifest-0000.json is missing, and its signature is there; nothing is signed",
        ),
        (
            &[manifest, signature][..],
            sealed(manifest),
            "nothing is signed: the recording is still running, or was never sealed",
        ),
    ] {
        let mut source = whole.clone();
        for name in removed {
            source.objects.remove(&name.to_object_name());
        }
        for (expected, why) in [(taken_in(&whole), of_a_token.as_str()), (Expected::default(), of_a_folder)] {
            let (found, verification) = verdict(&source, &expected, Trust::AnySigner);
            let Integrity::ProvenPrefix { why: said, .. } = &verification.integrity else {
                panic!("{verification:?}")
            };
            assert_eq!((found, said.as_str()), (Verdict::ProvenPrefix, why), "{removed:?}");
        }
    }
}

#[test]
fn a_key_is_trusted_for_its_own_agent_instance_account_and_time_only() {
    const MINUTES: i64 = 60_000;
    let source = record(&sample_events(), &[2, 4]);
    let other = |change: fn(&mut Enrolment)| {
        let mut key = bound(0, None);
        change(key.enrolment.as_mut().unwrap());
        key
    };
    let alone = TrustedKey { enrolment: None, ..bound(0, None) };
    for (trusted, why) in [
        (bound(0, None), None),
        (alone, None),
        // Five minutes before and behind, to the millisecond.
        (bound(5 * MINUTES, None), None),
        (bound(5 * MINUTES + 1, None), Some("was enrolled from 2023-11-16T03:04:39.124Z until now")),
        (bound(-90 * MINUTES, Some(-5 * MINUTES)), None),
        // The agent was replaced, and whoever has its key goes on recording.
        (
            bound(-90 * MINUTES, Some(-5 * MINUTES - 1)),
            Some("until 2023-11-16T02:54:39.122Z, and the recording says"),
        ),
        (
            other(|it| it.instance = "i-other".parse().unwrap()),
            Some("of instance i-other, account 1234567890123456 only"),
        ),
        (other(|it| it.account = "1999999999999999".parse().unwrap()), Some("account 1999999999999999 only")),
        (other(|it| it.agent = recording::AgentId::generate()), Some("is trusted for agent agent-")),
    ] {
        let keys = TrustedKeys::from(trusted.clone());
        for trust in [Trust::Given(&keys), Trust::Enrolled(&keys)] {
            let (found, verification) = verdict(&source, &Expected::default(), trust);
            let standing = verification.signer.unwrap().standing;
            match (why, &standing) {
                (None, Standing::Trusted(by)) => {
                    assert_eq!((found, by), (Verdict::CompleteWithLoss, &trusted));
                }
                (Some(why), Standing::Untrusted { why: said }) => {
                    assert_eq!(found, Verdict::Untrusted);
                    assert!(said.contains(why), "{said}");
                }
                _ => panic!("{trusted}: {standing:?}"),
            }
        }
    }
    // Of several lines for one key, one that fits is enough.
    let keys = TrustedKeys::new(vec![bound(60 * MINUTES, None), bound(-MINUTES, None)], vec![]);
    assert_eq!(verdict(&source, &Expected::default(), Trust::Given(&keys)).0, Verdict::CompleteWithLoss);
}
