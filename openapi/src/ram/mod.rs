//! Requests and replies of RAM 2015-05-01, as they stand on the wire. One file per kind of thing. Results stand beside
//! RequestId; there is no envelope.

mod access_keys;
mod account;
mod attachments;
mod diagnostics;
mod groups;
mod login_profiles;
mod policies;
mod roles;
mod rules;
mod tags;
mod users;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use access_keys::*;
pub use account::*;
pub use attachments::*;
pub use diagnostics::*;
pub use groups::*;
pub use login_profiles::*;
pub use policies::*;
pub use roles::*;
pub use rules::*;
pub use tags::*;
pub use users::*;

/// How many entries a list shows unless asked otherwise.
pub const DEFAULT_MAX_ITEMS: u32 = 100;

/// A reply with nothing but the id of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DoneReply {
    /// The call's id: an upper-case UUID, also in the header `x-acs-request-id`.
    #[schema(example = "473469C7-AA6F-4DC5-B3DB-A3DC0DE30E47")]
    pub request_id: String,
}
