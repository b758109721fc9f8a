//! Checks whether all recordings of the agents exist, by comparing the database with the objects.

use std::collections::BTreeMap;

use actix_web::web::Bytes;
use domain::actions::ChecksRecordings;
use domain::gate::Granted;
use domain::recording_continuity::{
    AgentRecordings, Evidence, KnownRecording, MissingRecording, missing_recordings,
};
use domain::{AgentId, InstanceId, TerminalSessionToken};
use futures_util::{StreamExt as _, stream};
use persistence::objects::{ListedObject, ObjectError};
use persistence::{AgentRows, RecordingLink, RecordingRow};
use recording::{EvidenceName, Manifest, Start};

use crate::Hansard;
use crate::errors::{ActionError, chain_of};
use crate::evidence::{self, EvidenceError};

/// How many objects are asked for at once.
const AT_ONCE: usize = 16;

/// The result of the check of an agent's recordings.
#[derive(Debug)]
pub(crate) struct CheckedAgent {
    pub(crate) agent: AgentId,
    pub(crate) instance: Option<InstanceId>,
    /// How many recordings have a row.
    pub(crate) recordings: u64,
    /// What is missing.
    pub(crate) missing: Vec<MissingRecording>,
    /// The recordings that could not be checked, because their store did not answer.
    pub(crate) unchecked: Vec<TerminalSessionToken>,
}

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) agents: Vec<CheckedAgent>,
    /// What was read from objects and is not stored yet.
    pub(crate) links: Vec<RecordingLink>,
    /// Whether some of the trail was pruned, and is in files that this replica does not have.
    pub(crate) trail_is_partly_elsewhere: bool,
}

/// Checks the recordings of the grant's account and instance, or of one agent there. For each it checks whether its
/// first object and its manifest exist, and reads them if that was not done before.
pub(crate) async fn check<A: ChecksRecordings>(
    hansard: &Hansard,
    granted: &Granted<A>,
    only: Option<&AgentId>,
) -> Result<Checked, ActionError> {
    let mut rows = hansard.store.continuity_rows(granted).await?;
    rows.agents.retain(|agent, _| only.is_none_or(|only| only == agent));
    let trail_is_partly_elsewhere = rows.trail_is_partly_elsewhere;
    let mut checked = Checked { trail_is_partly_elsewhere, ..Checked::default() };
    for (agent, AgentRows { instance, recordings, audited }) in rows.agents {
        let count = recordings.len() as u64;
        let links = &rows.links;
        let looking = recordings.into_iter().map(|row| {
            let link = links.get(&row.token).cloned();
            look(hansard, row, link)
        });
        let mut looked = stream::iter(looking).buffer_unordered(AT_ONCE);
        let mut of = AgentRecordings { audited, ..AgentRecordings::default() };
        while let Some(Looked { known, read }) = looked.next().await {
            checked.links.extend(read);
            of.known.push(known);
        }
        // In an order that does not depend on which object answered first.
        of.known.sort_by(|one, other| (one.opened_at, &one.token).cmp(&(other.opened_at, &other.token)));
        let unchecked = of.known.iter().filter(|known| known.evidence == Evidence::Unknown);
        let unchecked = unchecked.map(|known| known.token.clone()).collect();
        of.remembered = remembered(&of, links);
        let missing = missing_recordings(&of);
        checked.agents.push(CheckedAgent { agent, instance, recordings: count, missing, unchecked });
    }
    Ok(checked)
}

/// The stored numbers of recordings that only the trail still has.
fn remembered(
    of: &AgentRecordings,
    links: &BTreeMap<TerminalSessionToken, RecordingLink>,
) -> BTreeMap<TerminalSessionToken, u64> {
    let tokens = of.audited.iter().map(|audited| &audited.token);
    tokens.filter_map(|token| Some((token.clone(), links.get(token)?.number))).collect()
}

struct Looked {
    known: KnownRecording,
    /// What was read and is not kept yet.
    read: Option<RecordingLink>,
}

async fn look(hansard: &Hansard, row: RecordingRow, kept: Option<RecordingLink>) -> Looked {
    let (evidence, link) = match objects_of(hansard, &row, kept.as_ref()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(recording = %row.token, chain = %chain_of(&error), "the objects of a recording could not be listed");
            (Evidence::Unknown, kept.clone())
        }
    };
    let follows = link.iter().flat_map(|link| [link.follows_at_start, link.follows]).flatten();
    let known = KnownRecording {
        number: link.as_ref().map(|link| link.number),
        follows: follows.collect(),
        token: row.token,
        manifest: row.manifest_sha256,
        evidence,
        opened_at: row.opened_at,
        last_heard_at: row.last_heard_at,
    };
    Looked { known, read: link.filter(|link| kept.as_ref() != Some(link)) }
}

