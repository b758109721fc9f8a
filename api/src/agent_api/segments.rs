//! `POST /agent/v1/recordings/{token}/segments`: the recording claims an uploaded segment.
//!
//! INVARIANT: a segment is acknowledged only after its stored bytes were read back, hashed and decoded and the claim
//! is committed. The agent erases its spool on the acknowledgement, so an early one destroys the only copy.

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Path};
use agent_protocol::recordings::{Grant, SegmentReply, SegmentRequest};
use agent_protocol::{AgentErrorCode, MAXIMUM_OBJECT_BYTES};
use domain::TerminalSessionToken;
use domain::actions::AcknowledgeSegment;
use domain::gate::Granted;
use domain::recording_life::{self, ArrivedStream, CheckedSegment, Recording, SegmentAcknowledged};
use persistence::{SegmentAcknowledgedAndNextPermitted, StoreError};
use recording::{EvidenceName, Micros, Stream};

use super::call::{AgentCall, UnclaimedCall};
use super::grants::{self, NextGrant};
use super::own_recordings;
use super::refusal::AgentRefusal;
use crate::evidence::{self, EvidenceError};
use crate::road::Done;

pub(crate) async fn post(UnclaimedCall(call): UnclaimedCall, path: Path<String>) -> HttpResponse {
    let token = own_recordings::token(&path);
    call.run::<AcknowledgeSegment, _>(token.as_ref().ok().cloned(), async move |call, granted| {
        let acknowledged = acknowledge(call, granted, token).await;
        call.note_heard(granted).await?;
        acknowledged
    })
    .await
}

