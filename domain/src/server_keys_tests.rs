use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::*;

fn keys() -> ServerKeys {
    ServerKeys::generate().unwrap()
}

#[test]
fn what_was_sealed_opens_only_unaltered_and_in_its_own_place() {
    let keys = keys();
    let sealed = keys.seal("access_keys:LTAI1", b"secret").unwrap();
    assert!(!sealed.contains("secret"));
    assert_eq!(keys.open("access_keys:LTAI1", &sealed).unwrap(), b"secret");
    assert_eq!(keys.open("access_keys:LTAI2", &sealed), Err(SealedRefused::NotAuthentic));
    let digits = sealed.find('.').unwrap() + 1;
    for at in digits..sealed.len() {
        let mut bytes = sealed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        let altered = String::from_utf8(bytes).unwrap();
        assert_eq!(keys.open("access_keys:LTAI1", &altered), Err(SealedRefused::NotAuthentic), "digit {at}");
    }
    for length in 0..sealed.len() {
        assert!(keys.open("access_keys:LTAI1", &sealed[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn two_seals_of_one_secret_differ() {
    let keys = keys();
    assert_ne!(keys.seal("a", b"secret").unwrap(), keys.seal("a", b"secret").unwrap());
}

#[test]
fn a_sealed_secret_names_a_key_that_is_missing() {
    let sealed = keys().seal("a", b"secret").unwrap();
    let key_id = sealed.split_once('.').unwrap().0.to_owned();
    assert_eq!(keys().open("a", &sealed), Err(SealedRefused::UnknownKey { key_id }));
    assert_eq!(keys().open("a", "A b.00"), Err(SealedRefused::Malformed));
    assert_eq!(keys().open("a", ""), Err(SealedRefused::Malformed));
}

#[test]
fn after_a_rotation_old_things_open_and_new_things_take_the_new_key() {
    let old = keys();
    let sealed = old.seal("a", b"secret").unwrap();
    let (ticket_id, ticket_secret) = old.ticket_key();
    let mut new = old.clone();
    for purpose in Purpose::ALL {
        new = new.rotated(purpose).unwrap();
        assert_eq!(new.key_ids(purpose).len(), 2);
        assert_eq!(new.key_ids(purpose)[1], old.key_ids(purpose)[0]);
    }
    assert_eq!(new.open("a", &sealed).unwrap(), b"secret");
    assert!(old.open("a", &new.seal("a", b"secret").unwrap()).is_err());
    assert_ne!(new.ticket_key().0, ticket_id);
    assert_eq!(new.ticket_key_by_id(ticket_id), Some(ticket_secret));
    assert_eq!(new.ticket_key_by_id("tickets-0"), None);
    let pinned = new.configuration_public_keys();
    assert_eq!(pinned[0].key_id, new.configuration_signer().key_id());
    assert_eq!(pinned[1].public_key, old.configuration_signer().public_key());
}

#[test]
fn the_file_reads_back_as_it_was_printed() {
    let keys = keys().rotated(Purpose::Sealing).unwrap();
    let text = keys.to_file_text();
    let again = ServerKeys::parse(&text).unwrap();
    assert_eq!(again.to_file_text(), text);
    let sealed = keys.seal("a", b"secret").unwrap();
    assert_eq!(again.open("a", &sealed).unwrap(), b"secret");
}

#[test]
fn configurations_are_signed_with_the_current_key() {
    let keys = keys();
    let signer = keys.configuration_signer();
    let signature = signer.sign(b"configuration");
    let public = UnparsedPublicKey::new(&ED25519, keys.configuration_public_keys()[0].public_key);
    public.verify(b"configuration", &signature).unwrap();
    assert!(public.verify(b"configuratioN", &signature).is_err());
}

#[test]
fn debug_shows_key_ids_and_no_key() {
    let keys = keys();
    let shown = format!("{keys:?} {:?}", keys.configuration_signer());
    assert!(shown.contains(keys.key_ids(Purpose::Sealing)[0]));
    for line in keys.to_file_text().lines() {
        if let Some((_, key)) = line.split_once(" = ").filter(|(_, value)| value.len() > 60) {
            assert!(!shown.contains(key.trim_matches('"')), "a key is shown");
        }
    }
}

#[test]
fn each_fault_of_the_file_is_named_and_no_key_is_repeated() {
    let good = keys().to_file_text();
    let key = "ab".repeat(32);
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    for (text, expected) in [
        (String::new(), "section [sealing] is missing"),
        (format!("{good}\n[tickets]\n"), "is not valid TOML"),
        (format!("{good}\nx = {key}\n"), "line 23 is not valid TOML"),
        (format!("{good}\n[more]\n"), "[more] is unknown"),
        (with("current = \"sealing-", "current = \"sealinG-"), "current in [sealing] must be"),
        (with("current = \"sealing-", "current = \"other-"), "which is not in [sealing.keys]"),
        (with("[sealing]", "[sealing]\nextra = 1"), "extra in [sealing] is unknown"),
        (
            with("[sealing.keys]", &format!("[sealing.keys]\nshort = \"{}\"", &key[1..])),
            "short in [sealing.keys] must be 64 hex",
        ),
        (with("[sealing.keys]", &format!("[sealing.keys]\n{key} = \"x\"")), "the id of key"),
        (
            with("[sealing.keys]", &format!("[sealing.keys]\nbare = 12{}", "0".repeat(10))),
            "bare in [sealing.keys] must be",
        ),
        (
            with("[sealing.keys]", &format!("[sealing.keys]\ntwice = \"{key}\"")).replacen(
                "[tickets.keys]",
                &format!("[tickets.keys]\ntwice = \"{key}\""),
                1,
            ),
            "hold the same key",
        ),
    ] {
        let error = ServerKeys::parse(&text).expect_err(expected);
        let chain = format!("{error} {error:?}");
        assert!(chain.contains(expected), "{chain} lacks {expected}");
        assert!(!chain.contains(&key[..40]), "{chain} repeats a key");
    }
}

#[test]
fn audit_is_signed_by_a_key_of_its_own_that_older_key_files_have_too() {
    let old = keys();
    let signer = old.audit_signer();
    let signature = signer.sign(b"anchor");
    let new = old.rotated(Purpose::Configuration).unwrap();
    let public = new.audit_public_key(signer.key_id()).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(b"anchor", &signature).unwrap();
    assert_ne!(public, old.configuration_signer().public_key());
    assert_ne!(new.audit_signer().key_id(), signer.key_id());
    assert_eq!(old.audit_public_key(new.audit_signer().key_id()), None);
    assert!(format!("{signer:?}").contains(signer.key_id()));
}

#[test]
fn leave_is_signed_by_a_key_of_its_own_that_older_key_files_have_too() {
    let old = keys();
    let signer = old.leave_signer();
    let signature = signer.sign(b"leave");
    let new = ServerKeys::parse(&old.rotated(Purpose::Configuration).unwrap().to_file_text()).unwrap();
    assert_eq!(new.leave_keys(), [new.leave_signer().public_key(), signer.public_key()]);
    assert_eq!(old.leave_keys(), [signer.public_key()]);
    assert!(new.leave_keys()[1].verifies(b"leave", &signature));
    let public = *signer.public_key().as_bytes();
    let audit = old.audit_public_key(old.audit_signer().key_id()).unwrap();
    assert_ne!(public, old.configuration_signer().public_key());
    assert_ne!(public, audit);
    assert!(UnparsedPublicKey::new(&ED25519, audit).verify(b"leave", &signature).is_err());
    assert!(!old.leave_keys()[0].verifies(b"leave", &old.audit_signer().sign(b"leave")));
}

#[test]
fn replicas_have_a_key_of_their_own_that_older_key_files_have_too() {
    let old = keys();
    let (id, secret) = old.internal_key();
    assert_eq!((id, secret.as_slice() == old.ticket_key().1), (old.ticket_key().0, false));
    let new = ServerKeys::parse(&old.rotated(Purpose::Tickets).unwrap().to_file_text()).unwrap();
    assert_eq!(new.internal_key_by_id(id), Some(secret));
    assert_ne!(new.internal_key(), (id, secret));
    assert_eq!(old.internal_key_by_id(new.internal_key().0), None);
}
