//! Groups and who is in them.

use crate::documents::Builder;
use crate::error_codes::ErrorCode;
use crate::ram::{
    AddUserToGroupRequest, CreateGroupRequest, DeleteGroupRequest, DoneReply, GetGroupRequest, GroupReply,
    ListGroupsForUserReply, ListGroupsForUserRequest, ListGroupsReply, ListGroupsRequest,
    ListUsersForGroupReply, ListUsersForGroupRequest, RemoveUserFromGroupRequest, UpdateGroupRequest,
};

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<CreateGroupRequest, GroupReply>(
        "CreateGroup",
        "Makes a group.",
        &[ErrorCode::EntityAlreadyExists, ErrorCode::LimitExceeded],
    );
    document.operation::<GetGroupRequest, GroupReply>("GetGroup", "One group.", &[ErrorCode::EntityNotExist]);
    document.operation::<UpdateGroupRequest, GroupReply>(
        "UpdateGroup",
        "Changes a group's name and what is noted about it.",
        &[ErrorCode::EntityNotExist, ErrorCode::EntityAlreadyExists],
    );
    document.operation::<ListGroupsRequest, ListGroupsReply>(
        "ListGroups",
        "The groups of the account, by name.",
        &[],
    );
    document.operation::<DeleteGroupRequest, DoneReply>(
        "DeleteGroup",
        "Deletes a group that nobody is in and nothing is attached to.",
        &[ErrorCode::EntityNotExist, ErrorCode::DeleteConflict],
    );
    document.operation::<AddUserToGroupRequest, DoneReply>(
        "AddUserToGroup",
        "Puts a user into a group.",
        &[ErrorCode::EntityNotExist, ErrorCode::EntityAlreadyExists, ErrorCode::LimitExceeded],
    );
    document.operation::<RemoveUserFromGroupRequest, DoneReply>(
        "RemoveUserFromGroup",
        "Takes a user out of a group.",
        &[ErrorCode::EntityNotExist],
    );
    document.operation::<ListUsersForGroupRequest, ListUsersForGroupReply>(
        "ListUsersForGroup",
        "The users that are in a group, by name.",
        &[ErrorCode::EntityNotExist],
    );
    document.operation::<ListGroupsForUserRequest, ListGroupsForUserReply>(
        "ListGroupsForUser",
        "The groups that a user is in.",
        &[ErrorCode::EntityNotExist],
    );
}
