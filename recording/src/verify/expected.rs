//! What is known of a recording before its objects are read.

use std::collections::BTreeMap;

use crate::chain::ContentHash;
use crate::ids::{AccountId, InstanceId, TerminalSessionToken};
use crate::layout::EvidenceName;
use crate::start::Start;
use crate::timestamp::Timestamp;

/// Which recording is expected, and which objects it has according to the service that stores them. Fields that are
/// `None` or empty are not compared.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The token of the recording.
    pub recording: Option<TerminalSessionToken>,
    /// The instance it belongs to.
    pub instance: Option<InstanceId>,
    /// The account it belongs to.
    pub account: Option<AccountId>,
    /// When it is read. A recording cannot have begun later, whatever it claims.
    pub read_at: Option<Timestamp>,
    /// The objects that the control plane has accepted, with their SHA-256. Each must be present.
    pub objects: BTreeMap<EvidenceName, ContentHash>,
}

impl Expected {
    /// Why a recording with this start is not the expected one; `None` if it is.
    pub(super) fn refusal(&self, start: &Start) -> Option<String> {
        let differs = self.recording.as_ref().is_some_and(|expected| *expected != start.recording)
            || self.instance.as_ref().is_some_and(|expected| *expected != start.instance)
            || self.account.as_ref().is_some_and(|expected| *expected != start.account);
        differs.then(|| {
            format!(
                "it is not the recording that was asked for: this is recording {} of instance {}, account {}",
                start.recording, start.instance, start.account
            )
        })
    }
}
