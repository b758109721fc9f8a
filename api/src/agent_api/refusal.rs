//! How a call of an agent fails: a code of the agent API's table, words for people, and the cause for the log.

use recording::sanitise::is_unsafe;
use std::error::Error;
use std::fmt;

use agent_protocol::{AgentErrorCode, ClaimsRefused};
use domain::agent::JoinTokenRefused;
use domain::gate::Denied;
use domain::recording_life::{SealRefused, SegmentRefused};
use persistence::StoreError;
use persistence::objects::ObjectError;

use crate::throttle::Throttled;

/// The most characters of a message.
const MESSAGE_LIMIT: usize = 500;

/// A refused call. Its `Display` is what the agent reads; the cause is for the log alone.
#[derive(Debug)]
pub(crate) struct AgentRefusal {
    pub(crate) code: AgentErrorCode,
    pub(crate) message: String,
    pub(crate) expected_number: Option<u32>,
    pub(crate) throttled: Option<Throttled>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl AgentRefusal {
    /// Parsers repeat what they could not read, so the message is cut and what could drive a terminal is escaped.
    pub(crate) fn new(code: AgentErrorCode, message: impl AsRef<str>) -> Self {
        let mut characters = message.as_ref().chars();
        let mut message = String::new();
        for character in characters.by_ref().take(MESSAGE_LIMIT) {
            if is_unsafe(character) {
                message.extend(character.escape_unicode());
            } else {
                message.push(character);
            }
        }
        if characters.next().is_some() {
            message.push_str("...");
        }
        Self { code, message, expected_number: None, throttled: None, cause: None }
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn invalid_request(message: impl AsRef<str>) -> Self {
        Self::new(AgentErrorCode::InvalidRequest, message)
    }

    /// A fault of ours: the agent learns only that it may try again; the log learns the cause.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            AgentErrorCode::InternalError,
            "the control plane failed; the request id names the entry in its log",
        )
        .caused_by(cause)
    }
}

impl fmt::Display for AgentRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.code(), self.message)
    }
}

impl Error for AgentRefusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<Throttled> for AgentRefusal {
    fn from(throttled: Throttled) -> Self {
        let message = "too many calls from this address; try again after the pause that Retry-After names";
        Self { throttled: Some(throttled), ..Self::new(AgentErrorCode::Throttling, message) }
    }
}

impl From<ClaimsRefused> for AgentRefusal {
    fn from(refused: ClaimsRefused) -> Self {
        let code = match refused {
            ClaimsRefused::Expired => AgentErrorCode::AgentTokenExpired,
            ClaimsRefused::Malformed
            | ClaimsRefused::BadSignature
            | ClaimsRefused::TooLong
            | ClaimsRefused::OtherRequest { .. }
            | ClaimsRefused::CannotSign => AgentErrorCode::InvalidAgentToken,
        };
        Self::new(code, refused.to_string())
    }
}

impl From<Denied> for AgentRefusal {
    // An agent is only ever asked about its own instance, so a denial means that the caller's code is wrong.
    fn from(denied: Denied) -> Self {
        Self::internal(denied)
    }
}

impl From<JoinTokenRefused> for AgentRefusal {
    fn from(refused: JoinTokenRefused) -> Self {
        let code = match refused {
            JoinTokenRefused::NotFound => AgentErrorCode::JoinTokenNotFound,
            JoinTokenRefused::Expired => AgentErrorCode::JoinTokenExpired,
            JoinTokenRefused::Used => AgentErrorCode::JoinTokenUsed,
            JoinTokenRefused::InstanceMismatch => AgentErrorCode::JoinTokenInstanceMismatch,
            JoinTokenRefused::AgentAlreadyEnrolled => AgentErrorCode::AgentAlreadyEnrolled,
        };
        Self::new(code, refused.to_string())
    }
}

impl From<SegmentRefused> for AgentRefusal {
    fn from(refused: SegmentRefused) -> Self {
        let (code, expected_number) = match refused {
            SegmentRefused::Sealed => (AgentErrorCode::RecordingSealed, None),
            SegmentRefused::OutOfOrder { expected, .. } => {
                (AgentErrorCode::SegmentOutOfOrder, Some(expected))
            }
            SegmentRefused::ChainBroken
            | SegmentRefused::TimesRunBackwards
            | SegmentRefused::TimesTooLate => (AgentErrorCode::InvalidSegment, None),
        };
        Self { expected_number, ..Self::new(code, refused.to_string()) }
    }
}

impl From<SealRefused> for AgentRefusal {
    fn from(refused: SealRefused) -> Self {
        let code = match refused {
            SealRefused::AlreadySealed => AgentErrorCode::RecordingSealed,
            SealRefused::SegmentsDiffer { .. } | SealRefused::ChainDiffers | SealRefused::EndsBeforeStart => {
                AgentErrorCode::InvalidManifest
            }
        };
        Self::new(code, refused.to_string())
    }
}

impl From<StoreError> for AgentRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::JoinTokenRefused(refused) => refused.into(),
            StoreError::Unavailable { .. } | StoreError::Stopping => Self::new(
                AgentErrorCode::ServiceUnavailable,
                "the control plane cannot reach its database; try again",
            )
            .caused_by(error),
            StoreError::Conflict { .. } => Self::new(
                AgentErrorCode::ServiceUnavailable,
                "the recording changed at the same moment; try again",
            )
            .caused_by(error),
            StoreError::NotFound { .. }
            | StoreError::OutsideGrant { .. }
            | StoreError::InvalidPageToken
            | StoreError::InvalidMarker
            | StoreError::InvalidPolicy(_)
            | StoreError::Identity(_)
            | StoreError::CorruptRow(_)
            | StoreError::Keys { .. } => Self::internal(error),
        }
    }
}

// Names of objects are the server's own, and the store's words are not for agents (DECISIONS O4).
impl From<ObjectError> for AgentRefusal {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Unavailable { .. } => Self::new(
                AgentErrorCode::ServiceUnavailable,
                "the control plane cannot reach its object store; try again",
            )
            .caused_by(error),
            ObjectError::NotFound { .. }
            | ObjectError::AlreadyExists { .. }
            | ObjectError::OutsideRange { .. }
            | ObjectError::UnusableName { .. } => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_reads_no_cause() {
        let refusal = AgentRefusal::internal("the disk of host db-7 is full");
        assert!(!refusal.to_string().contains("db-7"));
        assert!(crate::errors::chain_of(&refusal).contains("db-7"));
    }

    #[test]
    fn a_message_is_short_and_drives_no_terminal() {
        let refusal = AgentRefusal::invalid_request(format!("\u{1b}[2J\u{202e}{}", "x".repeat(10_000)));
        assert!(refusal.message.starts_with("\\u{1b}[2J\\u{202e}x"), "{}", refusal.message);
        assert!(refusal.message.len() < 600 && refusal.message.ends_with("x..."));
    }

    #[test]
    fn an_out_of_order_segment_learns_which_is_expected() {
        let refusal = AgentRefusal::from(SegmentRefused::OutOfOrder { expected: 3, offered: 9 });
        assert_eq!((refusal.code, refusal.expected_number), (AgentErrorCode::SegmentOutOfOrder, Some(3)));
    }
}
