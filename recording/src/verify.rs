//! Verification: whether a recording is what its agent sealed.

mod expected;
mod standing;
mod verdict;
mod walk;

use std::collections::BTreeSet;
use std::io;

use crate::chain::{ChainValue, ContentHash};
use crate::end::RecordingEnd;
use crate::layout::EvidenceName;
use crate::ledger::StreamLedger;
use crate::manifest::{Manifest, StartReference, Totals};
use crate::not_evidence::NotEvidence;
use crate::source::{Listing, ObjectSource};
use crate::start::Start;
use crate::stream::Stream;
use crate::timestamp::{Micros, Timestamp};
use walk::Walk;

pub use expected::Expected;
pub use standing::{SealedInPlace, Signer, Standing, Trust};
pub use verdict::Verdict;

/// The most streams that a manifest may list, because each is searched for among all others and all objects.
const MAX_STREAMS: usize = 64;

/// The findings about a recording. [`Verification::verdict`] gives the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whether it is complete and consistent in itself, whoever made it.
    pub integrity: Integrity,
    /// The contents of `start.json`; `None` if there is none that can be read.
    pub start: Option<Start>,
    /// Who made the recording; `None` if there is no `start.json` that can be read.
    pub signer: Option<Signer>,
    /// What was verified of each stream.
    pub streams: Vec<StreamVerification>,
    /// How the recording ended, according to a manifest with a valid signature.
    pub end: Option<RecordingEnd>,
    /// Objects that do not belong to a recording, by their names below the folder. They do not affect the verdict.
    pub not_evidence: NotEvidence,
    /// Evidence in a format of later versions, by its name below the recording's folder. This version does not check
    /// it.
    pub not_understood: Vec<String>,
}

/// What was verified of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamVerification {
    /// The stream.
    pub stream: Stream,
    /// The number of segments that agree with the chain, counted from the start. Of a stream that this version does
    /// not understand, only the chain and the manifest were compared.
    pub segments: u64,
    /// The totals of those segments; for a stream that this version does not understand, those that the manifest
    /// states.
    pub totals: Totals,
    /// The number of events that were skipped because this version does not know their kind.
    pub unknown_events: u64,
    /// What those segments lack, and what they did less; for a stream that this version does not understand, what the
    /// manifest states.
    pub ledger: StreamLedger,
}

impl Verification {
    /// The number of segments of all streams that agree with their chains, counted from the start.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.streams.iter().map(|stream| stream.segments).sum()
    }

    /// The totals of the segments of all streams.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.streams.iter().fold(Totals::default(), |sum, stream| sum.plus(&stream.totals))
    }
}

/// Whether a recording is complete and consistent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// Everything that the winning manifest lists is present and unchanged.
    Complete {
        /// The number of the winning manifest.
        manifest: u32,
    },
    /// What is present is consistent, but something is missing.
    ProvenPrefix {
        /// The time up to which all streams are proven: the time of the last event that agrees, in the stream where
        /// that is earliest. `None` if there is none.
        up_to: Option<Micros>,
        /// What is missing.
        why: String,
    },
    /// Something contradicts the rest of the recording, or what is expected.
    Inconsistent {
        /// The name of the object below the recording's folder.
        object: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Integrity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::ProvenPrefix { .. } => "proven prefix",
            Self::Inconsistent { .. } => "inconsistent",
        }
    }
}

/// Checks a recording: that it is the expected one; the hash of `start.json`, the chain, the signature and the
/// signer; and that every segment decodes and agrees with its header and with the manifest.
///
/// # Errors
/// Fails if the objects cannot be listed or read. Their contents never cause an error, only a verdict.
pub fn verify(source: &dyn ObjectSource, expected: &Expected, trust: Trust<'_>) -> io::Result<Verification> {
    let mut examination = Examination::list(source, expected)?;
    let outcome = examination.examine(trust);
    let speaks_of_a_seal = !examination.manifest_numbers().is_empty();
    let Examination { start, signer, streams, end, not_evidence, not_understood, missing, up_to, .. } =
        examination;
    let up_to = up_to.unwrap_or_default();
    let integrity = match outcome {
        Err(Finding::Unreadable(error)) => return Err(error),
        Err(Finding::Inconsistent { object, why }) => Integrity::Inconsistent { object, why },
        Ok(None) => {
            let unsigned = if speaks_of_a_seal {
                "nothing is signed"
            } else {
                "nothing is signed: the recording is still running, or was never sealed"
            };
            let why = missing.into_iter().chain([unsigned.to_owned()]).collect::<Vec<_>>().join("; ");
            Integrity::ProvenPrefix { up_to, why }
        }
        Ok(Some(manifest)) if missing.is_empty() => Integrity::Complete { manifest },
        Ok(Some(_)) => Integrity::ProvenPrefix { up_to, why: missing.join("; ") },
    };
    Ok(Verification { integrity, start, signer, streams, end, not_evidence, not_understood })
}

