//! Every call of the system by which the agent makes a session, cuts it and seals it fails in its turn. It is tried again, by
//! the same agent or by the next, and everything is there once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use agent_protocol::capture::Segmenting as _;
use capture_terminal::TerminalSegmenting;
use recording::{ExitStatus, SealedManifest, Start, TerminalEvent, TerminalSessionToken};
use rustix::io::Errno;

use super::tests::{agent, append, output, start};
use super::*;
use crate::faults::tests::{fail_after, has_failed};
use crate::run::session::Note;

const ERRORS: [Errno; 2] = [Errno::NOSPC, Errno::IO];

fn note() -> Note {
    Note {
        kind: "terminal".to_owned(),
        spools: TerminalSegmenting::default().spools(),
        start_boottime_micros: 0,
        user_id: None,
        recorder: None,
        configuration: None,
        failure_policy: None,
    }
}

fn new_start(number: u64) -> Start {
    let recording = TerminalSessionToken::generate();
    Start { recording, agent_recording_number: number, ..start() }
}

/// A session of some segments that has ended.
fn ended(agent: &Agent, number: u64) -> Arc<Session> {
    let (session, files) = Session::create(&agent.directory.spool(), new_start(number), note()).unwrap();
    for at in 0..3 {
        let text = format!("{at} shown, ");
        append(&files[0], &TerminalEvent::output(Micros::new(at * 60_000_000), text.into_bytes()));
    }
    append(&files[0], &TerminalEvent::exit(Micros::new(180_000_000), ExitStatus::Code(4)));
    Arc::new(session)
}

struct Cutting {
    agent: Agent,
    searches: DamageSearches,
    compressor: Compressor,
}

impl Cutting {
    fn in_folder(folder: &Path) -> Self {
        Cutting {
            agent: agent(folder, crate::capture_kinds()),
            searches: DamageSearches::start(|| ()).unwrap(),
            compressor: Compressor::new().unwrap(),
        }
    }

    fn open(&self, session: &Arc<Session>) -> Followed {
        Followed::open(&self.agent, session, &Watches::new()).unwrap()
    }

    /// Goes on until it is sealed, or something fails.
    fn seal(&mut self, followed: &mut Followed) -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..100 {
            if followed.step(&self.agent, &self.searches, &mut self.compressor)? == Next::Nothing {
                return Ok(());
            }
        }
        panic!("it never ends");
    }

    fn reopened(&self, session: &Session) -> Arc<Session> {
        Arc::new(Session::open(&self.agent.directory.spool().join(session.token().as_str())).unwrap())
    }
}

fn sealed(session: &Session) -> (SealedManifest, Manifest) {
    let sealed = session.find_manifest().unwrap().unwrap();
    let manifest = Manifest::parse(&sealed.bytes).unwrap();
    (sealed, manifest)
}

#[test]
fn whatever_fails_a_recording_is_cut_and_sealed_once() {
    for error in ERRORS {
        for restarts in [false, true] {
            let mut calls = 0;
            loop {
                let folder = tempfile::tempdir().unwrap();
                let mut cutting = Cutting::in_folder(folder.path());
                let mut session = ended(&cutting.agent, 1);
                let mut followed = cutting.open(&session);
                fail_after(calls, error);
                let first = cutting.seal(&mut followed);
                let failed = has_failed();
                let what = format!("{error} at call {calls}: {first:?}");
                assert_eq!(first.is_err(), failed, "{what}");
                if restarts {
                    session = cutting.reopened(&session);
                    followed = cutting.open(&session);
                }
                cutting.seal(&mut followed).unwrap();
                assert_eq!(output(&session, 0), b"0 shown, 1 shown, 2 shown, ", "{what}");
                let (sealed, manifest) = sealed(&session);
                assert_eq!(manifest.end, RecordingEnd::Exited(ExitStatus::Code(4)), "{what}");
                let kept = session.spools[0].cut_records().unwrap().into_iter().map(|record| record.entry);
                assert_eq!(manifest.streams[0].segments, kept.collect::<Vec<_>>(), "{what}");
                assert_eq!(cutting.agent.ledger.lock().last_manifest, Some(sealed.sha256()), "{what}");

                // What was acknowledged is erased, also in a second try.
                fail_after(calls % 8, error);
                while let Some((stream, number)) = session.next_to_deliver(0, &BTreeSet::new()) {
                    let spool = &session.spools[stream];
                    let _ = spool.erase_segment(&spool.cut_record(number).unwrap());
                }
                has_failed();
                assert_eq!(session.acknowledged() as usize, manifest.streams[0].segments.len(), "{what}");
                if !failed {
                    break;
                }
                calls += 1;
            }
            assert!(calls > 30, "only {calls} calls");
        }
    }
}

#[test]
fn whatever_fails_each_manifest_names_the_one_before() {
    for calls in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let mut cutting = Cutting::in_folder(folder.path());
        let (first, second) = (ended(&cutting.agent, 1), ended(&cutting.agent, 2));
        let (mut of_first, mut of_second) = (cutting.open(&first), cutting.open(&second));
        fail_after(calls, Errno::IO);
        let tried = cutting.seal(&mut of_first);
        let failed = has_failed();
        // Meanwhile another session ends.
        cutting.seal(&mut of_second).unwrap();
        cutting.seal(&mut of_first).unwrap();
        let ((first, of_first), (second, of_second)) = (sealed(&first), sealed(&second));
        let what = format!("call {calls}: {tried:?}");
        match (of_first.previous_manifest, of_second.previous_manifest) {
            (None, Some(before)) => assert_eq!(before, first.sha256(), "{what}"),
            (Some(before), None) => assert_eq!(before, second.sha256(), "{what}"),
            both => panic!("{what}: {both:?}"),
        }
        if !failed {
            return;
        }
    }
}

#[test]
fn a_session_that_cannot_be_made_leaves_nothing_and_its_number_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), crate::capture_kinds());
    let spool = agent.directory.spool();
    let in_spool = || fs::read_dir(&spool).unwrap().count();
    let mut calls = 0;
    loop {
        fail_after(calls, ERRORS[calls % 2]);
        let made = Session::create(&spool, new_start(1), note());
        if !has_failed() {
            made.unwrap();
            break;
        }
        assert!(made.is_err(), "call {calls}");
        assert_eq!(in_spool(), 0, "call {calls}");
        calls += 1;
    }
    assert!(calls > 10, "only {calls} calls");
    assert_eq!(in_spool(), 1);
}
