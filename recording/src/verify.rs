//! Proof: whether a recording is what its agent sealed.

use std::collections::BTreeSet;
use std::io;

use crate::chain::{ChainValue, ContentHash};
use crate::event::{ExitStatus, TerminalEventKind, TerminalSize};
use crate::ids::AgentId;
use crate::layout::{EvidenceName, Stream};
use crate::manifest::{Manifest, RecordingEnd, SegmentEntry, StartReference, StreamEntry, StreamTotals};
use crate::sealing::SealingPublicKey;
use crate::segment::{DecodedSegment, decode_segment};
use crate::source::ObjectSource;
use crate::start::Start;
use crate::timestamp::Micros;

/// What was found out about a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whether it is complete.
    pub verdict: Verdict,
    /// Who sealed it.
    pub signer: Signer,
    /// How many segments agree with the chain from the start on.
    pub segments: u64,
    /// What those segments hold.
    pub totals: StreamTotals,
    /// How the recording ended, by a manifest whose signature is good.
    pub end: Option<RecordingEnd>,
    /// Objects that a recording does not have, by their names below its folder. They prove and disprove nothing.
    pub unexpected: Vec<String>,
}

/// Whether a recording is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that the winning manifest lists is there and unchanged.
    Complete {
        /// The winning manifest's number.
        manifest: u32,
    },
    /// What is there agrees, but not all is there.
    ProvenPrefix {
        /// The time of the last event that agrees; `None` when there is none.
        up_to: Option<Micros>,
        /// What is missing.
        why: String,
    },
    /// Something contradicts the rest.
    Inconsistent {
        /// The object, by its name below the recording's folder.
        object: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Who sealed a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// There is no manifest with a good signature.
    Nobody,
    /// An agent has signed with the key that `start.json` names.
    Agent {
        /// The agent, by its own claim.
        agent: AgentId,
        /// Its key.
        key: SealingPublicKey,
        /// Whether the key is one of those that the caller trusts. Without, the signature proves only that
        /// somebody with this key has made the whole recording.
        trusted: bool,
    },
}

/// Checks a recording: the hash of `start.json`, the chain, the signature, and that every segment decodes and agrees
/// with its header and with the manifest. `trust` are the sealing keys that the caller trusts.
///
/// # Errors
/// The objects cannot be listed or read. What they hold is never an error but a verdict.
pub fn verify(source: &dyn ObjectSource, trust: Option<&[SealingPublicKey]>) -> io::Result<Verification> {
    let mut examination = Examination::list(source)?;
    let outcome = examination.examine(trust);
    let Examination { signer, segments, totals, end, unexpected, missing, last_at, .. } = examination;
    let verdict = match outcome {
        Err(Finding::Unreadable(error)) => return Err(error),
        Err(Finding::Inconsistent { object, why }) => Verdict::Inconsistent { object, why },
        Ok(None) => {
            let unsigned =
                "nothing is signed: the recording is still running, or was never sealed".to_owned();
            let why = missing.into_iter().chain([unsigned]).collect::<Vec<_>>().join("; ");
            Verdict::ProvenPrefix { up_to: last_at, why }
        }
        Ok(Some(manifest)) if missing.is_empty() => Verdict::Complete { manifest },
        Ok(Some(_)) => Verdict::ProvenPrefix { up_to: last_at, why: missing.join("; ") },
    };
    Ok(Verification { verdict, signer, segments, totals, end, unexpected })
}

/// What ends an examination early.
enum Finding {
    Inconsistent { object: String, why: String },
    Unreadable(io::Error),
}

fn inconsistent<T>(object: EvidenceName, why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Inconsistent { object: object.to_string(), why: why.into() })
}

struct Examination<'a> {
    source: &'a dyn ObjectSource,
    present: BTreeSet<EvidenceName>,
    unexpected: Vec<String>,
    signer: Signer,
    end: Option<RecordingEnd>,
    /// What agrees, counted.
    segments: u64,
    totals: StreamTotals,
    last_at: Option<Micros>,
    /// What keeps the recording from being complete, without contradicting it.
    missing: Vec<String>,
}

impl<'a> Examination<'a> {
    fn list(source: &'a dyn ObjectSource) -> io::Result<Self> {
        let mut present = BTreeSet::new();
        let mut unexpected = Vec::new();
        for name in source.list()? {
            match EvidenceName::parse(name.as_str()) {
                Some(evidence) => {
                    present.insert(evidence);
                }
                // What is derived from the evidence can be derived again, and is none itself.
                None if name.as_str().starts_with("derived/") => {}
                None => unexpected.push(name.as_str().to_owned()),
            }
        }
        unexpected.sort();
        Ok(Self {
            source,
            present,
            unexpected,
            signer: Signer::Nobody,
            end: None,
            segments: 0,
            totals: StreamTotals::default(),
            last_at: None,
            missing: Vec::new(),
        })
    }

