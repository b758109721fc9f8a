//! A command line that cannot be read, in one line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use recording::sanitise::sanitised;

/// The exit code of a command line that is wrong; the argument parser uses the same number.
pub(crate) const WRONG_USAGE: u8 = 2;

/// The parser's explanation without the usage that `--help` shows. Whoever writes the command of `record` without `--` is
/// told how it is written.
pub(crate) fn explained(refused: &clap::Error, given: &[OsString]) -> String {
    let explanation = refused.render().to_string();
    let first = explanation.split("\n\nUsage:").next().unwrap_or_default();
    let first = first.split("\n\nFor more information").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let lines: Vec<&str> = first.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let why = match command_without_dashes(refused, &explanation, given) {
        Some(command) => format!("the command is written after --: hansard-agent record -- {command}"),
        None => lines.join(" "),
    };
    sanitised(&format!("{why} (--help says more)")).into_owned()
}

/// The command of `record`, where it begins with the word that the parser did not expect.
fn command_without_dashes(refused: &clap::Error, explanation: &str, given: &[OsString]) -> Option<String> {
    if refused.kind() != ErrorKind::UnknownArgument || !explanation.contains("Usage: hansard-agent record") {
        return None;
    }
    let Some(ContextValue::String(unexpected)) = refused.get(ContextKind::InvalidArg) else { return None };
    let begin = given.iter().position(|word| word == unexpected.as_str())?;
    let command = given[begin..].iter().take_while(|word| *word != "--").map(|word| word.to_string_lossy());
    (!unexpected.starts_with('-')).then(|| command.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::settings::Arguments;

    fn refused(words: &[&str]) -> String {
        let given: Vec<OsString> = words.iter().map(OsString::from).collect();
        explained(&Arguments::try_parse_from(&given).unwrap_err(), &given)
    }

    #[test]
    fn a_wrong_command_line_is_explained_in_one_line() {
        for (words, expected) in [
            (
                &["hansard-agent", "enrol", "--server", "ftp://x"][..],
                "the scheme ftp is neither http nor https",
            ),
            (&["hansard-agent", "enrol"], "--server <SERVER>"),
            (&["hansard-agent", "run", "--log", "verbose"], "verbose is no level"),
            (&["hansard-agent", "enrol", "--instance-id", "nodash"], "it is 1 to 8 lower-case letters"),
            (&["hansard-agent", "record", "--quite"], "unexpected argument '--quite'"),
            (&["hansard-agent", "status", "x\u{202e}y"], "'x\\u{202e}y'"),
        ] {
            let said = refused(words);
            assert!(said.contains(expected), "{said}");
            assert!(said.ends_with(" (--help says more)") && said.lines().count() == 1, "{said}");
        }
    }

    #[test]
    fn a_command_without_dashes_is_shown_with_them() {
        let expected = "the command is written after --: hansard-agent record -- ls -l (--help says more)";
        assert_eq!(refused(&["hansard-agent", "record", "--quiet", "ls", "-l"]), expected);
        assert_eq!(refused(&["hansard-agent", "record", "ls", "-l", "--", "x"]), expected);
    }
}
