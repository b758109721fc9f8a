//! The check of the audit trail in the database, and of the database against exported files.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DatabaseTransaction;

use super::Store;
use super::audit_files::{AuditExports, Files, PutAway};
use super::audit_kept_verify::compare_kept;
use crate::StoreError;
use crate::audit::anchor::{Claim, Signed};
use crate::audit::chain::first_link;
use crate::audit::hex_32;
use crate::audit::kept_anchors::KeptAnchors;
use crate::audit::verify::{
    AnchorCheck, AuditFault, AuditVerification, ChainCheck, CheckedFiles, Findings, verification,
};
use crate::rows::{audit_anchor_rows, audit_rows, audit_writer_rows};

/// Rows that are read at once.
const BATCH: u64 = 2_000;
const ANCHOR_BATCH: u64 = 200;
/// Places that are looked up at once.
pub(super) const LOOKED_UP: usize = 100;

/// What the anchors say.
#[derive(Default)]
pub(super) struct Vouched {
    /// Up to which row of which writer a signed anchor agrees.
    up_to: BTreeMap<String, u64>,
    /// The furthest row of a writer that an anchor or a file speaks of.
    furthest: BTreeMap<String, (u64, String)>,
    /// Where a writer's chain ended.
    pub(super) ends: BTreeMap<String, u64>,
    /// Whose rows are known not to be those that somebody speaks of; once is enough.
    rewritten: BTreeSet<String>,
    anchors: u64,
    pub(super) unknown_signatures: u64,
    newest: Option<i64>,
}

/// What somebody says of a chain, and who.
pub(super) struct Said {
    pub(super) claim: Claim,
    pub(super) who: String,
    pub(super) signed: bool,
}

/// What the trail in the database is held against, beside itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeldAgainst<'a> {
    /// Exported files.
    pub files: Option<&'a CheckedFiles>,
    /// What the database had said of them before they were read; without it, they are not asked to be all there.
    pub exports: Option<&'a AuditExports>,
    /// What need not be at hand.
    pub put_away: PutAway<'a>,
    /// Anchors that were kept elsewhere.
    pub anchors: Option<&'a KeptAnchors>,
}

impl Store {
    /// Computes every chain again and compares it with the anchors, and with what else it is held against. All is seen as it was at one moment. It takes no grant: nothing of an account is shown, only writers,
    /// numbers and times.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn verify_audit(&self, against: HeldAgainst<'_>) -> Result<AuditVerification, StoreError> {
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let mut findings = Findings::default();
        let mut vouched = Vouched::default();
        self.read_anchors(&snapshot, &mut vouched, &mut findings).await?;
        if let Some(kept) = against.anchors {
            compare_kept(&snapshot, kept, &self.inner.keys, &mut vouched, &mut findings).await?;
        }
        if let Some(files) = against.files {
            let said: Vec<_> = files
                .heads
                .iter()
                .map(|(writer_id, link)| Said {
                    claim: Claim { writer_id: writer_id.clone(), link: *link },
                    who: "an exported file".to_owned(),
                    signed: false,
                })
                .collect();
            for said in said.chunks(LOOKED_UP) {
                compare(&snapshot, said, &mut vouched, &mut findings).await?;
            }
        }
        let mut chains = Vec::new();
        for writer_id in writers(&snapshot, &vouched).await? {
            chains.push(read_chain(&snapshot, &writer_id, &vouched, &mut findings).await?);
        }
        let newest = chains.iter().map(ChainCheck::newest).chain(vouched.newest).max().unwrap_or(i64::MIN);
        for chain in &chains {
            chain.check_anchored(newest, &mut findings);
        }
        if let Some(exports) = against.exports {
            let none = CheckedFiles::none();
            let checked = against.files.unwrap_or(&none);
            let files = Files { checked, exports, put_away: against.put_away, newest };
            files.check(&snapshot, &mut findings).await?;
        }
        // It only read.
        snapshot.rollback().await.map_err(StoreError::at("end a transaction"))?;
        Ok(verification(chains, findings, vouched.anchors, vouched.unknown_signatures))
    }

    async fn read_anchors(
        &self,
        snapshot: &DatabaseTransaction,
        vouched: &mut Vouched,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let mut writer_id = String::new();
        while let Some(next) = audit_anchor_rows::writer_after(snapshot, &writer_id).await? {
            writer_id = next;
            let (mut check, mut after) = (AnchorCheck::default(), i64::MIN);
            loop {
                let anchors = audit_anchor_rows::of_writer(snapshot, &writer_id, after, ANCHOR_BATCH).await?;
                let Some(last) = anchors.last() else { break };
                after = i64::try_from(last.number).unwrap_or(i64::MAX);
                let mut said = Vec::new();
                for signed in &anchors {
                    vouched.anchors += 1;
                    let keys = Some(&*self.inner.keys);
                    let Some((anchor, standing)) = check.anchor(signed, true, keys, findings) else {
                        continue;
                    };
                    vouched.unknown_signatures += u64::from(standing == Signed::KeyUnknown);
                    vouched.newest = vouched.newest.max(Some(anchor.at));
                    if anchor.end {
                        vouched.ends.insert(writer_id.clone(), anchor.head.sequence);
                    }
                    let who = format!("anchor {} of writer {writer_id}", anchor.number);
                    let own = Claim { writer_id: writer_id.clone(), link: anchor.head };
                    said.extend(std::iter::once(own).chain(anchor.others).map(|claim| Said {
                        claim,
                        who: who.clone(),
                        signed: standing == Signed::Yes,
                    }));
                }
                for said in said.chunks(LOOKED_UP) {
                    compare(snapshot, said, vouched, findings).await?;
                }
            }
        }
        Ok(())
    }
}

