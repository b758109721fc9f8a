//! `POST /agent/v1/recordings/{token}/seal`: the agent's signed manifest closes the recording.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Path};
use agent_protocol::AgentErrorCode;
use agent_protocol::recordings::{SealReply, SealRequest};
use domain::actions::SealRecording;
use domain::agent::Agent;
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::recording_life::{
    self, CheckedManifest, CheckedStream, Recording, RecordingDelivered, RecordingState, SessionEnd,
};
use persistence::objects::ObjectError;
use persistence::{RecordingSealedAndDelivered, SegmentRow, StoreError};
use recording::{
    AgentId, ContentHash, EvidenceName, LedgerSummary, Manifest, RecordingEnd, SealedBy, SealingPublicKey,
    Start, Stream, StreamEntry, TerminalEventKind,
};

use super::call::{AgentCall, SealCall};
use super::own_recordings;
use super::proof;
use super::refusal::AgentRefusal;
use crate::road::Done;

/// The longest reason of an interruption that is kept.
const REASON_LIMIT: usize = 1_000;

pub(crate) async fn post(SealCall(call): SealCall, path: Path<String>) -> HttpResponse {
    let token = own_recordings::token(&path);
    call.run::<SealRecording, _>(token.as_ref().ok().cloned(), async move |call, granted| {
        let asked: SealRequest = call.parse()?;
        let recording = own_recordings::find(call, granted, &token?).await?;
        let (manifest, signature) = (Bytes::from(asked.manifest.0), Bytes::from(asked.signature.0));
        let done = match seal(call, granted, recording, manifest, signature).await {
            Ok(Sealed::Now(sealed)) => Ok(Done::changed(reply(call, &sealed))),
            Ok(Sealed::Before(sealed)) => deliver(call, granted, &sealed).await,
            Err(refusal) => Err(refusal),
        };
        call.note_heard(granted).await?;
        done
    })
    .await
}

/// How a recording came to be sealed with a manifest.
enum Sealed {
    /// This call has sealed and delivered it.
    Now(Recording),
    /// Another call has sealed it.
    Before(Recording),
}

