//! The socket between a person's `record` and the running agent: one JSON line each way. If the session is recorded, the
//! agent gives the connection to the recorder, which answers in its place: `recorded` carries the command's ends of the
//! pseudo-terminal and pipes, and the messages of [`crate::person`] follow.

use recording::{AgentId, CaptureKind, TerminalSessionToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::live::{LiveReply, LiveRequest};
use crate::recorder::{CommandDescriptor, Connections};

/// The socket's name in the state directory.
pub const SOCKET_NAME: &str = "agent.sock";

/// A request of a local program to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum LocalRequest {
    /// A session is about to begin.
    #[serde(rename = "begin", rename_all = "PascalCase")]
    Begin {
        /// The kind of capture.
        kind: CaptureKind,
        /// The command and its arguments, for people to read.
        command: Vec<String>,
        /// The terminal's width; 0 where there is no terminal.
        columns: u16,
        /// The terminal's height; 0 where there is no terminal.
        rows: u16,
        /// The terminal's type, as in `TERM`.
        term: Option<String>,
        /// The person's shell, as in `SHELL`.
        shell: Option<String>,
        /// How the command's descriptors are to be connected.
        connections: Connections,
        /// The text that the command's shell is to run, where somebody was made to record: it may be a file transfer.
        #[serde(default)]
        shell_text: Option<String>,
    },
    /// How is the agent?
    #[serde(rename = "status")]
    Status,
    /// Try recordings at once that were refused or did not arrive. Only for the agent's user and root.
    #[serde(rename = "retry", rename_all = "PascalCase")]
    Retry {
        /// Which one; absent: all that wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terminal_session_token: Option<TerminalSessionToken>,
    },
    /// Answer when the terminal around this session, which has ended, is not needed for it any longer: it was given back, or
    /// another session needs it.
    #[serde(rename = "left", rename_all = "PascalCase")]
    Left {
        /// Which session.
        terminal_session_token: TerminalSessionToken,
    },
    /// Something about the sessions that are recorded now. Only for the agent's user and root.
    #[serde(rename = "live", rename_all = "PascalCase")]
    Live {
        /// What.
        request: LiveRequest,
    },
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum LocalReply {
    /// Recording is off: run the command unrecorded.
    #[serde(rename = "not-recorded", rename_all = "PascalCase")]
    NotRecorded {
        /// Why, for the person.
        reason: String,
    },
    /// The session must be recorded and cannot be.
    #[serde(rename = "refused", rename_all = "PascalCase")]
    Refused {
        /// Why, for the person.
        reason: String,
    },
    /// Too many requests of this user wait for an answer already: ask again in a moment.
    #[serde(rename = "busy", rename_all = "PascalCase")]
    Busy {
        /// What is too much, for the person.
        reason: String,
    },
    /// The session is recorded, by a recorder that has the other ends of the descriptors which come with this reply.
    #[serde(rename = "recorded", rename_all = "PascalCase")]
    Recorded {
        /// The session's token.
        terminal_session_token: TerminalSessionToken,
        /// What the descriptors are, in their order.
        descriptors: Vec<CommandDescriptor>,
        /// What runs instead of the command: the program of a file transfer, without a shell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead: Option<Vec<String>>,
        /// What the person is told before the first prompt. Empty: nothing. Absent: a text of the caller's own, with the
        /// token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<String>,
    },
    /// How the agent is.
    #[serde(rename = "status", rename_all = "PascalCase")]
    Status {
        /// Its state.
        status: Box<LocalStatus>,
    },
    /// Recordings are tried.
    #[serde(rename = "retrying", rename_all = "PascalCase")]
    Retrying {
        /// How many.
        recordings: u32,
    },
    /// The terminal around the session is not needed for it.
    #[serde(rename = "left")]
    Left,
    /// The answer to what was asked of the sessions that are recorded now.
    #[serde(rename = "live", rename_all = "PascalCase")]
    Live {
        /// It.
        reply: LiveReply,
    },
}

/// The state of a running agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LocalStatus {
    /// Its process id.
    pub process_id: u32,
    /// The state of the link.
    pub link: LinkState,
    /// The last error of the link or of delivery, if the last try failed.
    pub last_error: Option<String>,
    /// The sessions in the spool.
    pub sessions: Vec<LocalSession>,
    /// The damaged spools that are kept, if there are any: all of them for callers who may see the sessions, and
    /// otherwise the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged_files: Option<DamagedFiles>,
    /// How many recordings stand how, for every caller.
    #[serde(default)]
    pub deliveries: Deliveries,
    /// How much room the spool's disk has; absent if the file system does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,
}