async fn acknowledge(
    call: &AgentCall,
    granted: &Granted<AcknowledgeSegment>,
    token: Result<TerminalSessionToken, AgentRefusal>,
) -> Result<Done<SegmentReply>, AgentRefusal> {
    let asked: SegmentRequest = call.parse()?;
    let stream = Stream::parse(&asked.stream)
        .map_err(|error| AgentRefusal::invalid_request(format!("Stream: {error}")))?;
    let token = token?;
    let recording = own_recordings::find(call, granted, &token).await?;
    let arrived = own_recordings::stream(call, granted, &recording, stream).await?;
    if asked.number < arrived.segments {
        return again(call, granted, &recording, &arrived, &asked).await;
    }
    let checked = check(call, granted, &recording, &arrived, &asked).await?;
    let change = recording_life::acknowledge(&recording, &arrived, checked, call.now())?;
    let evidence = EvidenceName::Segment { stream, number: asked.number };
    let next = match &asked.next {
        Some(next) => grants::next(call, &recording, evidence, next).await,
        None => None,
    };
    match apply(call, granted, change, next).await? {
        Ok(next_grant) => Ok(Done::changed(SegmentReply { next_grant, ..reply(call, asked.number) })),
        // The same call was sent twice at once, and the other one won.
        Err(StoreError::Conflict { .. }) => {
            let recording = own_recordings::find(call, granted, &token).await?;
            let arrived = own_recordings::stream(call, granted, &recording, stream).await?;
            again(call, granted, &recording, &arrived, &asked).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Claims the segment, and in the same transaction counts the next one if it may be written. The grant is sent only
/// when that is committed, so that everything that can be written is counted.
async fn apply(
    call: &AgentCall,
    granted: &Granted<AcknowledgeSegment>,
    acknowledged: SegmentAcknowledged,
    next: Option<NextGrant>,
) -> Result<Result<Option<Grant>, StoreError>, AgentRefusal> {
    let token = acknowledged.token.clone();
    if let Some(NextGrant { object, grant }) = next {
        let both = SegmentAcknowledgedAndNextPermitted { acknowledged: acknowledged.clone(), next: object };
        let audit = call.audit(granted, Some(&token), "with the next grant");
        match call.apply(granted, both, vec![audit]).await? {
            Ok(()) => return Ok(Ok(Some(grant))),
            // The present segment is claimed all the same, which makes room.
            Err(StoreError::AgentLimit(_)) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    let audit = call.audit(granted, Some(&token), "");
    Ok(call.apply(granted, acknowledged, vec![audit]).await?.map(|()| None))
}

fn reply(call: &AgentCall, number: u32) -> SegmentReply {
    SegmentReply { request_id: call.request_id(), acknowledged: number, next_grant: None }
}

/// A segment that was claimed before: the same one gets the same answer.
async fn again(
    call: &AgentCall,
    granted: &Granted<AcknowledgeSegment>,
    recording: &Recording,
    arrived: &ArrivedStream,
    asked: &SegmentRequest,
) -> Result<Done<SegmentReply>, AgentRefusal> {
    let store = &call.hansard.store;
    match store.find_segment(granted, &recording.token, arrived.stream, asked.number).await? {
        Some(row) if row.sha256 == asked.sha256 && row.chain_after == asked.chain_after => {
            Ok(Done::read(reply(call, asked.number)))
        }
        Some(_) => Err(invalid(format!("segment {} was claimed before, with other bytes", asked.number))),
        None => Err(recording_life::SegmentRefused::OutOfOrder {
            expected: arrived.segments,
            offered: asked.number,
        }
        .into()),
    }
}

/// Reads the stored object back and checks that it is what the agent says, and a segment of this recording.
async fn check(
    call: &AgentCall,
    granted: &Granted<AcknowledgeSegment>,
    recording: &Recording,
    arrived: &ArrivedStream,
    asked: &SegmentRequest,
) -> Result<CheckedSegment, AgentRefusal> {
    // Known to be refused without reading anything.
    if !own_recordings::is_open(recording) {
        return Err(own_recordings::sealed());
    }
    if asked.number != arrived.segments {
        let (expected, offered) = (arrived.segments, asked.number);
        return Err(recording_life::SegmentRefused::OutOfOrder { expected, offered }.into());
    }
    // Before it is read, so that no sweep removes it as unclaimed.
    let stream = arrived.stream;
    let segment = EvidenceName::Segment { stream, number: asked.number };
    let unclaimed = own_recordings::unclaimed(recording, segment, asked.length)?;
    call.hansard.store.expect_claim(granted, unclaimed, call.now()).await?;
    // From here on the whole segment is held in memory. Decoding waits for another permit below, which readers need
    // too.
    let _claiming = call.hansard.work.claiming.acquire().await;
    let bytes = read_back(call, recording, segment, asked).await?;
    let expected = asked.clone();
    let token = recording.token.clone();
    let checked =
        call.hansard.work.decoding.run(move || check_bytes(&bytes, &token, stream, &expected)).await;
    checked.map_err(AgentRefusal::internal)?
}

async fn read_back(
    call: &AgentCall,
    recording: &Recording,
    segment: EvidenceName,
    asked: &SegmentRequest,
) -> Result<Bytes, AgentRefusal> {
    let absent = || {
        AgentRefusal::new(
            AgentErrorCode::ObjectNotFound,
            "the segment's object is not there; upload it, then ask again",
        )
    };
    let name = own_recordings::object(recording, segment)?;
    let head = call.hansard.objects_of(recording).head(&name).await?.ok_or_else(absent)?;
    if head.length != asked.length || head.length > MAXIMUM_OBJECT_BYTES {
        return Err(invalid(format!("the stored object has {} bytes, not {}", head.length, asked.length)));
    }
    match evidence::read(&call.hansard, recording, segment, asked.sha256).await {
        Ok(bytes) => Ok(bytes),
        Err(EvidenceError::Missing) => Err(absent()),
        Err(EvidenceError::Changed(_)) => Err(invalid("the stored object's SHA-256 is not Sha256")),
        Err(error) => Err(error.into()),
    }
}

fn check_bytes(
    bytes: &[u8],
    token: &TerminalSessionToken,
    stream: Stream,
    asked: &SegmentRequest,
) -> Result<CheckedSegment, AgentRefusal> {
    // Reading the bytes has already compared them with this hash.
    let sha256 = asked.sha256;
    let (header, content) =
        recording::check_segment(bytes).map_err(|error| invalid(crate::errors::chain_of(&error)))?;
    if header.recording != *token {
        return Err(invalid("the segment's header names another recording"));
    }
    if header.stream != stream || header.number != asked.number {
        return Err(invalid("the segment's header names another stream or number"));
    }
    if header.chain_before != asked.chain_before {
        return Err(invalid("the segment's header has another chain value than ChainBefore"));
    }
    let chain_after = header.chain_before.next(asked.number, bytes.len() as u64, &sha256);
    if chain_after != asked.chain_after {
        return Err(invalid("ChainAfter is not the chain value that follows from the segment's bytes"));
    }
    let last_at = content.last_at;
    if header.first_at != Micros::new(asked.first_at_micros) || last_at != Micros::new(asked.last_at_micros) {
        return Err(invalid(
            "FirstAtMicros and LastAtMicros are not the times of the segment's first and last events",
        ));
    }
    Ok(CheckedSegment {
        number: asked.number,
        length: bytes.len() as u64,
        sha256,
        chain_before: header.chain_before,
        chain_after,
        first_at: header.first_at,
        last_at,
        ledger: content.ledger,
    })
}

fn invalid(message: impl AsRef<str>) -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::InvalidSegment, message)
}
