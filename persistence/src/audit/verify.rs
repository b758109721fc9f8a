//! The check of chains and anchors, independent of where they were read from. Its memory grows with the number of
//! writers and not with the number of rows.

mod files;

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::server_keys::ServerKeys;

pub use files::CheckedFiles;
pub(crate) use files::Present;

use super::anchor::{Anchor, Signed, SignedAnchor};
use super::chain::ChainedEvent;
use super::chain::{Link, first_link, next_link};

/// Findings beyond this number are counted and not kept.
const MOST_FINDINGS: usize = 1_000;
/// How much older than the newest row of all a row without an anchor may be before something is wrong. Calls do not last
/// that long, and anchors are written once a minute.
pub(crate) const ANCHORED_WITHIN_MILLIS: i64 = 60 * 60 * 1_000;

/// The result of a check, worse ones later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditVerdict {
    /// Everything agrees, and signed anchors vouch for all but the newest rows.
    Whole,
    /// What is there agrees, but some of what it should be compared with is not available.
    Incomplete,
    /// The chains agree, but no anchor vouches for some of the older rows.
    Unanchored,
    /// Something was changed, removed or added.
    Inconsistent,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFault {
    /// The row's texts and its place do not give its chain value: it was changed, moved or inserted.
    Changed,
    /// Rows are missing, from the place through this number.
    Missing {
        /// The last of them.
        through: u64,
    },
    /// The end of a chain is missing, from the place through this number.
    TailMissing {
        /// The last one that is vouched for.
        through: u64,
    },
    /// Nothing is left of a writer.
    WriterMissing,
    /// The chain was computed anew: it is not the one that an anchor vouches for.
    Rewritten,
    /// The row comes after the signed end of its chain.
    AfterEnd,
    /// The row's instance is not the one that is derived from its resource.
    Instance,
    /// An anchor is missing, malformed or not genuine.
    Anchor,
    /// A line of a file is not a line of an audit log, or is in the wrong place.
    Line,
    /// No anchor vouches for rows that are old enough for one.
    Unanchored,
    /// The database says that rows or anchors were exported, from the place through this number, and the files do not
    /// hold them.
    NotInFiles {
        /// The last of them.
        through: u64,
    },
    /// Old rows or anchors have not been exported yet.
    NotExported {
        /// The last of them.
        through: u64,
    },
    /// Writers were exported to a folder that is not available.
    Elsewhere,
    /// An anchor that was kept elsewhere is missing from the database, or differs from the one there.
    RolledBack,
    /// Rows up to this number were pruned, as a signed anchor says, and the exported files that hold them were not read.
    Pruned {
        /// The last of them.
        through: u64,
    },
    /// What the database says was pruned is not what signed anchors say: it would let other rows be removed, or has
    /// forgotten that some were.
    PruningForged,
}

impl AuditFault {
    /// A word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "Changed",
            Self::Missing { .. } => "Missing",
            Self::TailMissing { .. } => "TailMissing",
            Self::WriterMissing => "WriterMissing",
            Self::Rewritten => "Rewritten",
            Self::AfterEnd => "AfterEnd",
            Self::Instance => "Instance",
            Self::Anchor => "Anchor",
            Self::Line => "Line",
            Self::Unanchored => "Unanchored",
            Self::NotInFiles { .. } => "NotInFiles",
            Self::NotExported { .. } => "NotExported",
            Self::Elsewhere => "Elsewhere",
            Self::RolledBack => "RolledBack",
            Self::Pruned { .. } => "Pruned",
            Self::PruningForged => "PruningForged",
        }
    }

    /// The last of the numbers that the fault is about, where it is about more than the place.
    #[must_use]
    pub fn through(self) -> Option<u64> {
        match self {
            Self::Missing { through }
            | Self::TailMissing { through }
            | Self::NotInFiles { through }
            | Self::NotExported { through }
            | Self::Pruned { through } => Some(through),
            _ => None,
        }
    }

    fn verdict(self) -> AuditVerdict {
        match self {
            Self::Unanchored => AuditVerdict::Unanchored,
            Self::NotExported { .. } | Self::Elsewhere | Self::Pruned { .. } => AuditVerdict::Incomplete,
            _ => AuditVerdict::Inconsistent,
        }
    }
}

