//! The player and the viewer's terminal: however the player ends, the terminal is restored.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use whole_system::{Deployment, Instance, Person, program, until};

/// Signals of every kind: well-known ones, ones that are often forgotten, and the first and last real-time ones.
const ENDING_SIGNALS: [&str; 10] = ["HUP", "INT", "TERM", "ALRM", "USR1", "VTALRM", "PROF", "IO", "34", "64"];

/// The text between these two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

#[test]
fn the_terminal_is_restored_whichever_signal_ends_the_player() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let instance = Instance::enrol(&deployment, "i-playing");
    instance.wait_until_recording_is(true);
    let recorded =
        instance.agent(&["record", "--quiet", "--", "sh", "-c", "echo first; sleep 1; echo second"]);
    assert!(recorded.status.success());
    let record = deployment.root.one_recording("finished");
    let token = record["TerminalSessionToken"].as_str().unwrap();
    let hansard = program("hansard");
    let environment = deployment.root.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for signal in ENDING_SIGNALS {
        let play = format!(
            "echo \"modes=$(stty -g).\"; sh -c 'echo player=$$.; exec \"{}\" recordings play {token} --speed 0.02'; \
             echo code=$?.; echo \"afterwards=$(stty -g).\"",
            hansard.display()
        );
        let mut person = Person::run(&["sh", "-c", &play], &environment, 80, 24);
        person.sees("first");
        let shown = || String::from_utf8_lossy(&person.shown()).into_owned();
        let before = shown();
        let player = between(&before, "player=", ".").unwrap();
        let killed = Command::new("kill").args([&format!("-{signal}"), player]).status().unwrap();
        assert!(killed.success());
        let after = until(&format!("{signal} ends the player"), || {
            let shown = shown();
            between(&shown, "afterwards=", ".").is_some().then_some(shown)
        });
        assert_eq!(between(&after, "code=", "."), Some("0"), "{signal}: {after:?}");
        assert_eq!(between(&after, "afterwards=", "."), between(&before, "modes=", "."), "{signal}");
        person.leaves();
    }
}
