//! Recordings that an agent's successor sealed, with the control plane's leave.

use recording::{
    AgentId, ArrivedBefore, ChainValue, ContentHash, Enrolment, Expected, Integrity, Leave, LeaveFormat,
    Manifest, MemorySource, SealedBy, SealingKey, Standing, Start, StartReference, Stream, Timestamp, Trust,
    TrustedKey, TrustedKeys, Verdict, seal, verify,
};

use crate::sealed::{check, inconsistent, key, put_sealed, record, sample_events, start};

fn control_plane() -> SealingKey {
    SealingKey::from_seed(&[3; 32])
}

fn successor() -> SealingKey {
    SealingKey::from_seed(&[8; 32])
}

fn manifest_of(source: &MemorySource) -> Manifest {
    Manifest::parse(&source.objects[&"manifest-0000.json".parse().unwrap()]).unwrap()
}

/// The leave for the sample, of which so many segments had arrived.
fn leave(source: &MemorySource, segments: u32) -> Leave {
    let (start, document) = (start(), start().to_document());
    let entry = manifest_of(source).streams[0].clone();
    let chain = match segments.checked_sub(1) {
        None => ChainValue::first(&document, Stream::Terminal),
        Some(last) => entry.segments[last as usize].chain,
    };
    Leave {
        format: LeaveFormat::V1,
        recording: start.recording,
        account: start.account,
        instance: start.instance,
        start: StartReference::of(&document),
        agent: start.agent,
        successor: AgentId::parse("agent-ffffffffffffffffffffffffffffffff").unwrap(),
        successor_sealing_key: successor().public_key(),
        arrived: vec![ArrivedBefore { stream: Stream::Terminal, segments, chain }],
        issued_at: Timestamp::from_millis(1_700_200_000_000),
    }
}

fn signed(leave: &Leave, by: &SealingKey) -> SealedBy {
    let document = leave.to_document();
    let signature = by.sign(&Leave::to_be_signed(&document));
    SealedBy::new(document, by.public_key(), signature)
}

/// The sample, sealed with this leave by this key; both are changed first.
fn sealed_in_place(
    change_leave: impl FnOnce(&mut Leave),
    change_manifest: impl FnOnce(&mut Manifest),
    by: &SealingKey,
) -> MemorySource {
    let mut source = record(&sample_events(), &[2, 4]);
    let mut leave = leave(&source, 1);
    change_leave(&mut leave);
    let mut manifest = manifest_of(&source);
    manifest.sealed_by = Some(signed(&leave, &control_plane()));
    change_manifest(&mut manifest);
    put_sealed(&mut source, 0, &seal(&manifest, by));
    source
}

#[test]
fn a_successors_seal_is_believed_with_the_leave_of_a_trusted_control_plane() {
    let source = sealed_in_place(|_| {}, |_| {}, &successor());
    let usual = check(&record(&sample_events(), &[2, 4])).verdict();
    let of = |trust| verify(&source, &Expected::default(), trust).unwrap();
    let the_agents = TrustedKey { key: key().public_key(), enrolment: None };
    let (control_plane, stranger) = (control_plane().public_key(), successor().public_key());
    let trusted = TrustedKeys::new(vec![], vec![stranger, control_plane]);

    for trust in [Trust::Given(&trusted), Trust::Enrolled(&trusted)] {
        let verification = of(trust);
        assert_eq!(verification.verdict(), usual);
        let signer = verification.signer.unwrap();
        assert!(signer.signed);
        assert_eq!(signer.standing, Standing::TrustedByLeave(control_plane));
        let in_place = signer.in_place.unwrap();
        assert_eq!(in_place.control_plane_key, control_plane);
        assert_eq!((&signer.agent, in_place.leave), (&start().agent, leave(&source, 1)));
    }
    assert_eq!(of(Trust::AnySigner).verdict(), usual);
    // Neither the agent's key nor the successor's is one that gives leave.
    let others = TrustedKeys::new(vec![the_agents], vec![stranger]);
    for trust in [Trust::Given(&others), Trust::Enrolled(&others), Trust::Nothing] {
        let verification = of(trust);
        assert_eq!(verification.verdict(), Verdict::Untrusted);
        assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
    }
    // A key that gives leave vouches for no agent.
    let agents = record(&sample_events(), &[2, 4]);
    let verification = verify(&agents, &Expected::default(), Trust::Given(&trusted)).unwrap();
    assert_eq!(verification.verdict(), Verdict::Untrusted);
}

