//! Processes that stand still for a while, and go on.

use std::time::Duration;

use rustix::process::{Signal, kill_process};
use whole_system::until;

use crate::Stage;
use crate::oracle::{self, Ending};
use crate::session::{Connected, Session};

/// Prints a line each hundredth of a second, some three hundred in all.
const LINES: &str =
    "i=0; while [ $i -lt 300 ]; do i=$((i + 1)); echo \"line $i\"; sleep 0.01; done; echo the end";

#[test]
fn a_recorder_that_stands_still_holds_the_output_and_loses_none() {
    let stage = Stage::new("i-still1");
    for connected in [Connected::ToATerminal, Connected::ToPipes] {
        let session = Session::begin(&stage.instance, connected, LINES);
        session.sees("line 20");
        let recorder = stage.instance.recorder(&session.token()).unwrap();
        kill_process(recorder, Signal::STOP).unwrap();
        until("it stands still", || (state_of(recorder.as_raw_nonzero().get()) == 'T').then_some(()));
        // What was sent before arrives; then nothing does, though the program prints for three seconds.
        let mut seen = session.bytes().len();
        until("nothing more is seen", || {
            std::thread::sleep(Duration::from_millis(300));
            let now = session.bytes().len();
            (std::mem::replace(&mut seen, now) == now).then_some(())
        });
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(session.bytes().len(), seen, "nothing is shown that is not recorded");
        kill_process(recorder, Signal::CONT).unwrap();
        let (success, seen) = session.ends();
        assert!(success);
        assert!(String::from_utf8_lossy(&seen.bytes).contains("line 300"), "the whole was seen");
        oracle::check(&stage.deployment.root, &seen, Ending::Whole);
    }
}

#[test]
fn an_agent_that_stands_still_holds_nobody_up() {
    let stage = Stage::new("i-still2");
    let session = Session::begin(&stage.instance, Connected::ToATerminal, LINES);
    session.sees("line 20");
    stage.instance.signals(Signal::STOP);
    let (success, seen) = session.ends();
    assert!(success, "the session goes on without it, and ends");
    stage.instance.signals(Signal::CONT);
    oracle::check(&stage.deployment.root, &seen, Ending::Whole);
}

#[test]
fn a_control_plane_that_stands_still_costs_time_only() {
    let stage = Stage::new("i-still3");
    let session = Session::begin(
        &stage.instance,
        Connected::ToPipes,
        "head -c 1500000 /dev/urandom; read end; echo end",
    );
    session.sees_bytes(1_500_000);
    stage.deployment.signals(Signal::STOP);
    let other = Session::begin(&stage.instance, Connected::ToATerminal, "echo meanwhile");
    let (success, meanwhile) = other.ends();
    assert!(success, "a session begins and ends without it");
    let mut session = session;
    session.ends_input();
    let (_, seen) = session.ends();
    stage.deployment.signals(Signal::CONT);
    oracle::check(&stage.deployment.root, &meanwhile, Ending::Whole);
    oracle::check(&stage.deployment.root, &seen, Ending::Whole);
}

/// The letter of /proc that says what a process does.
fn state_of(process: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next()).unwrap_or('-')
}
