//! An agent, a recording, and the changes to it, each with values that a test may use as they are or change.

use domain::agent::{Agent, Capability, InstancePattern, JoinToken, JoinTokenSecret};
use domain::expiration::ExpirationDays;
use domain::recording_life::{
    Arrived, ArrivedStream, Recording, RecordingSealed, RecordingState, SegmentAcknowledged, SessionEnd,
};
use domain::storage_target::RecordStorageTarget;
use domain::{AccountId, AgentId, InstanceId, TerminalSessionToken, Timestamp};
use persistence::RecordingOpened;
use recording::{ChainValue, ContentHash, LedgerSummary, Micros, ObjectName, Stream};

use crate::names::{DAY, region};

/// A new agent of an instance.
#[must_use]
pub fn agent(account: &AccountId, instance: &InstanceId, enrolled_at: Timestamp) -> Agent {
    Agent {
        id: AgentId::generate(),
        account: account.clone(),
        instance: instance.clone(),
        region: region(),
        authentication_key: vec![1; 32],
        sealing_key: vec![2; 32],
        hostname: "web-1".to_owned(),
        version: "0.1.0".to_owned(),
        capabilities: vec![Capability { kind: "terminal".to_owned(), version: "1".to_owned() }],
        enrolled_at,
        last_seen_at: enrolled_at,
        retired: None,
    }
}

/// A join token that is valid for a day, and its secret.
#[must_use]
pub fn join_token(
    account: &AccountId,
    instances: &str,
    permits_replace: bool,
    created_at: Timestamp,
) -> (JoinTokenSecret, JoinToken) {
    let secret = JoinTokenSecret::generate();
    let token = JoinToken {
        hash: secret.hash(),
        account: account.clone(),
        region: region(),
        instances: InstancePattern::parse(instances).unwrap(),
        permits_replace,
        created_by: "acs:ram::1:root".to_owned(),
        created_at,
        expires_at: Timestamp::from_millis(created_at.as_millis() + DAY),
    };
    (secret, token)
}

/// A recording that an agent starts now.
#[must_use]
pub fn recording(agent: &Agent, started_at: Timestamp, days: i64) -> Recording {
    Recording {
        token: TerminalSessionToken::generate(),
        account: agent.account.clone(),
        instance: agent.instance.clone(),
        agent: agent.id.clone(),
        kind: recording::CaptureKind::Terminal,
        owner: None,
        claimed_owner: None,
        command: None,
        recorder: recording::Recorder::SameUser,
        failure_policy: None,
        delivery_mode: None,
        target: RecordStorageTarget::deployment_default(&region(), &agent.account),
        folder: ObjectName::parse("record/2023/11/14/x").unwrap(),
        start_sha256: ContentHash::of(b"start.json"),
        started_at,
        opened_at: started_at,
        last_heard_at: started_at,
        expiration: ExpirationDays::new(days).unwrap(),
        state: RecordingState::Open,
        arrived: Arrived::default(),
        ledger: Some(LedgerSummary::default()),
        succession: None,
    }
}

/// The opening of a recording whose streams have no segment yet.
#[must_use]
pub fn opened(recording: Recording) -> RecordingOpened {
    let streams = [Stream::Terminal, Stream::Events].map(|stream| arrived(stream, 0));
    RecordingOpened { recording, streams: streams.to_vec() }
}

/// This many segments of a stream.
#[must_use]
pub fn arrived(stream: Stream, segments: u32) -> ArrivedStream {
    ArrivedStream {
        stream,
        segments,
        stored_bytes: u64::from(segments) * 100,
        chain: ChainValue::from_bytes([u8::try_from(segments).unwrap_or(0); 32]),
        last_at: Micros::new(u64::from(segments) * 1_000_000),
    }
}

/// A segment of the terminal, claimed now.
#[must_use]
pub fn segment(token: &TerminalSessionToken, number: u32, now: Timestamp) -> SegmentAcknowledged {
    SegmentAcknowledged {
        token: token.clone(),
        number,
        length: 100,
        sha256: ContentHash::of(b"segment"),
        first_at: Micros::new(u64::from(number) * 1_000_000),
        arrived: arrived(Stream::Terminal, number + 1),
        ledger: LedgerSummary::default(),
        at: now,
    }
}

/// The end of a recording of this many segments, reported when it ends.
#[must_use]
pub fn sealed(token: &TerminalSessionToken, segments: u32, ended_at: Timestamp) -> RecordingSealed {
    RecordingSealed {
        token: token.clone(),
        segments,
        ended_at,
        end: SessionEnd::Exited,
        manifest_sha256: ContentHash::of(b"manifest"),
        ledger: None,
        at: ended_at,
    }
}