/// How many recordings stand how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Deliveries {
    /// [`DeliveryState::Pending`].
    pub pending: u64,
    /// [`DeliveryState::Retrying`].
    pub retrying: u64,
    /// [`DeliveryState::Quarantined`].
    pub quarantined: u64,
    /// [`DeliveryState::Delivered`], since the agent started.
    pub delivered: u64,
}

/// Whether the spool's disk has room for sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskState {
    /// New sessions begin.
    Available,
    /// No new recorded sessions begin; running ones go on.
    Low,
    /// Running sessions are ended, one after the other, until there is room again.
    Critical,
}

/// The room on the spool's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiskStatus {
    /// What follows from it.
    pub state: DiskState,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes that are used or free.
    pub total_bytes: u64,
    /// With less free it becomes low; it is low until a quarter more is free.
    pub low_below_bytes: u64,
    /// With less free it becomes critical; it is critical until a quarter more is free.
    pub critical_below_bytes: u64,
    /// How much is advised to be free for the sessions that are recorded now.
    pub advised_bytes: u64,
}

/// How much unreadable data is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DamagedFiles {
    /// Bytes of all users.
    pub bytes: u64,
    /// The limit. Beyond it, users with files among them get no new sessions.
    pub most_bytes: u64,
    /// Whose they are.
    pub users: Vec<DamagedOfUser>,
}

/// One user's share of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DamagedOfUser {
    /// The user, if that is known.
    pub user_id: Option<u32>,
    /// Bytes.
    pub bytes: u64,
    /// The limit.
    pub most_bytes: u64,
    /// Why new sessions of this user are refused, if they are.
    pub refused: Option<String>,
}

/// Whether the control plane is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// The link is open.
    Connected,
    /// It is being opened, or waits for the next try.
    Connecting,
    /// The control plane has no such agent any more: it was removed, or another replaced it.
    Refused,
}

/// A session in the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LocalSession {
    /// Its token.
    pub terminal_session_token: TerminalSessionToken,
    /// The agent that recorded it, which may be one before the agent that is enrolled; absent if that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Where it stands.
    pub state: SessionState,
    /// How its delivery stands.
    #[serde(default)]
    pub delivery: DeliveryState,
    /// Since when it is in quarantine, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_since: Option<String>,
    /// Why the control plane refused it.
    pub reason: Option<String>,
    /// Segments cut so far.
    pub segments: u32,
    /// Segments acknowledged by the control plane.
    pub acknowledged: u32,
    /// Bytes in the spool.
    pub spool_bytes: u64,
}

/// Where a session in the spool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Its recorder lives.
    Recording,
    /// It has ended and is being delivered.
    Delivering,
    /// The control plane refused it; its bytes are kept.
    Refused,
    /// It was delivered, but not all of its spool could be read; what was captured is kept.
    Damaged,
    /// Its files in the spool cannot be read; they are left alone.
    Unreadable,
}

/// How the delivery of a recording stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// It is delivered as it comes, or waits for its turn.
    #[default]
    Pending,
    /// The last try failed; it is tried again.
    Retrying,
    /// A control plane or a store that answered has refused it for too long: it is kept, and tried once a day.
    Quarantined,
    /// All of it has arrived.
    Delivered,
}
