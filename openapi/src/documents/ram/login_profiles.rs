//! Passwords of the console.

use crate::documents::Builder;
use crate::error_codes::ErrorCode;
use crate::ram::{
    CreateLoginProfileRequest, DeleteLoginProfileRequest, DoneReply, GetLoginProfileRequest,
    LoginProfileReply, UpdateLoginProfileRequest,
};

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<CreateLoginProfileRequest, LoginProfileReply>(
        "CreateLoginProfile",
        "Gives a user a password for the console.",
        &[ErrorCode::EntityNotExist, ErrorCode::EntityAlreadyExists],
    );
    document.operation::<GetLoginProfileRequest, LoginProfileReply>(
        "GetLoginProfile",
        "How a user signs in to the console.",
        &[ErrorCode::EntityNotExist],
    );
    document.operation::<UpdateLoginProfileRequest, DoneReply>(
        "UpdateLoginProfile",
        "Changes how a user signs in to the console.",
        &[ErrorCode::EntityNotExist],
    );
    document.operation::<DeleteLoginProfileRequest, DoneReply>(
        "DeleteLoginProfile",
        "Takes the console from a user.",
        &[ErrorCode::EntityNotExist],
    );
}