/// One fault that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFinding {
    /// The writer whose chain it is; `None` where that cannot be said.
    pub writer_id: Option<String>,
    /// The number of the row, or with [`AuditFault::Anchor`] of the anchor; 0 where there is none.
    pub number: u64,
    /// What is wrong.
    pub fault: AuditFault,
    /// A description in one sentence.
    pub why: String,
}

/// The result of the check of one writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedWriter {
    /// Its id.
    pub writer_id: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its first row: its number and the time of the call.
    pub first: Option<(u64, Timestamp)>,
    /// Its last row, likewise.
    pub last: Option<(u64, Timestamp)>,
    /// The row up to which signed anchors vouch for it.
    pub anchored: u64,
    /// The row up to which it was pruned, as a signed anchor says; 0 when it was not.
    pub pruned: u64,
    /// The result for this writer.
    pub verdict: AuditVerdict,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerification {
    /// Every writer, sorted by id.
    pub writers: Vec<CheckedWriter>,
    /// The faults that were found.
    pub findings: Vec<AuditFinding>,
    /// How many more findings there are.
    pub findings_left_off: u64,
    /// How many anchors were read.
    pub anchors: u64,
    /// How many of them were signed with a key that is not available, so that they could not be checked.
    pub unknown_signatures: u64,
}

impl AuditVerification {
    /// The result as a whole.
    #[must_use]
    pub fn verdict(&self) -> AuditVerdict {
        let writers = self.writers.iter().map(|writer| writer.verdict);
        let findings = self.findings.iter().map(|finding| finding.fault.verdict());
        writers.chain(findings).max().unwrap_or(AuditVerdict::Whole)
    }
}

/// Collects faults.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<AuditFinding>,
    left_off: u64,
    verdicts: BTreeMap<String, AuditVerdict>,
}

impl Findings {
    pub(crate) fn add(&mut self, writer_id: Option<&str>, number: u64, fault: AuditFault, why: String) {
        if let Some(writer_id) = writer_id {
            let verdict = self.verdicts.entry(writer_id.to_owned()).or_insert(AuditVerdict::Whole);
            *verdict = fault.verdict().max(*verdict);
        }
        if self.kept.len() < MOST_FINDINGS {
            let writer_id = writer_id.map(str::to_owned);
            self.kept.push(AuditFinding { writer_id, number, fault, why });
        } else {
            self.left_off += 1;
        }
    }
}

/// The check of one writer's chain, row by row.
#[derive(Debug)]
pub(crate) struct ChainCheck {
    writer_id: String,
    rows: u64,
    first: Option<(u64, i64)>,
    last: Option<(u64, i64)>,
    /// The number of the last row, of the database or of a file.
    before: u64,
    /// The link that the next row must follow; `None` when it is not known, after a gap.
    base: Option<Link>,
    /// The last row that was pruned, as a signed anchor says.
    pruned: Option<Link>,
    /// The last row that was removed so far, where files know it.
    removed: Option<Link>,
    /// The row after which the chain has ended.
    end: Option<u64>,
    /// The row up to which it is vouched for, and what lies beyond: the first row, the earliest time, how many.
    anchored: u64,
    beyond: Option<(u64, i64, u64)>,
}

impl ChainCheck {
    /// For a whole chain.
    pub(crate) fn new(writer_id: &str, anchored: u64, end: Option<u64>) -> Self {
        Self {
            writer_id: writer_id.to_owned(),
            rows: 0,
            first: None,
            last: None,
            before: 0,
            base: Some(first_link(writer_id)),
            pruned: None,
            removed: None,
            end,
            anchored,
            beyond: None,
        }
    }

