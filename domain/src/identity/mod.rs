//! Users, groups, roles, policies and access keys. Each has a file with its types and the decisions about it.
//!
//! A decision is a pure function of the present state, which the store reads under lock, and of the request. It returns
//! what to write, or a refusal ([`IdentityRefused`]), and the store writes it in the same transaction as its audit row.
//! The database itself checks whether a name is taken.

pub mod access_keys;
mod account_settings;
mod attachments;
mod control_policies;
mod groups;
pub mod limits;
mod login_profiles;
mod names;
mod policies;
mod policy_versions;
mod refusals;
mod roles;
mod tags;
mod users;

pub use access_keys::{AccessKeyCreated, AccessKeyEntry, AccessKeyUse, KeyOwner};
pub use account_settings::{
    AccountAlias, AccountSettings, AccountSettingsChange, MinimumPasswordLength, PasswordPolicy,
};
pub use attachments::{
    AttachedPolicy, Attachment, AttachmentFilter, AttachmentTarget, BearerKind, BearingGroup, BearingRole,
    BearingUser, ListedAttachment, PolicyBearers, PolicyDetached,
};
pub use control_policies::{ControlPolicy, check_control_document};
pub use groups::{
    Group, GroupBelongings, GroupChange, GroupDeleted, Joined, NewGroup, UserJoinedGroup, UserLeftGroup,
};
pub use login_profiles::{LoginProfile, LoginProfileChange, StoredLoginProfile};
pub use names::{
    AccessKeyId, BrokenRule, ExternalId, GroupId, GroupName, InvalidName, PolicyName, RoleId, RoleName,
    RoleSessionName, SourceIdentity, UserId, UserName, generate_account_id, random_alphanumeric,
};
pub use policies::{
    NewPolicy, OtherVersions, Policy, PolicyCreated, PolicyDeleted, PolicyEntry, PolicyKind, PolicyRef,
    PolicySummary, check_policy_document,
};
pub use policy_versions::{NewPolicyVersion, PolicyVersion, PolicyVersionAdded, PolicyVersionDeleted};
pub use refusals::{ChangeRefused, Entity, IdentityRefused};
pub use roles::{
    NewRole, NewRoleSession, Role, RoleChange, RoleDeleted, SessionCredentials, check_trust_policy,
};
pub use tags::{
    EntityTags, InvalidTag, MAX_TAGS, RemovedTags, TagFilter, TagOfEntity, Taggable, TaggableKind, Tagged,
};
pub use users::{NewUser, User, UserBelongings, UserChange, UserDeleted, UserProfile};
