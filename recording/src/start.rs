//! `start.json`: what is known when a recording begins. Every chain depends on its exact bytes.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::capture_note::CaptureNote;
use crate::chain::ContentHash;
use crate::delivery_mode::DeliveryMode;
use crate::failure_policy::FailurePolicy;
use crate::ids::{AccountId, AgentId, InstanceId, TerminalSessionToken};
use crate::kind::CaptureKind;
use crate::sealing::SealingPublicKey;
use crate::terminal::event::TerminalSize;
use crate::timestamp::Timestamp;

/// The largest `start.json` or manifest that is read.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024 * 1024;

/// The largest `start.json` that a control plane takes. An agent must not make a larger one: it could never be delivered.
pub const MAX_START_BYTES: usize = 512 * 1024;

/// The name and version of the format, as documents carry it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DocumentFormat {
    /// The first version.
    #[default]
    #[serde(rename = "hansard-recording/1")]
    V1,
}

/// Who runs the process that captures, which says how far that process is beyond the recorded user's reach. Root is beyond
/// nothing: a session of root is [`Recorder::SameUser`] whoever records it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recorder {
    /// A process of the recorded user, or within the reach of this user. A recording that says nothing counts as this.
    #[default]
    SameUser,
    /// A process of the agent's user, which is not the recorded user, who is not root.
    Separate,
}

impl Recorder {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::SameUser, Self::Separate];

    /// The value as `start.json` and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameUser => "same-user",
            Self::Separate => "separate",
        }
    }

    /// What it means for somebody who watches the recording, in one sentence without a full stop.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::SameUser => {
                "recorded by a process of the recorded user or within their reach, who could have ended, altered or invented it"
            }
            Self::Separate => "recorded by a process beyond the recorded user's reach",
        }
    }
}

impl fmt::Display for Recorder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text is not a [`Recorder`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is a recorder that this version does not know; it knows same-user and separate")]
pub struct UnknownRecorder {
    shown: String,
}

impl std::str::FromStr for Recorder {
    type Err = UnknownRecorder;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|recorder| recorder.as_str() == text);
        known.ok_or_else(|| UnknownRecorder { shown: crate::ids::shown(text) })
    }
}

/// The contents of `start.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The format of the document.
    pub format: DocumentFormat,
    /// Which recording.
    pub recording: TerminalSessionToken,
    /// What it is of.
    pub kind: CaptureKind,
    /// The account that the instance belongs to.
    pub account: AccountId,
    /// The instance on which it was made.
    pub instance: InstanceId,
    /// The agent that made it.
    pub agent: AgentId,
    /// The key with which the agent will seal the manifest.
    pub agent_sealing_key: SealingPublicKey,
    /// The agent's number for this recording: each agent counts its recordings from 1.
    pub agent_recording_number: u64,
    /// The SHA-256 of the manifest that the agent had sealed last when this recording began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_manifest: Option<ContentHash>,
    /// The revision of the configuration that the recording obeys; 0 when the agent had never seen one.
    pub configuration_revision: u64,
    /// Who runs the process that captures.
    #[serde(default)]
    pub recorder: Recorder,
    /// Circumstances of the capture that a reader should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<CaptureNote>,
    /// What happens to the session when its recording fails. An earlier agent, which says nothing, ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
    /// How far delivery may be behind what is shown. An earlier agent, which says nothing, delivers when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<DeliveryMode>,
    /// When the recording began, by the agent's clock.
    pub started_at: Timestamp,
    /// The size of the terminal at the start; `None` where there is no terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSize>,
    /// The recorded command with its arguments, where it is known. The agent cuts a long one: a word that ends with `...`,
    /// and one that says how many words were left out, stand where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The session's user, as the agent claims. It is not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_user: Option<String>,
    /// The kind of terminal (`TERM`), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    /// The user's shell (`SHELL`), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// The version of the agent's program, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
}

impl Start {
    /// The exact bytes of `start.json`. Keep them: chains and manifests are over these bytes, never over a second
    /// printing.
    #[must_use]
    pub fn to_document(&self) -> Vec<u8> {
        to_document(self)
    }

    /// Reads a `start.json`.
    ///
    /// # Errors
    /// The bytes are too many, not JSON, or not a start.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidDocument> {
        parse_document("start.json", document)
    }
}

/// A `start.json` or manifest that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDocument {
    /// It is larger than any that is read.
    #[error("the {document} has {length} bytes, more than {MAX_DOCUMENT_BYTES}")]
    TooLong {
        /// Which document.
        document: &'static str,
        /// Its length.
        length: usize,
    },
    /// It is not JSON, or lacks something.
    #[error("the {document} cannot be read")]
    Malformed {
        /// Which document.
        document: &'static str,
        /// What was wrong, and where.
        #[source]
        source: serde_json::Error,
    },
}

pub(crate) fn to_document(document: &impl Serialize) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(document).expect("documents have text keys and values that print");
    bytes.push(b'\n');
    bytes
}

pub(crate) fn parse_document<T: DeserializeOwned>(
    name: &'static str,
    document: &[u8],
) -> Result<T, InvalidDocument> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(InvalidDocument::TooLong { document: name, length: document.len() });
    }
    serde_json::from_slice(document).map_err(|source| InvalidDocument::Malformed { document: name, source })
}
