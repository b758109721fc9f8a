//! Every error code that Hansard answers with, in one table: the code, its HTTP status, its message and what
//! the caller should do about it. The table is part of the OpenAPI document. What agents and the control plane say to
//! each other has its own table, in `agents/protocol`, which agents link too.

use std::borrow::Cow;
use std::fmt;

use domain::actions::Product;
use domain::identity::BrokenRule;

/// What a caller should do with a call that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryAdvice {
    /// The answer will not change.
    Never,
    /// Correct the request, or the state it met, and send it again.
    AfterFix,
    /// The request was good: sign it anew, with a fresh time and nonce, and send it again.
    SignAgain,
    /// Send it again after a pause that grows each time.
    WithBackoff,
}

impl RetryAdvice {
    /// The advice in a sentence, as a reply carries it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Never => "Do not retry.",
            Self::AfterFix => "Correct the request before you send it again.",
            Self::SignAgain => "Sign the request again with the present time and a new nonce, and retry.",
            Self::WithBackoff => "Retry with growing pauses.",
        }
    }

    /// Whether a program can retry without anybody changing anything.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, Self::SignAgain | Self::WithBackoff)
    }
}

/// A way in on which a code can be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The signed RPC wire.
    Wire,
    /// `/replay/v1`.
    Replay,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow {
    /// The code on the wire. `<Param>` stands for a parameter's name.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What to do about it.
    pub retry: RetryAdvice,
    /// The message, unless the error brings a more exact one. `<Param>` stands for a parameter's name.
    pub message: &'static str,
    /// Where it can be met.
    pub surfaces: &'static [Surface],
}