/// The reason why a verification ends early.
enum Finding {
    Inconsistent { object: String, why: String },
    Unreadable(io::Error),
}

fn inconsistent<T>(object: EvidenceName, why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Inconsistent { object: object.to_string(), why: why.into() })
}

struct Examination<'a> {
    source: &'a dyn ObjectSource,
    expected: &'a Expected,
    present: BTreeSet<EvidenceName>,
    not_evidence: NotEvidence,
    not_understood: Vec<String>,
    start: Option<Start>,
    signer: Option<Signer>,
    end: Option<RecordingEnd>,
    /// What was verified of each stream.
    streams: Vec<StreamVerification>,
    /// The time up to which all streams that are present or required agree; `None` until the first such stream is
    /// checked.
    up_to: Option<Option<Micros>>,
    /// The reasons why the recording is not complete, although nothing contradicts it.
    missing: Vec<String>,
}

impl<'a> Examination<'a> {
    fn list(source: &'a dyn ObjectSource, expected: &'a Expected) -> io::Result<Self> {
        let mut present = BTreeSet::new();
        let mut not_understood = Vec::new();
        let Listing { objects, foreign: mut not_evidence } = source.list()?;
        for name in objects {
            match EvidenceName::parse(name.as_str()) {
                Some(evidence) => {
                    present.insert(evidence);
                }
                // Objects derived from evidence can be derived again, and are not evidence themselves.
                None if name.as_str().starts_with("derived/") => {}
                None if EvidenceName::is_reserved(name.as_str()) => {
                    not_understood.push(name.as_str().to_owned());
                }
                None => not_evidence.add(name.into()),
            }
        }
        not_understood.sort();
        Ok(Self {
            source,
            expected,
            present,
            not_evidence,
            not_understood,
            start: None,
            signer: None,
            end: None,
            streams: Vec::new(),
            up_to: None,
            missing: Vec::new(),
        })
    }

    /// Checks all objects. Returns the number of the winning manifest; `None` if there is none with a valid
    /// signature.
    fn examine(&mut self, trust: Trust<'_>) -> Result<Option<u32>, Finding> {
        let Some(start_document) = self.read(EvidenceName::Start)? else {
            return inconsistent(EvidenceName::Start, "it is missing, and everything stands on it");
        };
        let start = match Start::parse(&start_document) {
            Ok(start) => start,
            Err(error) => return inconsistent(EvidenceName::Start, chain_of(&error)),
        };
        self.start = Some(start.clone());
        let (agent, key) = (start.agent.clone(), start.agent_sealing_key);
        let as_of = self.expected.read_at.unwrap_or(Timestamp::MAX);
        let standing = Standing::of(&start, trust, as_of);
        self.signer = Some(Signer { agent, key, signed: false, standing, in_place: None });
        if let Some(why) = self.expected.refusal(&start) {
            return inconsistent(EvidenceName::Start, why);
        }
        let winner = self.manifests(&start, &start_document)?;
        if let Some(manifest) = &winner {
            let in_place = SealedInPlace::of(manifest);
            if let Some(signer) = &mut self.signer {
                signer.signed = true;
                if let Some(in_place) = &in_place {
                    signer.standing = Standing::of_leave(in_place, &start, trust, as_of);
                }
                signer.in_place = in_place;
            }
            self.end = Some(manifest.end.clone());
        }
        for stream in self.streams_of(&start, winner.as_ref()) {
            self.stream(stream, &start, &start_document, winner.as_ref())?;
        }
        Ok(winner.map(|manifest| manifest.number))
    }

