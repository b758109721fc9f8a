//! Broken input, and wrong arguments.

use serde_json::json;

use super::{Folder, allow, document, policy, stdout};
use crate::deployment::stderr;

/// Every command with every kind of broken input: one line that names the file, exit code 1 or 2, no panic.
#[test]
fn broken_input_is_one_clear_line() {
    let folder = Folder::new();
    let good = folder.file("good.json", document(json!([allow("a:b", "*")])));
    let deep = "[".repeat(100_000);
    let inputs = [
        folder.path("gone.json"),
        folder.0.path().to_str().unwrap().to_owned(),
        folder.file("binary.json", (0..=255u8).cycle().take(9_000).collect::<Vec<_>>()),
        folder.file("huge.json", vec![b' '; 65 * 1024 * 1024]),
        folder.file("deep.json", format!(r#"{{"Version":"1","Statement":{deep}"#)),
        folder.file("deep_cases.json", &deep),
        folder.file("empty.json", ""),
        folder.file("escape.json", "{\"\u{1b}[2J\": 1}"),
        folder.file("scalar.json", "3"),
    ];
    for input in &inputs {
        for arguments in [
            &["check", input][..],
            &["test", input],
            &["fmt", input],
            &["diff", &good, input],
            &["simulate", "--policy", input, "--action", "a:b"],
            &["simulate", "--policy", &good, "--action", "a:b", "--contexts", input],
            &["explain", "--policy", &good, "--session-policy", input, "--action", "a:b"],
        ] {
            let output = policy(arguments);
            let (said, code) = (stderr(&output), output.status.code());
            let told = stdout(&output) + &said;
            assert!(matches!(code, Some(1 | 2)), "{arguments:?}: {code:?} {told}");
            assert!(!told.contains("panicked") && !told.contains('\u{1b}'), "{arguments:?}: {told}");
            assert!(told.contains(&**input), "{arguments:?}: {told}");
            let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
            let findings = stdout(&output).lines().filter(|line| line.contains(": Error ")).count();
            assert!(errors == 1 || (arguments[0] == "check" && findings > 0), "{arguments:?}: {told}");
            // A file name, a summary, findings: the output is never pages long.
            assert!(told.len() < 4_000, "{arguments:?}: {} bytes", told.len());
        }
    }
}

#[test]
fn bad_arguments_are_named() {
    let folder = Folder::new();
    let good = folder.file("good.json", document(json!([allow("a:b", "*")])));
    for (arguments, expected) in [
        (&["simulate", "--policy", &good][..], "--action <ACTION>"),
        (
            &["simulate", "--policy", &good, "--action", "a:b", "--context", "x"],
            "--context \"x\" is no condition key",
        ),
        (
            &["simulate", "--policy", &good, "--action", "ecs-workbench:Nothing*"],
            "no known action fits \"ecs-workbench:Nothing*\"",
        ),
        (&["simulate", "--policy", &good, "--action", "*:*:*"], "more than one colon"),
        (&["simulate", "--user", "a", "--role", "b", "--action", "a:b"], "cannot be used with"),
        (&["simulate", "--user", "a", "--action", "a:b"], "ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        (&["check"], "<FILE>..."),
        (&["check", &good, "--kind", "odd"], "'odd'"),
        (&["fmt", "--write", "-"], "--write writes files"),
        (&["fmt", "--write", "--check", &good], "cannot be used with"),
    ] {
        let output = policy(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{arguments:?}: {said}");
    }
    let action = "a:b".to_owned();
    let many: Vec<&str> = ["simulate", "--policy", &good]
        .into_iter()
        .chain((0..400).flat_map(|_| ["--action", &*action, "--resource", "*"]))
        .collect();
    let output = policy(&many);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("160000 questions are too many; ask at most 100000"),
        "{}",
        stderr(&output)
    );
}
