use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::DoneReply;
use crate::operations::operations;

operations! {
    CreateGroup: CreateGroupRequest => GroupReply, [EntityAlreadyExists, LimitExceeded];
    GetGroup: GetGroupRequest => GroupReply, [EntityNotExist];
    UpdateGroup: UpdateGroupRequest => GroupReply, [EntityNotExist, EntityAlreadyExists];
    ListGroups: ListGroupsRequest => ListGroupsReply;
    DeleteGroup: DeleteGroupRequest => DoneReply, [EntityNotExist, DeleteConflict];
    AddUserToGroup: AddUserToGroupRequest => DoneReply, [EntityNotExist, EntityAlreadyExists, LimitExceeded];
    RemoveUserFromGroup: RemoveUserFromGroupRequest => DoneReply, [EntityNotExist];
    ListUsersForGroup: ListUsersForGroupRequest => ListUsersForGroupReply, [EntityNotExist];
    ListGroupsForUser: ListGroupsForUserRequest => ListGroupsForUserReply, [EntityNotExist];
}

/// Creates a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreateGroupRequest {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(example = "operators")]
    pub group_name: String,
    /// A comment about the group.
    #[schema(nullable = false)]
    #[validate(length(max = 128, code = "Length", message = "it must have at most 128 characters"))]
    pub comments: Option<String>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GroupReply {
    /// The call's id.
    pub request_id: String,
    /// The group.
    pub group: GroupItem,
}

/// Asks for one group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetGroupRequest {
    /// The group.
    #[schema(example = "operators")]
    pub group_name: String,
}

/// Changes a group. What is omitted stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateGroupRequest {
    /// The group.
    #[schema(example = "operators")]
    pub group_name: String,
    /// The new name. The group keeps its id and everything that it has; the caller needs the permission under both names.
    #[schema(nullable = false)]
    pub new_group_name: Option<String>,
    /// The new comment.
    #[schema(nullable = false)]
    #[validate(length(max = 128, code = "Length", message = "it must have at most 128 characters"))]
    pub new_comments: Option<String>,
}

/// Lists the groups of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListGroupsRequest {
    /// Where the previous page ended, from its reply.
    #[schema(nullable = false)]
    #[validate(length(min = 1, max = 512, message = "it must be the Marker of an earlier reply"))]
    pub marker: Option<String>,
    /// How many entries a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    #[validate(range(min = 1, max = 1000, message = "it must be a whole number from 1 to 1000"))]
    pub max_items: Option<i32>,
}

/// A page of groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListGroupsReply {
    /// The call's id.
    pub request_id: String,
    /// Whether more entries follow.
    pub is_truncated: bool,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marker: Option<String>,
    /// The groups of this page.
    pub groups: GroupList,
}

/// Groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GroupList {
    /// The groups, by name.
    pub group: Vec<GroupItem>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GroupItem {
    /// The id: 18 digits, never reused.
    #[schema(example = "400000000000000001")]
    pub group_id: String,
    /// The name, unique within the account.
    #[schema(example = "operators")]
    pub group_name: String,
    /// A comment about the group.
    pub comments: String,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
    /// When it was last changed.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub update_date: String,
}

/// Deletes a group that has no members and no policies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteGroupRequest {
    /// The group.
    #[schema(example = "operators")]
    pub group_name: String,
}

/// Puts a user into a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AddUserToGroupRequest {
    /// The user.
    #[schema(example = "ana")]
    pub user_name: String,
    /// The group.
    #[schema(example = "operators")]
    pub group_name: String,
}

/// Takes a user out of a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveUserFromGroupRequest {
    /// The user.
    #[schema(example = "ana")]
    pub user_name: String,
    /// The group.
    #[schema(example = "operators")]
    pub group_name: String,
}

/// Lists the users that are in a group, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsersForGroupRequest {
    /// The group.
    #[schema(example = "operators")]
    pub group_name: String,
    /// Where the previous page ended, from its reply.
    #[schema(nullable = false)]
    #[validate(length(min = 1, max = 512, message = "it must be the Marker of an earlier reply"))]
    pub marker: Option<String>,
    /// How many entries a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    #[validate(range(min = 1, max = 1000, message = "it must be a whole number from 1 to 1000"))]
    pub max_items: Option<i32>,
}

/// A page of the users that are in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsersForGroupReply {
    /// The call's id.
    pub request_id: String,
    /// Whether more entries follow.
    pub is_truncated: bool,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marker: Option<String>,
    /// The users of this page.
    pub users: MemberList,
}

/// Users that are in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MemberList {
    /// The users, by name.
    pub user: Vec<MemberItem>,
}

/// A user that is in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MemberItem {
    /// The name.
    #[schema(example = "ana")]
    pub user_name: String,
    /// The name that people see.
    pub display_name: String,
    /// When the user joined the group.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub join_date: String,
}

/// Lists the groups that a user is in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListGroupsForUserRequest {
    /// The user.
    #[schema(example = "ana")]
    pub user_name: String,
}

/// The groups that a user is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListGroupsForUserReply {
    /// The call's id.
    pub request_id: String,
    /// The groups.
    pub groups: MembershipList,
}

/// Groups that a user is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MembershipList {
    /// The groups, by name.
    pub group: Vec<MembershipItem>,
}

/// A group that a user is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MembershipItem {
    /// The id: 18 digits, never reused.
    #[schema(example = "400000000000000001")]
    pub group_id: String,
    /// The name.
    #[schema(example = "operators")]
    pub group_name: String,
    /// A comment about the group.
    pub comments: String,
    /// When the user joined the group.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub join_date: String,
}
