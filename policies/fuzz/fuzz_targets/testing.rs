//! Any bytes as a file of cases.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::testing::run_cases;

fuzz_target!(|text: &[u8]| {
    let Ok(report) = run_cases(text) else { return };
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(report.results.iter().all(|result| (1..=lines).contains(&result.line)));
    assert!(report.results.is_sorted_by_key(|result| result.line));
    assert!(report.passed() + report.failed() <= report.results.len());
    let shown = report.to_string();
    assert!(shown.ends_with(&format!("{} passed, {} failed\n", report.passed(), report.failed())));
});
