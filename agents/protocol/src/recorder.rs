//! What the agent says to a recorder, the small process that records one session, and what a recorder answers: one line
//! of JSON each way. The first exchange starts the session. Later ones go over the recorder's control socket, by which
//! an agent that was started again reaches a recorder that an earlier one, or an earlier version of it, had started:
//! members are only added, and an unknown request is answered with a refusal.

use recording::{FailurePolicy, Shortfall, TerminalSessionToken, TerminalSize};
use serde::{Deserialize, Serialize};

use crate::capture::SpoolName;

/// The name of the control socket in a session's folder.
pub const CONTROL_SOCKET_NAME: &str = "control.sock";

/// The name of the file in a session's folder that says which process the command is.
pub const COMMAND_NOTE_NAME: &str = "command.json";

/// How one standard input is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputWay {
    /// The keys that are typed, through the pseudo-terminal.
    Terminal,
    /// The command has the person's own descriptor. One that can only be read from carries nothing that is recorded;
    /// so no process stands in between, reads ahead, or has to detect its end.
    Inherited,
    /// By a pipe: a descriptor that can also be written to (usually a socket) would be a way around the recording.
    Pipe,
}

/// How what the command prints reaches the person's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputWay {
    /// By the pseudo-terminal.
    Terminal,
    /// By a pipe, byte for byte.
    Pipe,
}

/// How the standard descriptors of a command are connected, as the person's side asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Connections {
    /// Standard input.
    pub input: InputWay,
    /// Standard output.
    pub output: OutputWay,
    /// Standard error.
    pub error: OutputWay,
    /// Standard output and standard error are the same (`2>&1`): one pipe for both keeps the order of what is written
    /// to them.
    pub together: bool,
    /// For standard output and standard error: whether a reader waits for the end of what is written.
    pub somebody_reads: [bool; 2],
}

impl Connections {
    /// Whether all of them are terminals. If so, no other program of a pipeline uses the person's terminal.
    #[must_use]
    pub fn all_terminals(&self) -> bool {
        self.input == InputWay::Terminal && [self.output, self.error] == [OutputWay::Terminal; 2]
    }

    /// Whether any of them is a terminal.
    #[must_use]
    pub fn any_terminal(&self) -> bool {
        self.input == InputWay::Terminal || [self.output, self.error].contains(&OutputWay::Terminal)
    }
}

/// A descriptor that a recorder gives to the person's side, for the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandDescriptor {
    /// The command's end of the pseudo-terminal.
    Terminal,
    /// The reading end of the pipe that is its standard input.
    Input,
    /// The writing end of the pipe that is its standard output, or both outputs in one.
    Output,
    /// The writing end of the pipe that is its standard error.
    ErrorOutput,
    /// The socket on which the launcher reports the process that becomes the command.
    Launch,
}

/// What the agent orders a process to record. With it come the descriptors of the person's connection, of the listening
/// control socket, of the file for the [`CommandNote`], and of the spools in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecorderOrder {
    /// Which session.
    pub terminal_session_token: TerminalSessionToken,
    /// The spools whose descriptors come along.
    pub spools: Vec<SpoolName>,
    /// CLOCK_BOOTTIME at time zero of the recording.
    pub start_boottime_micros: u64,
    /// The session ends when less than this is free on the spool's file system.
    pub least_free_bytes: u64,
    /// The terminal's size as `start.json` has it; `None` where there is no terminal.
    pub terminal: Option<TerminalSize>,
    /// How the command's descriptors are connected.
    pub connections: Connections,
    /// The person, as the kernel says: the command must be a process of this user.
    pub user_id: u32,
    /// The transfer that the command is.
    #[serde(default)]
    pub transfer: Option<TransferOrder>,
    /// How much of each output is recorded where there is no terminal.
    pub most_output_bytes: u64,
    /// What the person is told before the first prompt, as in the reply.
    #[serde(default)]
    pub notice: Option<String>,
    /// What happens to the session when it can no longer be recorded.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// How late the control plane may acknowledge what is shown; `None` under the delivery mode `async`.
    #[serde(default)]
    pub sync: Option<SyncLimits>,
    /// What the agent knows that this recording does less, for its ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortfalls: Vec<Shortfall>,
    /// Whether this process may end processes of that user: then nothing of a session whose recording failed is left.
    pub ends_what_is_left: bool,
}

/// The limits of the delivery mode `sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SyncLimits {
    /// Output is held when the oldest byte that is not acknowledged is so old.
    pub hold_after_millis: u64,
    /// How long it is held at most.
    pub end_after_millis: u64,
}

