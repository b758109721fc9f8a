//! Delivery of one session: open, each segment under its grant, seal, erase. Every step may be repeated; it is woken by
//! a notice and by a timer. When the control plane says that no retry can succeed, retries become rare, but go on,
//! because a control plane can be corrected. What was refused for long enough is in quarantine, and is tried once a day.

mod opening;
mod retries;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::AgentErrorCode;
use agent_protocol::recordings::{
    Grant, GrantReply, GrantRequest, SealReply, SealRequest, SegmentReply, SegmentRequest,
};
use recording::{ContentHash, EvidenceName, Timestamp};

use super::Agent;
use super::acknowledging::Impatience;
use super::session::{CutRecord, Session, StreamSpool};
use crate::client::CallError;
use opening::Opened;
use retries::Retries;

/// How often a session is looked at without a notice.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The step whose answer may be a store's.
const UPLOADING: &str = "uploading a segment";

/// How long a grant that came ahead is used: half of the ten minutes that one holds, for the session may have to wait for its
/// place before it uploads.
const USES_GRANT_WITHIN: Duration = Duration::from_secs(300);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("{step}: {source}")]
    Call { step: &'static str, source: CallError },
    #[error("the spool cannot be used: {0}")]
    Spool(#[from] std::io::Error),
    #[error(
        "segment {number} was changed on the disk since it was cut: it cannot be delivered, and the session stays in the spool"
    )]
    Changed { number: u32 },
    #[error("{0}")]
    PredecessorUnknown(String),
    #[error(
        "the control plane does not let this agent deliver what another recorded: {0}. It is kept; `hansard-agent export` takes it out"
    )]
    Unbelievable(String),
}

impl DeliveryError {
    fn is_final(&self) -> bool {
        match self {
            DeliveryError::Call { source, .. } => source.is_final() && !self.is_forgotten(),
            DeliveryError::Unbelievable(_) => true,
            _ => false,
        }
    }

    /// Only somebody who changes what lies on this machine helps, and nobody says when that was done.
    fn is_of_this_machine(&self) -> bool {
        matches!(self, DeliveryError::Changed { .. } | DeliveryError::PredecessorUnknown(_))
    }

    /// The control plane answers, and what it says keeps the recording in the spool.
    fn keeps_it_waiting(&self) -> bool {
        match self {
            DeliveryError::Call { source: CallError::Refused { .. }, .. } => !self.is_forgotten(),
            DeliveryError::Unbelievable(_) => true,
            _ => false,
        }
    }

    /// The control plane does not know the recording any more, because its database was restored. The recording must be
    /// opened again.
    fn is_forgotten(&self) -> bool {
        matches!(self, DeliveryError::Call { source, .. } if source.has_code(AgentErrorCode::RecordingNotFound))
    }
}

fn at(step: &'static str) -> impl Fn(CallError) -> DeliveryError {
    move |source| DeliveryError::Call { step, source }
}

/// Delivers a session to its end.
pub(super) async fn deliver(agent: Arc<Agent>, session: Arc<Session>) {
    let mut retries = Retries::new();
    let mut impatience = Impatience::new(&session, agent.sync.longest());
    let mut opened = false;
    let mut link_opened = agent.link_opened.subscribe();
    let mut configured = agent.configured.subscribe();
    if let Some(rest) = session.rest_in_quarantine(&agent.pace.now()) {
        tracing::info!(session = %session.token(), rest = ?rest, "the recording is in quarantine, and rests");
        tokio::select! {
            () = agent.pace.sleep(rest) => {}
            () = session.retry.notified() => {}
        }
    }
    loop {
        let acknowledged = session.acknowledged();
        let delivered = deliver_what_is_there(&agent, &session, &mut opened).await;
        if session.acknowledged() > acknowledged {
            // It makes progress, if not to the end.
            retries.reset();
            impatience.goes_on();
            session.accept();
        }
        let error = match delivered {
            Ok(true) => {
                agent.sessions.is_delivered(&session);
                if session.is_of_predecessor(&agent) {
                    agent.forget_predecessors();
                }
                agent.reserve.hold();
                tracing::info!(session = %session.token(), "the recording is delivered");
                return;
            }
            Ok(false) => {
                retries.reset();
                impatience.goes_on();
                session.accept();
                tokio::select! {
                    () = session.changed.notified() => {}
                    () = session.retry.notified() => {}
                    () = agent.pace.sleep(LOOK_EVERY) => {}
                }
                continue;
            }
            Err(error) => error,
        };
        opened &= !error.is_forgotten();
        let in_quarantine = note(&agent, &session, &error).await;
        let mut wait = retries.wait(&error, in_quarantine, agent.pace.chance());
        if !in_quarantine && !error.is_final() && !error.is_of_this_machine() {
            let has_ended = session.progress().has_ended();
            wait = impatience.shorten(wait, has_ended, Instant::now()).max(error.retry_after());
        }
        tracing::debug!(session = %session.token(), wait = ?wait, "delivery waits");
        // Whoever repairs a disk is not heard of, and of one in quarantine only who asks for a retry.
        let waits_for_time_alone = in_quarantine || error.is_of_this_machine();
        tokio::select! {
            () = agent.pace.sleep(wait) => {}
            () = session.retry.notified() => {}
            _ = link_opened.changed(), if !waits_for_time_alone => {}
            _ = configured.changed(), if !waits_for_time_alone => {}
        }
        if waits_for_time_alone {
            link_opened.mark_unchanged();
            configured.mark_unchanged();
        }
    }
}