macro_rules! wire_codes {
    ($( $(#[$doc:meta])* $name:ident => $code:literal, $status:literal, $retry:ident, [$($surface:ident)+], $message:literal; )*) => {
        /// A code of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $( $(#[$doc])* $name, )*
        }

        impl ErrorCode {
            /// Every code, in the table's order.
            pub const ALL: &[Self] = &[ $( Self::$name ),* ];

            /// Its row.
            #[must_use]
            pub const fn row(self) -> CodeRow {
                match self {
                    $( Self::$name => CodeRow {
                        code: $code,
                        status: $status,
                        retry: RetryAdvice::$retry,
                        message: $message,
                        surfaces: &[ $( Surface::$surface ),+ ],
                    }, )*
                }
            }
        }
    };
}

wire_codes! {
    // Who calls.
    /// The access key does not exist.
    AccessKeyNotFound => "InvalidAccessKeyId.NotFound", 404, AfterFix, [Wire], "Specified access key is not found.";
    /// The access key is switched off.
    AccessKeyInactive => "InvalidAccessKeyId.Inactive", 400, AfterFix, [Wire], "Specified access key is disabled.";
    /// No usable signature: bearer, anonymous, or half a signature.
    IncompleteSignature => "IncompleteSignature", 400, AfterFix, [Wire], "The request signature does not conform to Aliyun standards.";
    /// The signature is another than ours, version 1.0.
    SignatureMismatchV1 => "SignatureDoesNotMatch", 400, AfterFix, [Wire], "Specified signature is not matched with our calculation. server string to sign is:";
    /// The signature is another than ours, version 3.
    SignatureMismatchV3 => "SignatureDoesNotMatch", 400, AfterFix, [Wire], "Specified signature does not match our calculation.";
    /// The body is not the one whose Content-MD5 was sent.
    ContentMd5NotMatched => "ContentMD5NotMatched", 400, AfterFix, [Wire], "Your request md5 value is not matched what we calculated.";
    /// The nonce was seen before.
    SignatureNonceUsed => "SignatureNonceUsed", 400, SignAgain, [Wire], "Specified signature nonce was used already.";
    /// The time lies outside the window.
    TimeStampExpired => "InvalidTimeStamp.Expired", 400, SignAgain, [Wire], "Specified time stamp or date value is expired.";
    /// The time is no time.
    TimeStampFormat => "InvalidTimeStamp.Format", 400, AfterFix, [Wire], "Specified time stamp or date value is not well formatted.";
    /// Another signature method or version.
    SignatureMethod => "InvalidSignatureMethod", 400, AfterFix, [Wire], "Specified signature method is not supported.";
    /// The session token's time is over.
    SecurityTokenExpired => "InvalidSecurityToken.Expired", 400, AfterFix, [Wire], "Specified SecurityToken is expired.";
    /// The session token is not one of ours.
    SecurityTokenMalformed => "InvalidSecurityToken.Malformed", 400, AfterFix, [Wire], "Specified SecurityToken is malformed.";
    /// The session token was sent with a key it does not belong to.
    SecurityTokenMismatch => "InvalidSecurityToken.MismatchWithAccessKey", 400, AfterFix, [Wire], "Specified SecurityToken mismatch with the AccessKey.";

    // What is called.
    /// The version is unknown.
    InvalidVersion => "InvalidVersion", 400, AfterFix, [Wire], "Specified parameter Version is not valid.";
    /// The action is unknown.
    ActionNotFound => "InvalidAction.NotFound", 404, AfterFix, [Wire Replay], "Specified api is not found, please check your url and method.";
    /// Neither GET nor POST.
    UnsupportedHttpMethod => "UnsupportedHTTPMethod", 405, AfterFix, [Wire Replay], "This http method is not supported.";
    /// Too large.
    RequestEntityTooLarge => "RequestEntityTooLarge", 413, AfterFix, [Wire Replay], "The request is larger than this server accepts.";
    /// A mandatory parameter is missing.
    MissingParameter => "Missing<Param>", 400, AfterFix, [Wire Replay], "<Param> is mandatory for this action.";
    /// A parameter is not what it should be.
    InvalidParameter => "Invalid<Param>", 400, AfterFix, [Wire Replay], "The specified parameter <Param> is not valid.";
    /// The request as a whole cannot be read.
    MalformedRequest => "InvalidParameter", 400, AfterFix, [Wire Replay], "The request could not be read.";

    // Whether they may.
    /// Refused by policy.
    ForbiddenRam => "Forbidden.RAM", 403, AfterFix, [Wire Replay], "User not authorized to operate on the specified resource, or this API doesn't support RAM.";

    /// Refused by policy, in the words of RAM and STS.
    NoPermission => "NoPermission", 403, AfterFix, [Wire], "You are not authorized to do this action. You should be authorized by RAM.";

    // The identity store. `<Param>` stands for a kind of thing: `User`, `User.AccessKey`, `Policy.Version`.
    /// It is not there.
    EntityNotExist => "EntityNotExist.<Param>", 404, AfterFix, [Wire], "The specified <Param> does not exist.";
    /// It is there already.
    EntityAlreadyExists => "EntityAlreadyExists.<Param>", 409, AfterFix, [Wire], "The specified <Param> exists already.";
    /// There are as many as there may be.
    LimitExceeded => "LimitExceeded.<Param>", 409, AfterFix, [Wire], "The maximum number of <Param> has been reached.";
    /// Something depends on it.
    DeleteConflict => "DeleteConflict.<Param>", 409, AfterFix, [Wire], "The specified <Param> is still in use.";
    /// A parameter of RAM or STS is not what it should be. In RAM `<Param>` can end on the kind of rule that it breaks: `UserName.InvalidChars`, `Description.Length`.
    InvalidRamParameter => "InvalidParameter.<Param>", 400, AfterFix, [Wire], "The specified parameter <Param> is not valid.";
    /// A policy document of RAM cannot be read.
    MalformedPolicyDocument => "MalformedPolicyDocument", 400, AfterFix, [Wire], "The specified policy document is not valid.";

    // What it means.
    /// A storage target in another form.
    StorageTargetFormat => "InvalidRecordStorageTarget.Format", 400, AfterFix, [Wire], "The specified RecordStorageTarget is not valid.";
    /// A bucket's name against the rules.
    StorageTargetBucketName => "InvalidRecordStorageTarget.BucketName", 400, AfterFix, [Wire], "The bucket of the specified RecordStorageTarget is not valid.";
    /// A region against the rules, or two that differ.
    StorageTargetRegion => "InvalidRecordStorageTarget.Region", 400, AfterFix, [Wire], "The region of the specified RecordStorageTarget is not valid.";
    /// A target that the object store cannot write to now.
    StorageTargetUnreachable => "InvalidRecordStorageTarget.Unreachable", 400, AfterFix, [Wire], "The specified RecordStorageTarget cannot be written to.";
    /// Another account's target.
    StorageTargetAccount => "InvalidRecordStorageTarget.AccountMismatch", 400, AfterFix, [Wire], "The specified RecordStorageTarget belongs to another account.";
    /// There is no such recording for this caller on this instance.
    RecordingNotFound => "InvalidTerminalSessionToken.NotFound", 404, AfterFix, [Wire Replay], "The specified TerminalSessionToken is not found.";
    /// The instance has no agent, or another one than the call names.
    AgentNotFound => "InvalidAgentId.NotFound", 404, AfterFix, [Wire], "The specified instance has no such agent.";
    /// The recording's time is over.
    RecordingExpired => "InstanceRecord.Expired", 403, Never, [Wire Replay], "The recording has expired. Its objects stay in the bucket.";
    /// Somebody else changed the same thing at the same moment.
    Conflict => "OperationConflict", 409, WithBackoff, [Wire], "The same resource was changed at the same moment by another call.";

    // Replay.
    /// The object is not there.
    ObjectNotFound => "ObjectNotFound", 404, AfterFix, [Replay], "The object does not exist.";
    /// The stored bytes are not those that the recording took in.
    EvidenceChanged => "InstanceRecord.EvidenceChanged", 409, Never, [Replay], "The stored object is not the one that the recording consists of: it was changed or replaced in the bucket.";
    /// The ticket cannot be accepted.
    InvalidReplayTicket => "InvalidReplayTicket", 401, AfterFix, [Replay], "The replay address is not valid. Get a new one with hansard recordings open, or from ViewInstanceRecords.";
    /// The ticket has lapsed.
    ReplayTicketExpired => "InvalidReplayTicket.Expired", 401, AfterFix, [Replay], "The replay address has expired. Get a new one with hansard recordings open, or from ViewInstanceRecords.";
    /// The ticket is spent.
    ReplayTicketUsed => "InvalidReplayTicket.Used", 401, AfterFix, [Replay], "The replay address was used before. Get a new one with hansard recordings open, or from ViewInstanceRecords.";
    /// There is no replay session.
    ReplaySessionRequired => "ReplaySessionRequired", 401, AfterFix, [Replay], "There is no replay session, or it has ended. Get a replay address with hansard recordings open, or from ViewInstanceRecords.";

    // Our own troubles.
    /// Too many calls.
    ThrottlingUser => "Throttling.User", 429, WithBackoff, [Wire Replay], "Request was denied due to user flow control.";
    /// Something unexpected. What it was stands in the log under the RequestId.
    InternalError => "InternalError", 500, WithBackoff, [Wire Replay], "The request processing has failed due to some unknown error.";
    /// The database or the object store is away.
    ServiceUnavailable => "ServiceUnavailable", 503, WithBackoff, [Wire Replay], "The request has failed due to a temporary failure of the server.";
}

/// A refusal, ready for the wire: a code, for some codes the parameter it is about, and for most a message that
/// says exactly what was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    code: ErrorCode,
    parameter: Option<Cow<'static, str>>,
    /// Which kind of rule the parameter breaks.
    broken: BrokenRule,
    message: Option<String>,
    /// Other advice than the table's.
    advice: Option<RetryAdvice>,
}

