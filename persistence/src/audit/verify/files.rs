//! The check of exported files, without a database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use domain::server_keys::ServerKeys;

use super::{AnchorCheck, AuditFault, AuditVerification, ChainCheck, Findings, verification};
use crate::audit::anchor::{Claim, Signed, SignedAnchor};
use crate::audit::chain::ChainedEvent;
use crate::audit::chain::Link;
use crate::audit::days::{ArchivedDays, Day, is_archived};
use crate::audit::kept_anchors::KeptAnchors;
use crate::audit::line::ExportedLine;
use crate::audit::log::{AuditFolder, LINE_LIMIT};
use crate::audit::ranges::Ranges;
use crate::rows::audit_export_rows::LineKind;

/// How many of a writer's last chain values are remembered, for anchors that refer to them. Anchors closely follow the
/// rows that they refer to, except where much was exported at once.
const REMEMBERED: usize = 1_024;

/// The result of checking files, and how far they reach.
#[derive(Debug)]
pub struct CheckedFiles {
    /// The faults that were found in them.
    pub verification: AuditVerification,
    /// Whether the last line of the last file is incomplete, as it is while it is being written.
    pub torn: bool,
    /// The last link of each writer.
    pub(crate) heads: BTreeMap<String, Link>,
    /// The files themselves, the oldest first.
    pub(crate) paths: Vec<PathBuf>,
    /// What the files hold of each writer.
    present: BTreeMap<(String, LineKind), Present>,
    /// The days that have a file.
    days: BTreeSet<Day>,
    /// The id that the folder was given.
    origin: Option<String>,
}

/// What the files hold of a writer, and in which day's file.
#[derive(Debug, Default)]
pub(crate) struct Present {
    all: Ranges,
    of_days: BTreeMap<Day, Ranges>,
}

impl Present {
    fn add(&mut self, number: u64, day: Option<&Day>) {
        self.all.add(number);
        let Some(day) = day else { return };
        match self.of_days.get_mut(day) {
            Some(ranges) => ranges.add(number),
            None => self.of_days.entry(day.clone()).or_default().add(number),
        }
    }

    /// The ranges of numbers from the first through the last that are in no file.
    pub(crate) fn missing(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        self.all.missing(first, last)
    }

    /// The ranges of numbers from the first through the last that are not in the file of a day.
    pub(crate) fn missing_of(&self, day: &Day, first: u64, last: u64) -> Vec<(u64, u64)> {
        self.of_days.get(day).map_or_else(|| vec![(first, last)], |ranges| ranges.missing(first, last))
    }
}

struct FileWriter {
    chain: ChainCheck,
    recent: VecDeque<Link>,
    present: Present,
    /// The file of the last row.
    day: Option<Day>,
}

#[derive(Default)]
struct FileAnchors {
    check: AnchorCheck,
    present: Present,
    /// The file of the last anchor.
    day: Option<Day>,
}

struct Check<'k> {
    keys: Option<&'k ServerKeys>,
    archived: &'k [ArchivedDays],
    /// The days that have a file, including the file that is being read.
    days: BTreeSet<Day>,
    day: Option<Day>,
    writers: BTreeMap<String, FileWriter>,
    anchors_of: BTreeMap<String, FileAnchors>,
    /// What anchors that were kept elsewhere state about a place.
    kept: BTreeMap<(String, u64), (Link, String)>,
    /// The furthest row that an anchor referred to.
    furthest: BTreeMap<String, (u64, String)>,
    findings: Findings,
    anchors: u64,
    unknown_signatures: u64,
    newest: i64,
}

impl CheckedFiles {
    /// Reads exported files in the order of their names, the oldest first. A chain may begin within them, as it does
    /// when older files were archived, and may leave out what was in the files of archived days; what is there must
    /// agree. Without keys no signature can be checked. `anchors` were kept elsewhere.
    ///
    /// # Errors
    /// A file cannot be read; the error names it.
    pub fn read(
        folder: &AuditFolder,
        archived: &[ArchivedDays],
        anchors: Option<&KeptAnchors>,
        keys: Option<&ServerKeys>,
    ) -> io::Result<Self> {
        let mut files: Vec<_> = folder.files.iter().map(|file| (file, day_of(file))).collect();
        files.sort_by_key(|(file, _)| file.file_name());
        let mut check = Check {
            keys,
            archived,
            days: files.iter().filter_map(|(_, day)| day.clone()).collect(),
            day: None,
            writers: BTreeMap::new(),
            anchors_of: BTreeMap::new(),
            kept: BTreeMap::new(),
            furthest: BTreeMap::new(),
            findings: Findings::default(),
            anchors: 0,
            unknown_signatures: 0,
            newest: i64::MIN,
        };
        if let Some(anchors) = anchors {
            check.hear_kept(anchors);
        }
        let paths = files.iter().map(|(file, _)| PathBuf::clone(file)).collect();
        let (mut torn, count) = (false, files.len());
        for (place, (file, day)) in files.into_iter().enumerate() {
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
            check.day = day;
            torn = check.file(file, place + 1 == count).map_err(named)?;
        }
        Ok(CheckedFiles { paths, ..check.end(torn, folder.origin.clone()) })
    }

