//! What every kind of capture announces and offers. The agent knows kinds only through this.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind of capture that an agent offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Capability {
    /// The kind: `terminal`.
    pub kind: String,
    /// The version of what the kind delivers.
    pub version: String,
}

/// One kind of capture.
pub trait Capture: Send + Sync {
    /// The kind and version, as announced to the control plane, which delegates by them.
    fn capability(&self) -> Capability;
}
