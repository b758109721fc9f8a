//! [`ActionError`], which every error becomes. The table `openapi::error_codes` maps it to a wire code.
//!
//! Handlers return it; the outermost middleware (`gateway::finish`) renders it with the RequestId, in JSON or
//! XML, and writes an unexpected one's whole chain to the log, never to the caller.

use std::any::Any;
use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use domain::actions::{Action as _, AssumeRole, Product};
use domain::gate::{Denied, Told};
use domain::identity::{Entity, IdentityRefused};
use domain::principal::Principal;
use domain::storage_target::StorageTargetRefused;
use openapi::error_codes::{ErrorCode, WireError};
use openapi::replies::{AccessDeniedDetail, ErrorReply};
use persistence::StoreError;
use persistence::objects::{LocationUnusable, ObjectError};
use policies::Reason;

use crate::diagnostics::Denial;
use crate::http::request::RequestId;
use crate::limits::concurrency::AcquireTimeout;
use crate::limits::room::NoRoom;
use crate::limits::throttle::Throttled;
use crate::readiness::NotReady;
use crate::road::CallError;

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    /// The caller broke a rule.
    #[error("refused: {0}")]
    Refused(#[from] WireError),
    /// Policy refused.
    #[error("denied")]
    Denied(#[source] Box<Denial>),
    /// The caller calls too often.
    #[error("throttled")]
    Throttled(Throttled),
    /// Too much is held for unauthenticated callers.
    #[error("no room")]
    NoRoom(#[from] NoRoom),
    /// This replica takes no work.
    #[error("not ready")]
    NotReady(#[from] NotReady),
    /// The database.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The object store.
    #[error("the object store failed")]
    Objects(#[from] ObjectError),
    /// Something that should not happen.
    #[error("{step}")]
    Unexpected {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl From<ErrorCode> for ActionError {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(WireError::new(code))
    }
}

impl From<Denied> for ActionError {
    fn from(denied: Denied) -> Self {
        Denial::from(denied).into()
    }
}

impl From<Denial> for ActionError {
    fn from(denial: Denial) -> Self {
        match denial.denied.told {
            Told::NoSuchRecording => ErrorCode::RecordingNotFound.into(),
            Told::Denial | Told::TooWide(_) => Self::Denied(Box::new(denial)),
        }
    }
}

impl From<Throttled> for ActionError {
    fn from(throttled: Throttled) -> Self {
        Self::Throttled(throttled)
    }
}

impl From<AcquireTimeout> for ActionError {
    fn from(timeout: AcquireTimeout) -> Self {
        let message = format!("Too many calls of this kind are being worked on: {timeout}.");
        Self::refused(ErrorCode::ServiceUnavailable, message)
    }
}

impl From<StorageTargetRefused> for ActionError {
    fn from(refused: StorageTargetRefused) -> Self {
        let code = match &refused {
            StorageTargetRefused::Format { .. } => ErrorCode::StorageTargetFormat,
            StorageTargetRefused::BucketName { .. } => ErrorCode::StorageTargetBucketName,
            StorageTargetRefused::Region { .. } => ErrorCode::StorageTargetRegion,
            StorageTargetRefused::AccountMismatch { .. } => ErrorCode::StorageTargetAccount,
        };
        Self::refused(code, format!("{refused}."))
    }
}

impl ActionError {
    /// The RecordStorageTarget that a call names cannot be used.
    pub(crate) fn unusable_target(unusable: &LocationUnusable) -> Self {
        let code = match unusable {
            LocationUnusable::Bucket { .. } => ErrorCode::StorageTargetBucketName,
            LocationUnusable::Prefix { .. } => ErrorCode::StorageTargetFormat,
            LocationUnusable::Unreachable(_) => {
                tracing::warn!(chain = %chain_of(unusable), "a requested storage target cannot be written to");
                ErrorCode::StorageTargetUnreachable
            }
        };
        Self::refused(code, format!("RecordStorageTarget: {unusable}."))
    }
}

impl CallError for ActionError {
    fn code(&self) -> String {
        self.wire().code_text()
    }

    fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self::unexpected("the work panicked", text_of_panic(panic))
    }

    fn is_outdated(&self) -> bool {
        matches!(self, Self::Store(StoreError::Outdated))
    }
}

/// What a panic says.
pub(crate) fn text_of_panic(panic: &(dyn Any + Send)) -> String {
    let message =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", message.unwrap_or("of another type than text"))
}

impl ActionError {
    /// A refusal in words that say exactly what was wrong.
    pub(crate) fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(WireError::with_message(code, message))
    }

    /// An unexpected error, with the step that failed.
    pub(crate) fn unexpected(step: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unexpected { step, source: source.into() }
    }

    /// Whether the caller is at fault, and not the server.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Denied(_) | Self::Throttled(_) | Self::NoRoom(_) => true,
            Self::NotReady(_) | Self::Store(_) | Self::Objects(_) | Self::Unexpected { .. } => false,
        }
    }

    /// Its form on the wire.
    pub(crate) fn wire(&self) -> WireError {
        match self {
            Self::Refused(wire) => wire.clone(),
            Self::Denied(denial) => {
                let Denied { told, product, action, resource, .. } = &denial.denied;
                let why = match told {
                    Told::TooWide(why) => Some(why.to_string()),
                    Told::Denial | Told::NoSuchRecording => None,
                };
                match product {
                    Product::Workbench => match why {
                        Some(why) => WireError::with_message(ErrorCode::ForbiddenRam, why),
                        None => ErrorCode::ForbiddenRam.into(),
                    },
                    Product::Ram | Product::Sts => {
                        let why = why.unwrap_or_else(|| no_permission(&denial.denied).to_owned());
                        // Tools read these two out of it, to say what to grant.
                        let message = format!("{why} Resource: {resource} Action: {action}");
                        WireError::with_message(ErrorCode::NoPermission, message)
                    }
                }
            }
            Self::Throttled(_) => ErrorCode::ThrottlingUser.into(),
            Self::NoRoom(why) => {
                let message = format!("There is no room for the body: {why}; try again in a second.");
                WireError::with_message(ErrorCode::ServiceUnavailable, message)
            }
            Self::NotReady(why) => {
                WireError::with_message(ErrorCode::ServiceUnavailable, format!("Not ready: {why}."))
            }
            Self::Store(error) => store_error(error),
            Self::Objects(error) => object_error(error),
            Self::Unexpected { .. } => ErrorCode::InternalError.into(),
        }
    }

    fn access_denied_detail(&self) -> Option<AccessDeniedDetail> {
        match self {
            Self::Denied(denial) => Some(denial.detail()),
            _ => None,
        }
    }

    /// The whole chain, for the log; `None` if the error is only the caller's mistake.
    fn chain(&self) -> Option<String> {
        match self {
            Self::Refused(_) | Self::Denied(_) | Self::Throttled(_) | Self::NoRoom(_) | Self::NotReady(_) => {
                None
            }
            Self::Store(error) if is_the_callers_own(error) => None,
            Self::Store(_) | Self::Objects(_) | Self::Unexpected { .. } => Some(chain_of(self)),
        }
    }
}

/// Why RAM or STS denies, in the vendor's words, which clients match on.
fn no_permission(denied: &Denied) -> &'static str {
    let assumes = denied.action == AssumeRole::ENTRY.ram_action();
    if assumes && matches!(denied.principal, Principal::Account { .. }) {
        "Roles may not be assumed by root accounts. Call as a RAM user, or as a session of a role."
    } else {
        "You are not authorized to do this action."
    }
}