#[test]
fn a_leave_is_for_one_recording_one_key_and_what_had_arrived() {
    let refused = |source: &MemorySource, object: &str, why: &str| inconsistent(&check(source), object, why);
    let refused_leave = |why: &str, change: fn(&mut Leave)| {
        refused(&sealed_in_place(change, |_| {}, &successor()), "manifest-0000.json", why);
    };
    let other = "its leave is for another recording, account, instance or agent";
    refused_leave(other, |leave| leave.recording = "ffffffffffffffffffffffffffffffff".parse().unwrap());
    refused_leave(other, |leave| leave.account = "1234567890123457".parse().unwrap());
    refused_leave(other, |leave| leave.instance = "i-other".parse().unwrap());
    refused_leave(other, |leave| leave.agent = leave.successor.clone());
    refused_leave("with another start.json", |leave| leave.start.sha256 = ContentHash::of(b"other"));
    refused_leave("does not begin with the 9 segments of terminal", |leave| leave.arrived[0].segments = 9);
    refused_leave("does not begin with the 1 segments of terminal", |leave| {
        leave.arrived[0].chain = ChainValue::first(b"other", Stream::Terminal);
    });
    refused_leave("does not begin with the 1 segments of events", |leave| {
        leave.arrived[0].stream = Stream::Events;
    });
    // Nothing had arrived of a stream in which nothing happened.
    let nothing = |leave: &mut Leave| {
        let chain = ChainValue::first(&start().to_document(), Stream::Events);
        leave.arrived.push(ArrivedBefore { stream: Stream::Events, segments: 0, chain });
    };
    assert!(matches!(
        check(&sealed_in_place(nothing, |_| {}, &successor())).integrity,
        Integrity::Complete { .. }
    ));

    let signature = "manifest-0000.sig";
    for by in [key(), control_plane(), SealingKey::from_seed(&[9; 32])] {
        refused(&sealed_in_place(|_| {}, |_| {}, &by), signature, "by the key that its leave names");
    }
    // The successor's signature alone is none of the agent's.
    refused(
        &sealed_in_place(|_| {}, |manifest| manifest.sealed_by = None, &successor()),
        signature,
        "by the key that start.json names",
    );
    // Who signs a leave is who stands beside it, over exactly these bytes, for this purpose.
    let changed = |change: fn(&mut serde_json::Value)| {
        sealed_in_place(
            |_| {},
            |manifest| {
                let mut value = serde_json::to_value(manifest.sealed_by.take()).unwrap();
                change(&mut value);
                manifest.sealed_by = Some(serde_json::from_value(value).unwrap());
            },
            &successor(),
        )
    };
    let unsigned = "its leave is not signed by the key of the control plane";
    for change in [
        |value: &mut serde_json::Value| {
            value["control_plane_key"] = successor().public_key().to_string().into();
        },
        |value: &mut serde_json::Value| value["signature"] = "".into(),
        |value: &mut serde_json::Value| value["leave"] = "e30K".into(),
    ] {
        refused(&changed(change), "manifest-0000.json", unsigned);
    }
    let without_purpose = sealed_in_place(
        |_| {},
        |manifest| {
            let document = leave(&record(&sample_events(), &[2, 4]), 1).to_document();
            let signature = control_plane().sign(&document);
            manifest.sealed_by = Some(SealedBy::new(document, control_plane().public_key(), signature));
        },
        &successor(),
    );
    refused(&without_purpose, "manifest-0000.json", unsigned);
}

/// Leave says who may seal in an agent's place. For which time the agent's own key is trusted, it does not change: else whoever
/// has that key could have a recording sealed that the agent cannot have made.
#[test]
fn leave_widens_nothing_that_bounds_the_agents_key() {
    let control_plane = control_plane().public_key();
    let started_at = start().started_at;
    let enrolled = |from: i64, until: Option<i64>| {
        let at = |millis| Timestamp::from_millis(started_at.as_millis() + millis);
        let Start { agent, account, instance, .. } = start();
        let enrolment = Enrolment { agent, account, instance, from: at(from), until: until.map(at) };
        TrustedKey { key: key().public_key(), enrolment: Some(enrolment) }
    };
    let source = sealed_in_place(|_| {}, |_| {}, &successor());
    let verdict = |source: &MemorySource, agents: Vec<TrustedKey>, read_at| {
        let (keys, expected) =
            (TrustedKeys::new(agents, vec![control_plane]), Expected { read_at, ..Expected::default() });
        let verdicts = [Trust::Given(&keys), Trust::Enrolled(&keys)].map(|trust| {
            let verification = verify(source, &expected, trust).unwrap();
            assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
            (verification.verdict(), verification.signer.unwrap().standing)
        });
        assert_eq!(verdicts[0], verdicts[1]);
        verdicts[0].clone()
    };
    let trusted = |agents, read_at| {
        let (_, standing) = verdict(&source, agents, read_at);
        assert_eq!(standing, Standing::TrustedByLeave(control_plane));
    };
    let refused =
        |source: &MemorySource, agents, read_at, expected: &str| match verdict(source, agents, read_at) {
            (Verdict::Untrusted, Standing::Untrusted { why }) => assert!(why.contains(expected), "{why}"),
            other => panic!("{other:?}"),
        };
    let hour = 3_600_000;
    trusted(vec![enrolled(-hour, None)], None);
    trusted(vec![enrolled(-hour, Some(hour))], None);
    // Of several lines with the key, one is enough.
    trusted(vec![enrolled(hour, None), enrolled(-hour, Some(1))], None);
    refused(&source, vec![enrolled(-2 * hour, Some(-hour))], None, "its key was enrolled from");
    refused(&source, vec![enrolled(hour, None)], None, "its key was enrolled from");
    let early = Some(Timestamp::from_millis(started_at.as_millis() - hour));
    refused(&source, vec![enrolled(-2 * hour, None)], early, "its key was enrolled from");
    let mut elsewhere = enrolled(-hour, None);
    elsewhere.enrolment.as_mut().unwrap().instance = "i-other".parse().unwrap();
    refused(&source, vec![elsewhere], None, "instance i-other");
    // Nobody was given leave for what had not begun, whatever is known of the agent's key.
    let ahead = sealed_in_place(
        |leave| leave.issued_at = Timestamp::from_millis(started_at.as_millis() - hour),
        |_| {},
        &successor(),
    );
    refused(&ahead, vec![], None, "leave to seal it was given at");
    refused(&ahead, vec![enrolled(-hour, None)], None, "leave to seal it was given at");
}

/// An earlier manifest is the agent's own: what it lists stays.
#[test]
fn a_successor_seals_again_what_the_agent_has_sealed() {
    let mut source = record(&sample_events(), &[2, 4]);
    let mut manifest = manifest_of(&source);
    manifest.number = 1;
    manifest.sealed_by = Some(signed(&leave(&source, 1), &control_plane()));
    put_sealed(&mut source, 1, &seal(&manifest, &successor()));
    assert_eq!(check(&source).integrity, Integrity::Complete { manifest: 1 });
}
