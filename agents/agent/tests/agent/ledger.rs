//! What a session lacks stands in its manifest, whoever noticed it and whatever happens to the agent meanwhile.

use std::time::Duration;

use recording::{
    Cause, Micros, RecordKind, RecordingEnd, Shortfall, ShortfallKind, SpoolWriter, TerminalEvent, Verdict,
};

use crate::bench::Instance;
use crate::tampering::{append, distrusted, record, recorded_shell, wait_for_a_segment};

/// The record of a shortfall, as a recorder writes it.
fn says(kind: ShortfallKind, cause: &'static str) -> Vec<u8> {
    let shortfall = Shortfall::new(kind, Cause::new(cause), "as the recorder said").with_lost_bytes(5);
    record(&TerminalEvent::shortfall(Micros::new(1), shortfall))
}

#[test]
fn what_a_recorder_says_is_in_the_manifest_also_after_a_restart_of_the_agent() {
    let mut instance = Instance::running();
    for (kind, verdict) in [
        (ShortfallKind::RateLimit, Verdict::CompleteWithLoss),
        (ShortfallKind::DegradedMode, Verdict::Complete),
    ] {
        let (mut person, token, spool) = recorded_shell(&instance);
        append(&spool, &says(kind, "before"));
        append(&spool, &says(ShortfallKind::StatedLimit, "limit"));
        wait_for_a_segment(&instance, &token);
        instance.kill_agent();
        append(&spool, &says(kind, "before"));
        append(&spool, &says(kind, "behind"));
        instance.start_agent();
        person.types("exit 0\r");
        person.ends_with(0);
        let recording = instance.control_plane.sealed(&token);
        let ledger = recording.ledger();
        let entries: Vec<_> = ledger
            .iter()
            .map(|entry| (entry.kind, entry.cause.as_str(), entry.count, entry.lost_bytes))
            .collect();
        let limit = (ShortfallKind::StatedLimit, "limit", 1, 5);
        assert_eq!(entries, [(kind, "before", 2, 10), limit, (kind, "behind", 1, 5)]);
        assert!(matches!(recording.end(), RecordingEnd::Exited(_)), "{:?}", recording.end());
        assert_eq!(recording.verification().verdict(), verdict);
    }
}

#[test]
fn a_record_that_the_agent_does_not_understand_is_dropped_and_counted() {
    let instance = Instance::running();
    let (mut person, token, spool) = recorded_shell(&instance);
    let mut writer = SpoolWriter::new(Vec::new(), 0);
    for payload in [&b"one"[..], b"other"] {
        writer.append(Micros::new(1), RecordKind(99), payload).unwrap();
    }
    // It calls itself a shortfall and says nothing.
    writer.append(Micros::new(1), RecordKind::SHORTFALL, b"nothing").unwrap();
    append(&spool, &writer.into_inner());
    person.types("exit 0\r");
    person.ends_with(0);
    let recording = instance.control_plane.sealed(&token);
    let [entry] = &recording.ledger()[..] else { panic!("{:?}", recording.ledger()) };
    assert_eq!((entry.kind, &entry.cause), (ShortfallKind::Drop, &Cause::RECORD_NOT_UNDERSTOOD));
    assert_eq!((entry.count, entry.lost_bytes), (3, 15));
    assert_eq!(recording.verification().verdict(), Verdict::CompleteWithLoss);
}

#[test]
fn every_record_from_the_future_is_counted() {
    let instance = Instance::running();
    let (person, token, spool) = recorded_shell(&instance);
    let tomorrow = Micros::from(Duration::from_secs(24 * 3600));
    for _ in 0..5 {
        append(&spool, &record(&TerminalEvent::output(tomorrow, *b"x")));
    }
    let recording = distrusted(&instance, person, &token, "ahead of the clock");
    let ledger = recording.ledger();
    let ahead: Vec<_> = ledger.iter().filter(|entry| entry.cause == Cause::TIME_AHEAD_OF_CLOCK).collect();
    let [ahead] = ahead[..] else { panic!("{ledger:?}") };
    assert_eq!((ahead.kind, ahead.count), (ShortfallKind::Gap, 5));
}

#[test]
fn a_session_that_lacks_nothing_says_so() {
    let instance = Instance::running();
    let (_, token) = instance.record(&["echo", "whole"]);
    let recording = instance.control_plane.sealed(&token);
    assert!(recording.ledger().is_empty());
    assert_eq!(recording.verification().verdict(), Verdict::Complete);
}

/// The value that the recorder of a session has, and whether a process here may ask for it.
fn oom_score(instance: &Instance, token: &recording::TerminalSessionToken) -> String {
    let recorder = instance.recorder(token).as_raw_nonzero();
    std::fs::read_to_string(format!("/proc/{recorder}/oom_score_adj")).unwrap().trim().to_owned()
}

#[test]
fn a_recorder_is_spared_when_memory_runs_out_or_the_ledger_says_that_it_is_not() {
    let instance = Instance::running();
    let mut person = instance.person(&["sh", "-c", "echo up; read line"]);
    person.sees("up");
    let score = oom_score(&instance, &person.token());
    person.types("\r");
    person.ends_with(0);
    let recording = instance.control_plane.sealed(&person.token());
    let ledger = recording.whole_ledger();
    let entry = ledger.iter().find(|entry| entry.cause.as_str() == "not_spared_without_memory");
    assert_eq!(entry.is_none(), score == "-900", "{score}: {ledger:?}");
    if let Some(entry) = entry {
        assert_eq!((entry.kind, entry.count), (ShortfallKind::DegradedMode, 1));
        assert!(entry.reason.contains("oom_score_adj -900 was refused: "), "{entry:?}");
        assert_eq!(score, "0");
    }
    assert_eq!(recording.verification().verdict(), Verdict::Complete);
}

#[test]
fn whoever_can_change_the_spool_is_told_of_in_the_ledger() {
    let instance = Instance::running();
    let (_, token) = instance.record(&["true"]);
    let recording = instance.control_plane.sealed(&token);
    let probe = tempfile::tempfile_in(instance.state_dir()).unwrap();
    let can = rustix::fs::ioctl_getflags(&probe)
        .and_then(|flags| rustix::fs::ioctl_setflags(&probe, flags | rustix::fs::IFlags::APPEND))
        .is_ok();
    let told = recording.whole_ledger().iter().any(|entry| entry.cause.as_str() == "spool_not_append_only");
    assert_eq!(told, !can, "{:?}", recording.whole_ledger());
}
