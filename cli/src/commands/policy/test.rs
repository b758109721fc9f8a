//! `hansard policy test FILE...`

use std::fmt::Write as _;

use openapi::policy_tools;
use policies::testing::{CaseResult, TestReport, run_cases};
use recording::sanitise::sanitised;
use serde_json::{Value, json};

use super::files::{self, CASES_LIMIT};
use crate::arguments::{Output, TestArguments};
use crate::failure::{Failure, exit_code};
use crate::terminal;

/// Runs the command and gives its exit code.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn run(arguments: &TestArguments, output: Output) -> Result<u8, Failure> {
    let mut exit = 0;
    let mut reports = Vec::new();
    for path in &arguments.files {
        let name = files::name(path);
        let report = files::read(path, CASES_LIMIT).and_then(|text| {
            run_cases(&text).map_err(|refused| Failure::usage(format!("{name}: {refused}")))
        });
        match report {
            Ok(report) => {
                if report.failed() > 0 {
                    exit = exit.max(exit_code::FAILED);
                }
                reports.push((name, report));
            }
            // The other files are run all the same.
            Err(unread) => {
                terminal::complain(&unread);
                exit = unread.exit_code();
            }
        }
    }
    match output {
        Output::Json => terminal::print_json(&as_json(&reports))?,
        Output::Table => terminal::print(&as_text(&reports))?,
    }
    Ok(exit)
}

type Reports = [(String, TestReport)];

fn total(reports: &Reports, count: impl Fn(&TestReport) -> usize) -> usize {
    reports.iter().map(|(_, report)| count(report)).sum()
}

/// A line for each case that failed or is ambiguous, and the count over all files as the last line.
fn as_text(reports: &Reports) -> String {
    let mut text = String::new();
    for (name, report) in reports {
        for result in report.results.iter().filter(|result| result.failed() || result.ambiguous) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", sanitised(&format!("{name}: {result}")));
        }
    }
    let (passed, failed) = (total(reports, TestReport::passed), total(reports, TestReport::failed));
    let _ = writeln!(text, "{passed} passed, {failed} failed");
    text
}

fn as_json(reports: &Reports) -> Value {
    let case = |result: &CaseResult| {
        let mut case = json!({
            "Id": result.id,
            "Note": result.note,
            "Line": result.line,
            "Ambiguous": result.ambiguous,
            "Agrees": result.agrees,
            "Expected": result.expected,
            "Found": result.found,
        });
        if let Some(explanation) = &result.explanation {
            case["Explanation"] = json!(policy_tools::explanation(explanation));
        }
        case
    };
    let file = |(name, report): &(String, TestReport)| {
        json!({
            "File": name,
            "Passed": report.passed(),
            "Failed": report.failed(),
            "Cases": report.results.iter().map(case).collect::<Vec<_>>(),
        })
    };
    json!({
        "Passed": total(reports, TestReport::passed),
        "Failed": total(reports, TestReport::failed),
        "Files": reports.iter().map(file).collect::<Vec<_>>(),
    })
}