/// Notes what a failed try says of the recording, and says it. True if the recording is in quarantine.
async fn note(agent: &Agent, session: &Arc<Session>, error: &DeliveryError) -> bool {
    let (token, why) = (session.token(), error.to_string());
    let now = agent.pace.now();
    let was_in_quarantine = session.quarantined_at().is_some();
    if error.keeps_it_waiting() {
        session.progress().waits_because = Some(why.clone());
    }
    let noted = if error.is_refusal() {
        let wall = Timestamp::from_millis(agent.control_plane.now_millis());
        let (why, quarantine_after) = (why.clone(), agent.quarantine_after);
        on_disk(session, move |session| Ok(session.refused(&why, &now, wall, quarantine_after))).await
    } else {
        on_disk(session, move |session| {
            session.unanswered(&now);
            Ok(false)
        })
        .await
    };
    if noted.is_ok_and(|is_put_there_now| is_put_there_now) {
        tracing::error!(
            session = %token,
            "the recording has been refused for too long: it is in quarantine, kept, and tried once a day: {why}"
        );
    }
    let in_quarantine = session.quarantined_at().is_some();
    if error.is_final() {
        session.progress().refused = Some(why.clone());
        if !was_in_quarantine && !in_quarantine {
            tracing::error!(
                session = %token,
                "the control plane refuses the recording; it is kept, and tried again from time to time: {why}"
            );
        }
    } else {
        session.progress().trouble = Some(why.clone());
        match error {
            error if error.is_of_this_machine() => tracing::error!(session = %token, "{why}"),
            _ => tracing::warn!(session = %token, "delivery will be tried again: {why}"),
        }
    }
    in_quarantine
}

/// True when the session is delivered whole and erased.
async fn deliver_what_is_there(
    agent: &Agent,
    session: &Arc<Session>,
    opened: &mut bool,
) -> Result<bool, DeliveryError> {
    // Each step waits for its own place, in the order of asking: a session with much to deliver holds up nobody's short one. The
    // semaphore is never closed; without a place the delivery would still be right.
    if !*opened {
        let _place = agent.deliveries.acquire().await;
        if opening::open(agent, session).await? == Opened::Sealed {
            erase(agent, session).await?;
            return Ok(true);
        }
        *opened = true;
        let mut progress = session.progress();
        if progress.waits_because.take().is_some() {
            progress.trouble = None;
        }
    }
    let mut last_stream = 0;
    // A stream that cannot be delivered now does not delay another.
    let (mut held_up, mut first_error) = (BTreeSet::new(), None);
    let mut granted: BTreeMap<usize, NextGrant> = BTreeMap::new();
    loop {
        if let Some((stream, number)) = session.next_to_deliver(last_stream, &held_up) {
            last_stream = stream;
            let _place = agent.deliveries.acquire().await;
            let grant = granted.remove(&stream).and_then(|next| next.for_segment(number, Instant::now()));
            match deliver_segment(agent, session, stream, number, grant).await {
                Ok(next) => {
                    granted.extend(next.map(|next| (stream, next)));
                    let mut progress = session.progress();
                    progress.trouble = None;
                    progress.waits_because = None;
                }
                Err(error) => {
                    held_up.insert(stream);
                    first_error.get_or_insert(error);
                }
            }
        } else if let Some(error) = first_error {
            return Err(error);
        } else if session.progress().sealed {
            let _place = agent.deliveries.acquire().await;
            seal(agent, session).await?;
            erase(agent, session).await?;
            return Ok(true);
        } else {
            return Ok(false);
        }
    }
}

/// Erases what was delivered whole.
async fn erase(agent: &Agent, session: &Arc<Session>) -> Result<(), DeliveryError> {
    let damaged = Arc::clone(&agent.damaged);
    on_disk(session, move |session| session.erase(|folder| damaged.set_aside(session, folder))).await
}

/// A grant that came with the acknowledgement of the segment before.
struct NextGrant {
    number: u32,
    grant: Grant,
    came_at: Instant,
}

impl NextGrant {
    /// The grant, if it is for this segment and will be valid during its upload.
    fn for_segment(self, number: u32, now: Instant) -> Option<Grant> {
        let age = now.saturating_duration_since(self.came_at);
        (self.number == number && age < USES_GRANT_WITHIN).then_some(self.grant)
    }
}

