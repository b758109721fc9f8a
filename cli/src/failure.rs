//! How a command fails: one line for a person, one exit code for a script, and perhaps a line to hand on.

use std::fmt;

use recording::sanitise::sanitised;

/// The exit codes of `hansard`. `--help` states them too.
pub(crate) mod exit_code {
    /// The server refused, or something failed on the way.
    pub(crate) const FAILED: u8 = 1;
    /// The command line or a setting is wrong. The argument parser uses the same number.
    pub(crate) const USAGE: u8 = 2;
    /// `recordings verify`: something is missing, or it is not sealed.
    pub(crate) const PROVEN_PREFIX: u8 = 3;
    /// `policy diff`: the two differ.
    pub(crate) const DIFFERENT: u8 = 1;
    /// `policy diff`: whether the two differ is unknown.
    pub(crate) const UNKNOWN: u8 = 3;
    /// `recordings verify`: something contradicts the rest, or it is not the recording that was asked for.
    pub(crate) const INCONSISTENT: u8 = 4;
    /// `recordings verify`: the signer's key is not trusted for this agent, instance and account.
    pub(crate) const UNTRUSTED: u8 = 5;
    /// `recordings verify`: everything is there, but something was lost during capture.
    pub(crate) const COMPLETE_WITH_LOSS: u8 = 6;
    /// `recordings verify`: everything is there except the end of the command.
    pub(crate) const INTERRUPTED: u8 = 7;
    /// `recordings verify`: it is sealed, and has no segment.
    pub(crate) const EMPTY: u8 = 8;
}

/// A failed command. What it prints is one line that has passed the sanitiser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    exit_code: u8,
    told: Told,
    hint: Option<String>,
}

/// What the server answered, where a command reacts to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// There is no such thing.
    NotFound,
    /// The stored bytes are not those that were accepted.
    EvidenceChanged,
    /// The reply broke off.
    BrokeOff,
    /// Nothing, or that it cannot answer now.
    NotNow,
}

impl Failure {
    /// Something failed, or the server refused.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self {
            message: one_line(&message.to_string()),
            exit_code: exit_code::FAILED,
            told: Told::Nothing,
            hint: None,
        }
    }

    /// The command line or a setting is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self {
            message: one_line(&message.to_string()),
            exit_code: exit_code::USAGE,
            told: Told::Nothing,
            hint: None,
        }
    }

    /// The server answered that there is no such thing.
    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self { told: Told::NotFound, ..Self::failed(message) }
    }

    /// The server answered that the stored bytes are not those that it accepted.
    pub(crate) fn evidence_changed(message: impl fmt::Display) -> Self {
        Self { told: Told::EvidenceChanged, ..Self::failed(message) }
    }

    /// The reply broke off.
    pub(crate) fn broke_off(message: impl fmt::Display) -> Self {
        Self { told: Told::BrokeOff, ..Self::failed(message) }
    }

    /// There was no answer, or one that the same call may get another answer later.
    pub(crate) fn not_now(message: impl fmt::Display) -> Self {
        Self { told: Told::NotNow, ..Self::failed(message) }
    }

    /// The reader of the output has closed it, as `head` does. Nobody would see a message.
    pub(crate) fn reader_left() -> Self {
        Self::failed("")
    }

    /// The same with a line of its own for somebody else, who can say more.
    pub(crate) fn with_hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(one_line(&hint.to_string())), ..self }
    }

    /// The line for somebody else.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether the server answered that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        self.told == Told::NotFound
    }

    /// Whether the server answered that the stored bytes are not those that it accepted.
    pub(crate) fn is_evidence_changed(&self) -> bool {
        self.told == Told::EvidenceChanged
    }

    /// Whether the reply broke off.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.told == Told::BrokeOff
    }

    /// Whether the same call may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.told, Told::NotNow | Told::BrokeOff)
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The line.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Lines are joined by a space; everything else that could control a terminal is shown escaped.
fn one_line(text: &str) -> String {
    let joined: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    sanitised(&joined.join(" ")).into_owned()
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        let more = next.to_string();
        // Some libraries repeat their source in their own message.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_harmless_line() {
        let failure = Failure::failed("first\n  second \u{1b}[31m\u{202e}");
        assert_eq!(failure.message(), "first second \\u{1b}[31m\\u{202e}");
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(Failure::usage("x").exit_code(), 2);
    }
}
