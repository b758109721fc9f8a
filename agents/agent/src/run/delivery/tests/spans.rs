//! Hours and days of deliveries, by a clock that the tests move.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::AgentErrorCode;
use agent_protocol::capture::SegmenterState;
use agent_protocol::local::DeliveryState;
use recording::{
    ChainValue, Compressor, CutPolicy, DocumentFormat, ExitStatus, Manifest, Micros, RecordingEnd, Start,
    StartReference, StreamEntry, TerminalSessionToken, Timestamp, Totals,
};
use recording::{Recorder, SegmentCutter, Stream, TerminalSize};
use tokio::task::JoinHandle;

use super::super::deliver;
use super::simulated::{Clock, Mood, Simulated};
use crate::capture_kinds;
use crate::identity::{Identity, Keys};
use crate::run::Agent;
use crate::run::session::{CutRecord, Note, Session, take_up};
use crate::settings::{DiskLimits, RunOptions, SyncSettings, UserLimits};
use crate::state_directory::StateDirectory;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const SEGMENTS: u8 = 3;

struct Bench {
    folder: tempfile::TempDir,
    clock: Clock,
    control_plane: Simulated,
    identity: Identity,
    agent: Option<Arc<Agent>>,
    deliveries: Vec<JoinHandle<()>>,
    /// What was cut, by token and object.
    cut: Vec<(String, String, Vec<u8>)>,
}

impl Bench {
    fn new() -> Self {
        let control_plane = Simulated::start();
        let identity = Identity {
            agent_id: recording::AgentId::generate(),
            account_id: recording::AccountId::parse("1000000000000001").unwrap(),
            instance_id: recording::InstanceId::parse("i-one").unwrap(),
            region: recording::Region::parse("cn-hangzhou").unwrap(),
            server_url: control_plane.address.parse().unwrap(),
            server_keys: vec![],
        };
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let mut bench =
            Bench { folder, clock, control_plane, identity, agent: None, deliveries: vec![], cut: vec![] };
        bench.start_agent();
        bench
    }

    fn directory(&self) -> StateDirectory {
        StateDirectory::create(&self.folder.path().join("state")).unwrap()
    }

    /// A new agent on the same spool; its deliveries begin with what lies there.
    fn start_agent(&mut self) {
        let options = RunOptions {
            disk: DiskLimits::of_tests(0),
            user_limits: UserLimits::of_tests(1),
            sync: SyncSettings { hold_after: Duration::from_secs(10), end_after: Duration::from_secs(30) },
            most_output_bytes: 1,
            quarantine_after: DAY,
            log: "error".to_owned(),
        };
        let keys = Keys::generate().unwrap();
        let mut agent =
            Agent::new(self.directory(), self.identity.clone(), keys, &options, capture_kinds()).unwrap();
        agent.pace = self.clock.pace();
        self.agent = Some(Arc::new(agent));
        for session in take_up(&self.directory().spool()).unwrap().sessions {
            self.register(session);
        }
    }

    async fn stop_agent(&mut self) {
        for delivery in self.deliveries.drain(..) {
            delivery.abort();
            assert!(delivery.await.is_err_and(|ended| ended.is_cancelled()));
        }
        self.agent = None;
    }

    async fn restart_agent(&mut self) {
        self.stop_agent().await;
        self.start_agent();
    }

    fn agent(&self) -> &Arc<Agent> {
        self.agent.as_ref().unwrap()
    }

    fn register(&mut self, session: Session) {
        let session = Arc::new(session);
        self.agent().sessions.add(&session);
        self.deliveries.push(tokio::spawn(deliver(Arc::clone(self.agent()), session)));
    }

