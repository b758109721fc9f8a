//! The comparison of the database with anchors that were kept elsewhere.

use std::collections::BTreeMap;

use crate::pool::Reading;
use domain::server_keys::ServerKeys;

use super::audit_vouched::{LOOKED_UP, Said, Vouched, compare};
use crate::StoreError;
use crate::audit::anchor::{Claim, Signed, SignedAnchor};
use crate::audit::kept_anchors::KeptAnchors;
use crate::audit::verify::{AuditFault, Findings};
use crate::rows::audit_anchor_rows;

const ANCHOR_BATCH: u64 = 200;

/// Checks that every genuine kept anchor is unchanged in the database, and so is every row that it refers to.
pub(super) async fn compare_kept(
    snapshot: &Reading<'_>,
    kept: &KeptAnchors,
    keys: &ServerKeys,
    vouched: &mut Vouched,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut of_writers: BTreeMap<&str, BTreeMap<u64, &SignedAnchor>> = BTreeMap::new();
    for signed in &kept.anchors {
        let Some((anchor, standing)) = kept.read_one(signed, Some(keys), findings) else { continue };
        let who = kept.who(signed);
        let signed_by_us = standing == Signed::Yes;
        if signed_by_us {
            of_writers.entry(&signed.writer_id).or_default().insert(signed.number, signed);
        } else {
            vouched.unknown_signatures += 1;
        }
        if anchor.end && signed_by_us {
            vouched.ends.insert(anchor.writer_id.clone(), anchor.head.sequence);
        }
        let own = Claim { writer_id: anchor.writer_id, link: anchor.head };
        let said: Vec<_> = std::iter::once(own)
            .chain(anchor.others)
            .map(|claim| Said { claim, who: who.clone(), signed: signed_by_us })
            .collect();
        for said in said.chunks(LOOKED_UP) {
            compare(snapshot, said, vouched, findings).await?;
        }
    }
    for (writer_id, anchors) in of_writers {
        missing(snapshot, kept, writer_id, anchors, findings).await?;
    }
    Ok(())
}

async fn missing(
    snapshot: &Reading<'_>,
    kept: &KeptAnchors,
    writer_id: &str,
    mut anchors: BTreeMap<u64, &SignedAnchor>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (anchors.keys().next().copied(), anchors.keys().last().copied()) else {
        return Ok(());
    };
    let mut after = column(first) - 1;
    while after < column(last) {
        let page = audit_anchor_rows::of_writer(snapshot, writer_id, after, ANCHOR_BATCH).await?;
        let Some(newest) = page.last() else { break };
        after = column(newest.number);
        for stored in &page {
            if anchors.get(&stored.number).is_some_and(|anchor| anchor.text == stored.text) {
                anchors.remove(&stored.number);
            }
        }
    }
    // One finding is enough.
    if let (Some((number, anchor)), count) = (anchors.iter().next(), anchors.len()) {
        let who = kept.who(anchor);
        let more =
            if count > 1 { format!(", nor are {} others of this writer", count - 1) } else { String::new() };
        let why = format!(
            "{who} is not in the database{more}: it was put back to an earlier state, or they were removed or changed"
        );
        findings.add(Some(writer_id), *number, AuditFault::RolledBack, why);
    }
    Ok(())
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
