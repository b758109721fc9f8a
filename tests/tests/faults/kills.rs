//! kill -9 of the agent, of a recorder and of a person's side, at any moment.

use std::time::Duration;

use rustix::process::{Signal, kill_process};
use whole_system::{Client, Deployment, Instance, Seeded, until};

use crate::oracle::{self, Ending};
use crate::session::{Connected, Session};
use crate::{cases, record_everything};

/// Instances on which it happens at the same time.
const SIDE_BY_SIDE: u64 = 4;

/// Prints about 60 KB in a third of a second, in bursts of some hundred bytes.
const BURSTS: &str = "i=100; while [ $i -lt 200 ]; do seq -f 'line %.0f of a session in which somebody is killed' ${i}00 ${i}12; i=$((i + 1)); sleep 0.002; done";
const BYTES: usize = 58_000;

#[derive(Debug, Clone, Copy)]
enum Killed {
    Agent,
    Recorder,
    PersonsSide,
}

#[test]
fn whoever_is_killed_at_any_moment_what_was_seen_is_recorded_once() {
    let deployment = Deployment::start();
    record_everything(&deployment);
    let cases = cases(20);
    let root = &deployment.root;
    std::thread::scope(|scope| {
        for side in 0..SIDE_BY_SIDE {
            let mut instance = Instance::enrol(&deployment, &format!("i-kill{side}"));
            instance.wait_until_recording_is(true);
            scope.spawn(move || {
                for case in (side..cases).step_by(usize::try_from(SIDE_BY_SIDE).unwrap()) {
                    kill_one(root, &mut instance, case);
                }
            });
        }
    });
    assert_eq!(oracle::count(root), cases, "each is recorded once");
}

fn kill_one(root: &Client, instance: &mut Instance, case: u64) {
    let mut numbers = Seeded::new(case);
    let killed = numbers.one_of(&[Killed::Agent, Killed::Recorder, Killed::PersonsSide]);
    let connected = numbers.one_of(&[Connected::ToATerminal, Connected::ToPipes]);
    let after_bytes = numbers.below(BYTES);
    let later = Duration::from_micros(numbers.below(3000) as u64);
    eprintln!("case {case}: {killed:?} {connected:?}, {later:?} after {after_bytes} bytes");

    // Whose session is to be cut off must not end by itself before.
    let lasts = if matches!(killed, Killed::Agent) { "" } else { "; sleep 1000" };
    let session = Session::begin(instance, connected, &format!("{BURSTS}{lasts}"));
    let token = session.token();
    session.sees_bytes(after_bytes);
    let recorder = instance.recorder(&token);
    std::thread::sleep(later);
    let (ending, succeeds) = match killed {
        Killed::Agent => {
            instance.kill();
            if numbers.below(2) == 0 {
                // It comes back to a session that has ended.
                session.sees("line 19912 ");
            }
            instance.resume();
            (Ending::Whole, true)
        }
        Killed::Recorder => {
            kill_process(recorder.unwrap(), Signal::KILL).unwrap();
            (Ending::Cut("the recorder ended"), false)
        }
        Killed::PersonsSide => {
            session.signals(Signal::KILL);
            // Whether it is read from or written to first when it is gone is chance, and the reason says which.
            (Ending::Cut("the person's side "), false)
        }
    };
    let said = session.said();
    let (success, seen) = session.ends();
    assert_eq!(success, succeeds, "case {case}: {said}");
    assert!(seen.bytes.len() >= after_bytes, "case {case}");
    let decoded = oracle::check(root, &seen, ending);
    if matches!(killed, Killed::Agent) {
        assert!(!oracle::has_loss(&decoded), "case {case}: nothing is missing");
    }
    assert_consecutive(&oracle::shown(&decoded), case);
}

/// Nothing is missing between the first line and the last, and no line is there twice.
fn assert_consecutive(recorded: &[u8], case: u64) {
    let text = String::from_utf8_lossy(recorded);
    let printed = (100..200).flat_map(|burst| (0..=12).map(move |line| burst * 100 + line));
    // The last line may be cut off.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for (line, number) in whole.lines().zip(printed) {
        assert_eq!(
            line.trim_end(),
            format!("line {number} of a session in which somebody is killed"),
            "case {case}"
        );
    }
}

#[test]
fn whoever_is_killed_while_a_session_begins_leaves_nothing_open_and_nothing_behind() {
    let deployment = Deployment::start();
    record_everything(&deployment);
    let mut instance = Instance::enrol(&deployment, "i-early");
    instance.wait_until_recording_is(true);
    let mut begun = Vec::new();
    for case in 0..cases(12) {
        let mut numbers = Seeded::new(5000 + case);
        let killed = numbers.one_of(&[Killed::Agent, Killed::Recorder, Killed::PersonsSide]);
        let connected = numbers.one_of(&[Connected::ToATerminal, Connected::ToPipes]);
        let later = Duration::from_micros(numbers.below(60_000) as u64);
        eprintln!("case {case}: {killed:?} {connected:?} after {later:?}");
        let session = Session::begin(&instance, connected, "echo one; echo two; exec sleep 1000");
        std::thread::sleep(later);
        match killed {
            Killed::Agent => {
                instance.kill();
                instance.resume();
                // If it was recorded by then, it goes on, and is ended by its person.
                session.signals(Signal::HUP);
            }
            Killed::Recorder => {
                // That of the session before may only begin now; and this one's may come too late.
                for recorder in instance.recorders() {
                    kill_process(recorder, Signal::KILL).unwrap();
                }
                session.signals(Signal::HUP);
            }
            Killed::PersonsSide => session.signals(Signal::KILL),
        }
        begun.extend(session.leaves());
    }
    until("nothing is left in the spool", || instance.spooled().is_empty().then_some(()));
    let listed = deployment.root.call("ListInstanceRecords", &["IncludeExpired=true", "PageSize=100"]);
    for record in listed["Root"]["RecordList"].as_array().unwrap() {
        assert_ne!(record["Status"], "running", "{record}");
    }
    for seen in begun.iter().filter(|seen| !seen.bytes.is_empty()) {
        oracle::check_closed(&deployment.root, seen);
    }
}
