//! The hash chain of one writer.
//!
//! `chain_0 = SHA-256("hansard-audit-v1" ‖ writer id)`, `chain_n = SHA-256("hansard-audit-v1" ‖ chain_(n-1) ‖
//! u64be n ‖ fields)`, where a field is `u32be length ‖ bytes` and one that is absent is `u32be 0xFFFFFFFF`.

use aws_lc_rs::digest::{SHA256, digest};

use super::event::WrittenEvent;

const DOMAIN: &[u8] = b"hansard-audit-v1";

/// A link of a writer's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    pub(crate) chain: [u8; 32],
}

/// A row and its place in its writer's chain, as the row itself states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainedEvent {
    pub(crate) writer_id: String,
    pub(crate) sequence: u64,
    /// Lower-case hex.
    pub(crate) chain: String,
    pub(crate) event: WrittenEvent,
}

impl ChainedEvent {
    /// Its own link; `None` when its chain value is malformed.
    pub(crate) fn link(&self) -> Option<Link> {
        Some(Link { sequence: self.sequence, chain: hex_32(&self.chain)? })
    }
}

/// Reads 32 bytes from lower-case hex.
pub(crate) fn hex_32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

/// Where a chain begins, before its first row.
pub(crate) fn first_link(writer_id: &str) -> Link {
    Link { sequence: 0, chain: hash(&[DOMAIN, writer_id.as_bytes()].concat()) }
}

/// The link that a row forms after the previous one. What the row itself states about its place and its chain is not
/// used.
pub(crate) fn next_link(last: Link, event: &WrittenEvent) -> Link {
    let sequence = last.sequence + 1;
    let at = event.at.to_string();
    let fields = [
        Some(event.request_id.as_str()),
        Some(at.as_str()),
        Some(event.account_id.as_str()),
        Some(event.principal.as_str()),
        event.access_key_id.as_deref(),
        Some(event.action.as_str()),
        Some(event.resource.as_str()),
        Some(event.decision.as_str()),
        event.decided_by.as_deref(),
        Some(event.result.as_str()),
        event.source_address.as_deref(),
        Some(event.user_agent.as_str()),
        event.recording.as_deref(),
        Some(event.how.as_str()),
    ];
    // Hashed at once: many short parts, each by itself, take longer than their bytes.
    let mut bytes = Vec::with_capacity(1_024);
    bytes.extend_from_slice(DOMAIN);
    bytes.extend_from_slice(&last.chain);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    for field in fields {
        let length = field.map_or(u32::MAX, |text| u32::try_from(text.len()).unwrap_or(u32::MAX - 1));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field.unwrap_or_default().as_bytes());
    }
    Link { sequence, chain: hash(&bytes) }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}
