//! What makes the audit trail evidence: one hash chain for each writer, anchors that bind the chains to each other
//! and to the deployment's keys, exported files, and the check of all three.
//!
//! A writer is one start of one control plane, or one run of `hansard admin`. Its rows are numbered from 1 without a
//! hole, and each row's chain value follows from the one before ([`chain`]). At most once a minute, and only when
//! something changed, a control plane writes an anchor: the head of its own chain and those of all other writers that
//! are not finished, signed with a key that is never in the database ([`anchor`]). Every row and every anchor also
//! stands as one line in a file ([`log`]), and the database notes in which. [`verify`] computes everything again, and
//! misses what was exported and is no longer there.
//!
//! # What somebody who can write to the database cannot hide
//!
//! - A row that was changed, moved, removed or put in between: the chain values no longer follow from each other.
//! - The same with all later chain values computed anew, for chains need no key: the next signed anchor disagrees.
//! - A writer's tail or a whole writer that was removed: its own anchors say how far it was, and so do those of every
//!   other control plane that saw it. Anchors are numbered and each names the hash of the one before, so that one
//!   that was removed leaves a hole.
//! - Rows added to a finished chain: an orderly end is a signed anchor that says so; behind any other end they stay
//!   without an anchor, and are named as such once they are an hour older than the newest of all.
//! - Rows added to the chain of a running control plane: it remembers its own head, ends the chain there, signed, and
//!   begins another.
//!
//! # What it can
//!
//! - What happened since the last anchor, at most about a minute ago: that tail can be rewritten or removed, unless it
//!   was exported, which takes a fraction of a second.
//! - Put the whole database back to an earlier state while no control plane runs, anchors and all. Only exported
//!   files or anchors ([`kept_anchors`]) that the attacker does not reach tell that; `hansard audit verify` compares
//!   them.
//! - Make the database forget what was exported, and remove the files: nobody misses them then, and what they held is
//!   in the database, where the chains keep it.
//! - With the server keys too, everything, except against exported files out of reach. Ship them to another machine.
//! - Rows added, with a well computed chain, to a writer that was killed and is not yet known to be dead (an hour).

pub(crate) mod anchor;
pub(crate) mod chain;
pub(crate) mod days;
pub(crate) mod kept_anchors;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod ranges;
pub(crate) mod verify;

use domain::audit::AuditEvent;

use crate::rows::audit_rows::decision_columns;
use crate::rows::column_text;

/// The texts of a row, as they are stored: nothing is interpreted, so that what was damaged can be told too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenEvent {
    pub(crate) request_id: String,
    pub(crate) at: i64,
    pub(crate) account_id: String,
    pub(crate) principal: String,
    pub(crate) access_key_id: Option<String>,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) decision: String,
    pub(crate) decided_by: Option<String>,
    pub(crate) result: String,
    pub(crate) source_address: Option<String>,
    pub(crate) user_agent: String,
    pub(crate) recording: Option<String>,
    pub(crate) how: String,
    /// Derived from the others; not part of the chain.
    pub(crate) instance_id: Option<String>,
}

impl WrittenEvent {
    /// The event as the database can keep it; the chain is over what is kept.
    pub(crate) fn of(event: &AuditEvent) -> Self {
        let (decision, decided_by) = decision_columns(&event.decision);
        Self {
            request_id: column_text(&event.request_id),
            at: event.at.as_millis(),
            account_id: event.account.as_str().to_owned(),
            principal: column_text(&event.principal),
            access_key_id: event.access_key_id.as_deref().map(column_text),
            action: column_text(&event.action),
            resource: column_text(&event.resource),
            decision: decision.to_owned(),
            decided_by: decided_by.map(column_text),
            result: column_text(&event.result),
            source_address: event.source_address.map(|address| address.to_string()),
            user_agent: column_text(&event.user_agent),
            recording: event.recording.as_deref().map(column_text),
            how: column_text(&event.how),
            instance_id: event.instance().map(String::from),
        }
    }

    /// What [`AuditEvent::instance`] says of these texts.
    pub(crate) fn derived_instance(&self) -> Option<String> {
        domain::audit::instance_of(&self.resource, &self.account_id).map(String::from)
    }
}

/// A row at its place in its writer's chain, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainedEvent {
    pub(crate) writer_id: String,
    pub(crate) sequence: u64,
    /// Lower-case hex.
    pub(crate) chain: String,
    pub(crate) event: WrittenEvent,
}

impl ChainedEvent {
    /// Its own link; `None` when its chain value is none.
    pub(crate) fn link(&self) -> Option<chain::Link> {
        Some(chain::Link { sequence: self.sequence, chain: hex_32(&self.chain)? })
    }
}

/// 32 bytes in lower-case hex.
pub(crate) fn hex_32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}
