//! Pruning: old audit rows are removed from the database once they are in the exported files for good.
//!
//! A row is removed only if it was exported, the file still holds it, and the rows there form the chain up to a place for
//! which a signed anchor vouches. A further anchor then names the last row that is removed; it is written and exported
//! before the first row goes. Each control plane prunes the writers whose files are in its own folder.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::Timestamp;

use sea_orm::DatabaseTransaction;

use super::Store;
use super::audit_anchors::find_last_anchor;
use super::audit_export::locked;
use super::begun_anew::begun_anew;
use super::blocking::blocking;
use crate::audit::anchor::{Anchor, Claim, Signed};
use crate::audit::chain::{Link, first_link, next_link};
use crate::audit::days::Day;
use crate::audit::log::AuditFolder;
use crate::audit::pruning::{Held, Stretch, look_in_files};
use crate::error::COMMIT;
use crate::rows::audit_export_rows::{ExportedRange, LineKind};
use crate::rows::audit_pruned_rows::PrunedBy;
use crate::rows::{audit_anchor_rows, audit_export_rows, audit_pruned_rows, audit_rows, audit_writer_rows};
use crate::{AuditExport, AuditExportError, StoreError};

/// How many rows are read at once.
const BATCH: u64 = 2_000;
const ANCHOR_BATCH: u64 = 200;
/// How many rows of a writer one round prunes: a single statement looks at so many, and none may take so long that its
/// connection would be given up. Anchors come each minute, so that there are some within.
const MOST_ROWS: u64 = 5_000_000;
/// How many writers one round prunes, because one anchor names them all.
const MOST_WRITERS: usize = 200;
/// How many ranges of rows in files are noted in one transaction.
const NOTED_AT_ONCE: usize = 50;
/// How long one piece may keep other writers of the database from their turn.
const TURN: Duration = Duration::from_millis(20);
/// How many rows the first piece removes; the next ones are as long as their time allows.
const FIRST_PIECE: u64 = 50;
const MOST_AT_ONCE: u64 = 5_000;

/// What a round of pruning did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPruning {
    /// How many rows were removed from the database.
    pub rows: u64,
    /// The writers whose old rows stay, because something is wrong with them.
    pub withheld: Vec<WithheldPruning>,
}

/// Why old rows of a writer stay in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithheldPruning {
    /// The writer.
    pub writer_id: String,
    /// A description in one sentence.
    pub why: String,
}

/// A writer that has rows which are old enough.
#[derive(Debug)]
struct Due {
    /// The first row that is still there.
    first: u64,
    /// The last row that may go.
    limit: u64,
    /// The last row that a genuine anchor names as pruned.
    pruned: Link,
    /// The last row before the limit for which a genuine anchor vouches.
    vouched: Option<Link>,
}

