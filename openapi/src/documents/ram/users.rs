//! Users.

use crate::documents::Builder;
use crate::error_codes::ErrorCode;
use crate::ram::{
    CreateUserRequest, DeleteUserRequest, DoneReply, GetUserRequest, ListUsersReply, ListUsersRequest,
    UpdateUserRequest, UserReply,
};

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<CreateUserRequest, UserReply>(
        "CreateUser",
        "Makes a user.",
        &[ErrorCode::EntityAlreadyExists, ErrorCode::LimitExceeded],
    );
    document.operation::<GetUserRequest, UserReply>(
        "GetUser",
        "One user, or the caller.",
        &[ErrorCode::MissingParameter, ErrorCode::EntityNotExist],
    );
    document.operation::<UpdateUserRequest, UserReply>(
        "UpdateUser",
        "Changes a user's name and what is noted about it.",
        &[ErrorCode::EntityNotExist, ErrorCode::EntityAlreadyExists],
    );
    document.operation::<ListUsersRequest, ListUsersReply>(
        "ListUsers",
        "The users of the account, by name.",
        &[],
    );
    document.operation::<DeleteUserRequest, DoneReply>(
        "DeleteUser",
        "Deletes a user that has nothing any more; its login profile goes with it.",
        &[ErrorCode::EntityNotExist, ErrorCode::DeleteConflict],
    );
}