    /// A session that has ended, with all that was cut of it.
    fn record(&mut self) -> TerminalSessionToken {
        let start = Start {
            format: DocumentFormat::V1,
            recording: TerminalSessionToken::generate(),
            kind: recording::CaptureKind::Terminal,
            account: self.identity.account_id.clone(),
            instance: self.identity.instance_id.clone(),
            agent: self.identity.agent_id.clone(),
            agent_sealing_key: self.agent().sealing.public_key(),
            agent_recording_number: 1,
            previous_manifest: None,
            configuration_revision: 0,
            recorder: Recorder::SameUser,
            notes: vec![],
            failure_policy: None,
            delivery_mode: None,
            started_at: Timestamp::from_millis(0),
            terminal: Some(TerminalSize { columns: 80, rows: 24 }),
            command: None,
            claimed_user: None,
            term: None,
            shell: None,
            agent_version: None,
        };
        let note = Note {
            kind: "terminal".into(),
            spools: vec![],
            start_boottime_micros: 0,
            user_id: None,
            recorder: None,
            configuration: None,
            failure_policy: None,
        };
        let token = start.recording.clone();
        let (session, _) = Session::create(&self.directory().spool(), start, note).unwrap();
        let mut cutter = SegmentCutter::new(&session.start, &session.start_document, CutPolicy::default());
        let mut entries = Vec::new();
        for number in 0..SEGMENTS {
            cutter.push_output(Micros::new(u64::from(number) + 1), &[b'a' + number; 1000]);
            let segment = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap();
            let record = CutRecord {
                stream: segment.header.stream,
                entry: segment.entry(),
                chain_before: segment.header.chain_before,
                spool_end: 0,
                state: SegmenterState::of(cutter.state()).unwrap(),
                exit: None,
                last_gap: None,
                damaged: false,
                distrusted: None,
                last_record: None,
            };
            session.spools[0].keep_segment(&segment.bytes, &record).unwrap();
            self.cut.push((token.to_string(), format!("terminal/{number:06}.cast.zst"), segment.bytes));
            entries.push(record.entry);
        }
        let first = ChainValue::first(&session.start_document, Stream::Terminal);
        let manifest = Manifest {
            format: DocumentFormat::V1,
            number: 0,
            recording: token.clone(),
            start: StartReference::of(&session.start_document),
            agent: self.identity.agent_id.clone(),
            agent_recording_number: 1,
            previous_manifest: None,
            started_at: Timestamp::from_millis(0),
            ended_at: Timestamp::from_millis(1),
            duration: Micros::new(3),
            end: RecordingEnd::Exited(ExitStatus::Code(0)),
            streams: vec![StreamEntry {
                stream: Stream::Terminal,
                final_chain: entries.last().map_or(first, |entry| entry.chain),
                segments: entries,
                totals: Totals::default(),
                ledger: None,
            }],
            sealed_by: None,
            delivery_mode: None,
        };
        session.keep_manifest(&recording::seal(&manifest, &self.agent().sealing)).unwrap();
        session.progress().sealed = true;
        self.register(session);
        token
    }

    async fn pass(&self, how_long: Duration) {
        let alive = || self.deliveries.iter().filter(|delivery| !delivery.is_finished()).count();
        self.clock.pass(how_long, alive).await;
    }

    fn state(&self, token: &TerminalSessionToken) -> DeliveryState {
        let status = self.agent().sessions.status(true);
        let session = status.sessions.iter().find(|session| session.terminal_session_token == *token);
        session.map_or(DeliveryState::Delivered, |session| session.delivery)
    }

    fn is_whole(&self, token: &TerminalSessionToken) {
        let taken = self.control_plane.taken();
        let cut: Vec<_> = self.cut.iter().filter(|(of, ..)| of == token.as_str()).collect();
        assert_eq!(cut.len(), usize::from(SEGMENTS));
        for (of, name, bytes) in cut {
            assert!(taken.objects[&(of.clone(), name.clone())] == *bytes, "{name}");
        }
        let (manifest, signature) = &taken.sealed[token.as_str()];
        let start = Start::parse(&taken.opened[token.as_str()]).unwrap();
        assert!(start.agent_sealing_key.verifies(manifest, signature));
        assert!(!self.directory().spool().join(token.as_str()).exists());
    }
}

#[tokio::test]
async fn nine_hours_of_refused_uploads_cost_time_only() {
    // One that the agent is told to try again soon, and one of which it is told that no retry can succeed.
    for code in [AgentErrorCode::InternalError, AgentErrorCode::InvalidStart] {
        let mut bench = Bench::new();
        bench.control_plane.mood("*", Mood::Refuses(code));
        let token = bench.record();
        bench.pass(HOUR * 9).await;
        assert_eq!(bench.state(&token), DeliveryState::Retrying, "{code:?}");
        let tries = bench.control_plane.tries(token.as_str());
        // Waits of up to 30 seconds, and of up to an hour.
        let expected = if code.retryable() { 1000..=4000 } else { 10..=100 };
        assert!(expected.contains(&tries), "{tries} tries with {code:?}");
        bench.control_plane.mood("*", Mood::Takes);
        bench.pass(HOUR).await;
        bench.is_whole(&token);
    }
}