/// Compares what is said of chains with what stands there.
pub(super) async fn compare(
    snapshot: &DatabaseTransaction,
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
            sequence => at.get(&(writer_id.as_str(), sequence)).copied(),
        };
        let furthest = vouched.furthest.entry(writer_id.clone()).or_insert_with(|| (0, String::new()));
        if link.sequence > furthest.0 {
            *furthest = (link.sequence, who.clone());
        }
        // The chain itself tells a hole, and `furthest` a missing end.
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

/// Every writer that has rows, is written down or is spoken of.
async fn writers(snapshot: &DatabaseTransaction, vouched: &Vouched) -> Result<BTreeSet<String>, StoreError> {
    let mut all: BTreeSet<String> = vouched.furthest.keys().cloned().collect();
    let mut last = String::new();
    while let Some(next) = audit_rows::writer_after(snapshot, &last).await? {
        all.insert(next.clone());
        last = next;
    }
    last.clear();
    while let Some(next) = audit_writer_rows::after(snapshot, &last).await? {
        all.insert(next.clone());
        last = next;
    }
    Ok(all)
}

async fn read_chain(
    snapshot: &DatabaseTransaction,
    writer_id: &str,
    vouched: &Vouched,
    findings: &mut Findings,
) -> Result<ChainCheck, StoreError> {
    let anchored = vouched.up_to.get(writer_id).copied().unwrap_or_default();
    let mut chain = ChainCheck::new(writer_id, anchored, vouched.ends.get(writer_id).copied());
    let mut after = i64::MIN;
    loop {
        let rows = audit_rows::of_writer(snapshot, writer_id, after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after = i64::try_from(last.sequence).unwrap_or(i64::MAX);
        for row in &rows {
            chain.row(row, findings);
        }
    }
    match vouched.furthest.get(writer_id) {
        Some((sequence, who)) => chain.reaches(*sequence, who, findings),
        None if chain.last_row() == 0 => {
            let why = "this writer is written down, and neither a row nor an anchor of it is left".to_owned();
            findings.add(Some(writer_id), 0, AuditFault::WriterMissing, why);
        }
        None => {}
    }
    Ok(chain)
}
