//! Access keys.

use crate::documents::Builder;
use crate::error_codes::ErrorCode;
use crate::ram::{
    CreateAccessKeyReply, CreateAccessKeyRequest, DeleteAccessKeyRequest, DoneReply,
    GetAccessKeyLastUsedReply, GetAccessKeyLastUsedRequest, ListAccessKeysReply, ListAccessKeysRequest,
    UpdateAccessKeyRequest,
};

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<CreateAccessKeyRequest, CreateAccessKeyReply>(
        "CreateAccessKey",
        "Makes an access key, whose secret is shown once.",
        &[ErrorCode::MissingParameter, ErrorCode::EntityNotExist, ErrorCode::LimitExceeded],
    );
    document.operation::<ListAccessKeysRequest, ListAccessKeysReply>(
        "ListAccessKeys",
        "The access keys of a user.",
        &[ErrorCode::MissingParameter, ErrorCode::EntityNotExist],
    );
    document.operation::<UpdateAccessKeyRequest, DoneReply>(
        "UpdateAccessKey",
        "Switches an access key on or off.",
        &[ErrorCode::MissingParameter, ErrorCode::EntityNotExist],
    );
    document.operation::<DeleteAccessKeyRequest, DoneReply>(
        "DeleteAccessKey",
        "Deletes an access key.",
        &[ErrorCode::MissingParameter, ErrorCode::EntityNotExist],
    );
    document.operation::<GetAccessKeyLastUsedRequest, GetAccessKeyLastUsedReply>(
        "GetAccessKeyLastUsed",
        "When an access key last signed.",
        &[ErrorCode::MissingParameter, ErrorCode::EntityNotExist],
    );
}
