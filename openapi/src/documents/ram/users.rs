//! Users.

use crate::documents::Builder;
use crate::error_codes::ErrorCode;
use crate::ram::{GetUserReply, GetUserRequest, ListUsersReply, ListUsersRequest};

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<GetUserRequest, GetUserReply>(
        "GetUser",
        "One user, or the caller.",
        &[ErrorCode::EntityNotExist],
    );
    document.operation::<ListUsersRequest, ListUsersReply>(
        "ListUsers",
        "The users of the account, by name.",
        &[],
    );
}