/// An error and all its sources, in one line.
pub(crate) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

fn store_error(error: &StoreError) -> WireError {
    match error {
        StoreError::Conflict { .. } => ErrorCode::Conflict.into(),
        StoreError::Identity(refused) => identity_refused(refused),
        StoreError::NoSuchAgent(_) => ErrorCode::AgentNotFound.into(),
        StoreError::InvalidPolicy(why) => {
            let message = format!("{why}.");
            if why.reason == Reason::TooLong {
                WireError::about(ErrorCode::InvalidRamParameter, "PolicyDocument.Length", message)
            } else {
                WireError::with_message(ErrorCode::MalformedPolicyDocument, message)
            }
        }
        StoreError::InvalidMarker => {
            WireError::about(ErrorCode::InvalidRamParameter, "Marker", format!("{error}."))
        }
        StoreError::Unavailable { .. }
        | StoreError::WriterBehind { .. }
        | StoreError::Outdated
        | StoreError::Stopping => ErrorCode::ServiceUnavailable.into(),
        _ => ErrorCode::InternalError.into(),
    }
}

/// Whether the caller broke a rule that the reply explains. Nothing is wrong with the database then.
fn is_the_callers_own(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Identity(_)
            | StoreError::InvalidPolicy(_)
            | StoreError::NoSuchAgent(_)
            | StoreError::InvalidMarker
            | StoreError::InvalidPageToken
            | StoreError::Conflict { .. }
    )
}

