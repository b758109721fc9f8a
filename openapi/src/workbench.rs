//! Requests and replies of ecs-workbench 2022-02-20, as they stand on the wire. One file per kind of thing.

mod agents;
mod audit;
mod continuity;
mod policies;
mod record_config;
mod records;
mod simulation_texts;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use agents::*;
pub use audit::*;
pub use continuity::*;
pub use policies::*;
pub use record_config::*;
pub use records::*;
pub use simulation_texts::*;

/// What every successful reply begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Envelope {
    /// The call's id: an upper-case UUID, also in the header `x-acs-request-id`.
    #[schema(example = "473469C7-AA6F-4DC5-B3DB-A3DC0DE30E47")]
    pub request_id: String,
    /// `OK`.
    #[schema(example = "OK")]
    pub code: String,
    /// `success`.
    pub message: String,
    /// Always true; refusals are HTTP errors.
    pub success: bool,
}

impl Envelope {
    /// The envelope of a call that was done. `OK` is the one word that every SDK takes for success.
    #[must_use]
    pub fn ok(request_id: &str) -> Self {
        Self {
            request_id: request_id.to_owned(),
            code: "OK".to_owned(),
            message: "success".to_owned(),
            success: true,
        }
    }
}

/// The page that a list shows unless asked otherwise.
pub const DEFAULT_PAGE_SIZE: u32 = 10;
