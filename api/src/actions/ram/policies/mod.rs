//! Policies and their versions.

mod create_policy;
mod create_policy_version;
mod delete_policy;
mod delete_policy_version;
mod get_policy;
mod get_policy_version;
mod list_entities_for_policy;
mod list_policies;
mod list_policy_attachments;
mod list_policy_versions;
pub(super) mod policy;
mod set_default_policy_version;
mod update_policy_description;