    /// For a chain whose rows up to a link were pruned, some of which may still be there: those after `removed`.
    pub(crate) fn pruned(self, last: Link, removed: Option<Link>) -> Self {
        Self { before: last.sequence, base: Some(last), pruned: Some(last), removed, ..self }
    }

    /// For a chain whose beginning may be elsewhere.
    fn from_row(row: &ChainedEvent) -> Self {
        let mut check = Self::new(&row.writer_id, 0, None);
        if row.sequence > 1 {
            check.before = row.sequence - 1;
            check.base = None;
        }
        check
    }

    /// Whether there is a gap before the next row.
    fn leaves_out(&self, number: u64) -> bool {
        number > self.before + 1
    }

    /// Notes that the rows before this one are known to be elsewhere.
    fn skip_to(&mut self, number: u64) {
        self.before = number - 1;
        self.base = None;
    }

    /// The last row that is there, or was there until it was pruned.
    pub(crate) fn last_row(&self) -> u64 {
        let pruned = self.pruned.map_or(0, |link| link.sequence);
        self.last.map_or(0, |(number, _)| number).max(pruned)
    }

    fn last_link(&self) -> Option<Link> {
        self.base.filter(|_| self.rows > 0)
    }

    /// The next row.
    pub(crate) fn row(&mut self, row: &ChainedEvent, findings: &mut Findings) {
        let (writer, number) = (Some(self.writer_id.as_str()), row.sequence);
        if self.rows == 0 && self.pruned.is_some_and(|last| (1..=last.sequence).contains(&number)) {
            // The removal has not come so far yet.
            self.before = number - 1;
            self.base = match number {
                1 => Some(first_link(&self.writer_id)),
                _ => self.removed.filter(|link| link.sequence == number - 1),
            };
        }
        if number <= self.before {
            let why = format!("row {number} stands behind row {}", self.before);
            findings.add(writer, number, AuditFault::Line, why);
            return;
        }
        if number > self.before + 1 {
            let (from, through) = (self.before + 1, number - 1);
            let why = match from == through {
                true => format!("row {from} is missing"),
                false => format!("rows {from} to {through} are missing"),
            };
            findings.add(writer, from, AuditFault::Missing { through }, why);
            self.base = None;
        }
        let follows = self.base.map(|base| next_link(base, &row.event));
        let link = row.link();
        if link.is_none() || follows.is_some_and(|follows| Some(follows) != link) {
            let why = format!(
                "row {number} was changed, moved or put in: its texts and its place do not give its chain value"
            );
            findings.add(writer, number, AuditFault::Changed, why);
        }
        if self.pruned.is_some_and(|last| last.sequence == number && link != Some(last)) {
            let why = format!("row {number} is not the one that was said to be pruned");
            findings.add(writer, number, AuditFault::Rewritten, why);
        }
        if row.event.instance_id != row.event.derived_instance() {
            let why = format!("row {number} is filed under another instance than its resource names");
            findings.add(writer, number, AuditFault::Instance, why);
        }
        if let Some(end) = self.end.filter(|end| number > *end) {
            let why = format!("row {number} was added: its writer had ended, and said so, with row {end}");
            findings.add(writer, number, AuditFault::AfterEnd, why);
        }
        let at = row.event.at;
        self.rows += 1;
        self.first.get_or_insert((number, at));
        self.last = Some((number, at));
        self.before = number;
        self.base = link;
        if number > self.anchored {
            let (first, earliest, count) = self.beyond.unwrap_or((number, at, 0));
            self.beyond = Some((first, earliest.min(at), count + 1));
        }
    }

    /// Notes that an anchor vouches for the chain up to this row.
    fn anchor(&mut self, sequence: u64) {
        self.anchored = self.anchored.max(sequence);
        self.beyond = self.beyond.filter(|_| self.last_row() > self.anchored);
    }