    /// The bytes of an object; `None` if it does not exist.
    fn read(&self, name: EvidenceName) -> Result<Option<Vec<u8>>, Finding> {
        if !self.present.contains(&name) {
            return Ok(None);
        }
        match self.source.read(&name.to_object_name()) {
            Ok(bytes) => match self.expected.objects.get(&name) {
                Some(sha256) if *sha256 != ContentHash::of(&bytes) => {
                    inconsistent(name, "its bytes are not those that the control plane took in")
                }
                _ => Ok(Some(bytes)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => inconsistent(name, chain_of(&error)),
            Err(error) => Err(Finding::Unreadable(error)),
        }
    }

    /// Checks all signed manifests and returns the one with the highest number. Each must include all segments of the
    /// earlier ones.
    fn manifests(&mut self, start: &Start, start_document: &[u8]) -> Result<Option<Manifest>, Finding> {
        let mut winner: Option<Manifest> = None;
        let mut next = Some(0);
        for number in self.manifest_numbers() {
            if next != Some(number) {
                self.missing.push(format!("a manifest before {} is missing", EvidenceName::Manifest(number)));
            }
            next = number.checked_add(1);
            let (name, signature_name) =
                (EvidenceName::Manifest(number), EvidenceName::ManifestSignature(number));
            let (document, signature) = (self.read(name)?, self.read(signature_name)?);
            // The presence of an object in the folder proves nothing by itself; that the control plane accepted the
            // manifest does.
            let is_known = self.expected.objects.contains_key(&name);
            let (document, signature) = match (document, signature) {
                (Some(document), Some(signature)) => (document, signature),
                (document, signature) => {
                    let (missing, why) = match (is_known, document, signature) {
                        (true, None, _) => (name, "and the recording was sealed with it"),
                        (true, Some(_), _) => (signature_name, "and the recording was sealed with it"),
                        (false, None, Some(_)) => (name, "and its signature is there"),
                        (false, None, None) => (name, "and so is its signature"),
                        (false, Some(_), _) => (signature_name, "and its manifest is there"),
                    };
                    self.missing.push(format!("{missing} is missing, {why}"));
                    continue;
                }
            };
            let parsed = Manifest::parse(&document);
            // Who seals in the agent's place has another key, for which the control plane's leave vouches.
            let leave = match parsed.as_ref().ok().and_then(|manifest| manifest.sealed_by.as_ref()) {
                None => None,
                Some(sealed_by) => match sealed_by.open_for(start, start_document) {
                    Ok(leave) => Some(leave),
                    Err(why) => return inconsistent(name, why),
                },
            };
            let (key, whose) = match &leave {
                None => (&start.agent_sealing_key, "the key that start.json names"),
                Some(leave) => (&leave.successor_sealing_key, "the key that its leave names"),
            };
            if !key.verifies(&document, &signature) {
                return inconsistent(signature_name, format!("it is no signature of {name} by {whose}"));
            }
            let manifest = match parsed {
                Ok(manifest) => manifest,
                Err(error) => return inconsistent(name, chain_of(&error)),
            };
            if let Err(why) = agrees_with_start(&manifest, number, start, start_document) {
                return inconsistent(name, why);
            }
            if let Some(why) = leave.and_then(|leave| leave.refusal_of(&manifest, start_document)) {
                return inconsistent(name, why);
            }
            if let Some(segment) = self.other_than_expected(&manifest) {
                return inconsistent(
                    name,
                    format!("it lists other bytes as {segment} than the control plane took in"),
                );
            }
            if let Some(earlier) = &winner
                && !includes(&manifest, earlier)
            {
                return inconsistent(
                    name,
                    format!("it leaves out segments of manifest-{:04}.json", earlier.number),
                );
            }
            winner = Some(manifest);
        }
        Ok(winner)
    }

    /// The numbers of the manifests of which a part is present or required.
    fn manifest_numbers(&self) -> BTreeSet<u32> {
        self.present
            .iter()
            .chain(self.expected.objects.keys())
            .filter_map(|name| match name {
                EvidenceName::Manifest(number) | EvidenceName::ManifestSignature(number) => Some(*number),
                EvidenceName::Start | EvidenceName::Segment { .. } => None,
            })
            .collect()
    }

    /// The streams of which anything is present or required.
    fn streams_of(&self, start: &Start, manifest: Option<&Manifest>) -> BTreeSet<Stream> {
        let objects = self.present.iter().chain(self.expected.objects.keys());
        let stored = objects.filter_map(|name| match name {
            EvidenceName::Segment { stream, .. } => Some(*stream),
            _ => None,
        });
        let listed = manifest.into_iter().flat_map(|manifest| &manifest.streams).map(|entry| entry.stream);
        // The terminal is included even if it is not listed, because its end must be shown.
        let implied = start.kind.ends_in_its_terminal().then_some(Stream::Terminal);
        stored.chain(listed).chain(implied).collect()
    }

    fn stream(
        &mut self,
        stream: Stream,
        start: &Start,
        start_document: &[u8],
        manifest: Option<&Manifest>,
    ) -> Result<(), Finding> {
        let last_stored = self.last_stored(stream);
        let entry = manifest.and_then(|manifest| manifest.find_stream(stream));
        let listed = entry.map_or(&[][..], |entry| &entry.segments);
        let mut walk = Walk::new(stream, start, start_document);
        let missing = loop {
            let number = walk.next();
            let name = EvidenceName::Segment { stream, number };
            let expected = listed.get(number as usize);
            let Some(object) = self.read(name)? else {
                let is_missing = expected.is_some() || last_stored.is_some_and(|last| last >= number);
                break is_missing.then(|| format!("{name} is missing"));
            };
            if let Err(why) = walk.check(&object, expected) {
                return inconsistent(name, why);
            }
            if let (Some(manifest), None) = (manifest, expected) {
                let highest = EvidenceName::Manifest(manifest.number);
                break Some(format!("{name} is in no manifest up to {highest}"));
            }
            walk.go_on();
        };
        if let (None, Some(manifest)) = (&missing, manifest)
            && let Err(why) = walk.agrees_with_manifest(manifest, entry)
        {
            return inconsistent(EvidenceName::Manifest(manifest.number), why);
        }
        let there = walk.ends(entry);
        // A stream whose first segment is present but in no manifest does not limit how far the others are proven.
        let begins_with_a_hole = missing.is_some() && !walk.has_checked();
        if there.segments > 0 || begins_with_a_hole {
            let before = self.up_to.unwrap_or(walk.last_at());
            self.up_to = Some(before.min(walk.last_at()));
        }
        if there.segments > 0 || entry.is_some() {
            self.streams.push(there);
        }
        self.missing.extend(missing);
        Ok(())
    }

    /// The highest number of a segment that is present or required.
    fn last_stored(&self, stream: Stream) -> Option<u32> {
        let numbers =
            EvidenceName::Segment { stream, number: 0 }..=EvidenceName::Segment { stream, number: u32::MAX };
        let present = self.present.range(numbers.clone()).next_back();
        let expected = self.expected.objects.range(numbers).next_back().map(|(name, _)| name);
        match present.max(expected) {
            Some(EvidenceName::Segment { number, .. }) => Some(*number),
            _ => None,
        }
    }

    /// The first segment for which the manifest states something other than what is expected.
    fn other_than_expected(&self, manifest: &Manifest) -> Option<EvidenceName> {
        manifest.streams.iter().find_map(|entry| {
            entry.segments.iter().find_map(|segment| {
                let name = EvidenceName::Segment { stream: entry.stream, number: segment.number };
                let differs = |expected: &ContentHash| *expected != segment.sha256;
                self.expected.objects.get(&name).is_some_and(differs).then_some(name)
            })
        })
    }
}

fn agrees_with_start(
    manifest: &Manifest,
    number: u32,
    start: &Start,
    start_document: &[u8],
) -> Result<(), &'static str> {
    if manifest.number != number {
        return Err("its number is not that of its name");
    }
    if manifest.start != StartReference::of(start_document) {
        return Err("start.json is not the one that it names");
    }
    let theirs = (&manifest.recording, &manifest.agent, manifest.agent_recording_number, manifest.started_at);
    if theirs != (&start.recording, &start.agent, start.agent_recording_number, start.started_at) {
        return Err("its recording, agent, recording number or start is not that of start.json");
    }
    let ledgers = manifest.streams.iter().filter_map(|stream| stream.ledger.as_ref());
    let delivery_mode = start.delivery_mode.map(|mode| mode.at_end(ledgers));
    // Whether the ledger is that of the segments is compared with these.
    if manifest.delivery_mode.is_some() && manifest.delivery_mode != delivery_mode {
        return Err("its delivery mode is not that of start.json and of its ledgers");
    }
    if manifest.streams.len() > MAX_STREAMS {
        return Err("it lists more streams than a recording may have");
    }
    for (place, entry) in manifest.streams.iter().enumerate() {
        if manifest.streams[..place].iter().any(|other| other.stream == entry.stream) {
            return Err("it lists a stream twice");
        }
        let mut chain = ChainValue::first(start_document, entry.stream);
        for (segment, number) in entry.segments.iter().zip(0..) {
            if segment.number != number {
                return Err("its segments are not numbered from 0 without a hole");
            }
            chain = chain.next(number, segment.length, &segment.sha256);
            if segment.chain != chain {
                return Err("its chain is broken");
            }
        }
        if entry.final_chain != chain {
            return Err("its last chain value is not that of its last segment");
        }
    }
    Ok(())
}

fn includes(manifest: &Manifest, earlier: &Manifest) -> bool {
    earlier.streams.iter().all(|earlier| {
        let segments = manifest.find_stream(earlier.stream).map_or(&[][..], |entry| &entry.segments);
        segments.starts_with(&earlier.segments)
    })
}

/// An error and its causes in one line of printable ASCII, because parts of the text may be untrusted.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' => printable.push(character),
            _ => printable.extend(character.escape_default()),
        }
    }
    printable
}
