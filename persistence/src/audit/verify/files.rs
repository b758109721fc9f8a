//! The check of exported files, without a database.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use domain::server_keys::ServerKeys;

use super::{AnchorCheck, AuditFault, AuditVerification, ChainCheck, Findings, verification};
use crate::audit::ChainedEvent;
use crate::audit::anchor::{Claim, Signed, SignedAnchor};
use crate::audit::chain::Link;
use crate::audit::line::Line;
use crate::audit::log::LINE_LIMIT;

/// How many of a writer's last chain values are remembered, for anchors that speak of them. Anchors follow the rows
/// that they speak of closely, except where much was exported at once.
const REMEMBERED: usize = 1_024;

/// Checked files, and how far they reach.
#[derive(Debug)]
pub struct CheckedFiles {
    /// What was found in them.
    pub verification: AuditVerification,
    /// Whether the last line of the last file is not whole, as it is while it is being written.
    pub torn: bool,
    /// The last link of each writer.
    pub(crate) heads: BTreeMap<String, Link>,
}

struct FileWriter {
    chain: ChainCheck,
    recent: VecDeque<Link>,
}

struct Check<'k> {
    keys: Option<&'k ServerKeys>,
    writers: BTreeMap<String, FileWriter>,
    anchors_of: BTreeMap<String, AnchorCheck>,
    /// The furthest row that an anchor spoke of.
    furthest: BTreeMap<String, (u64, String)>,
    findings: Findings,
    anchors: u64,
    unknown_signatures: u64,
    newest: i64,
}

impl CheckedFiles {
    /// Reads exported files, the oldest first by their names. A chain may begin within them, as it does when older
    /// files were put away; what is there must agree. Without keys no signature can be checked.
    ///
    /// # Errors
    /// A file cannot be read; the error names it.
    pub fn read(files: &[PathBuf], keys: Option<&ServerKeys>) -> io::Result<Self> {
        let mut files: Vec<&PathBuf> = files.iter().collect();
        files.sort_by_key(|file| file.file_name());
        let mut check = Check {
            keys,
            writers: BTreeMap::new(),
            anchors_of: BTreeMap::new(),
            furthest: BTreeMap::new(),
            findings: Findings::default(),
            anchors: 0,
            unknown_signatures: 0,
            newest: i64::MIN,
        };
        let mut torn = false;
        for (place, file) in files.iter().enumerate() {
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
            torn = check.file(file, place + 1 == files.len()).map_err(named)?;
        }
        Ok(check.end(torn))
    }
}

impl Check<'_> {
    /// Says whether the file ends in a line that is not whole.
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
            match Line::parse(&text) {
                Some(Line::Event(event)) => self.event(&event),
                Some(Line::Anchor(anchor)) => self.anchor(&anchor),
                None => {
                    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
                    let why = format!("{name} line {number} is no whole line of an audit log");
                    self.findings.add(None, number, AuditFault::Line, why);
                }
            }
        }
        Ok(false)
    }

    fn event(&mut self, event: &ChainedEvent) {
        let writer = self
            .writers
            .entry(event.writer_id.clone())
            .or_insert_with(|| FileWriter { chain: ChainCheck::from_row(event), recent: VecDeque::new() });
        writer.chain.row(event, &mut self.findings);
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
        let of_writer = self.anchors_of.entry(signed.writer_id.clone()).or_default();
        let Some((anchor, standing)) = of_writer.anchor(signed, false, self.keys, &mut self.findings) else {
            return;
        };
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
        // One that is not remembered any more, or not in these files, cannot be compared.
        let stands_there = writer.recent.iter().find(|recent| recent.sequence == link.sequence);
        if stands_there.is_some_and(|there| there != link) {
            let why = format!("the rows up to {} are not those that {who} speaks of", link.sequence);
            self.findings.add(Some(writer_id), link.sequence, AuditFault::Rewritten, why);
        } else if stands_there.is_some() && standing == Signed::Yes {
            writer.chain.anchor(link.sequence);
        }
    }

    fn end(mut self, torn: bool) -> CheckedFiles {
        let mut heads = BTreeMap::new();
        for (writer_id, writer) in &self.writers {
            // Of a writer that is not in these files nothing is said: each row stands in the files of one replica.
            if let Some((sequence, who)) = self.furthest.get(writer_id) {
                writer.chain.reaches(*sequence, who, &mut self.findings);
            }
            if self.keys.is_some() {
                writer.chain.check_anchored(self.newest, &mut self.findings);
            }
            heads.extend(writer.chain.last_link().map(|link| (writer_id.clone(), link)));
        }
        let chains = self.writers.into_values().map(|writer| writer.chain).collect();
        let verification = verification(chains, self.findings, self.anchors, self.unknown_signatures);
        CheckedFiles { verification, torn, heads }
    }
}
