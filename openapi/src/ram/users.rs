use domain::identity::UserName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DoneReply;
use super::rules::{Comments, DisplayName, Email, MobilePhone};
use crate::operations::operations;
use crate::parameter_types::{Marker, MaxItems};
use crate::parameters::{Deferred, Parameters};

operations! {
    CreateUser: CreateUserRequest => UserReply, [EntityAlreadyExists, LimitExceeded];
    GetUser: GetUserRequest => UserReply, [MissingParameter, EntityNotExist];
    UpdateUser: UpdateUserRequest => UserReply, [EntityNotExist, EntityAlreadyExists];
    ListUsers: ListUsersRequest => ListUsersReply;
    DeleteUser: DeleteUserRequest => DoneReply, [EntityNotExist, DeleteConflict];
}

/// Creates a user.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct CreateUserRequest {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
    /// The name that people see.
    pub display_name: Option<DisplayName>,
    /// A mobile phone number; nothing is sent to it.
    pub mobile_phone: Option<MobilePhone>,
    /// An e-mail address; nothing is sent to it.
    pub email: Option<Email>,
    /// A comment about the user.
    pub comments: Option<Comments>,
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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetUserRequest {
    /// The user. A user may omit it and means itself.
    #[parameter(example = "ana")]
    pub user_name: Option<Deferred<UserName>>,
}

/// Changes a user. What is omitted stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct UpdateUserRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
    /// The new name. The user keeps its id and everything that it has; the caller needs the permission under both names.
    pub new_user_name: Option<Deferred<UserName>>,
    /// The new name that people see.
    pub new_display_name: Option<DisplayName>,
    /// The new number.
    pub new_mobile_phone: Option<MobilePhone>,
    /// The new address.
    pub new_email: Option<Email>,
    /// The new comment.
    pub new_comments: Option<Comments>,
}

/// Lists the users of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListUsersRequest {
    /// Where the previous page ended, from its reply.
    pub marker: Option<Marker>,
    /// How many entries a page shows.
    #[parameter(default = 100)]
    pub max_items: Option<MaxItems>,
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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DeleteUserRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
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
