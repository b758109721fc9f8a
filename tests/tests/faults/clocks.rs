//! Wall clocks that jump, of the instance and of the control plane. A recording's times are of a clock that nobody sets.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use whole_system::{Deployment, DeploymentOptions, FaultProxy, Instance, tests_folder, until};

use crate::oracle::{self, Ending};
use crate::record_everything;
use crate::session::{Connected, Session};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Times that the test itself causes: what is further off was not corrected.
const CLOSE: i64 = 60;

/// The wall clock of a program, which the test moves.
struct WallClock {
    folder: TempDir,
    shared: File,
}

impl WallClock {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = File::options();
        let shared =
            options.read(true).write(true).create_new(true).open(folder.path().join("shared")).unwrap();
        shared.write_all_at(&[0; 16], 0).unwrap();
        let library = folder.path().join("wall_clock.so");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(library)
            .arg(tests_folder().join("tests/faults/wall_clock.c"))
            .output()
            .expect("cc; tests/setup.sh installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder, shared }
    }

    /// What a program gets, so that its wall clock is this one.
    fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD".to_owned(), path("wall_clock.so")),
            ("HANSARD_TEST_WALL_CLOCK".to_owned(), path("shared")),
        ]
    }

    /// The clock jumps to so many seconds from the right time.
    fn jump_to(&self, seconds: i64) {
        self.shared.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Waits until the program has asked this clock, which shows that it has no other.
    fn is_asked(&self) {
        until("the program asks for the time", || {
            let mut count = [0; 8];
            self.shared.read_exact_at(&mut count, 8).unwrap();
            (i64::from_ne_bytes(count) > 0).then_some(())
        });
    }
}

fn now() -> i64 {
    // The right time, by which the programs' are judged.
    #[allow(clippy::disallowed_methods)]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn is_linked(instance: &Instance) {
    until("the link is open", || {
        let status = instance.agent(&["status", "--output", "json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
        (status["Running"]["Link"] == "connected").then_some(())
    });
}

/// A session in whose middle something happens, checked whole; its times are those that passed. Returns when its agent
/// says that it began, in seconds of 1970.
fn session_with(deployment: &Deployment, instance: &Instance, in_the_middle: impl FnOnce()) -> i64 {
    let mut session = Session::begin(instance, Connected::ToATerminal, "echo before; read line; echo after");
    session.sees("before");
    in_the_middle();
    session.ends_input();
    let (_, seen) = session.ends();
    let decoded = oracle::check(&deployment.root, &seen, Ending::Whole);
    assert!(!oracle::has_loss(&decoded));
    let (first, last) = decoded.times.unwrap();
    assert!(first <= last && last.as_duration() < Duration::from_secs(60), "{first:?} {last:?}");
    decoded.header.unwrap().timestamp.unwrap()
}

#[test]
fn the_clock_of_an_instance_may_jump() {
    let deployment = Deployment::start();
    record_everything(&deployment);
    let clock = WallClock::new();
    clock.jump_to(-3 * DAY);
    let endpoint = &deployment.root.endpoint;
    let instance = Instance::enrol_through(&deployment, endpoint, "i-clock1", &clock.environment());
    clock.is_asked();
    instance.wait_until_recording_is(true);
    for (jump, next) in [(2 * DAY, -400 * DAY), (400 * DAY, 0), (0, HOUR)] {
        // The first session begins when the clock has just jumped, and nothing was heard of the control plane since.
        clock.jump_to(jump);
        let began = session_with(&deployment, &instance, || clock.jump_to(next));
        assert!((began - now()).abs() < CLOSE, "after a jump to {jump} s it began {} s off", began - now());
    }
    assert_eq!(oracle::count(&deployment.root), 3);
}

#[test]
fn the_clock_of_a_control_plane_may_jump() {
    let clock = WallClock::new();
    let options = DeploymentOptions { environment: clock.environment(), ..DeploymentOptions::default() };
    let deployment = Deployment::start_with(options);
    record_everything(&deployment);
    let proxy = FaultProxy::before(&[&deployment.root.endpoint]);
    let instance = Instance::enrol_through(&deployment, &proxy.endpoint(), "i-clock2", &[]);
    instance.wait_until_recording_is(true);
    clock.is_asked();
    for jump in [HOUR, -3 * DAY] {
        session_with(&deployment, &instance, || {
            clock.jump_to(jump);
            // It is dialled anew, and begins a recording, while the time is another.
            proxy.cut();
            is_linked(&instance);
            let (success, _) = Session::begin(&instance, Connected::ToPipes, "echo meanwhile").ends();
            assert!(success);
            until("what was recorded meanwhile is delivered", || {
                (instance.spooled().len() == 1).then_some(())
            });
            clock.jump_to(0);
            proxy.cut();
            is_linked(&instance);
        });
    }
    assert_eq!(oracle::count(&deployment.root), 4);
}
