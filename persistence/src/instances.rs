//! Instances, as administrators see them.

use domain::instance_tags::InstanceTags;
use domain::{InstanceId, Region};

/// An instance with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEntry {
    /// The instance.
    pub instance: InstanceId,
    /// Where it is; unknown before an agent has joined from it.
    pub region: Option<Region>,
    /// Its tags.
    pub tags: InstanceTags,
}
