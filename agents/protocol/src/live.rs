//! What people on the instance ask the agent of the sessions that are recorded at this moment. Only the agent's user and
//! root are answered.

use recording::{TerminalSessionToken, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest reason or text that is taken, in bytes.
pub const LONGEST_TEXT_BYTES: usize = 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum LiveRequest {
    /// Which sessions are there? As many as fit into one reply, in the order of their tokens.
    #[serde(rename = "list", rename_all = "PascalCase")]
    List {
        /// Behind this one; absent: from the first on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<TerminalSessionToken>,
    },
    /// End a session. The person and the recording are told the reason, and who gave it.
    #[serde(rename = "end", rename_all = "PascalCase")]
    End {
        /// Which session.
        terminal_session_token: TerminalSessionToken,
        /// Why.
        reason: String,
    },
    /// Show the person of a session a text. It is not in the recording, because the command did not print it.
    #[serde(rename = "say", rename_all = "PascalCase")]
    Say {
        /// Which session.
        terminal_session_token: TerminalSessionToken,
        /// What.
        text: String,
    },
    /// Give a connection to the recorder on which everything arrives that is recorded from now on.
    #[serde(rename = "watch", rename_all = "PascalCase")]
    Watch {
        /// Which session.
        terminal_session_token: TerminalSessionToken,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum LiveReply {
    /// The sessions.
    #[serde(rename = "sessions", rename_all = "PascalCase")]
    Sessions {
        /// Some of them.
        sessions: Vec<LiveSession>,
        /// Whether there are others behind the last of these.
        more: bool,
    },
    /// The recorder has taken it.
    #[serde(rename = "done")]
    Done,
    /// The connection comes with this reply: the messages of [`crate::person`], as the person's side gets them.
    #[serde(rename = "watching")]
    Watching,
}

/// A session that is recorded now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LiveSession {
    /// Its token.
    pub terminal_session_token: TerminalSessionToken,
    /// Whose it is, as the kernel says.
    pub user_id: Option<u32>,
    /// That user's name, as the instance had it when the session began.
    pub user: Option<String>,
    /// The recorded command, cut where it is long.
    pub command: Option<String>,
    /// Since when, by the agent's clock.
    pub since: Timestamp,
    /// What its recorder says.
    pub recorder: RecorderState,
}

/// What a recorder says of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum RecorderState {
    /// It answers.
    #[serde(rename = "answers", rename_all = "PascalCase")]
    Answers {
        /// The process of the command, once it runs.
        process_id: Option<i32>,
        /// Whether the command has ended.
        has_ended: bool,
        /// Whether output is held until the control plane has stored what was shown.
        is_held: bool,
        /// How many bytes of output were recorded.
        recorded_bytes: u64,
        /// The version of the program that records.
        version: String,
    },
    /// It does not.
    #[serde(rename = "silent", rename_all = "PascalCase")]
    Silent {
        /// Why, as far as that is known.
        reason: String,
    },
}

/// A reason or a text that can be shown on one line and kept in a recording.
///
/// # Errors
/// It is empty or longer than [`LONGEST_TEXT_BYTES`]; in words for people.
pub fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    if text.len() > LONGEST_TEXT_BYTES {
        return Err(format!(
            "the text has {} bytes, and {LONGEST_TEXT_BYTES} is the most: shorten it",
            text.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_neither_empty_nor_endless() {
        assert!(check_text("maintenance").is_ok() && check_text(&"x".repeat(LONGEST_TEXT_BYTES)).is_ok());
        assert!(check_text(" \n").is_err() && check_text(&"x".repeat(LONGEST_TEXT_BYTES + 1)).is_err());
    }

    #[test]
    fn requests_are_lines_that_later_versions_understand_too() {
        let token = TerminalSessionToken::parse("0123456789abcdef0123456789abcdef").unwrap();
        for (request, line) in [
            (LiveRequest::List { after: None }, r#"{"Type":"list"}"#),
            (
                LiveRequest::End { terminal_session_token: token.clone(), reason: "why".into() },
                r#"{"Type":"end","TerminalSessionToken":"0123456789abcdef0123456789abcdef","Reason":"why"}"#,
            ),
            (
                LiveRequest::Watch { terminal_session_token: token },
                r#"{"Type":"watch","TerminalSessionToken":"0123456789abcdef0123456789abcdef"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(serde_json::from_str::<LiveRequest>(line).unwrap(), request);
        }
    }
}