/// Which objects of a recording exist, and what links it to others.
async fn objects_of(
    hansard: &Hansard,
    row: &RecordingRow,
    kept: Option<&RecordingLink>,
) -> Result<(Evidence, Option<RecordingLink>), EvidenceError> {
    let name = |evidence: EvidenceName| row.folder.join(&evidence.to_object_name());
    // A name that is not valid was never written.
    let (Ok(start), Ok(manifest)) = (name(EvidenceName::Start), name(EvidenceName::Manifest(0))) else {
        return Ok((Evidence::NoStart, kept.cloned()));
    };
    let listed = Listed::of(hansard, row).await?;
    if !listed.has(EvidenceName::Start) {
        return Ok((Evidence::NoStart, kept.cloned()));
    }
    let mut link = match kept {
        Some(kept) => Some(kept.clone()),
        None => compared(evidence::read_named(hansard, &row.location, start, row.start_sha256).await)?
            .and_then(|document| read_start(row, &document)),
    };
    let there = if listed.has_segments_of(row) { Evidence::There } else { Evidence::NotAllSegments };
    let Some(sealed_by) = row.manifest_sha256 else { return Ok((there, link)) };
    if !listed.has(EvidenceName::Manifest(0)) || !listed.has(EvidenceName::ManifestSignature(0)) {
        return Ok((Evidence::NoManifest, link));
    }
    if let Some(link) = link.as_mut().filter(|link| link.manifest_sha256 != Some(sealed_by)) {
        let document = evidence::read_named(hansard, &row.location, manifest, sealed_by).await;
        if let Some(document) = compared(document)? {
            let parsed = Manifest::parse(&document).ok();
            link.follows = parsed.and_then(|manifest| manifest.previous_manifest);
            link.manifest_sha256 = Some(sealed_by);
        }
    }
    Ok((there, link))
}

/// The objects of a recording and their sizes, in bytes.
struct Listed(BTreeMap<EvidenceName, u64>);

impl Listed {
    async fn of(hansard: &Hansard, row: &RecordingRow) -> Result<Self, ObjectError> {
        let (objects, folder) = (hansard.stores.at(&row.location), format!("{}/", row.folder));
        let evidence = |object: ListedObject| {
            let below = object.name.as_str().strip_prefix(&folder)?;
            Some((EvidenceName::parse(below)?, object.length))
        };
        let (mut listed, mut after) = (BTreeMap::new(), None);
        loop {
            let page = objects.list_page(&folder, after.as_deref()).await?;
            listed.extend(page.objects.into_iter().filter_map(evidence));
            after = page.next;
            if after.is_none() {
                return Ok(Self(listed));
            }
        }
    }

    /// Whether it is there, and holds anything.
    fn has(&self, evidence: EvidenceName) -> bool {
        self.0.get(&evidence).is_some_and(|length| *length > 0)
    }

    /// Whether the claimed segments exist, by their number and total size. A segment that was uploaded and is not
    /// claimed yet comes after them.
    fn has_segments_of(&self, row: &RecordingRow) -> bool {
        let claimed = row.segments.iter().flat_map(|&(stream, segments)| {
            (0..segments).map(move |number| EvidenceName::Segment { stream, number })
        });
        let lengths = claimed.map(|segment| self.0.get(&segment).copied());
        lengths.sum::<Option<u64>>() == Some(row.stored_bytes)
    }
}

/// Changed bytes are ignored here; verifying the recording reports them.
fn compared(read: Result<Bytes, EvidenceError>) -> Result<Option<Bytes>, EvidenceError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(EvidenceError::Changed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A document that is not the start of this recording is ignored.
fn read_start(row: &RecordingRow, document: &[u8]) -> Option<RecordingLink> {
    let start = Start::parse(document).ok().filter(|start| start.recording == row.token)?;
    Some(RecordingLink {
        token: row.token.clone(),
        number: start.agent_recording_number,
        follows_at_start: start.previous_manifest,
        manifest_sha256: None,
        follows: None,
    })
}
