//! The check of the audit trail in the database, and of the database against exported files.

use std::collections::{BTreeMap, BTreeSet};

use crate::pool::Reading;

use super::Store;
use super::audit_files::{AuditExports, Files, PutAway};
use super::audit_kept_verify::compare_kept;
use super::audit_vouched::{LOOKED_UP, Said, Vouched, compare};
use super::blocking::blocking;
use crate::StoreError;
use crate::audit::anchor::{Claim, Signed};
use crate::audit::chain::Link;
use crate::audit::kept_anchors::KeptAnchors;
use crate::audit::pruning::links_in_files;
use crate::audit::verify::{
    AnchorCheck, AuditFault, AuditVerification, ChainCheck, CheckedFiles, Findings, verification,
};
use crate::rows::{audit_anchor_rows, audit_pruned_rows, audit_rows, audit_writer_rows};

/// How many rows are read at once.
const BATCH: u64 = 2_000;
const ANCHOR_BATCH: u64 = 200;
/// What the trail in the database is compared with, besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeldAgainst<'a> {
    /// Exported files.
    pub files: Option<&'a CheckedFiles>,
    /// What the database said about the files before they were read; without it, the files need not be complete.
    pub exports: Option<&'a AuditExports>,
    /// What need not be available.
    pub put_away: PutAway<'a>,
    /// Anchors that were kept elsewhere.
    pub anchors: Option<&'a KeptAnchors>,
}

impl Store {
    /// Computes every chain again and compares it with the anchors, and with what else is given. Everything is read at
    /// the same moment. It takes no grant: nothing of an account is shown, only writers, numbers and times.
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
        self.compare_pruned(&snapshot, &vouched, against.files.is_some(), &mut findings).await?;
        let removed = last_removed(&snapshot, &vouched, against.files, &mut findings).await?;
        let mut chains = Vec::new();
        for writer_id in writers(&snapshot, &vouched).await? {
            let removed = removed.get(&writer_id).copied();
            chains.push(read_chain(&snapshot, &writer_id, &vouched, removed, &mut findings).await?);
        }
        let newest = chains.iter().map(ChainCheck::newest).chain(vouched.newest).max().unwrap_or(i64::MIN);
        for chain in &chains {
            chain.check_anchored(newest, &mut findings);
        }
        if let Some(exports) = against.exports {
            let none = CheckedFiles::none();
            let checked = against.files.unwrap_or(&none);
            let pruned = &vouched.pruned;
            let files = Files { checked, exports, put_away: against.put_away, newest, pruned };
            files.check(&snapshot, &mut findings).await?;
        }
        // The transaction only read.
        snapshot.end().await?;
        Ok(verification(chains, findings, vouched.anchors, vouched.unknown_signatures))
    }

    /// What the database says was pruned must be what signed anchors say, neither more, which it would let be removed, nor
    /// less, of which it would seem that there was nothing; and what was pruned is only in files.
    async fn compare_pruned(
        &self,
        snapshot: &Reading<'_>,
        vouched: &Vouched,
        has_files: bool,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let stored = audit_pruned_rows::all(snapshot).await?;
        for (writer_id, &last) in &stored {
            if vouched.pruned.get(writer_id).is_none_or(|pruned| pruned.sequence < last) {
                let why = format!(
                    "the database lets rows up to {last} be removed, and no signed anchor says that they were pruned"
                );
                findings.add(Some(writer_id), last, AuditFault::PruningForged, why);
            }
        }
        for (writer_id, Link { sequence: through, .. }) in &vouched.pruned {
            if stored.get(writer_id).is_none_or(|last| last < through) {
                let why = format!(
                    "a signed anchor says that rows up to {through} were pruned, and the database no longer says so"
                );
                findings.add(Some(writer_id), *through, AuditFault::PruningForged, why);
            }
            if !has_files {
                let through = *through;
                let why =
                    format!("rows up to {through} were pruned, and no exported files were read for them");
                findings.add(Some(writer_id), 1, AuditFault::Pruned { through }, why);
            }
        }
        Ok(())
    }

    async fn read_anchors(
        &self,
        snapshot: &Reading<'_>,
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
                    if standing == Signed::Yes {
                        vouched.hear_pruned(anchor.pruned);
                    }
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

/// Every writer that has rows, is registered, or is mentioned elsewhere.
async fn writers(snapshot: &Reading<'_>, vouched: &Vouched) -> Result<BTreeSet<String>, StoreError> {
    let mut all: BTreeSet<String> = vouched.furthest.keys().chain(vouched.pruned.keys()).cloned().collect();
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

/// The last row that is no longer there of each writer of which rows are there that were pruned. Only the files know it,
/// and without it the first row that is there could be any.
async fn last_removed(
    snapshot: &Reading<'_>,
    vouched: &Vouched,
    files: Option<&CheckedFiles>,
    findings: &mut Findings,
) -> Result<BTreeMap<String, Link>, StoreError> {
    let mut places = BTreeMap::new();
    for (writer_id, pruned) in &vouched.pruned {
        if let Some((first, _)) = audit_rows::first(snapshot, writer_id).await?
            && (2..=pruned.sequence).contains(&first)
        {
            places.insert(writer_id.clone(), first - 1);
        }
    }
    // Without files it is said already that they are missing.
    let Some(files) = files.filter(|_| !places.is_empty()) else { return Ok(BTreeMap::new()) };
    let (paths, wanted) = (files.paths.clone(), places.clone());
    let links = match blocking(move || links_in_files(&paths, &wanted)).await? {
        Ok(links) => links,
        Err(error) => {
            tracing::warn!(%error, "exported files cannot be read again");
            BTreeMap::new()
        }
    };
    for (writer_id, through) in places {
        if !links.contains_key(&writer_id) {
            let why = format!(
                "row {} was pruned and is still there, and row {through}, which it follows, is in none of the files that \
                 were read",
                through + 1
            );
            findings.add(Some(&writer_id), 1, AuditFault::Pruned { through }, why);
        }
    }
    Ok(links)
}

async fn read_chain(
    snapshot: &Reading<'_>,
    writer_id: &str,
    vouched: &Vouched,
    removed: Option<Link>,
    findings: &mut Findings,
) -> Result<ChainCheck, StoreError> {
    let anchored = vouched.up_to.get(writer_id).copied().unwrap_or_default();
    let mut chain = ChainCheck::new(writer_id, anchored, vouched.ends.get(writer_id).copied());
    if let Some(last) = vouched.pruned.get(writer_id) {
        chain = chain.pruned(*last, removed);
    }
    let mut after = i64::MIN;
    let mut rows = audit_rows::of_writer(snapshot, writer_id, after, BATCH).await?;
    while let Some(last) = rows.last() {
        after = i64::try_from(last.sequence).unwrap_or(i64::MAX);
        // These are checked while the next ones are read: either takes about as long.
        let mut found = std::mem::take(findings);
        let checking = tokio::task::spawn_blocking(move || {
            for row in &rows {
                chain.row(row, &mut found);
            }
            (chain, found)
        });
        let next = audit_rows::of_writer(snapshot, writer_id, after, BATCH).await;
        (chain, *findings) = match checking.await {
            Ok(checked) => checked,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => return Err(StoreError::Stopping),
        };
        rows = next?;
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