/// What the identity store refused, in RAM's codes.
fn identity_refused(refused: &IdentityRefused) -> WireError {
    let (code, what) = match refused {
        IdentityRefused::NotExist { entity, .. } => (ErrorCode::EntityNotExist, entity.code()),
        IdentityRefused::NoSystemPolicy { .. } => (ErrorCode::EntityNotExist, Entity::Policy.code()),
        IdentityRefused::AlreadyExists { entity, .. } => (ErrorCode::EntityAlreadyExists, entity.code()),
        IdentityRefused::LimitExceeded { code, .. } => (ErrorCode::LimitExceeded, *code),
        IdentityRefused::DeleteConflict { code, .. } => (ErrorCode::DeleteConflict, *code),
    };
    WireError::about(code, what, format!("{refused}."))
}

fn object_error(error: &ObjectError) -> WireError {
    match error {
        ObjectError::NotFound { .. } => ErrorCode::ObjectNotFound.into(),
        _ => ErrorCode::ServiceUnavailable.into(),
    }
}

/// A refusal on its way out: attached to a response, rendered by the outermost middleware.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The code and the message.
    pub(crate) wire: WireError,
    /// Why policy refused.
    pub(crate) detail: Option<AccessDeniedDetail>,
    /// The chain, for the log.
    pub(crate) chain: Option<String>,
    /// When to call again, for a throttled caller.
    pub(crate) throttled: Option<Throttled>,
    /// When to call again, for another refusal.
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// The headers that say when to call again.
    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match (self.throttled, self.retry_after) {
            (Some(throttled), _) => throttled.headers().into(),
            (None, Some(pause)) => vec![(header::RETRY_AFTER, pause.as_secs().max(1).into())],
            // Whatever the reason is, it may pass soon.
            (None, None) if self.wire.status() == StatusCode::SERVICE_UNAVAILABLE.as_u16() => {
                vec![(header::RETRY_AFTER, 1.into())]
            }
            (None, None) => Vec::new(),
        }
    }

    /// As it stands in a reply's body.
    pub(crate) fn body(&self, request_id: &RequestId, host_id: &str) -> ErrorReply {
        let advice = self.wire.advice();
        ErrorReply {
            request_id: request_id.as_str().to_owned(),
            host_id: host_id.to_owned(),
            code: self.wire.code_text(),
            message: self.wire.message(),
            recommend: advice.sentence().to_owned(),
            success: false,
            retryable: advice.retryable(),
            access_denied_detail: self.detail.clone(),
        }
    }
}

impl From<WireError> for Refusal {
    fn from(wire: WireError) -> Self {
        Self { wire, detail: None, chain: None, throttled: None, retry_after: None }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        WireError::new(code).into()
    }
}

impl From<&ActionError> for Refusal {
    fn from(error: &ActionError) -> Self {
        let throttled = match error {
            ActionError::Throttled(throttled) => Some(*throttled),
            _ => None,
        };
        let retry_after = match error {
            ActionError::NoRoom(_) => Some(NoRoom::TRY_AGAIN_AFTER),
            ActionError::NotReady(_) => Some(NotReady::TRY_AGAIN_AFTER),
            _ => None,
        };
        Self {
            wire: error.wire(),
            detail: error.access_denied_detail(),
            chain: error.chain(),
            throttled,
            retry_after,
        }
    }
}

impl ResponseError for ActionError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.wire().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        response.extensions_mut().insert(Refusal::from(self));
        response
    }
}
