//! When a delivery that failed is tried again, and what its failure says of the recording.

use std::time::Duration;

use agent_protocol::AgentErrorCode;

use super::{DeliveryError, UPLOADING};
use crate::backoff::Backoff;
use crate::client::CallError;
use crate::run::session::TRY_QUARANTINED_EVERY;

/// The longest pause that a control plane can ask for.
const LONGEST_ADVICE: Duration = Duration::from_secs(300);
/// The waits of a session that the control plane refuses, and says that a retry cannot succeed.
const REFUSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// How often a session is looked at whose bytes the disk has changed, or whose agent's key is not here.
const LOOK_AT_CHANGED_EVERY: Duration = Duration::from_secs(3600);
/// By how much the tries of recordings in quarantine come apart: each still comes once a day.
const APART: f64 = 1.0 / 24.0;

/// Refusals of the agent as a whole, or of this moment: they say nothing of the recording.
const SAYS_NOTHING: [AgentErrorCode; 6] = [
    AgentErrorCode::Throttling,
    AgentErrorCode::ServiceUnavailable,
    AgentErrorCode::TooManyOpenRecordings,
    AgentErrorCode::TooManyUnclaimedBytes,
    AgentErrorCode::AgentTokenExpired,
    AgentErrorCode::AgentTokenReplayed,
];

impl DeliveryError {
    /// The control plane or a store answered, and does not take the recording: as long as that lasts, it counts as
    /// refused. What comes from between, such as a proxy, is no answer.
    pub(super) fn is_refusal(&self) -> bool {
        const OF_PROXIES: [u16; 4] = [407, 408, 425, 429];
        let (step, source) = match self {
            DeliveryError::Call { step, source } => (step, source),
            DeliveryError::Unbelievable(_) => return true,
            _ => return false,
        };
        match source {
            CallError::Refused { .. } => {
                !self.is_forgotten() && !SAYS_NOTHING.iter().any(|code| source.has_code(*code))
            }
            // Only stores speak otherwise than the Agent API does. When they fail, they have not refused.
            CallError::Unexpected { status, .. } => {
                *step == UPLOADING && (400..500).contains(status) && !OF_PROXIES.contains(status)
            }
            CallError::Unreachable(_) | CallError::Request(_) => false,
        }
    }

    /// Somebody has to correct it, or something else has to end first: frequent retries do not help.
    fn needs_patience(&self) -> bool {
        const PATIENT: [AgentErrorCode; 3] = [
            AgentErrorCode::StorageTargetUnusable,
            AgentErrorCode::TooManyOpenRecordings,
            AgentErrorCode::TooManyUnclaimedBytes,
        ];
        matches!(self, DeliveryError::Call { source, .. } if PATIENT.iter().any(|code| source.has_code(*code)))
    }

    /// How long the control plane asks to wait.
    pub(super) fn retry_after(&self) -> Duration {
        match self {
            DeliveryError::Call { source, .. } => {
                source.retry_after().unwrap_or_default().min(LONGEST_ADVICE)
            }
            _ => Duration::ZERO,
        }
    }
}

/// The waits of one session.
pub(super) struct Retries {
    soon: Backoff,
    patient: Backoff,
    refused: Backoff,
}

impl Retries {
    pub(super) fn new() -> Self {
        Retries {
            soon: Backoff::new(),
            patient: Backoff::patient(),
            refused: Backoff::between(REFUSED.0, REFUSED.1),
        }
    }

    /// It makes progress.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// How long to wait after this. `chance` is from 0 to below 1.
    pub(super) fn wait(&mut self, error: &DeliveryError, in_quarantine: bool, chance: f64) -> Duration {
        if in_quarantine {
            return TRY_QUARANTINED_EVERY.mul_f64(1.0 - APART * chance);
        }
        let wait = match error {
            // A retry does not repair a disk; somebody may restore the right bytes.
            error if error.is_of_this_machine() => return LOOK_AT_CHANGED_EVERY,
            error if error.is_final() => self.refused.next_at(chance),
            error if error.needs_patience() => self.patient.next_at(chance),
            _ => self.soon.next_at(chance),
        };
        wait.max(error.retry_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: AgentErrorCode) -> CallError {
        CallError::Refused {
            status: code.status(),
            code: code.code().to_owned(),
            message: String::new(),
            retryable: code.retryable(),
            expected_number: None,
            retry_after: None,
        }
    }

    #[test]
    fn only_who_answers_for_the_recording_refuses_it() {
        let of = |step, source| DeliveryError::Call { step, source }.is_refusal();
        for code in [
            AgentErrorCode::AgentNotFound,
            AgentErrorCode::InvalidStart,
            AgentErrorCode::InternalError,
            AgentErrorCode::StorageTargetUnusable,
            AgentErrorCode::ObjectAlreadyExists,
        ] {
            assert!(of("opening", refused(code)), "{code:?}");
        }
        for code in SAYS_NOTHING.into_iter().chain([AgentErrorCode::RecordingNotFound]) {
            assert!(!of("opening", refused(code)), "{code:?}");
        }
        let unexpected = |status| CallError::Unexpected { status, why: String::new() };
        assert!(of(UPLOADING, unexpected(403)) && of(UPLOADING, unexpected(404)));
        assert!(!of("opening", unexpected(403)), "a proxy stands before the control plane");
        for status in [200, 302, 407, 429, 500, 502, 503] {
            assert!(!of(UPLOADING, unexpected(status)), "{status}");
        }
        assert!(!of(UPLOADING, CallError::Unreachable(String::new())));
        assert!(!DeliveryError::Changed { number: 1 }.is_refusal());
        assert!(DeliveryError::Unbelievable(String::new()).is_refusal());
        assert!(!DeliveryError::PredecessorUnknown(String::new()).is_refusal(), "nobody was asked");
    }

    #[test]
    fn waits_are_bounded_and_those_in_quarantine_are_a_day() {
        let error = DeliveryError::Call { step: "opening", source: refused(AgentErrorCode::InvalidStart) };
        let mut retries = Retries::new();
        for _ in 0..20 {
            assert!(retries.wait(&error, false, 0.999) <= REFUSED.1);
        }
        assert!(retries.wait(&error, false, 0.0) < Duration::from_secs(1), "the whole wait is jitter");
        let error = DeliveryError::PredecessorUnknown(String::new());
        assert_eq!(retries.wait(&error, false, 0.5), LOOK_AT_CHANGED_EVERY);
        for chance in [0.0, 0.5, 0.999] {
            let hours = retries.wait(&error, true, chance).as_secs_f64() / 3600.0;
            assert!((23.0..=24.0).contains(&hours), "{hours}");
        }
    }
}
