//! A small whole recording, damaged at every byte: it never panics, and it is always reported.

use recording::{Integrity, decode_recording, to_asciicast, to_text};

use crate::sealed::{check, record, sample_events};

#[test]
fn an_object_cut_off_at_any_byte_is_reported() {
    let whole = record(&sample_events(), &[2, 4]);
    assert_eq!(whole.objects.len(), 6, "start, three segments, the manifest and its signature");
    for (name, bytes) in &whole.objects {
        for length in 0..bytes.len() {
            let mut damaged = whole.clone();
            damaged.objects.insert(name.clone(), bytes[..length].to_vec());
            let integrity = check(&damaged).integrity;
            assert!(
                matches!(integrity, Integrity::Inconsistent { .. }),
                "{name} cut to {length}: {integrity:?}"
            );
            let _ = (decode_recording(&damaged), to_asciicast(&damaged), to_text(&damaged));
        }
    }
}

#[test]
fn a_flip_of_any_byte_is_reported() {
    let whole = record(&sample_events(), &[2, 4]);
    for (name, bytes) in &whole.objects {
        for place in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged.objects.get_mut(name).unwrap()[place] ^= flip;
                let integrity = check(&damaged).integrity;
                assert!(
                    matches!(integrity, Integrity::Inconsistent { .. }),
                    "{name} byte {place}: {integrity:?}"
                );
                let _ = (decode_recording(&damaged), to_asciicast(&damaged), to_text(&damaged));
            }
        }
    }
}

#[test]
fn a_byte_too_much_is_reported() {
    let whole = record(&sample_events(), &[2, 4]);
    for name in whole.objects.keys() {
        let mut damaged = whole.clone();
        damaged.objects.get_mut(name).unwrap().push(b'\n');
        let integrity = check(&damaged).integrity;
        assert!(matches!(integrity, Integrity::Inconsistent { .. }), "{name}: {integrity:?}");
    }
}

#[test]
fn a_missing_object_is_reported() {
    let whole = record(&sample_events(), &[2, 4]);
    for name in whole.objects.keys() {
        let mut damaged = whole.clone();
        damaged.objects.remove(name);
        let verification = check(&damaged);
        match verification.integrity {
            Integrity::Complete { .. } => panic!("{name} is missing, and nobody says so"),
            Integrity::ProvenPrefix { why, .. } => assert!(why.contains(name.as_str()), "{name}: {why}"),
            Integrity::Inconsistent { object, .. } => {
                assert_eq!((name.as_str(), object.as_str()), ("start.json", "start.json"));
                assert_eq!(verification.signer, None);
            }
        }
        let _ = (decode_recording(&damaged), to_asciicast(&damaged), to_text(&damaged));
    }
}

#[test]
fn two_objects_in_each_others_place_are_reported() {
    let whole = record(&sample_events(), &[2, 4]);
    for (one, first) in &whole.objects {
        for (other, second) in whole.objects.iter().filter(|(other, _)| *other != one) {
            let mut damaged = whole.clone();
            damaged.objects.insert(one.clone(), second.clone());
            damaged.objects.insert(other.clone(), first.clone());
            let integrity = check(&damaged).integrity;
            assert!(matches!(integrity, Integrity::Inconsistent { .. }), "{one} and {other}: {integrity:?}");
        }
    }
}