    /// The number of the winning manifest; `None` when there is none with a good signature.
    fn examine(&mut self, trust: Option<&[SealingPublicKey]>) -> Result<Option<u32>, Finding> {
        let Some(start_document) = self.read(EvidenceName::Start)? else {
            return inconsistent(EvidenceName::Start, "it is missing, and everything stands on it");
        };
        let start = match Start::parse(&start_document) {
            Ok(start) => start,
            Err(error) => return inconsistent(EvidenceName::Start, chain_of(&error)),
        };
        let winner = self.manifests(&start, &start_document)?;
        if let Some(manifest) = &winner {
            let (agent, key) = (start.agent.clone(), start.agent_sealing_key);
            let trusted = trust.is_some_and(|keys| keys.contains(&key));
            self.signer = Signer::Agent { agent, key, trusted };
            self.end = Some(manifest.end.clone());
        }
        for stream in Stream::ALL {
            self.stream(stream, &start, &start_document, winner.as_ref())?;
        }
        Ok(winner.map(|manifest| manifest.number))
    }

    /// The bytes of an object; `None` when it is not there.
    fn read(&self, name: EvidenceName) -> Result<Option<Vec<u8>>, Finding> {
        if !self.present.contains(&name) {
            return Ok(None);
        }
        match self.source.read(&name.to_object_name()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Finding::Unreadable(error)),
        }
    }

    /// Checks all manifests that are signed, and gives the highest: it must include all earlier segments.
    fn manifests(&mut self, start: &Start, start_document: &[u8]) -> Result<Option<Manifest>, Finding> {
        let numbers: BTreeSet<u32> = self
            .present
            .iter()
            .filter_map(|name| match name {
                EvidenceName::Manifest(number) | EvidenceName::ManifestSignature(number) => Some(*number),
                EvidenceName::Start | EvidenceName::Segment { .. } => None,
            })
            .collect();
        let mut winner: Option<Manifest> = None;
        let mut next = Some(0);
        for number in numbers {
            if next != Some(number) {
                self.missing.push(format!("a manifest before {} is missing", EvidenceName::Manifest(number)));
            }
            next = number.checked_add(1);
            let (name, signature_name) =
                (EvidenceName::Manifest(number), EvidenceName::ManifestSignature(number));
            let (document, signature) = (self.read(name)?, self.read(signature_name)?);
            let (document, signature) = match (document, signature) {
                (Some(document), Some(signature)) => (document, signature),
                (None, _) => {
                    self.missing.push(format!("{name} is missing, and {signature_name} signs it"));
                    continue;
                }
                (_, None) => {
                    self.missing.push(format!("{signature_name} is missing"));
                    continue;
                }
            };
            if !start.agent_sealing_key.verifies(&document, &signature) {
                return inconsistent(
                    signature_name,
                    format!("it is no signature of {name} by the key that start.json names"),
                );
            }
            let manifest = match Manifest::parse(&document) {
                Ok(manifest) => manifest,
                Err(error) => return inconsistent(name, chain_of(&error)),
            };
            if let Err(why) = agrees_with_start(&manifest, number, start, start_document) {
                return inconsistent(name, why);
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

    fn stream(
        &mut self,
        stream: Stream,
        start: &Start,
        start_document: &[u8],
        manifest: Option<&Manifest>,
    ) -> Result<(), Finding> {
        let entry = manifest.and_then(|manifest| manifest.find_stream(stream));
        let listed = entry.map_or(&[][..], |entry| &entry.segments);
        let stored = self.stored_segments(stream);
        let mut walk = Walk::new(start, ChainValue::first(start_document, stream));
        for number in 0.. {
            let name = EvidenceName::Segment { stream, number };
            let expected = listed.get(number as usize);
            let Some(object) = self.read(name)? else {
                if expected.is_some() || stored.last().is_some_and(|last| *last > number) {
                    self.missing.push(format!("{name} is missing"));
                    return Ok(());
                }
                break;
            };
            let totals = match walk.segment(number, &object, expected) {
                Ok(totals) => totals,
                Err(why) => return inconsistent(name, why),
            };
            if let (Some(manifest), None) = (manifest, expected) {
                let highest = EvidenceName::Manifest(manifest.number);
                self.missing.push(format!("{name} is in no manifest up to {highest}"));
                return Ok(());
            }
            self.segments += 1;
            self.totals = self.totals.plus(totals);
            self.last_at = self.last_at.max(walk.last_at);
        }
        if let Some(manifest) = manifest
            && let Err(why) = walk.agrees_with_end(manifest, entry)
        {
            return inconsistent(EvidenceName::Manifest(manifest.number), why);
        }
        Ok(())
    }

    fn stored_segments(&self, of: Stream) -> BTreeSet<u32> {
        self.present
            .iter()
            .filter_map(|name| match name {
                EvidenceName::Segment { stream, number } if *stream == of => Some(*number),
                _ => None,
            })
            .collect()
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

/// A walk along one stream's segments.
struct Walk<'a> {
    start: &'a Start,
    chain: ChainValue,
    terminal: TerminalSize,
    last_at: Option<Micros>,
    totals: StreamTotals,
    exit: Option<ExitStatus>,
}

impl<'a> Walk<'a> {
    fn new(start: &'a Start, chain: ChainValue) -> Self {
        let (terminal, totals) = (start.terminal, StreamTotals::default());
        Self { start, chain, terminal, last_at: None, totals, exit: None }
    }

    fn segment(
        &mut self,
        number: u32,
        object: &[u8],
        expected: Option<&SegmentEntry>,
    ) -> Result<StreamTotals, String> {
        let sha256 = ContentHash::of(object);
        let length = object.len() as u64;
        if let Some(expected) = expected
            && (expected.length != length || expected.sha256 != sha256)
        {
            return Err("its bytes are not those that the manifest lists".to_owned());
        }
        let segment = decode_segment(object).map_err(|error| chain_of(&error))?;
        let last_at = self.agrees(number, &segment)?;
        if expected
            .is_some_and(|listed| (listed.first_at, listed.last_at) != (segment.header.first_at, last_at))
        {
            return Err("its times are not those that the manifest lists".to_owned());
        }
        self.chain = self.chain.next(number, length, &sha256);
        self.last_at = Some(last_at);
        self.totals = self.totals.plus(segment.totals);
        Ok(segment.totals)
    }

    /// Whether a decoded segment goes on where the walk stands. Gives the time of its last event.
    fn agrees(&mut self, number: u32, segment: &DecodedSegment) -> Result<Micros, &'static str> {
        let header = &segment.header;
        if header.recording != self.start.recording || header.number != number {
            return Err("its header names another recording or another place");
        }
        if header.chain_before != self.chain {
            return Err("its header stands on another chain: an earlier segment or start.json was another");
        }
        if header.terminal != self.terminal {
            return Err("its header names another size of the terminal than the segment before it left");
        }
        if self.last_at.is_some_and(|last_at| header.first_at < last_at) {
            return Err("its first event is before the last of the segment before it");
        }
        for event in &segment.events {
            match &event.kind {
                TerminalEventKind::Resize(size) => self.terminal = *size,
                TerminalEventKind::Exit(_) if self.exit.is_some() => {
                    return Err("the command ends a second time");
                }
                TerminalEventKind::Exit(status) => self.exit = Some(*status),
                TerminalEventKind::Output(_) | TerminalEventKind::Gap(_) => {}
            }
        }
        segment.events.last().map(|event| event.at).ok_or("it has no event")
    }

    /// Whether the manifest says of the whole what its segments say.
    fn agrees_with_end(&self, manifest: &Manifest, entry: Option<&StreamEntry>) -> Result<(), &'static str> {
        if entry.map(|entry| entry.totals).unwrap_or_default() != self.totals {
            return Err("its counts are not those of its segments");
        }
        if self.last_at.is_some_and(|last_at| manifest.duration < last_at) {
            return Err("its duration is shorter than its segments");
        }
        let agrees = match (&manifest.end, self.exit) {
            (RecordingEnd::Exited(said), Some(seen)) => *said == seen,
            (RecordingEnd::Interrupted { .. }, None) => true,
            (RecordingEnd::Exited(_), None) | (RecordingEnd::Interrupted { .. }, Some(_)) => false,
        };
        if agrees { Ok(()) } else { Err("its end is not the one that its segments show") }
    }
}

/// An error with all that caused it, in one line of printable ASCII: some of its words may be a stranger's.
fn chain_of(error: &dyn std::error::Error) -> String {
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