impl WireError {
    /// A refusal in the table's own words.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self { code, parameter: None, broken: BrokenRule::Value, message: None, advice: None }
    }

    /// A refusal in more exact words.
    #[must_use]
    pub fn with_message(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(code) }
    }

    /// `Missing<Param>`.
    #[must_use]
    pub fn missing(parameter: impl Into<Cow<'static, str>>) -> Self {
        Self { parameter: Some(parameter.into()), ..Self::new(ErrorCode::MissingParameter) }
    }

    /// `Invalid<Param>`; `rule` says what is allowed.
    #[must_use]
    pub fn invalid(parameter: impl Into<Cow<'static, str>>, rule: impl fmt::Display) -> Self {
        Self::breaking(parameter, BrokenRule::Value, rule)
    }

    /// The same of a parameter that breaks a rule of this kind, which RAM's codes name.
    #[must_use]
    pub fn breaking(
        parameter: impl Into<Cow<'static, str>>,
        broken: BrokenRule,
        rule: impl fmt::Display,
    ) -> Self {
        let parameter = parameter.into();
        let message = format!("The specified parameter {parameter} is not valid: {rule}.");
        Self {
            parameter: Some(parameter),
            broken,
            message: Some(message),
            ..Self::new(ErrorCode::InvalidParameter)
        }
    }

    /// A code whose `<Param>` is `what`, in exact words.
    #[must_use]
    pub fn about(code: ErrorCode, what: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { parameter: Some(what.into()), message: Some(message.into()), ..Self::new(code) }
    }

    /// The same with other advice than the table's.
    #[must_use]
    pub fn advised(self, advice: RetryAdvice) -> Self {
        Self { advice: Some(advice), ..self }
    }

    /// The same in the words of a product: what is `Invalid<Param>` elsewhere is `InvalidParameter.<Param>` in RAM and
    /// STS, and RAM adds the kind of rule that is broken: `InvalidParameter.UserName.InvalidChars`.
    #[must_use]
    pub fn in_words_of(self, product: Product) -> Self {
        let code = ErrorCode::InvalidRamParameter;
        match (product, self.code) {
            (Product::Ram, ErrorCode::InvalidParameter) => {
                let what = self.parameter.map(|parameter| match self.broken.in_codes() {
                    Some(kind) => format!("{parameter}.{kind}").into(),
                    None => parameter,
                });
                Self { code, parameter: what, ..self }
            }
            (Product::Sts, ErrorCode::InvalidParameter) => Self { code, ..self },
            _ => self,
        }
    }

    /// What the caller should do.
    #[must_use]
    pub fn advice(&self) -> RetryAdvice {
        self.advice.unwrap_or(self.code.row().retry)
    }

    /// The table's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The code as it stands on the wire.
    #[must_use]
    pub fn code_text(&self) -> String {
        self.fill(self.code.row().code)
    }

    /// The message as it stands on the wire.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.message {
            Some(message) => message.clone(),
            None => self.fill(self.code.row().message),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.code.row().status
    }

    fn fill(&self, pattern: &str) -> String {
        pattern.replace("<Param>", self.parameter.as_deref().unwrap_or("Parameter"))
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code_text(), self.message())
    }
}