/// A command that is a file transfer: it is recorded as what passes in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransferOrder {
    /// The command's text.
    pub command: String,
    /// The program and arguments that run instead.
    pub instead: Vec<String>,
    /// What `~` stands for in the command's text, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// How the order was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum RecorderAnswer {
    /// The session can begin; the person's side has been told.
    #[serde(rename = "ready", rename_all = "PascalCase")]
    Ready {
        /// What could not be had, and is not needed to record, in words for the agent's log.
        without: Vec<String>,
    },
    /// It cannot.
    #[serde(rename = "failed", rename_all = "PascalCase")]
    Failed {
        /// Why.
        reason: String,
    },
}

/// Which process the command is. The recorder writes it before the command runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommandNote {
    /// Its process id, which is also that of its session and process group.
    pub process_id: i32,
    /// When it started, in clock ticks since the machine did.
    pub start_ticks: u64,
    /// The terminal of its session, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalIdentity>,
}

/// Which terminal it is, among all file systems of terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalIdentity {
    /// The device number of the file system that its node is in.
    pub file_system: u64,
    /// Its own device number.
    pub device: u64,
}

/// A request over the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum ControlRequest {
    /// How is the session?
    #[serde(rename = "state")]
    State,
    /// End the session, for this reason, which the person and the recording are told.
    #[serde(rename = "end", rename_all = "PascalCase")]
    End {
        /// Why.
        reason: String,
    },
    /// Show the person this text, on a line of its own. It is not part of the recording, because the command did not
    /// print it.
    #[serde(rename = "say", rename_all = "PascalCase")]
    Say {
        /// What.
        text: String,
    },
    /// The control plane has stored what the spools hold up to here. A recorder whose session does not wait for that
    /// refuses it, and so does one of a version that knew no acknowledgements: a refusal never means that it was heard.
    #[serde(rename = "acknowledged", rename_all = "PascalCase")]
    Acknowledged {
        /// Up to where, of each spool of which anything is said.
        spools: Vec<AcknowledgedSpool>,
    },
    /// Record nothing for so long, for this reason, which the person and the recording are told. A session that must not go
    /// on without its recording refuses it. Whoever wants it for longer asks again before: an agent that was killed leaves
    /// no session unrecorded for ever.
    #[serde(rename = "pause", rename_all = "PascalCase")]
    Pause {
        /// Why.
        reason: String,
        /// For how long; at most a minute counts.
        millis: u64,
    },
    /// Send what is recorded from now on, as the messages that the person's side gets. A connection that does not take
    /// it fast enough is closed: the session waits only for the person.
    #[serde(rename = "tap")]
    Tap,
}

/// How much of a spool the control plane has stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AcknowledgedSpool {
    /// Which spool.
    pub spool: SpoolName,
    /// So many bytes from its beginning on.
    pub bytes: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum ControlReply {
    /// How the session is.
    #[serde(rename = "state", rename_all = "PascalCase")]
    State {
        /// Which session.
        terminal_session_token: TerminalSessionToken,
        /// The command, once it runs.
        command: Option<CommandNote>,
        /// Whether it has ended.
        has_ended: bool,
        /// The size of the terminal.
        terminal: Option<TerminalSize>,
        /// How many bytes of output were recorded.
        recorded_bytes: u64,
        /// Whether its output is held, because the control plane has not acknowledged what was shown.
        #[serde(default)]
        is_held: bool,
        /// The version of the program that records.
        version: String,
    },
    /// It was done.
    #[serde(rename = "done")]
    Done,
    /// It was not.
    #[serde(rename = "refused", rename_all = "PascalCase")]
    Refused {
        /// Why.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_look_as_an_older_recorder_knows_them() {
        for (request, line) in [
            (ControlRequest::State, r#"{"Type":"state"}"#),
            (ControlRequest::End { reason: "why".into() }, r#"{"Type":"end","Reason":"why"}"#),
            (ControlRequest::Say { text: "what".into() }, r#"{"Type":"say","Text":"what"}"#),
            (ControlRequest::Tap, r#"{"Type":"tap"}"#),
            (
                ControlRequest::Pause { reason: "why".into(), millis: 7 },
                r#"{"Type":"pause","Reason":"why","Millis":7}"#,
            ),
            (
                ControlRequest::Acknowledged {
                    spools: vec![AcknowledgedSpool { spool: SpoolName::parse("events").unwrap(), bytes: 7 }],
                },
                r#"{"Type":"acknowledged","Spools":[{"Spool":"events","Bytes":7}]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(serde_json::from_str::<ControlRequest>(line).unwrap(), request);
        }
    }
}
