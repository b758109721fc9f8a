//! What is known of a recording before its objects are looked at.

use std::collections::BTreeMap;

use crate::chain::ContentHash;
use crate::ids::{AccountId, InstanceId, TerminalSessionToken};
use crate::layout::EvidenceName;
use crate::start::Start;
use crate::timestamp::Timestamp;

/// Which recording is meant, and what its objects are by the word of whoever keeps them. What is `None` or left out is
/// not compared.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Which recording.
    pub recording: Option<TerminalSessionToken>,
    /// Of which instance.
    pub instance: Option<InstanceId>,
    /// Of which account.
    pub account: Option<AccountId>,
    /// When it is read: no recording began later, whatever it says.
    pub read_at: Option<Timestamp>,
    /// The objects that the control plane has taken in, with their SHA-256. Each has to be there.
    pub objects: BTreeMap<EvidenceName, ContentHash>,
}

impl Expected {
    /// Why a recording that begins so is not the one that is meant; `None` when it is.
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
