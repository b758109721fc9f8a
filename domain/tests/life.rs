//! The life of a recording and the meaning of a Set, by their decisions alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use domain::actions::SetInstanceRecordConfig;
use domain::expiration::ExpirationDays;
use domain::gate::{Granted, PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::principal::Principal;
use domain::record_config::{
    DesiredRecordConfig, EffectiveRecordConfig, InstanceSelector, RecordConfig, change,
};
use domain::recording_life::{
    Arrived, ArrivedStream, CheckedManifest, CheckedSegment, CheckedStream, Recording, RecordingState,
    SealRefused, SegmentRefused, SessionEnd, WireStatus, acknowledge, seal,
};
use domain::session_settings::{
    DeliveryMode, FailurePolicy, Notice, RecordedPrincipals, SessionSettings, SettingSource,
};
use domain::storage_target::RecordStorageTarget;
use domain::unclaimed::{AgentLimitReached, UnclaimedObject};
use domain::{AccountId, Timestamp};
use recording::{
    Cause, ChainValue, ContentHash, EvidenceName, LedgerSummary, Micros, Shortfall, ShortfallKind, Stream,
    StreamLedger,
};

const START: i64 = 1_790_000_000_000;
const DAY: i64 = 86_400_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn account() -> AccountId {
    "1609982529000000".parse().unwrap()
}

fn target(custom: &str) -> RecordStorageTarget {
    let text = format!("acs:oss:cn-beijing:{0}:workbench-record-{0}-{custom}/record", account());
    RecordStorageTarget::parse(&text, &account()).unwrap()
}

fn chain(byte: u8) -> ChainValue {
    ChainValue::from_bytes([byte; 32])
}

fn open() -> Recording {
    Recording {
        token: recording::TerminalSessionToken::generate(),
        account: account(),
        instance: "i-1".parse().unwrap(),
        agent: recording::AgentId::generate(),
        kind: recording::CaptureKind::Terminal,
        owner: None,
        claimed_owner: None,
        command: None,
        recorder: recording::Recorder::SameUser,
        failure_policy: None,
        delivery_mode: None,
        target: target("a"),
        folder: recording::ObjectName::parse("record/2026/11/20/i-1/t").unwrap(),
        start_sha256: ContentHash::of(b"start.json"),
        started_at: at(START),
        opened_at: at(START + 10),
        last_heard_at: at(START + 10),
        expiration: ExpirationDays::new(7).unwrap(),
        state: RecordingState::Open,
        arrived: Arrived::default(),
        ledger: Some(LedgerSummary::default()),
        succession: None,
    }
}

/// What there is of a single gap.
fn one_gap() -> LedgerSummary {
    let mut ledger = StreamLedger::default();
    ledger.add(Micros::new(1), &Shortfall::new(ShortfallKind::Gap, Cause::OTHER, "why").with_lost_bytes(3));
    LedgerSummary::from(&ledger)
}

fn stream(stream: Stream) -> ArrivedStream {
    ArrivedStream { stream, segments: 0, stored_bytes: 0, chain: chain(0), last_at: Micros::ZERO }
}

fn segment(number: u32) -> CheckedSegment {
    let byte = u8::try_from(number).unwrap();
    CheckedSegment {
        number,
        length: 100,
        sha256: ContentHash::of(b"segment"),
        chain_before: chain(byte),
        chain_after: chain(byte + 1),
        first_at: Micros::new(u64::from(number) * 1_000_000),
        last_at: Micros::new(u64::from(number) * 1_000_000 + 500_000),
        ledger: LedgerSummary::default(),
    }
}

fn with_segments(count: u32) -> (Recording, ArrivedStream) {
    let (mut recording, mut terminal) = (open(), stream(Stream::Terminal));
    for number in 0..count {
        let claimed = acknowledge(&recording, &terminal, segment(number), at(START + 1_000)).unwrap();
        recording.arrived = recording.arrived.with(&claimed);
        recording.ledger = recording.ledger_with(&claimed);
        terminal = claimed.arrived;
    }
    (recording, terminal)
}

fn listed(stream: Stream, segments: u32) -> CheckedStream {
    CheckedStream { stream, segments, chain: chain(u8::try_from(segments).unwrap()) }
}

fn manifest(segments: u32, end: SessionEnd) -> CheckedManifest {
    CheckedManifest {
        streams: vec![listed(Stream::Terminal, segments)],
        ended_at: at(START + 60_000),
        end,
        sha256: ContentHash::of(b"manifest"),
        ledger: Some(one_gap()),
    }
}

#[test]
fn a_ledger_is_what_the_segments_say_and_else_what_the_manifest_says() {
    let (mut recording, mut terminal) = (open(), stream(Stream::Terminal));
    for number in 0..2 {
        let lacking = CheckedSegment { ledger: one_gap(), ..segment(number) };
        let claimed = acknowledge(&recording, &terminal, lacking, at(START)).unwrap();
        recording.arrived = recording.arrived.with(&claimed);
        recording.ledger = recording.ledger_with(&claimed);
        terminal = claimed.arrived;
    }
    assert_eq!(recording.ledger, Some(one_gap().plus(&one_gap())));
    let sealed = |recording: &Recording| {
        seal(recording, std::slice::from_ref(&terminal), manifest(2, SessionEnd::Exited), at(START + 70_000))
            .unwrap()
            .ledger
    };
    assert_eq!(sealed(&recording), None);
    // One that was opened before ledgers were kept.
    recording.ledger = None;
    assert_eq!(sealed(&recording), Some(one_gap()));
}

#[test]
fn segments_are_claimed_in_order_and_continue_the_chain() {
    let (recording, terminal) = with_segments(2);
    assert_eq!((recording.arrived.segments, recording.arrived.stored_bytes), (2, 200));
    let refuse = |segment| acknowledge(&recording, &terminal, segment, at(START)).unwrap_err();
    assert_eq!(refuse(segment(3)), SegmentRefused::OutOfOrder { expected: 2, offered: 3 });
    assert_eq!(refuse(segment(1)), SegmentRefused::OutOfOrder { expected: 2, offered: 1 });
    assert_eq!(refuse(CheckedSegment { chain_before: chain(9), ..segment(2) }), SegmentRefused::ChainBroken);
    let back = CheckedSegment { first_at: Micros::new(1), ..segment(2) };
    assert_eq!(refuse(back), SegmentRefused::TimesRunBackwards);
    let far = |last_at| CheckedSegment { last_at: Micros::new(last_at), ..segment(2) };
    assert_eq!(refuse(far(i64::MAX as u64 + 1)), SegmentRefused::TimesTooLate);
    acknowledge(&recording, &terminal, far(i64::MAX as u64), at(START)).unwrap();
}

#[test]
fn a_seal_must_fit_what_arrived_and_ends_everything() {
    let (mut recording, terminal) = with_segments(2);
    let arrived = [terminal.clone(), stream(Stream::Events)];
    let refuse =
        |recording: &Recording, manifest| seal(recording, &arrived, manifest, at(START)).unwrap_err();
    assert_eq!(
        refuse(&recording, manifest(3, SessionEnd::Exited)),
        SealRefused::SegmentsDiffer { stream: Stream::Terminal, listed: 3, arrived: 2 }
    );
    let of = |streams| CheckedManifest { streams, ..manifest(2, SessionEnd::Exited) };
    let other = CheckedStream { chain: chain(7), ..listed(Stream::Terminal, 2) };
    assert_eq!(refuse(&recording, of(vec![other])), SealRefused::ChainDiffers { stream: Stream::Terminal });
    // A stream that arrived and is left out, one that did not arrive, and one that nobody here understands.
    let (stream, audio) = (Stream::Terminal, Stream::parse("audio").unwrap());
    assert_eq!(refuse(&recording, of(vec![])), SealRefused::SegmentsDiffer { stream, listed: 0, arrived: 2 });
    for stream in [Stream::Events, audio] {
        let more = of(vec![listed(Stream::Terminal, 2), listed(stream, 1)]);
        assert_eq!(refuse(&recording, more), SealRefused::SegmentsDiffer { stream, listed: 1, arrived: 0 });
    }
    let unknown = of(vec![listed(Stream::Terminal, 2), listed(audio, 0)]);
    assert!(matches!(refuse(&recording, unknown), SealRefused::SegmentsDiffer { .. }));
    let none = of(vec![listed(Stream::Terminal, 2), listed(Stream::Events, 0)]);
    seal(&recording, &arrived, none, at(START)).unwrap();
    let early = CheckedManifest { ended_at: at(START - 1), ..manifest(2, SessionEnd::Exited) };
    assert_eq!(refuse(&recording, early), SealRefused::EndsBeforeStart);

    let sealed = seal(&recording, &arrived, manifest(2, SessionEnd::Exited), at(START + 61_000)).unwrap();
    recording.state = RecordingState::Delivered { ended_at: sealed.ended_at, end: sealed.end };
    assert_eq!(refuse(&recording, manifest(2, SessionEnd::Exited)), SealRefused::AlreadySealed);
    assert_eq!(
        acknowledge(&recording, &terminal, segment(2), at(START)).unwrap_err(),
        SegmentRefused::Sealed
    );
}

#[test]
fn the_wires_words_follow_the_state() {
    let mut recording = with_segments(1).0;
    assert_eq!(recording.status(), WireStatus::Running);
    assert_eq!(recording.duration_millis(), 500);
    let so_far = |recording: &Recording, now| recording.length_so_far_millis(at(now));
    assert_eq!(so_far(&recording, START + 90_000), 90_000, "it goes on");
    assert_eq!(so_far(&recording, START - 90_000), 500, "by a clock that is behind");
    recording.state = RecordingState::Abandoned { last_heard_at: at(START + 5_000) };
    assert_eq!(recording.status(), WireStatus::Interrupted);
    assert_eq!(so_far(&recording, START + 90_000), 500, "nobody knows that it goes on");
    recording.state = RecordingState::Delivered { ended_at: at(START + 60_000), end: SessionEnd::Exited };
    assert_eq!((recording.status(), recording.duration_millis()), (WireStatus::Finished, 60_000));
    let cut = SessionEnd::Interrupted { reason: "the recorder died".into() };
    recording.state = RecordingState::Delivered { ended_at: at(START + 60_000), end: cut };
    assert_eq!(recording.status(), WireStatus::Interrupted);
    recording.arrived.segments = 0;
    assert_eq!(recording.status(), WireStatus::Failed);
}

#[test]
fn expiry_counts_from_the_end_and_a_running_recording_never_expires() {
    let mut recording = with_segments(1).0;
    assert!(!recording.expired(at(START + 1_000 * DAY)));
    let ended_at = at(START + DAY);
    recording.last_heard_at = ended_at;
    recording.state = RecordingState::Delivered { ended_at, end: SessionEnd::Exited };
    assert_eq!(recording.expires_at(at(START)), at(START + 8 * DAY));
    assert!(!recording.expired(at(START + 8 * DAY - 1)));
    assert!(recording.expired(at(START + 8 * DAY)));
}

#[test]
fn expiry_counts_from_an_end_that_the_control_plane_can_vouch_for() {
    let mut recording = with_segments(1).0;
    recording.opened_at = at(START + DAY);
    recording.last_heard_at = at(START + 2 * DAY);
    let mut expires_at = |claimed| {
        recording.state = RecordingState::Sealed { ended_at: at(claimed), end: SessionEnd::Exited };
        assert_eq!(recording.duration_millis(), (claimed - START).max(0), "what the agent says is shown");
        recording.expires_at(at(START))
    };
    assert_eq!(expires_at(START + DAY + 5), at(START + 8 * DAY + 5));
    assert_eq!(expires_at(0), at(START + 8 * DAY), "a dead clock does not hide it at once");
    assert_eq!(expires_at(START + 9_000 * DAY), at(START + 9 * DAY), "nor does a fast one keep it for ever");
}

#[test]
fn an_agent_has_1024_open_recordings_and_256_mebibytes_unclaimed() {
    assert_eq!(AgentLimitReached::check_open_recordings(1_023), Ok(()));
    let refused = AgentLimitReached::check_open_recordings(1_024);
    assert_eq!(refused, Err(AgentLimitReached::OpenRecordings));
    let recording = open();
    let evidence = EvidenceName::Segment { stream: Stream::Terminal, number: 0 };
    let object = |length| UnclaimedObject {
        location: recording.target.location().clone(),
        name: recording.folder.clone(),
        agent: recording.agent.clone(),
        recording: recording.token.clone(),
        evidence,
        length,
    };
    let most = 256 * 1024 * 1024;
    assert_eq!(AgentLimitReached::check_unclaimed(most - 100_000, &object(100_000)), Ok(()));
    let refused = AgentLimitReached::check_unclaimed(most - 99_999, &object(100_000));
    assert_eq!(refused, Err(AgentLimitReached::UnclaimedBytes));
}

fn granted() -> Granted<SetInstanceRecordConfig> {
    let owner = Principal::Account { account: account() };
    let layers = policies::Layers { owner: true, ..Default::default() };
    let facts = RequestFacts { secure_transport: false, ..RequestFacts::at(at(START)) };
    let all = Resource::AllInstances { region: "cn-hangzhou".parse().unwrap() };
    authorize(&owner, all, &PrincipalPolicies::new(layers), &facts).unwrap()
}

fn desired(enabled: bool, target: Option<RecordStorageTarget>, days: Option<i64>) -> DesiredRecordConfig {
    let expiration = days.map(|days| ExpirationDays::new(days).unwrap());
    DesiredRecordConfig {
        selector: InstanceSelector::All,
        enabled,
        target,
        expiration,
        settings: SessionSettings::default(),
    }
}

fn set(current: Option<&RecordConfig>, desired: DesiredRecordConfig) -> RecordConfig {
    change(&granted(), current, desired, Some(&target("default")), at(START)).unwrap().after
}

#[test]
fn an_omitted_target_keeps_the_selectors_own_then_takes_the_default() {
    let first = set(None, desired(true, None, None));
    assert_eq!(first.target, Some(target("default")));
    assert_eq!((first.expiration, first.revision), (ExpirationDays::DEFAULT, 1));
    let second = set(Some(&first), desired(true, Some(target("own")), Some(30)));
    let third = set(Some(&second), desired(true, None, None));
    assert_eq!(third.target, Some(target("own")), "kept");
    assert_eq!(third.expiration, ExpirationDays::DEFAULT, "an omitted ExpirationDays means 7, each time");
    assert_eq!(third.revision, 3);
    let refused = change(&granted(), None, desired(true, None, None), None, at(START)).unwrap_err();
    assert!(refused.to_string().contains("RecordStorageTarget"));
}

#[test]
fn switching_off_stores_what_it_names() {
    let off = set(None, desired(false, Some(target("later")), Some(3)));
    assert!(!off.enabled);
    assert_eq!((off.target.clone(), off.expiration.get()), (Some(target("later")), 3));
    assert_eq!(set(Some(&off), desired(true, None, None)).target, Some(target("later")));
    assert_eq!(set(None, desired(false, None, None)).target, None, "off needs no target");
}

#[test]
fn the_instances_own_configuration_wins_on_or_off() {
    let all = set(None, desired(true, None, None));
    let own =
        RecordConfig { selector: InstanceSelector::parse("i-1").unwrap(), enabled: false, ..all.clone() };
    let asked = own.selector.clone();
    let effective = EffectiveRecordConfig::of(Some(own), Some(all.clone()));
    assert!(!effective.enabled() && !effective.inherited(&asked));
    let effective = EffectiveRecordConfig::of(None, Some(all));
    assert!(effective.enabled() && effective.inherited(&asked));
    assert!(!EffectiveRecordConfig::of(None, None).enabled());
}

#[test]
fn a_setting_that_is_omitted_stays_as_it_was() {
    let with = |settings| DesiredRecordConfig { settings, ..desired(true, None, None) };
    let lenient =
        SessionSettings { failure_policy: Some(FailurePolicy::BestEffort), ..SessionSettings::default() };
    let lenient = SessionSettings { delivery_mode: Some(DeliveryMode::Sync), ..lenient };
    let first = set(None, with(lenient.clone()));
    assert_eq!(first.settings, lenient);
    let silent = SessionSettings { notice: Some(Notice::None), ..SessionSettings::default() };
    let second = set(Some(&first), with(silent));
    assert_eq!(second.settings, SessionSettings { notice: Some(Notice::None), ..lenient });
    let off = set(Some(&second), desired(false, None, None));
    assert_eq!(off.settings, second.settings, "also by a Set that switches recording off");
}

#[test]
fn each_setting_comes_from_the_instance_or_else_from_all_or_else_is_the_default() {
    let all = set(None, desired(true, None, None));
    let own = InstanceSelector::parse("i-1").unwrap();
    let all = RecordConfig {
        settings: SessionSettings {
            failure_policy: Some(FailurePolicy::BestEffort),
            delivery_mode: Some(DeliveryMode::Sync),
            recorded_principals: Some("user:ana".parse().unwrap()),
            notice: None,
        },
        ..all
    };
    let one = RecordConfig {
        selector: own.clone(),
        settings: SessionSettings {
            delivery_mode: Some(DeliveryMode::Async),
            recorded_principals: Some(RecordedPrincipals::Everybody),
            ..SessionSettings::default()
        },
        ..all.clone()
    };
    let settings = EffectiveRecordConfig::of(Some(one), Some(all)).settings;
    assert_eq!(settings.failure_policy.value, FailurePolicy::BestEffort);
    assert_eq!(settings.failure_policy.source, SettingSource::Selector(InstanceSelector::All));
    assert_eq!(settings.delivery_mode.value, DeliveryMode::Async);
    assert_eq!(settings.delivery_mode.source, SettingSource::Selector(own.clone()));
    assert_eq!(settings.recorded_principals.value, RecordedPrincipals::Everybody);
    assert_eq!(settings.recorded_principals.source, SettingSource::Selector(own));
    assert_eq!(settings.notice.value, Notice::Default);
    assert_eq!(settings.notice.source.to_string(), "default");
}
