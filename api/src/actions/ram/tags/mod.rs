//! Tags of roles and policies.

mod list_tag_resources;
pub(super) mod read;
mod tag_resources;
mod untag_resources;
