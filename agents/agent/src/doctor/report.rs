//! Prints what was found, for people or for programs.

use recording::sanitise::sanitised;
use serde::Serialize;

use super::finding::{Finding, Findings, Severity};
use crate::settings::Output;
use crate::{say, say_json};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report<'f> {
    ways_round: usize,
    unchecked: usize,
    findings: Vec<&'f Finding>,
}

/// # Errors
/// It cannot be written as JSON.
pub(crate) fn print(findings: &Findings, output: Output) -> Result<(), String> {
    let (ways_round, unchecked) = (findings.count(Severity::WayRound), findings.count(Severity::Unchecked));
    if output == Output::Json {
        let report = Report { ways_round, unchecked, findings: findings.sorted() };
        return say_json(&report);
    }
    for finding in findings.sorted() {
        for line in lines(finding) {
            say(&sanitised(&line));
        }
        say("");
    }
    say(&match (ways_round, unchecked) {
        (0, 0) => "no way round the recording was found".to_owned(),
        (0, _) => format!("no way round the recording was found, but {unchecked} could not be looked at"),
        (1, _) => "one way round the recording".to_owned(),
        _ => format!("{ways_round} ways round the recording"),
    });
    Ok(())
}

fn lines(finding: &Finding) -> Vec<String> {
    let severity = match finding.severity {
        Severity::WayRound => "WAY ROUND",
        Severity::Unchecked => "UNCHECKED",
        Severity::Note => "note",
    };
    let mut lines = vec![
        format!("{severity:<9} {} ({})", finding.what, finding.code),
        format!("    where {}", finding.place),
        format!("    why   {}", finding.why),
        format!("    close {}", finding.close),
    ];
    if !finding.accounts.is_empty() {
        let accounts: Vec<&str> = finding.accounts.iter().map(String::as_str).collect();
        lines.insert(1, format!("    who   {}", accounts.join(", ")));
    }
    lines
}