    /// The result when there are no files.
    pub(crate) fn none() -> Self {
        Self {
            verification: verification(Vec::new(), Findings::default(), 0, 0),
            torn: false,
            heads: BTreeMap::new(),
            paths: Vec::new(),
            present: BTreeMap::new(),
            days: BTreeSet::new(),
            origin: None,
        }
    }

    /// Whether the files hold something of a writer.
    pub(crate) fn holds(&self, writer_id: &str) -> bool {
        [LineKind::Event, LineKind::Anchor].into_iter().any(|kind| self.present(writer_id, kind).is_some())
    }

    /// What the files hold of a writer.
    pub(crate) fn present(&self, writer_id: &str, kind: LineKind) -> Option<&Present> {
        self.present.get(&(writer_id.to_owned(), kind))
    }

    /// Whether a day has a file.
    pub(crate) fn has_file_of(&self, day: &Day) -> bool {
        self.days.contains(day)
    }

    /// The id that the folder was given, if it is still recorded there.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }
}

fn day_of(file: &Path) -> Option<Day> {
    Day::of_file(file.file_name()?.to_str()?)
}

impl Check<'_> {
    /// Checks a file; returns whether it ends in an incomplete line.
    fn file(&mut self, file: &Path, last: bool) -> io::Result<bool> {
        let mut reader = BufReader::with_capacity(1 << 16, File::open(file)?);
        let mut text = Vec::new();
        for number in 1_u64.. {
            text.clear();
            if reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text)? == 0 {
                break;
            }
            if last && text.last() != Some(&b'\n') {
                return Ok(true);
            }
            match ExportedLine::parse(&text) {
                Some(ExportedLine::Event(event)) => self.event(&event),
                Some(ExportedLine::Anchor(anchor)) => self.anchor(&anchor),
                None => {
                    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
                    let why = format!("{name} line {number} is no whole line of an audit log");
                    self.findings.add(None, number, AuditFault::Line, why);
                }
            }
        }
        Ok(false)
    }

    /// Whether the file of an archived day, which is not there, came between the previous file and this one.
    fn was_put_away_since(&self, before: Option<&Day>) -> bool {
        let (Some(before), Some(now)) = (before, &self.day) else { return false };
        let mut between = std::iter::successors(before.next(), Day::next).take_while(|day| day < now);
        between.any(|day| is_archived(self.archived, &day) && !self.days.contains(&day))
    }

    fn event(&mut self, event: &ChainedEvent) {
        let before = self.writers.get(&event.writer_id);
        let leaves_out = before.is_some_and(|writer| writer.chain.leaves_out(event.sequence));
        let skip = leaves_out && self.was_put_away_since(before.and_then(|writer| writer.day.as_ref()));
        let writer = self.writers.entry(event.writer_id.clone()).or_insert_with(|| FileWriter {
            chain: ChainCheck::from_row(event),
            recent: VecDeque::new(),
            present: Present::default(),
            day: None,
        });
        if skip {
            writer.chain.skip_to(event.sequence);
        }
        writer.chain.row(event, &mut self.findings);
        writer.present.add(event.sequence, self.day.as_ref());
        writer.day.clone_from(&self.day);
        if !self.kept.is_empty()
            && let Some((kept, who)) = self.kept.get(&(event.writer_id.clone(), event.sequence))
            && event.link() != Some(*kept)
        {
            let why = format!("the rows up to {} are not those that {who} speaks of", event.sequence);
            self.findings.add(Some(&event.writer_id), event.sequence, AuditFault::Rewritten, why);
        }
        self.newest = self.newest.max(event.event.at);
        if let Some(link) = event.link() {
            if writer.recent.len() == REMEMBERED {
                writer.recent.pop_front();
            }
            writer.recent.push_back(link);
        }
    }

    fn anchor(&mut self, signed: &SignedAnchor) {
        self.anchors += 1;
        let before = self.anchors_of.get(&signed.writer_id);
        let leaves_out = before.is_some_and(|anchors| anchors.check.leaves_out(signed.number));
        let skip = leaves_out && self.was_put_away_since(before.and_then(|anchors| anchors.day.as_ref()));
        let of_writer = self.anchors_of.entry(signed.writer_id.clone()).or_default();
        if skip {
            of_writer.check.skip();
        }
        of_writer.day.clone_from(&self.day);
        of_writer.present.add(signed.number, self.day.as_ref());
        let checked = of_writer.check.anchor(signed, false, self.keys, &mut self.findings);
        let Some((anchor, standing)) = checked else { return };
        self.unknown_signatures += u64::from(standing == Signed::KeyUnknown);
        self.newest = self.newest.max(anchor.at);
        let who = format!("anchor {} of writer {}", anchor.number, anchor.writer_id);
        if anchor.end
            && let Some(writer) = self.writers.get_mut(&anchor.writer_id)
        {
            writer.chain.end = Some(anchor.head.sequence);
        }
        let own = Claim { writer_id: anchor.writer_id, link: anchor.head };
        for claim in std::iter::once(&own).chain(&anchor.others) {
            self.claim(claim, &who, standing);
        }
    }

    fn claim(&mut self, claim: &Claim, who: &str, standing: Signed) {
        let Claim { writer_id, link } = claim;
        let furthest = self.furthest.entry(writer_id.clone()).or_insert_with(|| (0, String::new()));
        if link.sequence > furthest.0 {
            *furthest = (link.sequence, who.to_owned());
        }
        let Some(writer) = self.writers.get_mut(writer_id) else { return };
        // A value that is no longer remembered, or is not in these files, cannot be compared.
        let stands_there = writer.recent.iter().find(|recent| recent.sequence == link.sequence);
        if stands_there.is_some_and(|there| there != link) {
            let why = format!("the rows up to {} are not those that {who} speaks of", link.sequence);
            self.findings.add(Some(writer_id), link.sequence, AuditFault::Rewritten, why);
        } else if stands_there.is_some() && standing == Signed::Yes {
            writer.chain.anchor(link.sequence);
        }
    }

    /// Adds the anchors that were kept elsewhere. They refer to places that have not been read yet.
    fn hear_kept(&mut self, kept: &KeptAnchors) {
        for signed in &kept.anchors {
            let Some((anchor, standing)) = kept.read_one(signed, self.keys, &mut self.findings) else {
                continue;
            };
            self.unknown_signatures += u64::from(standing == Signed::KeyUnknown);
            let who = kept.who(signed);
            let own = Claim { writer_id: anchor.writer_id, link: anchor.head };
            for Claim { writer_id, link } in std::iter::once(own).chain(anchor.others) {
                let furthest = self.furthest.entry(writer_id.clone()).or_insert_with(|| (0, String::new()));
                if link.sequence > furthest.0 {
                    *furthest = (link.sequence, who.clone());
                }
                if link.sequence > 0 {
                    self.kept.insert((writer_id, link.sequence), (link, who.clone()));
                }
            }
        }
    }

    fn end(mut self, torn: bool, origin: Option<String>) -> CheckedFiles {
        // Each row is in the files of one replica, so that this one may be in those of another.
        let spoken_of: BTreeSet<&String> = self.kept.keys().map(|(writer_id, _)| writer_id).collect();
        for writer_id in spoken_of {
            if let Some((sequence, who)) = self.furthest.get(writer_id)
                && !self.writers.contains_key(writer_id)
            {
                let why = format!("no row of this writer is in these files, and {who} speaks of {sequence}");
                self.findings.add(Some(writer_id), 0, AuditFault::Elsewhere, why);
            }
        }
        let mut heads = BTreeMap::new();
        for (writer_id, writer) in &self.writers {
            // Nothing is reported about a writer that is not in these files: each row is in the files of one replica.
            if let Some((sequence, who)) = self.furthest.get(writer_id) {
                writer.chain.reaches(*sequence, who, &mut self.findings);
            }
            if self.keys.is_some() {
                writer.chain.check_anchored(self.newest, &mut self.findings);
            }
            heads.extend(writer.chain.last_link().map(|link| (writer_id.clone(), link)));
        }
        let (mut chains, mut present) = (Vec::new(), BTreeMap::new());
        for (writer_id, writer) in self.writers {
            chains.push(writer.chain);
            present.insert((writer_id, LineKind::Event), writer.present);
        }
        for (writer_id, anchors) in self.anchors_of {
            present.insert((writer_id, LineKind::Anchor), anchors.present);
        }
        let verification = verification(chains, self.findings, self.anchors, self.unknown_signatures);
        CheckedFiles { verification, torn, heads, paths: Vec::new(), present, days: self.days, origin }
    }
}
