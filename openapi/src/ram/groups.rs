use domain::identity::{GroupName, UserName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DoneReply;
use super::rules::Comments;
use crate::operations::operations;
use crate::parameter_types::{Marker, MaxItems};
use crate::parameters::{Deferred, Parameters};

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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct CreateGroupRequest {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
    /// A comment about the group.
    pub comments: Option<Comments>,
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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetGroupRequest {
    /// The group.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
}

/// Changes a group. What is omitted stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct UpdateGroupRequest {
    /// The group.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
    /// The new name. The group keeps its id and everything that it has; the caller needs the permission under both names.
    pub new_group_name: Option<Deferred<GroupName>>,
    /// The new comment.
    pub new_comments: Option<Comments>,
}

/// Lists the groups of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListGroupsRequest {
    /// Where the previous page ended, from its reply.
    pub marker: Option<Marker>,
    /// How many entries a page shows.
    #[parameter(default = 100)]
    pub max_items: Option<MaxItems>,
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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DeleteGroupRequest {
    /// The group.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
}

/// Puts a user into a group.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct AddUserToGroupRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
    /// The group.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
}

/// Takes a user out of a group.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct RemoveUserFromGroupRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
    /// The group.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
}

/// Lists the users that are in a group, by name.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListUsersForGroupRequest {
    /// The group.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
    /// Where the previous page ended, from its reply.
    pub marker: Option<Marker>,
    /// How many entries a page shows.
    #[parameter(default = 100)]
    pub max_items: Option<MaxItems>,
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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListGroupsForUserRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
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