    /// Reports a row that is vouched for and is not there.
    pub(crate) fn reaches(&self, sequence: u64, who: &str, findings: &mut Findings) {
        let last = self.last_row();
        if sequence <= last {
            return;
        }
        let writer = Some(self.writer_id.as_str());
        if last == 0 {
            let why = format!("all rows of this writer are missing: {who} speaks of {sequence}");
            findings.add(writer, 0, AuditFault::WriterMissing, why);
        } else {
            let why = format!("rows {} to {sequence} are missing at the end: {who} speaks of them", last + 1);
            findings.add(writer, last + 1, AuditFault::TailMissing { through: sequence }, why);
        }
    }

    /// The newest time of its rows.
    pub(crate) fn newest(&self) -> i64 {
        self.last.map_or(i64::MIN, |(_, at)| at)
    }

    /// Reports the rows that no anchor vouches for, given the newest time of all rows.
    pub(crate) fn check_anchored(&self, newest: i64, findings: &mut Findings) {
        let Some((first, earliest, count)) = self.beyond else { return };
        if earliest >= newest.saturating_sub(ANCHORED_WITHIN_MILLIS) {
            return;
        }
        let why = format!("no signed anchor vouches for {count} rows from row {first} on");
        findings.add(Some(&self.writer_id), first, AuditFault::Unanchored, why);
    }
}

/// The check of the anchors of one writer, in their order.
#[derive(Debug, Default)]
pub(crate) struct AnchorCheck {
    last: Option<(u64, [u8; 32])>,
}

impl AnchorCheck {
    /// Whether there is a gap before the next anchor.
    fn leaves_out(&self, number: u64) -> bool {
        self.last.is_some_and(|(before, _)| number > before + 1)
    }

    /// Notes that the anchors before the next one are known to be elsewhere.
    fn skip(&mut self) {
        self.last = None;
    }

    /// The next anchor, if it can be read. `whole`: the first must have the number 1.
    pub(crate) fn anchor(
        &mut self,
        signed: &SignedAnchor,
        whole: bool,
        keys: Option<&ServerKeys>,
        findings: &mut Findings,
    ) -> Option<(Anchor, Signed)> {
        let (writer, number) = (Some(signed.writer_id.as_str()), signed.number);
        let mut wrong = |number, why| findings.add(writer, number, AuditFault::Anchor, why);
        let before = self.last.or(whole.then_some((0, [0; 32])));
        self.last = Some((number, signed.hash()));
        let Some(anchor) = signed.read() else {
            wrong(number, format!("anchor {number} was changed: its text is not that of this anchor"));
            return None;
        };
        let standing = signed.check(keys);
        if standing == Signed::No {
            wrong(number, format!("anchor {number} was not signed by this deployment"));
            return None;
        }
        match before {
            Some((before, _)) if number <= before => {
                wrong(number, format!("anchor {number} stands behind anchor {before}"));
            }
            Some((before, _)) if number > before + 1 => {
                let (from, through) = (before + 1, number - 1);
                wrong(from, format!("anchors {from} to {through} are missing"));
            }
            Some((_, hash)) if anchor.previous != hash => {
                wrong(number, format!("anchor {number} follows another anchor than the one before it"));
            }
            _ => {}
        }
        Some((anchor, standing))
    }
}

/// Assembles the result.
pub(crate) fn verification(
    chains: Vec<ChainCheck>,
    findings: Findings,
    anchors: u64,
    unknown_signatures: u64,
) -> AuditVerification {
    let place = |(number, at)| (number, Timestamp::from_millis(at));
    let verdict = |writer_id: &str| findings.verdicts.get(writer_id).copied().unwrap_or(AuditVerdict::Whole);
    let writers = chains
        .into_iter()
        .map(|chain| CheckedWriter {
            verdict: verdict(&chain.writer_id),
            rows: chain.rows,
            first: chain.first.map(place),
            last: chain.last.map(place),
            anchored: chain.anchored.min(chain.last_row()),
            pruned: chain.pruned.map_or(0, |link| link.sequence),
            writer_id: chain.writer_id,
        })
        .collect();
    AuditVerification {
        writers,
        findings: findings.kept,
        findings_left_off: findings.left_off,
        anchors,
        unknown_signatures,
    }
}