/// Checks the manifest, writes it, and seals the recording with it, unless the same manifest did so before. All evidence is in
/// the bucket then, so that it is delivered in the same commit.
///
/// INVARIANT: a recording that is sealed has its manifest in the bucket. In the other order, an unreachable bucket
/// would leave a recording that nobody can verify, and an agent that may erase its copy.
async fn seal(
    call: &AgentCall,
    granted: &Granted<SealRecording>,
    recording: Recording,
    manifest: Bytes,
    signature: Bytes,
) -> Result<Sealed, AgentRefusal> {
    let sealer = Sealer::of(call, granted, &recording, &manifest).await?;
    sealer.check_signature(&manifest, &signature)?;
    let token = recording.token.clone();
    let sha256 = ContentHash::of(&manifest);
    if own_recordings::is_open(&recording) {
        let start = read_start(call, &recording).await?;
        let claimed = call.hansard.store.segments_of_recording(granted, &token).await?;
        let arrived = call.hansard.store.streams_of_recording(granted, &token).await?;
        let checked = check_manifest(call, &recording, &start, &claimed, &manifest)?;
        let change = recording_life::seal(&recording, &arrived, checked, call.now())?;
        if change.end == SessionEnd::Exited && recording.kind.ends_in_its_terminal() {
            check_exit_record(call, &recording, &claimed).await?;
        }
        // Reading took its time. What an agent writes that was succeeded meanwhile would stand in its successor's way.
        let known = call.hansard.store.find_recording(granted, &token).await?;
        if known.is_none_or(|known| *known.holder() != call.agent.id) {
            return Err(proof::no_agent_any_more());
        }
        store(call, &recording, EvidenceName::Manifest(0), manifest).await?;
        store(call, &recording, EvidenceName::ManifestSignature(0), signature).await?;
        // The trail keeps the manifest, even if the row is changed.
        let audit = call.audit(granted, Some(&token), "seal").with_more(&format!("manifest {sha256}"));
        let audit = made_by(audit, &recording);
        let audit = sealer.how().map_or(audit.clone(), |how| audit.with_more(&how));
        let delivered = made_by(call.audit(granted, Some(&token), "deliver"), &recording);
        let state = RecordingState::Delivered { ended_at: change.ended_at, end: change.end.clone() };
        let change = RecordingSealedAndDelivered { sealed: change };
        match call.apply(granted, change, vec![audit, delivered]).await? {
            Ok(()) => return Ok(Sealed::Now(Recording { state, ..recording })),
            // The comparison below says whether the recording was sealed with this manifest.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match call.hansard.store.find_manifest_sha256(granted, &token).await? {
        Some(sealed_by) if sealed_by == sha256 => {
            own_recordings::find(call, granted, &token).await.map(Sealed::Before)
        }
        Some(_) => Err(sealed_by_another()),
        None => Err(AgentRefusal::new(
            AgentErrorCode::ServiceUnavailable,
            "the recording changed at the same moment; try again",
        )),
    }
}

async fn store(
    call: &AgentCall,
    recording: &Recording,
    evidence: EvidenceName,
    bytes: Bytes,
) -> Result<(), AgentRefusal> {
    let name = own_recordings::object(recording, evidence)?;
    match call.hansard.objects_of(recording).put_once(&name, bytes).await {
        Ok(_) => Ok(()),
        // Whoever seals a recording writes its row right after this. So this is something else, or two seals at the
        // same moment.
        Err(error @ ObjectError::AlreadyExists { .. }) => {
            tracing::error!(object = %name, "other bytes are stored where the evidence of a seal belongs");
            Err(AgentRefusal::new(
                AgentErrorCode::ObjectAlreadyExists,
                format!("the bucket holds other bytes as {evidence}, and this control plane has not sealed with them: the recording cannot be sealed until they are removed"),
            )
            .caused_by(error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Notes that all evidence is in the bucket, of a recording whose seal was committed without that. The agent repeats the call
/// until this is done.
async fn deliver(
    call: &AgentCall,
    granted: &Granted<SealRecording>,
    recording: &Recording,
) -> Result<Done<SealReply>, AgentRefusal> {
    let reply = reply(call, recording);
    if matches!(recording.state, RecordingState::Delivered { .. }) {
        return Ok(Done::read(reply));
    }
    let change = RecordingDelivered { token: recording.token.clone(), at: call.now() };
    let audit = made_by(call.audit(granted, Some(&recording.token), "deliver"), recording);
    match call.apply(granted, change, vec![audit]).await? {
        Ok(()) => Ok(Done::changed(reply)),
        // The same call was sent twice at once, and the other one delivered.
        Err(StoreError::Conflict { .. }) => Ok(Done::read(reply)),
        Err(error) => Err(error.into()),
    }
}

fn reply(call: &AgentCall, recording: &Recording) -> SealReply {
    SealReply { request_id: call.request_id(), status: recording.status().as_str().to_owned() }
}

/// Of a recording that was taken over, the trail names the agent that made it, to which it belongs.
fn made_by(audit: AuditEvent, recording: &Recording) -> AuditEvent {
    match recording.succession {
        Some(_) => audit.with_more(&format!("made by {}", recording.agent)),
        None => audit,
    }
}

/// Who has signed a manifest, with which key.
enum Sealer {
    /// The agent that calls, which made the recording.
    Maker(SealingPublicKey),
    /// The agent that made the recording, before it was succeeded by the one that calls.
    EarlierMaker(SealingPublicKey),
    /// The agent that calls, with leave to seal in the place of the one that made the recording.
    Successor(SealingPublicKey),
    /// One that had such leave before, and was succeeded before it had delivered. What the maker's other manifests stand on stays
    /// as it is.
    EarlierSuccessor(AgentId, SealingPublicKey),
}

impl Sealer {
    /// Who should have signed this manifest of a recording that the calling agent holds.
    async fn of(
        call: &AgentCall,
        granted: &Granted<SealRecording>,
        recording: &Recording,
        manifest: &[u8],
    ) -> Result<Self, AgentRefusal> {
        if recording.succession.is_none() {
            return Ok(Self::Maker(key_of(&call.agent)?));
        }
        if let Some(sealed_by) = parse(manifest)?.sealed_by {
            // Whether this control plane gave it, and for this recording, is found out before anything is believed.
            let leave = sealed_by.open().map_err(|error| invalid(format!("manifest: sealed_by: {error}")))?;
            return Ok(if leave.successor == call.agent.id {
                Self::Successor(key_of(&call.agent)?)
            } else {
                Self::EarlierSuccessor(leave.successor, leave.successor_sealing_key)
            });
        }
        let enrolled = call.hansard.store.find_enrolled_key(granted, &recording.token).await?;
        let enrolled =
            enrolled.ok_or_else(|| AgentRefusal::internal("the agent of a recording has no key"))?;
        Ok(Self::EarlierMaker(enrolled.key))
    }

    fn check_signature(&self, manifest: &[u8], signature: &[u8]) -> Result<(), AgentRefusal> {
        let (key, why) = match self {
            Self::Maker(key) | Self::Successor(key) => {
                (key, "Signature is not that of the agent's sealing key over exactly the bytes of Manifest")
            }
            Self::EarlierSuccessor(_, key) => (
                key,
                "Signature is not that of the sealing key that the leave in sealed_by names over exactly the bytes of Manifest; an agent signs with its own leave",
            ),
            Self::EarlierMaker(key) => (
                key,
                "Signature is not that of the sealing key that start.json names over exactly the bytes of Manifest; a manifest that the agent's successor signs has sealed_by",
            ),
        };
        if key.verifies(manifest, signature) { Ok(()) } else { Err(invalid(why)) }
    }

    /// What the trail says of it.
    fn how(&self) -> Option<String> {
        match self {
            Self::Maker(_) => None,
            Self::EarlierMaker(_) => Some("sealed by that agent".to_owned()),
            Self::Successor(_) => Some("sealed in its place".to_owned()),
            Self::EarlierSuccessor(agent, _) => Some(format!("sealed in its place by {agent}")),
        }
    }
}

/// The sealing key that an agent enrolled with.
pub(super) fn key_of(agent: &Agent) -> Result<SealingPublicKey, AgentRefusal> {
    let key: [u8; 32] = agent.sealing_key.as_slice().try_into().map_err(AgentRefusal::internal)?;
    Ok(SealingPublicKey::from_bytes(key))
}

fn parse(document: &[u8]) -> Result<Manifest, AgentRefusal> {
    Manifest::parse(document).map_err(|error| invalid(crate::errors::chain_of(&error)))
}

/// `start.json` as it is stored; what the manifest repeats of it is compared.
async fn read_start(call: &AgentCall, recording: &Recording) -> Result<(Start, Bytes), AgentRefusal> {
    let document =
        own_recordings::read_claimed(call, recording, EvidenceName::Start, recording.start_sha256).await?;
    let start = Start::parse(&document).map_err(AgentRefusal::internal)?;
    Ok((start, document))
}

/// The leave in a manifest is this control plane's, for this recording, and for the agent that calls with the key it has
/// enrolled or for one that had taken the recording over before: nobody else was ever given any.
fn check_leave(
    call: &AgentCall,
    (start, start_document): &(Start, Bytes),
    manifest: &Manifest,
    sealed_by: &SealedBy,
) -> Result<(), AgentRefusal> {
    let refuse = |why: &str| Err(invalid(format!("manifest: sealed_by: {why}")));
    if !call.hansard.keys.leave_keys().contains(sealed_by.control_plane_key()) {
        return refuse(
            "its leave was not given by this control plane; ask for it again with POST .../succession",
        );
    }
    let leave = match sealed_by.open_for(start, start_document) {
        Ok(leave) => leave,
        Err(why) => return refuse(&why),
    };
    if leave.successor == call.agent.id && leave.successor_sealing_key != key_of(&call.agent)? {
        return refuse("its leave is for another key; ask for one with POST .../succession");
    }
    match leave.refusal_of(manifest, start_document) {
        Some(why) => refuse(&why),
        None => Ok(()),
    }
}

fn check_manifest(
    call: &AgentCall,
    recording: &Recording,
    stored_start: &(Start, Bytes),
    claimed: &[SegmentRow],
    document: &[u8],
) -> Result<CheckedManifest, AgentRefusal> {
    let manifest = parse(document)?;
    let (start, start_document) = stored_start;
    let reference = &manifest.start;
    for (agrees, what) in [
        (manifest.number == 0, "number must be 0"),
        (manifest.recording == recording.token, "recording is not the one in the path"),
        (manifest.agent == recording.agent, "agent is not the agent that start.json names"),
        (reference.name == "start.json", "start.name must be start.json"),
        (
            reference.sha256 == recording.start_sha256,
            "start.sha256 is not that of the recording's start.json",
        ),
        (
            reference.length == start_document.len() as u64,
            "start.length is not that of the recording's start.json",
        ),
        (manifest.started_at == start.started_at, "started_at is not that of start.json"),
        (
            manifest.agent_recording_number == start.agent_recording_number,
            "agent_recording_number is not that of start.json",
        ),
    ] {
        if !agrees {
            return Err(invalid(format!("manifest: {what}")));
        }
    }
    match (&manifest.sealed_by, &recording.succession) {
        (None, _) => {}
        (Some(sealed_by), Some(_)) => check_leave(call, stored_start, &manifest, sealed_by)?,
        (Some(_), None) => {
            return Err(invalid(
                "manifest: sealed_by is for the agent's successor; an agent seals its own recordings without leave",
            ));
        }
    }
    let mut listed = BTreeSet::new();
    for stream in &manifest.streams {
        if !listed.insert(stream.stream) {
            return Err(invalid(format!("manifest: streams lists {} twice", stream.stream)));
        }
        check_segments(stream, claimed)?;
    }
    if recording.kind.ends_in_its_terminal() && !listed.contains(&Stream::Terminal) {
        return Err(invalid("manifest: streams must have an entry for terminal"));
    }
    let streams = manifest.streams.iter().map(|stream| CheckedStream {
        stream: stream.stream,
        segments: u32::try_from(stream.segments.len()).unwrap_or(u32::MAX),
        chain: stream.final_chain,
    });
    let ledgers: Option<Vec<_>> = manifest.streams.iter().map(|stream| stream.ledger.as_ref()).collect();
    Ok(CheckedManifest {
        streams: streams.collect(),
        ended_at: manifest.ended_at,
        end: match manifest.end {
            RecordingEnd::Exited(_) => SessionEnd::Exited,
            RecordingEnd::Interrupted { reason } => {
                SessionEnd::Interrupted { reason: reason.chars().take(REASON_LIMIT).collect() }
            }
        },
        sha256: ContentHash::of(document),
        ledger: ledgers
            .map(|ledgers| ledgers.into_iter().fold(LedgerSummary::default(), LedgerSummary::with)),
    })
}

/// A session is finished only when its exit record has arrived (DECISIONS F9), in the last segment.
async fn check_exit_record(
    call: &AgentCall,
    recording: &Recording,
    claimed: &[SegmentRow],
) -> Result<(), AgentRefusal> {
    let missing = || invalid("manifest: end is exited, but the last segment holds no exit record");
    let of_terminal = |row: &&SegmentRow| row.stream == Stream::Terminal;
    let last = claimed.iter().rev().find(of_terminal).ok_or_else(missing)?;
    let name = EvidenceName::Segment { stream: Stream::Terminal, number: last.number };
    // Like a claim, it holds a whole segment.
    let _claiming = call.hansard.work.claiming.acquire().await;
    let bytes = own_recordings::read_claimed(call, recording, name, last.sha256).await?;
    let has_exit = move || {
        let decoded = recording::decode_segment(&bytes)?;
        Ok(decoded.events.iter().any(|event| matches!(event.kind, TerminalEventKind::Exit(_))))
    };
    let exited: Result<bool, recording::SegmentError> =
        call.hansard.work.decoding.run(has_exit).await.map_err(AgentRefusal::internal)?;
    if exited.map_err(AgentRefusal::internal)? { Ok(()) } else { Err(missing()) }
}

/// Every listed segment is the claimed one. How many there are is compared by `recording_life::seal`.
fn check_segments(stream: &StreamEntry, claimed: &[SegmentRow]) -> Result<(), AgentRefusal> {
    let claimed = claimed.iter().filter(|row| row.stream == stream.stream);
    for (listed, row) in stream.segments.iter().zip(claimed) {
        let same = listed.number == row.number
            && listed.length == row.length
            && listed.sha256 == row.sha256
            && listed.chain == row.chain_after
            && listed.first_at == row.first_at
            && listed.last_at == row.last_at;
        if !same {
            return Err(invalid(format!(
                "manifest: segment {} of {} is not the one that was acknowledged",
                row.number, row.stream
            )));
        }
    }
    Ok(())
}

fn invalid(message: impl AsRef<str>) -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::InvalidManifest, message)
}

fn sealed_by_another() -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::RecordingSealed, "the recording was sealed before, by another manifest")
}