/// Delivers a segment of one of the session's streams, under a grant that came before or a new one.
async fn deliver_segment(
    agent: &Agent,
    session: &Arc<Session>,
    stream: usize,
    number: u32,
    grant: Option<Grant>,
) -> Result<Option<NextGrant>, DeliveryError> {
    let (record, bytes, next) = on_stream(session, stream, move |spool| {
        let record = spool.cut_record(number)?;
        let bytes = spool.segment_bytes(&record)?;
        let cut = spool.progress().segments;
        // Should its record be unreadable, that is no reason not to deliver this one.
        let next = (number + 1 < cut).then(|| spool.cut_record(number + 1).ok()).flatten();
        Ok((record, bytes, next))
    })
    .await?;
    check_kept_bytes(&record, &bytes)?;
    let call = format!("/recordings/{}", session.token());
    let grant = match grant {
        Some(grant) => grant,
        None => {
            let (grants, request) = (format!("{call}/grants"), grant_request(&record));
            let asking = agent.control_plane.post(&grants, &request);
            let reply: GrantReply = asking.await.map_err(at("asking for a grant"))?;
            reply.grant
        }
    };
    agent.control_plane.put(&grant, bytes).await.map_err(at(UPLOADING))?;
    let next_grant = match report(agent, session, &record, next.as_ref()).await {
        Ok(next_grant) => next_grant,
        Err(error) => {
            let Some(expected) = error.expected_number().filter(|expected| *expected < number) else {
                return Err(at("reporting a segment")(error));
            };
            // It forgot segments that it had acknowledged: its database was restored. Their objects are where they were.
            tracing::warn!(session = %session.token(), "segments from {expected} on are reported once more");
            for forgotten in expected..number {
                let forgotten = on_stream(session, stream, move |spool| spool.cut_record(forgotten)).await?;
                let reporting = report(agent, session, &forgotten, None);
                reporting.await.map_err(at("reporting a segment once more"))?;
            }
            report(agent, session, &record, next.as_ref()).await.map_err(at("reporting a segment"))?
        }
    };
    // INVARIANT: only here, after the acknowledgement, is anything erased: it was the only copy.
    let erased = on_stream(session, stream, move |spool| spool.erase_segment(&record)).await;
    session.acknowledged_more.notify_one();
    erased?;
    Ok(next_grant)
}

fn grant_request(record: &CutRecord) -> GrantRequest {
    let segment = EvidenceName::Segment { stream: record.stream, number: record.entry.number };
    GrantRequest {
        object_name: segment.to_string(),
        length: record.entry.length,
        sha256: record.entry.sha256,
    }
}

/// Says that a segment's object is there, and asks for the grant of the next one when that is at hand.
async fn report(
    agent: &Agent,
    session: &Session,
    record: &CutRecord,
    next: Option<&CutRecord>,
) -> Result<Option<NextGrant>, CallError> {
    let number = record.entry.number;
    let segment = SegmentRequest {
        stream: record.stream.name().to_owned(),
        number,
        length: record.entry.length,
        sha256: record.entry.sha256,
        chain_before: record.chain_before,
        chain_after: record.entry.chain,
        first_at_micros: record.entry.first_at.get(),
        last_at_micros: record.entry.last_at.get(),
        next: next.map(grant_request),
    };
    let call = format!("/recordings/{}/segments", session.token());
    let reply: SegmentReply = agent.control_plane.post(&call, &segment).await?;
    if reply.acknowledged < number {
        let why = format!("segment {number} was reported, {} acknowledged", reply.acknowledged);
        return Err(CallError::Unexpected { status: 200, why });
    }
    let number = next.map(|next| next.entry.number);
    let came_at = Instant::now();
    Ok(number.zip(reply.next_grant).map(|(number, grant)| NextGrant { number, grant, came_at }))
}

/// Bytes that a disk has changed must not be sealed as if they were right.
fn check_kept_bytes(record: &CutRecord, bytes: &[u8]) -> Result<(), DeliveryError> {
    if ContentHash::of(bytes) == record.entry.sha256 {
        return Ok(());
    }
    Err(DeliveryError::Changed { number: record.entry.number })
}

async fn seal(agent: &Agent, session: &Arc<Session>) -> Result<(), DeliveryError> {
    let manifest = on_disk(session, |session| session.find_manifest()).await?;
    let Some(manifest) = manifest else {
        let why = "the manifest is gone";
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, why).into());
    };
    let request =
        SealRequest { manifest: manifest.bytes.into(), signature: manifest.signature.to_vec().into() };
    let call = format!("/recordings/{}/seal", session.token());
    let reply: SealReply =
        agent.control_plane.post(&call, &request).await.map_err(at("sealing the recording"))?;
    tracing::debug!(session = %session.token(), status = reply.status, "the control plane closed the recording");
    Ok(())
}

/// Runs file work on one of the session's streams.
async fn on_stream<T: Send + 'static>(
    session: &Arc<Session>,
    stream: usize,
    work: impl FnOnce(&StreamSpool) -> std::io::Result<T> + Send + 'static,
) -> Result<T, DeliveryError> {
    on_disk(session, move |session| work(&session.spools[stream])).await
}

/// Runs file work where blocking is allowed.
async fn on_disk<T: Send + 'static>(
    session: &Arc<Session>,
    work: impl FnOnce(&Session) -> std::io::Result<T> + Send + 'static,
) -> Result<T, DeliveryError> {
    let session = Arc::clone(session);
    match tokio::task::spawn_blocking(move || work(&session)).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(std::io::Error::other(error).into()),
    }
}
