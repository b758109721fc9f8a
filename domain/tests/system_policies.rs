//! The ready-made policies: what the linter says of them, how they are written, and the vendor's sample policy.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use domain::system_policies::ALL;
use domain::vocabulary::vocabulary;
use policies::testing::run_cases;
use policies::{DocumentKind, Lint, Rule, Severity, check, format};

/// Findings that are meant, with the reason.
const INTENDED: &[(&str, Lint, &str)] = &[(
    "AdministratorAccess",
    Lint::AllowsEverything,
    "whoever is given it is to stand in for the account's owner, and its name says so",
)];

#[test]
fn the_linter_finds_nothing_but_what_is_meant() {
    for policy in ALL {
        let findings = check(policy.document.as_bytes(), DocumentKind::Identity, &vocabulary());
        for finding in findings.iter().filter(|finding| finding.severity <= Severity::SecurityWarning) {
            let intended = INTENDED
                .iter()
                .any(|(name, lint, _)| *name == policy.name && finding.rule == Rule::Lint(*lint));
            assert!(intended, "{}: {finding}", policy.name);
        }
    }
    for (name, lint, reason) in INTENDED {
        let policy = ALL.iter().find(|policy| policy.name == *name).unwrap();
        let findings = check(policy.document.as_bytes(), DocumentKind::Identity, &vocabulary());
        let found = findings.iter().any(|finding| finding.rule == Rule::Lint(*lint));
        assert!(found && !reason.is_empty(), "{name} is no longer found to be {lint:?}");
    }
}

#[test]
fn each_is_written_canonically_under_its_own_name() {
    for policy in ALL {
        let text = format(policy.document.as_bytes(), DocumentKind::Identity).unwrap();
        assert_eq!(
            text, policy.document,
            "run `hansard policy fmt --write policies/system/{}.json`",
            policy.name
        );
        assert!(policy.description.ends_with('.') && policy.description.chars().count() <= 1_024);
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/system");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let names: Vec<String> = ALL.iter().map(|policy| format!("{}.json", policy.name)).collect();
    assert_eq!(files, names, "every file is in the table, and nothing else lies there");
}

/// The sample policies that the vendor's pages give for this product work as they stand.
#[test]
fn the_vendors_samples_work_as_they_stand() {
    let cases = include_bytes!("../../policies/cases/vendor_samples.json");
    let report = run_cases(cases).unwrap();
    assert!(report.failed() == 0 && report.passed() >= 10, "{report}");
}