impl std::error::Error for WireError {}

impl From<ErrorCode> for WireError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_parameters_use_the_wires_spelling() {
        assert_eq!(WireError::missing("InstanceId").code_text(), "MissingInstanceId");
        assert_eq!(WireError::missing("InstanceId").message(), "InstanceId is mandatory for this action.");
        let error = WireError::invalid("PageSize", "it must be a whole number from 1 to 100");
        assert_eq!(error.code_text(), "InvalidPageSize");
        assert_eq!(error.status(), 400);
        assert!(error.message().contains("PageSize is not valid: it must be"), "{error}");
    }

    #[test]
    fn a_wrong_parameter_gets_the_code_of_its_product() {
        let error = || WireError::invalid("UserName", "it must be short");
        assert_eq!(error().in_words_of(Product::Workbench).code_text(), "InvalidUserName");
        let ram = error().in_words_of(Product::Ram);
        assert_eq!((ram.code_text().as_str(), ram.status()), ("InvalidParameter.UserName", 400));
        assert_eq!(ram.message(), error().message());
        let error = || WireError::breaking("UserName", BrokenRule::Length, "it must be short");
        assert_eq!(error().in_words_of(Product::Workbench).code_text(), "InvalidUserName");
        assert_eq!(error().in_words_of(Product::Sts).code_text(), "InvalidParameter.UserName");
        assert_eq!(error().in_words_of(Product::Ram).code_text(), "InvalidParameter.UserName.Length");
        assert_eq!(WireError::missing("UserName").in_words_of(Product::Sts).code_text(), "MissingUserName");
    }

    #[test]
    fn every_row_is_an_error_with_a_message() {
        for code in ErrorCode::ALL {
            let row = code.row();
            assert!((400..=599).contains(&row.status), "{}", row.code);
            assert!(!row.message.is_empty() && !row.surfaces.is_empty(), "{}", row.code);
            assert!(!row.code.contains(' '));
        }
    }

    #[test]
    fn a_code_stands_in_one_row_only() {
        let mut codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.row().code).collect();
        // The two wordings of a wrong signature share their code (contract, section 5.2).
        codes.retain(|code| *code != "SignatureDoesNotMatch");
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }
}
