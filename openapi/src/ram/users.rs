use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{DoneReply, rules};
use crate::operations::operations;

operations! {
    CreateUser: CreateUserRequest => UserReply, [EntityAlreadyExists, LimitExceeded];
    GetUser: GetUserRequest => UserReply, [MissingParameter, EntityNotExist];
    UpdateUser: UpdateUserRequest => UserReply, [EntityNotExist, EntityAlreadyExists];
    ListUsers: ListUsersRequest => ListUsersReply;
    DeleteUser: DeleteUserRequest => DoneReply, [EntityNotExist, DeleteConflict];
}

/// Creates a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreateUserRequest {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(example = "ana")]
    pub user_name: String,
    /// The name that people see.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::display_name"))]
    pub display_name: Option<String>,
    /// A mobile phone number; nothing is sent to it.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::mobile_phone"))]
    pub mobile_phone: Option<String>,
    /// An e-mail address; nothing is sent to it.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::email"))]
    pub email: Option<String>,
    /// A comment about the user.
    #[schema(nullable = false)]
    #[validate(length(max = 128, code = "Length", message = "it must have at most 128 characters"))]
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
    /// The user. A user may omit it and means itself.
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
    /// The new name. The user keeps its id and everything that it has; the caller needs the permission under both names.
    #[schema(nullable = false)]
    pub new_user_name: Option<String>,
    /// The new name that people see.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::display_name"))]
    pub new_display_name: Option<String>,
    /// The new number.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::mobile_phone"))]
    pub new_mobile_phone: Option<String>,
    /// The new address.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::email"))]
    pub new_email: Option<String>,
    /// The new comment.
    #[schema(nullable = false)]
    #[validate(length(max = 128, code = "Length", message = "it must have at most 128 characters"))]
    pub new_comments: Option<String>,
}

/// Lists the users of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsersRequest {
    /// Where the previous page ended, from its reply.
    #[schema(nullable = false)]
    #[validate(length(min = 1, max = 512, message = "it must be the Marker of an earlier reply"))]
    pub marker: Option<String>,
    /// How many entries a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    #[validate(range(min = 1, max = 1000, message = "it must be a whole number from 1 to 1000"))]
    pub max_items: Option<i32>,
}

/// A page of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsersReply {
    /// The call's id.
    pub request_id: String,
    /// Whether more entries follow.
    pub is_truncated: bool,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marker: Option<String>,
    /// The users of this page.
    pub users: UserList,
}

/// Deletes a user that has no access keys, no policies and no login profile, and is in no group.
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
    /// A mobile phone number.
    pub mobile_phone: String,
    /// An e-mail address.
    pub email: String,
    /// A comment about the user.
    pub comments: String,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
    /// When it was last changed.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub update_date: String,
    /// When it last signed in to the console; absent when it never signed in, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_login_date: Option<String>,
}
