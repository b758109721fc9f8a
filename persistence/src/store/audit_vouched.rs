//! The comparison of what anchors and files state about chains with what is in the database.

use std::collections::{BTreeMap, BTreeSet};

use crate::pool::Reading;

use crate::StoreError;
use crate::audit::anchor::Claim;
use crate::audit::chain::{Link, first_link, hex_32};
use crate::audit::verify::{AuditFault, Findings};
use crate::rows::audit_rows;

/// How many places are looked up at once.
pub(super) const LOOKED_UP: usize = 100;

/// What the anchors state.
#[derive(Default)]
pub(super) struct Vouched {
    /// The row of each writer up to which a signed anchor agrees.
    pub(super) up_to: BTreeMap<String, u64>,
    /// The furthest row of a writer that an anchor or a file refers to.
    pub(super) furthest: BTreeMap<String, (u64, String)>,
    /// The last row of each writer that was pruned, as a signed anchor of the database says.
    pub(super) pruned: BTreeMap<String, Link>,
    /// Where a writer's chain ended.
    pub(super) ends: BTreeMap<String, u64>,
    /// The writers whose rows are known to differ from what was stated; each is reported once.
    pub(super) rewritten: BTreeSet<String>,
    pub(super) anchors: u64,
    pub(super) unknown_signatures: u64,
    pub(super) newest: Option<i64>,
}

/// A statement about a chain, with its source.
pub(super) struct Said {
    pub(super) claim: Claim,
    pub(super) who: String,
    pub(super) signed: bool,
}

impl Vouched {
    /// Takes note of what a signed anchor says was pruned.
    pub(super) fn hear_pruned(&mut self, pruned: Vec<Claim>) {
        for Claim { writer_id, link } in pruned {
            let up_to = self.up_to.entry(writer_id.clone()).or_default();
            *up_to = link.sequence.max(*up_to);
            match self.pruned.get(&writer_id) {
                Some(known) if known.sequence >= link.sequence => {}
                _ => drop(self.pruned.insert(writer_id, link)),
            }
        }
    }
}

/// Compares statements about chains with the database.
pub(super) async fn compare(
    snapshot: &Reading<'_>,
    said: &[Said],
    vouched: &mut Vouched,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let places: BTreeSet<_> = said
        .iter()
        .filter(|said| said.claim.link.sequence > 0)
        .map(|said| (said.claim.writer_id.clone(), said.claim.link.sequence))
        .collect();
    let places: Vec<_> = places.into_iter().collect();
    let stored =
        if places.is_empty() { Vec::new() } else { audit_rows::chains_at(snapshot, &places).await? };
    let mut at: BTreeMap<(&str, u64), Option<[u8; 32]>> = BTreeMap::new();
    for (writer_id, sequence, chain) in &stored {
        at.insert((writer_id, *sequence), hex_32(chain));
    }
    for Said { claim: Claim { writer_id, link }, who, signed } in said {
        let stands_there = match link.sequence {
            0 => Some(Some(first_link(writer_id).chain)),
            sequence => at.get(&(writer_id.as_str(), sequence)).copied().or_else(|| {
                let pruned = vouched.pruned.get(writer_id).filter(|pruned| pruned.sequence == sequence);
                pruned.map(|pruned| Some(pruned.chain))
            }),
        };
        let furthest = vouched.furthest.entry(writer_id.clone()).or_insert_with(|| (0, String::new()));
        if link.sequence > furthest.0 {
            *furthest = (link.sequence, who.clone());
        }
        // A gap is found by the check of the chain itself, and a missing end by `furthest`.
        let Some(chain) = stands_there else { continue };
        if chain != Some(link.chain) {
            if vouched.rewritten.insert(writer_id.clone()) {
                let why = format!("the rows up to {} are not those that {who} speaks of", link.sequence);
                findings.add(Some(writer_id), link.sequence, AuditFault::Rewritten, why);
            }
        } else if *signed {
            let up_to = vouched.up_to.entry(writer_id.clone()).or_default();
            *up_to = link.sequence.max(*up_to);
        }
    }
    Ok(())
}
