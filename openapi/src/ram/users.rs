use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::DoneReply;
use crate::operations::operations;

operations! {
    CreateUser: CreateUserRequest => UserReply, [EntityAlreadyExists, LimitExceeded];
    GetUser: GetUserRequest => UserReply, [MissingParameter, EntityNotExist];
    UpdateUser: UpdateUserRequest => UserReply, [EntityNotExist, EntityAlreadyExists];
    ListUsers: ListUsersRequest => ListUsersReply;
    DeleteUser: DeleteUserRequest => DoneReply, [EntityNotExist, DeleteConflict];
}

/// Makes a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreateUserRequest {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(example = "ana")]
    pub user_name: String,
    /// The name that people see.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub display_name: Option<String>,
    /// The number of a mobile phone; nothing is sent to it.
    #[schema(nullable = false)]
    #[validate(length(max = 32, message = "it has at most 32 characters"))]
    pub mobile_phone: Option<String>,
    /// The address of a mailbox; nothing is sent to it.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub email: Option<String>,
    /// What is noted about the user.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub comments: Option<String>,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UserReply {
    /// The call's id.
    pub request_id: String,
    /// The user.
    pub user: UserItem,
}

/// Asks for one user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetUserRequest {
    /// The user; omitted by a user, it means the caller.
    #[schema(nullable = false, example = "ana")]
    pub user_name: Option<String>,
}

/// Changes a user. What is omitted stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateUserRequest {
    /// The user.
    #[schema(example = "ana")]
    pub user_name: String,
    /// Another name. The user keeps its id and all that it has; the caller must be allowed under both names.
    #[schema(nullable = false)]
    pub new_user_name: Option<String>,
    /// Another name for people to see.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub new_display_name: Option<String>,
    /// Another number.
    #[schema(nullable = false)]
    #[validate(length(max = 32, message = "it has at most 32 characters"))]
    pub new_mobile_phone: Option<String>,
    /// Another address.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub new_email: Option<String>,
    /// Another note.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub new_comments: Option<String>,
}

/// Lists the users of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsersRequest {
    /// Where the page before ended, from its reply.
    #[schema(nullable = false)]
    #[validate(length(min = 1, max = 512, message = "it is the Marker of an earlier reply"))]
    pub marker: Option<String>,
    /// How many entries a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    #[validate(range(min = 1, max = 1000, message = "it is a whole number from 1 to 1000"))]
    pub max_items: Option<i32>,
}

/// A page of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsersReply {
    /// The call's id.
    pub request_id: String,
    /// Whether more follow.
    pub is_truncated: bool,
    /// Where this page ends; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marker: Option<String>,
    /// The users of this page.
    pub users: UserList,
}

/// Deletes a user that has neither access keys nor policies and is in no group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteUserRequest {
    /// The user.
    #[schema(example = "ana")]
    pub user_name: String,
}

/// Users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UserList {
    /// The users, by name.
    pub user: Vec<UserItem>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UserItem {
    /// The id: 18 digits, never reused.
    #[schema(example = "200000000000000001")]
    pub user_id: String,
    /// The name, unique within the account.
    #[schema(example = "ana")]
    pub user_name: String,
    /// The name that people see.
    pub display_name: String,
    /// The number of a mobile phone.
    pub mobile_phone: String,
    /// The address of a mailbox.
    pub email: String,
    /// What is noted about the user.
    pub comments: String,
    /// When it was made.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
    /// When it was last changed.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub update_date: String,
    /// When it last signed in to the console; absent when it never did, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_login_date: Option<String>,
}
