//! `hansard policy check FILE...`

use std::fmt::Write as _;

use openapi::policy_tools;
use policies::{Finding, Severity, check};
use recording::sanitise::sanitised;
use serde_json::json;

use super::files;
use crate::arguments::{CheckArguments, Output};
use crate::failure::{Failure, exit_code};
use crate::terminal;

/// Runs the command and gives its exit code.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn run(arguments: &CheckArguments, output: Output) -> Result<u8, Failure> {
    let vocabulary = domain::vocabulary::vocabulary();
    let fail_on = Severity::from(arguments.fail_on);
    let mut exit = 0;
    let mut checked = Vec::new();
    let mut unread_files = 0;
    for path in &arguments.files {
        match files::draft(path) {
            Ok(draft) => {
                let findings = check(&draft.text, arguments.kind.into(), &vocabulary);
                // The most severe comes first in the order of severities.
                if findings.iter().any(|finding| finding.severity <= fail_on) {
                    exit = exit.max(exit_code::FAILED);
                }
                checked.push((draft.name, findings));
            }
            Err(unread) => {
                terminal::complain(&unread);
                unread_files += 1;
                exit = unread.exit_code();
            }
        }
    }
    match output {
        Output::Json => terminal::print_json(&as_json(&checked))?,
        Output::Table => {
            terminal::print(&as_text(&checked))?;
            terminal::note(&summary(&checked, unread_files));
        }
    }
    Ok(exit)
}

type Checked = [(String, Vec<Finding>)];

fn as_json(checked: &Checked) -> serde_json::Value {
    let file = |(name, findings): &(String, Vec<Finding>)| {
        json!({
            "File": name,
            "Valid": !findings.iter().any(|finding| finding.severity == Severity::Error),
            "Findings": findings.iter().map(policy_tools::finding).collect::<Vec<_>>(),
        })
    };
    checked.iter().map(file).collect()
}

fn as_text(checked: &Checked) -> String {
    let mut text = String::new();
    for (name, findings) in checked {
        for finding in findings {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", sanitised(&format!("{name}:{finding}")));
        }
    }
    text
}

/// How many of each severity there are, and how many files were not checked.
fn summary(checked: &Checked, unread: usize) -> String {
    let not_checked = format!("{} could not be read", file_count(unread));
    if checked.is_empty() {
        return not_checked;
    }
    let findings = || checked.iter().flat_map(|(_, findings)| findings);
    let mut severities: Vec<Severity> = findings().map(|finding| finding.severity).collect();
    severities.sort_unstable();
    severities.dedup();
    let counts = severities.into_iter().map(|severity| {
        let count = findings().filter(|finding| finding.severity == severity).count();
        format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
    });
    let counts: Vec<String> = counts.collect();
    let found = if counts.is_empty() { "nothing to mend".to_owned() } else { counts.join(", ") };
    let summary = format!("{}: {found}", file_count(checked.len()));
    if unread == 0 { summary } else { format!("{summary}; {not_checked}") }
}

fn file_count(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_nothing_of_files_that_were_not_read() {
        let clean = [("a.json".to_owned(), Vec::new())];
        assert_eq!(summary(&clean, 0), "1 file: nothing to mend");
        assert_eq!(summary(&[], 1), "1 file could not be read");
        assert_eq!(summary(&clean, 2), "1 file: nothing to mend; 2 files could not be read");
    }
}
