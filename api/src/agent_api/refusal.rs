//! How a call of an agent fails: a code of the agent API's table, words for people, and the cause for the log.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use agent_protocol::{AgentErrorCode, ClaimsRefused};
use domain::agent::JoinTokenRefused;
use domain::gate::Denied;
use domain::recording_life::{SealRefused, SegmentRefused};
use domain::storage_target::RecordStorageTarget;
use domain::succession::SuccessionRefused;
use domain::unclaimed::AgentLimitReached;
use persistence::StoreError;
use persistence::objects::{LocationUnusable, ObjectError};
use recording::sanitise::is_unsafe;

use crate::errors::text_of_panic;
use crate::evidence::EvidenceError;
use crate::http::body::NotReceived;
use crate::limits::room::NoRoom;
use crate::limits::throttle::Throttled;
use crate::readiness::NotReady;
use crate::road::CallError;

/// When an agent that has reached a limit should ask again.
const LIMIT_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The most characters of a message.
const MESSAGE_LIMIT: usize = 500;

/// A refused call. Its `Display` is what the agent reads; the cause is for the log alone.
#[derive(Debug)]
pub(crate) struct AgentRefusal {
    pub(crate) code: AgentErrorCode,
    pub(crate) message: String,
    pub(crate) expected_number: Option<u32>,
    pub(crate) throttled: Option<Throttled>,
    /// For a refusal because there is no room: when to call again.
    pub(crate) retry_after: Option<Duration>,
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
        Self { code, message, expected_number: None, throttled: None, retry_after: None, cause: None }
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn invalid_request(message: impl AsRef<str>) -> Self {
        Self::new(AgentErrorCode::InvalidRequest, message)
    }

    /// An internal error: the agent learns only that it may try again; the cause is logged.
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

impl CallError for AgentRefusal {
    fn code(&self) -> String {
        self.code.code().to_owned()
    }

    fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self::internal(text_of_panic(panic))
    }
}

impl From<EvidenceError> for AgentRefusal {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Objects(error) => error.into(),
            // The recording has accepted the object. If it is missing or changed now, that is not the agent's fault.
            EvidenceError::Missing | EvidenceError::Changed(_) | EvidenceError::Name(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<Throttled> for AgentRefusal {
    fn from(throttled: Throttled) -> Self {
        let message = "too many calls; try again after the pause that Retry-After names";
        Self { throttled: Some(throttled), ..Self::new(AgentErrorCode::Throttling, message) }
    }
}

impl From<NotReady> for AgentRefusal {
    fn from(not_ready: NotReady) -> Self {
        let message = format!("not ready: {not_ready}; try again");
        Self {
            retry_after: Some(NotReady::TRY_AGAIN_AFTER),
            ..Self::new(AgentErrorCode::ServiceUnavailable, message)
        }
    }
}

impl From<NotReceived> for AgentRefusal {
    fn from(not_received: NotReceived) -> Self {
        match not_received {
            NotReceived::TooLong => Self::new(AgentErrorCode::RequestEntityTooLarge, "the body is too long"),
            NotReceived::Broken => Self::invalid_request("the body did not arrive whole"),
            NotReceived::TooSlow => {
                Self::new(AgentErrorCode::ServiceUnavailable, "the body took too long to arrive; try again")
            }
            NotReceived::NoRoom(full) => Self {
                retry_after: Some(NoRoom::TRY_AGAIN_AFTER),
                ..Self::new(
                    AgentErrorCode::ServiceUnavailable,
                    format!("there is no room for the body: {full}; try again in a second"),
                )
            },
        }
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
            SegmentRefused::Sealed | SegmentRefused::Closed => (AgentErrorCode::RecordingSealed, None),
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
            SealRefused::AlreadySealed | SealRefused::Closed => AgentErrorCode::RecordingSealed,
            SealRefused::SegmentsDiffer { .. }
            | SealRefused::ChainDiffers { .. }
            | SealRefused::EndsBeforeStart => AgentErrorCode::InvalidManifest,
        };
        Self::new(code, refused.to_string())
    }
}

impl From<SuccessionRefused> for AgentRefusal {
    fn from(refused: SuccessionRefused) -> Self {
        Self::new(AgentErrorCode::SuccessionRefused, refused.to_string())
    }
}

impl From<StoreError> for AgentRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::JoinTokenRefused(refused) => refused.into(),
            StoreError::AgentLimit(reached) => reached.into(),
            StoreError::SuccessionRefused(refused) => refused.into(),
            StoreError::AgentRetired => super::proof::no_agent_any_more(),
            // An agent is decided by fixed rules, so that its calls are never outdated.
            StoreError::Unavailable { .. }
            | StoreError::WriterBehind { .. }
            | StoreError::Outdated
            | StoreError::Stopping => Self {
                retry_after: Some(NotReady::TRY_AGAIN_AFTER),
                ..Self::new(
                    AgentErrorCode::ServiceUnavailable,
                    "the control plane cannot reach its database; try again",
                )
            }
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
            | StoreError::NoSuchAgent(_)
            | StoreError::Identity(_)
            | StoreError::CorruptRow(_)
            | StoreError::UnfitDatabase { .. }
            | StoreError::CommitsCanBeLost(_)
            | StoreError::Keys { .. } => Self::internal(error),
        }
    }
}

// The server chooses the names of objects, and the store's messages are not for agents (DECISIONS O4).
impl From<ObjectError> for AgentRefusal {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Unavailable { .. } | ObjectError::UnusableName { .. } => {
                let why = error.in_our_words();
                Self::new(
                    AgentErrorCode::StorageTargetUnusable,
                    format!("nothing can be written to the recording's storage target now: {why}"),
                )
                .caused_by(error)
            }
            ObjectError::NotFound { .. }
            | ObjectError::AlreadyExists { .. }
            | ObjectError::OutsideRange { .. }
            | ObjectError::TooLong { .. } => Self::internal(error),
        }
    }
}

impl AgentRefusal {
    /// This target cannot be written to now. The agent keeps what it has, and reports why.
    pub(crate) fn unusable_target(target: &RecordStorageTarget, unusable: LocationUnusable) -> Self {
        let message = format!("the recording waits, because nothing can be written to {target}: {unusable}");
        Self::new(AgentErrorCode::StorageTargetUnusable, message).caused_by(unusable)
    }
}

impl From<AgentLimitReached> for AgentRefusal {
    fn from(reached: AgentLimitReached) -> Self {
        let code = match reached {
            AgentLimitReached::OpenRecordings => AgentErrorCode::TooManyOpenRecordings,
            AgentLimitReached::UnclaimedBytes => AgentErrorCode::TooManyUnclaimedBytes,
        };
        let throttled = Some(Throttled { retry_after: LIMIT_RETRY_AFTER });
        Self { throttled, ..Self::new(code, reached.to_string()) }
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