#[tokio::test]
async fn what_is_refused_for_a_day_is_tried_once_a_day_and_delivered_in_the_end() {
    let mut bench = Bench::new();
    bench.control_plane.mood("*", Mood::Refuses(AgentErrorCode::InvalidStart));
    let token = bench.record();
    bench.pass(HOUR * 22).await;
    assert_eq!(bench.state(&token), DeliveryState::Retrying);
    bench.pass(HOUR * 3).await;
    assert_eq!(bench.state(&token), DeliveryState::Quarantined);
    let described = bench.agent().sessions.status(true).sessions.remove(0);
    assert!(described.quarantined_since.is_some());
    let reason = described.reason.unwrap();
    assert!(reason.contains("InvalidStart: not \\u{1b}[2J\\u{202e}this one"), "{reason}");

    let before = bench.control_plane.tries(token.as_str());
    bench.pass(DAY * 10).await;
    let tries = bench.control_plane.tries(token.as_str()) - before;
    assert!((10..=11).contains(&tries), "{tries} tries in ten days");
    // An agent that starts again goes on where the one before was.
    bench.restart_agent().await;
    assert_eq!(bench.state(&token), DeliveryState::Quarantined);
    let before = bench.control_plane.tries(token.as_str());
    bench.pass(DAY * 3).await;
    let tries = bench.control_plane.tries(token.as_str()) - before;
    assert!((2..=4).contains(&tries), "{tries} tries in three days");

    bench.control_plane.mood("*", Mood::Takes);
    bench.pass(DAY).await;
    bench.is_whole(&token);
}

#[tokio::test]
async fn a_retry_that_somebody_asks_for_needs_no_day() {
    let mut bench = Bench::new();
    bench.control_plane.mood("*", Mood::Refuses(AgentErrorCode::InvalidStart));
    let token = bench.record();
    bench.pass(HOUR * 30).await;
    assert_eq!(bench.state(&token), DeliveryState::Quarantined);
    bench.control_plane.mood("*", Mood::Takes);
    assert_eq!(bench.agent().sessions.retry(Some(&token)), 1);
    while !bench.deliveries[0].is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bench.is_whole(&token);
    assert_eq!(bench.agent().sessions.status(false).deliveries.delivered, 1);
}

#[tokio::test]
async fn days_without_an_answer_count_for_nothing() {
    let mut bench = Bench::new();
    bench.control_plane.mood("*", Mood::Silent);
    let token = bench.record();
    bench.pass(HOUR * 30).await;
    assert_eq!(bench.state(&token), DeliveryState::Retrying);
    // Nor does what says nothing of the recording.
    bench.control_plane.mood("*", Mood::Refuses(AgentErrorCode::ServiceUnavailable));
    bench.pass(HOUR * 30).await;
    assert_eq!(bench.state(&token), DeliveryState::Retrying);
    bench.control_plane.mood("*", Mood::Takes);
    bench.pass(HOUR).await;
    bench.is_whole(&token);
}

#[tokio::test]
async fn the_hours_of_refusals_are_added_up_over_restarts_and_silence() {
    let mut bench = Bench::new();
    let token = bench.record();
    bench.control_plane.mood("*", Mood::Refuses(AgentErrorCode::InvalidStart));
    for _ in 0..2 {
        bench.pass(HOUR * 11).await;
        bench.control_plane.mood("*", Mood::Silent);
        bench.pass(HOUR * 12).await;
        bench.restart_agent().await;
        bench.control_plane.mood("*", Mood::Refuses(AgentErrorCode::InvalidStart));
        assert_eq!(bench.state(&token), DeliveryState::Retrying);
    }
    bench.pass(HOUR).await;
    assert_eq!(bench.state(&token), DeliveryState::Retrying, "23 hours of refusals");
    bench.pass(HOUR * 2).await;
    assert_eq!(bench.state(&token), DeliveryState::Quarantined, "25 hours of refusals");
}

#[tokio::test]
async fn many_in_quarantine_delay_nobody() {
    let mut bench = Bench::new();
    let refused: Vec<TerminalSessionToken> = (0..30)
        .map(|_| {
            let token = bench.record();
            bench.control_plane.mood(token.as_str(), Mood::Refuses(AgentErrorCode::InvalidStart));
            token
        })
        .collect();
    bench.pass(HOUR * 30).await;
    assert!(refused.iter().all(|token| bench.state(token) == DeliveryState::Quarantined));
    let tries: usize = refused.iter().map(|token| bench.control_plane.tries(token.as_str())).sum();
    let welcome = bench.record();
    bench.pass(Duration::from_secs(1)).await;
    bench.is_whole(&welcome);
    let tries_now: usize = refused.iter().map(|token| bench.control_plane.tries(token.as_str())).sum();
    assert_eq!(tries, tries_now, "none of them was tried meanwhile");
}