impl Store {
    /// Removes the rows from the database that are older than `before`, and are in this store's exported files. Nothing is
    /// removed while an export lags. It may be cancelled at any time; the next round goes on.
    ///
    /// # Errors
    /// [`AuditExportError`]; what was removed before the error stays removed.
    pub async fn prune_audit(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<AuditPruning, AuditExportError> {
        let mut done = AuditPruning::default();
        let Some(log) = self.inner.exports.log.get() else { return Ok(done) };
        let (folder, origin) = locked(log, |log| (log.folder().to_owned(), log.origin().to_owned()));
        // Whatever an earlier round named as pruned is exported before anything of it goes.
        self.export_uncancelled(now).await?;
        if self.audit_export() != AuditExport::Current {
            return Ok(done);
        }
        let before = before.minus(self.ahead_of_database(now).await?);
        let mut due = self.due_for_pruning(&origin, before).await?;
        if due.is_empty() {
            return Ok(done);
        }
        self.read_anchors_of(&mut due).await?;
        let stretches = locked(&self.inner.exports.last_proven, |last| {
            let stretches = stretches(&due, last, &mut done.withheld);
            // Writers whose files are not there must not keep all others from their turn.
            *last = next_turn(last, &stretches);
            stretches
        });
        let proven = self.prove(folder, &origin, stretches, &mut done.withheld).await?;
        if !proven.is_empty() {
            self.note_held(&origin, &proven, now).await?;
            let (store, pruned_before) = (self.clone(), before);
            let claim = |(writer_id, (stretch, _)): (&String, &(Stretch, Held))| Claim {
                writer_id: writer_id.clone(),
                link: stretch.last,
            };
            let anchored: Vec<_> = proven.iter().map(claim).collect();
            let once = async move {
                let connections = &store.inner.connections;
                begun_anew(connections, || store.anchor_pruned(&anchored, pruned_before, now)).await
            };
            uncancelled(once).await?;
            self.export_uncancelled(now).await?;
        }
        for (writer_id, of) in &due {
            let through = proven.get(writer_id).map_or(of.pruned, |(stretch, _)| stretch.last).sequence;
            done.rows += self.delete_in_pieces(writer_id, through).await?;
        }
        Ok(done)
    }

    /// How far this moment is ahead of the database's clock: a clock that runs fast must make no row old.
    async fn ahead_of_database(&self, now: Timestamp) -> Result<Duration, StoreError> {
        let clock = self.clock().await?.unwrap_or(now);
        let ahead = now.as_millis().saturating_sub(clock.as_millis());
        Ok(Duration::from_millis(u64::try_from(ahead).unwrap_or_default()))
    }

    async fn export_uncancelled(&self, now: Timestamp) -> Result<(), AuditExportError> {
        let store = self.clone();
        uncancelled(async move { store.export_audit(now).await }).await.map(drop)
    }

    /// The writers of this folder that have old rows.
    async fn due_for_pruning(
        &self,
        origin: &str,
        before: Timestamp,
    ) -> Result<BTreeMap<String, Due>, StoreError> {
        let reader = self.inner.connections.reader();
        let exported_to: BTreeMap<_, _> = audit_writer_rows::to_export(reader, origin)
            .await?
            .into_iter()
            .map(|writer| (writer.writer_id.clone(), self.exported_events(&writer)))
            .collect();
        let (mut due, mut last) = (BTreeMap::new(), String::new());
        loop {
            let page = audit_writer_rows::exports_after(reader, &last, BATCH).await?;
            let Some(newest) = page.last() else { return Ok(due) };
            newest.writer_id.clone_into(&mut last);
            for writer in page.into_iter().filter(|writer| writer.origin.as_deref() == Some(origin)) {
                let writer_id = writer.writer_id;
                let Some((first, at)) = audit_rows::first(reader, &writer_id).await? else { continue };
                if at >= before.as_millis() {
                    continue;
                }
                let most = first.saturating_add(MOST_ROWS - 1);
                let kept = audit_rows::first_since(reader, &writer_id, before.as_millis(), most).await?;
                let mut limit = kept.map_or(most, |kept| kept - 1);
                if writer.finished {
                    limit = limit.min(writer.exported.events);
                } else {
                    // The last row of a chain that may go on says where it does.
                    let head = audit_rows::last_sequence(reader, &writer_id).await?;
                    let exported = exported_to.get(&writer_id).copied().unwrap_or_default();
                    limit = limit.min(head.saturating_sub(1)).min(exported);
                }
                if limit >= first {
                    let pruned = first_link(&writer_id);
                    due.insert(writer_id, Due { first, limit, pruned, vouched: None });
                }
            }
        }
    }

    /// Finds out what genuine anchors say of these writers.
    async fn read_anchors_of(&self, due: &mut BTreeMap<String, Due>) -> Result<(), StoreError> {
        let (reader, keys) = (self.inner.connections.reader(), &self.inner.keys);
        let mut writer_id = String::new();
        while let Some(next) = audit_anchor_rows::writer_after(reader, &writer_id).await? {
            writer_id = next;
            let mut after = i64::MIN;
            loop {
                let anchors = audit_anchor_rows::of_writer(reader, &writer_id, after, ANCHOR_BATCH).await?;
                let Some(last) = anchors.last() else { break };
                after = i64::try_from(last.number).unwrap_or(i64::MAX);
                for signed in &anchors {
                    let Some(anchor) = signed.read() else { continue };
                    let own = Claim { writer_id: anchor.writer_id, link: anchor.head };
                    let vouched: Vec<_> = std::iter::once(own)
                        .chain(anchor.others)
                        .filter(|claim| due.get(&claim.writer_id).is_some_and(|due| due.wants(claim.link)))
                        .collect();
                    let pruned: Vec<_> = anchor
                        .pruned
                        .into_iter()
                        .filter(|claim| due.contains_key(&claim.writer_id))
                        .collect();
                    // Of most anchors nothing is wanted, and a signature takes long to check.
                    if (vouched.is_empty() && pruned.is_empty()) || signed.check(Some(keys)) != Signed::Yes {
                        continue;
                    }
                    for Claim { writer_id, link } in vouched {
                        if let Some(due) = due.get_mut(&writer_id) {
                            due.vouched = Some(link);
                        }
                    }
                    for Claim { writer_id, link } in pruned {
                        if let Some(due) = due.get_mut(&writer_id)
                            && link.sequence > due.pruned.sequence
                        {
                            due.pruned = link;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The stretches that the files hold as the anchors say, and the database too.
    async fn prove(
        &self,
        folder: PathBuf,
        origin: &str,
        stretches: BTreeMap<String, Stretch>,
        withheld: &mut Vec<WithheldPruning>,
    ) -> Result<BTreeMap<String, (Stretch, Held)>, AuditExportError> {
        if stretches.is_empty() {
            return Ok(BTreeMap::new());
        }
        let from = self.first_day_of(origin, &stretches).await?;
        let looked = blocking({
            let stretches = stretches.clone();
            move || {
                let mut files = AuditFolder::look(&folder)?.files;
                let day_of = |file: &PathBuf| Day::of_file(file.file_name()?.to_str()?);
                files.retain(|file| day_of(file).is_some_and(|day| Some(&day) >= from.as_ref()));
                look_in_files(&files, &stretches)
            }
        })
        .await?;
        let mut withhold = |writer_id: String, why| withheld.push(WithheldPruning { writer_id, why });
        let held = match looked {
            Ok(held) => held,
            Err(error) => {
                let why = format!("the exported files cannot be read: {error}");
                stretches.into_keys().for_each(|writer_id| withhold(writer_id, why.clone()));
                return Ok(BTreeMap::new());
            }
        };
        let mut proven = BTreeMap::new();
        for (writer_id, held) in held {
            let Some(stretch) = stretches.get(&writer_id).copied() else { continue };
            let fault = match held.fault() {
                Some(fault) => Some(fault),
                None => self.fault_in_database(&writer_id, stretch).await?,
            };
            match fault {
                Some(fault) => withhold(writer_id, fault),
                None => {
                    proven.insert(writer_id, (stretch, held));
                }
            }
        }
        Ok(proven)
    }

    /// The first day whose file holds rows of the stretches; `None` when that is not known of all of them.
    async fn first_day_of(
        &self,
        origin: &str,
        stretches: &BTreeMap<String, Stretch>,
    ) -> Result<Option<Day>, StoreError> {
        let mut days: BTreeMap<&str, Day> = BTreeMap::new();
        let mut last: Option<ExportedRange> = None;
        loop {
            let reader = self.inner.connections.reader();
            let page = audit_export_rows::of_origin(reader, origin, last.as_ref(), BATCH).await?;
            let Some(newest) = page.last() else { break };
            last = Some(newest.clone());
            for range in page.into_iter().filter(|range| range.kind == LineKind::Event) {
                // The order of the rows is that of their days.
                if let Some((writer_id, stretch)) = stretches.get_key_value(&range.writer_id)
                    && (range.first..=range.last).contains(&(stretch.after.sequence + 1))
                {
                    days.entry(writer_id).or_insert(range.day);
                }
            }
        }
        Ok(if days.len() == stretches.len() { days.into_values().min() } else { None })
    }

    /// What is wrong with the rows that are about to go: what was tampered with is evidence, and stays.
    async fn fault_in_database(
        &self,
        writer_id: &str,
        stretch: Stretch,
    ) -> Result<Option<String>, StoreError> {
        let mut reached = stretch.after;
        while reached.sequence < stretch.last.sequence {
            let after = i64::try_from(reached.sequence).unwrap_or(i64::MAX);
            let reader = self.inner.connections.reader();
            let rows = audit_rows::of_writer(reader, writer_id, after, BATCH).await?;
            let before = reached;
            for row in rows.iter().take_while(|row| row.sequence <= stretch.last.sequence) {
                let link = next_link(reached, &row.event);
                if row.link() != Some(link) {
                    return Ok(Some(format!("row {} in the database was changed or moved", row.sequence)));
                }
                reached = link;
            }
            // Whether or not rows are left beyond the stretch.
            if reached == before {
                break;
            }
        }
        Ok((reached != stretch.last).then(|| {
            format!("the rows up to {} are not those that the anchors speak of", stretch.last.sequence)
        }))
    }

    /// Notes which file holds which of the rows, where an earlier version did not. All calls would wait for it in the turn
    /// of the anchor, and there may be much: each day of each writer.
    async fn note_held(
        &self,
        origin: &str,
        proven: &BTreeMap<String, (Stretch, Held)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let of_writer = |(writer_id, (_, held)): (&String, &(Stretch, Held))| {
            let range = |(day, &(first, last)): (&Day, &(u64, u64))| {
                let (day, writer_id, kind) = (day.clone(), writer_id.clone(), LineKind::Event);
                ExportedRange { day, writer_id, kind, first, last }
            };
            held.of_days.iter().map(range).collect::<Vec<_>>()
        };
        let ranges: Vec<_> = proven.iter().flat_map(of_writer).collect();
        let connections = &self.inner.connections;
        for some in ranges.chunks(NOTED_AT_ONCE) {
            let note = |transaction: DatabaseTransaction| async move {
                let since = Instant::now();
                for range in some {
                    audit_export_rows::note_found(&transaction, origin, range, now).await?;
                }
                transaction.commit().await.map_err(StoreError::at(COMMIT))?;
                Ok(since.elapsed())
            };
            let took = begun_anew(connections, || connections.write(note)).await?;
            tokio::time::sleep(took).await;
        }
        Ok(())
    }

    /// Signs an anchor that names the last pruned rows, and lets the database delete up to there.
    async fn anchor_pruned(
        &self,
        pruned: &[Claim],
        before: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let write = |transaction| self.write_pruned(transaction, pruned, before, now);
        self.inner.connections.write_shortly(write).await?;
        self.inner.audit.written.notify_one();
        Ok(())
    }

    async fn write_pruned(
        &self,
        transaction: DatabaseTransaction,
        pruned: &[Claim],
        before: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let origin = inner.audit.origin.get().map(String::as_str);
        // As for any other anchor: first the transaction, then the chain.
        let mut own = inner.audit.chain().await;
        let head = own.head(&transaction).await?;
        if own.ended {
            return Err(StoreError::Stopping);
        }
        let writer_id = own.writer_id.clone();
        let (number, previous) = match own.last_anchor.take() {
            Some(last) => last,
            None => find_last_anchor(&transaction, &writer_id).await?,
        };
        audit_writer_rows::register(&transaction, &writer_id, origin, now.as_millis()).await?;
        let anchor = Anchor {
            writer_id: writer_id.clone(),
            number: number + 1,
            at: now.as_millis(),
            previous,
            head,
            end: false,
            others: Vec::new(),
            pruned: pruned.to_vec(),
        }
        .signed(&inner.keys);
        audit_anchor_rows::insert(&transaction, &anchor).await?;
        let by = PrunedBy { writer_id: &writer_id, number: anchor.number, rows_before: before };
        for claim in pruned {
            audit_pruned_rows::put(&transaction, &claim.writer_id, claim.link.sequence, &by).await?;
        }
        transaction.commit().await.map_err(StoreError::at(COMMIT))?;
        own.last_anchor = Some((anchor.number, anchor.hash()));
        inner.exports.kept.add(vec![anchor]);
        Ok(())
    }

    /// Removes the rows of a writer through a number, in pieces between which others have their turn.
    async fn delete_in_pieces(&self, writer_id: &str, through: u64) -> Result<u64, StoreError> {
        let connections = &self.inner.connections;
        let (mut deleted, mut size) = (0, FIRST_PIECE);
        while let Some((first, _)) = audit_rows::first(connections.reader(), writer_id).await?
            && first <= through
        {
            let last = through.min(first.saturating_add(size - 1));
            let delete = |transaction: DatabaseTransaction| async move {
                // What is waited for before is the turn of others.
                let since = Instant::now();
                let rows = audit_rows::delete(&transaction, writer_id, first, last).await?;
                transaction.commit().await.map_err(StoreError::at(COMMIT))?;
                Ok((rows, since.elapsed()))
            };
            let (rows, took) = begun_anew(connections, || connections.write(delete)).await?;
            deleted += rows;
            size = next_piece(size, took);
            // At least half of the time is for others.
            tokio::time::sleep(took).await;
        }
        Ok(deleted)
    }

    /// How far the rows of a writer were exported that is not finished.
    fn exported_events(&self, writer: &audit_writer_rows::ExportedWriter) -> u64 {
        let Some(log) = self.inner.exports.log.get() else { return 0 };
        super::audit_export::position(log, writer).events
    }
}

impl Due {
    /// Whether an anchor that vouches for this link is wanted.
    fn wants(&self, link: Link) -> bool {
        (self.first..=self.limit).contains(&link.sequence)
            && self.vouched.is_none_or(|best| best.sequence < link.sequence)
    }
}

/// What is to be proven of each writer before it goes, beginning with those after a writer.
fn stretches(
    due: &BTreeMap<String, Due>,
    after: &str,
    withheld: &mut Vec<WithheldPruning>,
) -> BTreeMap<String, Stretch> {
    let mut stretches = BTreeMap::new();
    let from = due.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
    for (writer_id, due) in from.chain(due.range::<str, _>((Bound::Unbounded, Bound::Included(after)))) {
        let pruned = due.pruned.sequence;
        if due.first > pruned + 1 {
            let why = format!("rows {} to {} are missing, and were not pruned", pruned + 1, due.first - 1);
            withheld.push(WithheldPruning { writer_id: writer_id.clone(), why });
        } else if let Some(last) = due.vouched.filter(|link| link.sequence > pruned)
            && stretches.len() < MOST_WRITERS
        {
            stretches.insert(writer_id.clone(), Stretch { after: due.pruned, last });
        }
    }
    stretches
}

/// The writer after which the next round begins: the last one of this round, in the order in which it went.
fn next_turn(after: &str, stretches: &BTreeMap<String, Stretch>) -> String {
    let before = stretches.range::<str, _>((Bound::Unbounded, Bound::Included(after))).next_back();
    before.or_else(|| stretches.last_key_value()).map_or(after, |(writer_id, _)| writer_id).to_owned()
}

/// How many rows the next piece removes, after one of a size took so long: half of the turn is aimed at.
fn next_piece(size: u64, took: Duration) -> u64 {
    let aim = TURN / 2;
    let size = if took > aim {
        size / 2
    } else if took < aim / 2 {
        size * 2
    } else {
        size
    };
    size.clamp(1, MOST_AT_ONCE)
}

/// Runs to its end also when the caller stops waiting: what was written to a file is noted in the database.
async fn uncancelled<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(StoreError::Stopping.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_that_stay_keep_no_others_from_their_turn() {
        let of = |number: usize| {
            let writer_id = format!("{number:03}");
            let pruned = first_link(&writer_id);
            let vouched = Some(Link { sequence: 7, ..pruned });
            (writer_id, Due { first: 1, limit: 9, pruned, vouched })
        };
        let due: BTreeMap<_, _> = (0..2 * MOST_WRITERS + 50).map(of).collect();
        let (mut last, mut proven) = (String::new(), Vec::new());
        for _ in 0..3 {
            let round = stretches(&due, &last, &mut Vec::new());
            assert_eq!(round.len(), MOST_WRITERS);
            last = next_turn(&last, &round);
            proven.extend(round.into_keys());
        }
        proven.sort();
        proven.dedup();
        assert_eq!(proven.len(), due.len());
        assert_eq!(next_turn("a", &BTreeMap::new()), "a");
    }

    #[test]
    fn a_piece_shrinks_where_it_takes_long_and_never_to_nothing() {
        assert_eq!(next_piece(100, Duration::from_millis(1)), 200);
        assert_eq!(next_piece(100, Duration::from_millis(7)), 100);
        assert_eq!(next_piece(100, Duration::from_millis(15)), 50);
        assert_eq!(next_piece(1, Duration::from_secs(1)), 1);
        assert_eq!(next_piece(MOST_AT_ONCE, Duration::ZERO), MOST_AT_ONCE);
    }
}
