//! The errors of the Agent API: one table of codes, HTTP statuses, and whether a retry can help.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every error reply of `/agent/v1`, in the contract's shape with two fields more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorReply {
    /// The request's id, as in `x-acs-request-id`.
    pub request_id: String,
    /// The host that answered.
    pub host_id: String,
    /// What was wrong; one of the table's codes.
    pub code: String,
    /// The same for people.
    pub message: String,
    /// Always false.
    pub success: bool,
    /// Whether the same request may succeed later. Omitted: it may.
    #[serde(default = "retryable_unless_said")]
    pub retryable: bool,
    /// With `SegmentOutOfOrder`: the number that is expected next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_number: Option<u32>,
}

fn retryable_unless_said() -> bool {
    true
}

macro_rules! agent_error_codes {
    ($($(#[$doc:meta])* $name:ident => $code:literal, $status:literal, $retryable:literal;)*) => {
        /// A code of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AgentErrorCode { $($(#[$doc])* $name,)* }

        impl AgentErrorCode {
            /// Every code there is.
            pub const ALL: &[AgentErrorCode] = &[$(AgentErrorCode::$name,)*];

            /// The code on the wire.
            pub fn code(self) -> &'static str {
                match self { $(AgentErrorCode::$name => $code,)* }
            }

            /// The HTTP status it travels with.
            pub fn status(self) -> u16 {
                match self { $(AgentErrorCode::$name => $status,)* }
            }

            /// Whether the same request may succeed later.
            pub fn retryable(self) -> bool {
                match self { $(AgentErrorCode::$name => $retryable,)* }
            }

            /// What a code on the wire stands for.
            pub fn find(code: &str) -> Option<AgentErrorCode> {
                match code { $($code => Some(AgentErrorCode::$name),)* _ => None }
            }
        }
    };
}

agent_error_codes! {
    /// The request cannot be read.
    InvalidRequest => "InvalidRequest", 400, false;
    /// No such call.
    NotFound => "NotFound", 404, false;
    /// The path exists, but does not support the method.
    MethodNotAllowed => "MethodNotAllowed", 405, false;
    /// The body is larger than a call may be.
    RequestEntityTooLarge => "RequestEntityTooLarge", 413, false;
    /// No such join token.
    JoinTokenNotFound => "InvalidJoinToken.NotFound", 403, false;
    /// The join token has expired.
    JoinTokenExpired => "InvalidJoinToken.Expired", 403, false;
    /// The join token was used.
    JoinTokenUsed => "InvalidJoinToken.Used", 403, false;
    /// The join token is for another instance.
    JoinTokenInstanceMismatch => "InvalidJoinToken.InstanceMismatch", 403, false;
    /// Another agent is enrolled for the instance.
    AgentAlreadyEnrolled => "AgentAlreadyEnrolled", 409, false;
    /// The request's token is missing, malformed, or not this agent's.
    InvalidAgentToken => "InvalidAgentToken", 401, false;
    /// The request's token is too old or not yet valid: correct the clock and sign again.
    AgentTokenExpired => "InvalidAgentToken.Expired", 401, true;
    /// The request's token was used before: sign again.
    AgentTokenReplayed => "InvalidAgentToken.Replayed", 401, true;
    /// The agent is unknown, or was replaced or removed.
    AgentNotFound => "AgentNotFound", 401, false;
    /// `start.json` does not agree with the agent, its keys or its configuration.
    InvalidStart => "InvalidStart", 400, false;
    /// The recording's token is used by other bytes.
    RecordingConflict => "RecordingConflict", 409, false;
    /// No such recording of this agent.
    RecordingNotFound => "RecordingNotFound", 404, false;
    /// The recording cannot be taken over: its agent is still enrolled, or it is of another instance, or the proof is
    /// not by the key that `start.json` names.
    SuccessionRefused => "SuccessionRefused", 403, false;
    /// The recording is closed.
    RecordingSealed => "RecordingSealed", 409, false;
    /// This recording cannot have an object of that name, or its length is above the limit.
    InvalidObjectName => "InvalidObjectName", 400, false;
    /// The grant is expired or malformed: ask for a new one.
    InvalidGrant => "InvalidGrant", 403, true;
    /// Other bytes are already stored there. Somebody else who can write to the bucket stored them, and may remove
    /// them.
    ObjectAlreadyExists => "ObjectAlreadyExists", 409, true;
    /// The bytes are not the granted ones.
    ObjectMismatch => "ObjectMismatch", 400, true;
    /// The object is not there yet: upload it again.
    ObjectNotFound => "ObjectNotFound", 409, true;
    /// Segments arrive in order; `ExpectedNumber` says which is next.
    SegmentOutOfOrder => "SegmentOutOfOrder", 409, true;
    /// The segment's hash, chain or content is wrong.
    InvalidSegment => "InvalidSegment", 400, false;
    /// The manifest's signature, chain or segments are wrong.
    InvalidManifest => "InvalidManifest", 400, false;
    /// The recording's storage target cannot be written to now. It may be repaired or replaced: keep everything, and
    /// open the recording again with growing pauses and after each new configuration.
    StorageTargetUnusable => "StorageTargetUnusable", 503, true;
    /// The agent has reached its limit of open recordings: keep everything, and open the recording when another has
    /// ended.
    TooManyOpenRecordings => "TooManyOpenRecordings", 429, true;
    /// The agent has reached its limit of granted or uploaded bytes that no recording has claimed.
    TooManyUnclaimedBytes => "TooManyUnclaimedBytes", 429, true;
    /// Too many requests.
    Throttling => "Throttling", 429, true;
    /// The server failed.
    InternalError => "InternalError", 500, true;
    /// The storage or the database cannot be reached.
    ServiceUnavailable => "ServiceUnavailable", 503, true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_are_marked_final_are_final() {
        let reply = |retryable: &str| {
            let text = format!(
                r#"{{"RequestId":"r","HostId":"h","Code":"New","Message":"m","Success":false{retryable}}}"#
            );
            serde_json::from_str::<ErrorReply>(&text).unwrap().retryable
        };
        assert!(reply("") && reply(r#","Retryable":true"#));
        assert!(!reply(r#","Retryable":false"#));
    }

    #[test]
    fn every_code_is_found_again() {
        for code in AgentErrorCode::ALL {
            assert_eq!(AgentErrorCode::find(code.code()), Some(*code));
        }
        assert_eq!(AgentErrorCode::find("Nonsense"), None);
    }
}
