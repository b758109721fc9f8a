//! The examples of the agents' document: one agent that enrols and records one session. They are values of the very
//! types that the calls read and write, so that none of them can have another shape.

use std::collections::BTreeMap;

use agent_protocol::capture::Capability;
use agent_protocol::configuration::{
    CaptureDelegation, ConfigurationReply, ConfigurationSignature, DeliveryMode, FailurePolicy,
    RecordingConfiguration,
};
use agent_protocol::enrol::{EnrolReply, EnrolRequest};
use agent_protocol::keys::ServerKey;
use agent_protocol::recordings::{
    Grant, GrantReply, GrantRequest, OpenRecordingReply, OpenRecordingRequest, SealReply, SealRequest,
    SegmentReply, SegmentRequest,
};
use agent_protocol::succession::{SuccessionReply, SuccessionRequest};
use agent_protocol::unrecorded::{UnrecordedSessionsReply, UnrecordedSessionsRequest};
use agent_protocol::{AgentErrorCode, EffectiveConfiguration, ErrorReply, PublicKey, SignedConfiguration};
use recording::{
    ArrivedBefore, CaptureKind, ChainValue, ContentHash, DocumentFormat, ExitStatus, Leave, LeaveFormat,
    Manifest, Micros, Recorder, RecordingEnd, SealedBy, SealingKey, SegmentEntry, Start, StartReference,
    Stream, StreamEntry, StreamLedger, TerminalSize, Timestamp, Totals,
};

use super::grants::GRANT_HEADER;
use super::uploads::UploadReply;

const ACCOUNT: &str = "1609982529000000";
const AGENT: &str = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52";
const SUCCESSOR: &str = "agent-6b525f0c6de1c8b04a1c9a3f5d0c8e7a";
const INSTANCE: &str = "i-bp1example";
const REGION: &str = "cn-hangzhou";
const RECORDING: &str = "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52";
const TARGET: &str = "acs:oss:cn-hangzhou:1609982529000000:workbench-record-1609982529000000-default/record";
const REQUEST_ID: &str = "473469C7-AA6F-4DC5-B3DB-A3DC0DE30E47";
const SERVER_KEY: &str = "configuration-1";
/// 2023-11-16T02:59:39.123Z.
const STARTED_AT: Timestamp = Timestamp::from_millis(1_700_103_579_123);
const LASTED: Micros = Micros::new(2_000_000);
/// The segment's bytes stand for those of any other; only their number and their hash are shown.
const SEGMENT: &[u8] = b"the compressed events of a session, from the first to the last";

/// A key that seals and signs in examples, and nowhere else.
fn example_key(number: u8) -> SealingKey {
    SealingKey::from_seed(&[number; 32])
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("an example is well formed")
}

fn capabilities() -> Vec<Capability> {
    vec![Capability { kind: "terminal".to_owned(), version: "1".to_owned() }]
}

fn server_keys() -> Vec<ServerKey> {
    let public_key = example_key(1).public_key();
    let public_key = PublicKey(*public_key.as_bytes());
    vec![ServerKey { key_id: SERVER_KEY.to_owned(), public_key }]
}

pub(super) fn configuration() -> EffectiveConfiguration {
    EffectiveConfiguration {
        agent_id: parsed(AGENT),
        account_id: parsed(ACCOUNT),
        instance_id: parsed(INSTANCE),
        region: parsed(REGION),
        revision: 3,
        issued_time: STARTED_AT.to_rfc3339_millis(),
        server_keys: server_keys(),
        recording: Some(RecordingConfiguration {
            record_storage_target: TARGET.to_owned(),
            expiration_days: 30,
            selector: "*".to_owned(),
            failure_policy: FailurePolicy::Strict,
            delivery_mode: DeliveryMode::Async,
            recorded_principals: Some(vec!["user:ana".to_owned(), "group:ops-*".to_owned()]),
            notice_text: Some("Sessions on this machine are recorded.".to_owned()),
        }),
        captures: vec![CaptureDelegation {
            kind: "terminal".to_owned(),
            failure_policy: FailurePolicy::Strict,
        }],
        default_record_storage_target: TARGET.to_owned(),
        default_expiration_days: 7,
    }
}

fn signed_configuration() -> SignedConfiguration {
    let payload = serde_json::to_vec(&configuration()).expect("it has strings, numbers and lists");
    let signed = [agent_protocol::configuration::CONFIGURATION_SIGNATURE_CONTEXT, &payload].concat();
    let signature = example_key(1).sign(&signed).to_vec().into();
    let signatures = vec![ConfigurationSignature { key_id: SERVER_KEY.to_owned(), signature }];
    SignedConfiguration { payload: payload.into(), signatures }
}

pub(super) fn enrol() -> EnrolRequest {
    EnrolRequest {
        join_token: "hjt-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7cDe0f".to_owned(),
        instance_id: parsed(INSTANCE),
        authentication_public_key: PublicKey(*example_key(2).public_key().as_bytes()),
        sealing_public_key: example_key(3).public_key(),
        hostname: "web-1".to_owned(),
        agent_version: "0.1.0".to_owned(),
        capabilities: capabilities(),
        replace: false,
    }
}

pub(super) fn enrolled() -> EnrolReply {
    EnrolReply {
        request_id: REQUEST_ID.to_owned(),
        agent_id: parsed(AGENT),
        account_id: parsed(ACCOUNT),
        instance_id: parsed(INSTANCE),
        region: parsed(REGION),
        server_keys: server_keys(),
        configuration: signed_configuration(),
    }
}

pub(super) fn configuration_reply() -> ConfigurationReply {
    ConfigurationReply { request_id: REQUEST_ID.to_owned(), configuration: signed_configuration() }
}

fn start() -> Vec<u8> {
    Start {
        format: DocumentFormat::V1,
        recording: parsed(RECORDING),
        kind: CaptureKind::Terminal,
        account: parsed(ACCOUNT),
        instance: parsed(INSTANCE),
        agent: parsed(AGENT),
        agent_sealing_key: example_key(3).public_key(),
        agent_recording_number: 1,
        previous_manifest: None,
        configuration_revision: 3,
        recorder: Recorder::SameUser,
        notes: vec![],
        failure_policy: Some(FailurePolicy::Strict),
        delivery_mode: Some(DeliveryMode::Async),
        started_at: STARTED_AT,
        terminal: Some(TerminalSize { columns: 80, rows: 24 }),
        command: Some(vec!["/bin/bash".to_owned(), "-l".to_owned()]),
        claimed_user: Some("ana (uid 1000)".to_owned()),
        term: Some("xterm-256color".to_owned()),
        shell: Some("/bin/bash".to_owned()),
        agent_version: Some("0.1.0".to_owned()),
    }
    .to_document()
}

pub(super) fn open() -> OpenRecordingRequest {
    OpenRecordingRequest {
        terminal_session_token: parsed(RECORDING),
        kind: "terminal".to_owned(),
        start: start().into(),
        configuration: Some(signed_configuration()),
    }
}

pub(super) fn opened() -> OpenRecordingReply {
    OpenRecordingReply {
        request_id: REQUEST_ID.to_owned(),
        terminal_session_token: parsed(RECORDING),
        record_storage_target: TARGET.to_owned(),
        object_prefix: format!("record/2023/11/16/{INSTANCE}/{RECORDING}/"),
    }
}

pub(super) fn succession() -> SuccessionRequest {
    let proof = agent_protocol::succession::prove(&start(), &parsed(SUCCESSOR), &example_key(3));
    SuccessionRequest { open: open(), proof }
}

pub(super) fn succeeded() -> SuccessionReply {
    let leave = Leave {
        format: LeaveFormat::V1,
        recording: parsed(RECORDING),
        account: parsed(ACCOUNT),
        instance: parsed(INSTANCE),
        start: StartReference::of(&start()),
        agent: parsed(AGENT),
        successor: parsed(SUCCESSOR),
        successor_sealing_key: example_key(4).public_key(),
        arrived: vec![ArrivedBefore {
            stream: Stream::Terminal,
            segments: 0,
            chain: ChainValue::first(&start(), Stream::Terminal),
        }],
        issued_at: STARTED_AT.plus(std::time::Duration::from_secs(3_600)),
    };
    let (signer, leave) = (example_key(5), leave.to_document());
    let signature = signer.sign(&Leave::to_be_signed(&leave));
    SuccessionReply {
        request_id: REQUEST_ID.to_owned(),
        terminal_session_token: parsed(RECORDING),
        record_storage_target: TARGET.to_owned(),
        object_prefix: format!("record/2023/11/16/{INSTANCE}/{RECORDING}/"),
        sealed_with: None,
        leave: Some(SealedBy::new(leave, signer.public_key(), signature)),
    }
}

pub(super) fn grant_request() -> GrantRequest {
    GrantRequest {
        object_name: "terminal/000000.cast.zst".to_owned(),
        length: SEGMENT.len() as u64,
        sha256: ContentHash::of(SEGMENT),
    }
}

pub(super) fn grant() -> GrantReply {
    let secret = "eyJhbGciOiJFZERTQSJ9.eyJleHAiOjE3MDAxMDQxNzl9.c2lnbmF0dXJl".to_owned();
    GrantReply {
        request_id: REQUEST_ID.to_owned(),
        grant: Grant {
            method: "PUT".to_owned(),
            url: format!("/agent/v1/uploads/{RECORDING}/terminal/000000.cast.zst"),
            headers: BTreeMap::from([(GRANT_HEADER.to_owned(), secret)]),
            expire_time: STARTED_AT.plus(std::time::Duration::from_secs(600)).to_rfc3339_seconds(),
        },
    }
}

pub(super) fn uploaded() -> UploadReply {
    UploadReply { request_id: REQUEST_ID.to_owned() }
}

fn segment_entry() -> SegmentEntry {
    let sha256 = ContentHash::of(SEGMENT);
    let length = SEGMENT.len() as u64;
    let chain = ChainValue::first(&start(), Stream::Terminal).next(0, length, &sha256);
    SegmentEntry { number: 0, length, sha256, chain, first_at: Micros::ZERO, last_at: LASTED }
}

pub(super) fn segment() -> SegmentRequest {
    let SegmentEntry { number, length, sha256, chain, first_at, last_at } = segment_entry();
    SegmentRequest {
        stream: "terminal".to_owned(),
        number,
        length,
        sha256,
        chain_before: ChainValue::first(&start(), Stream::Terminal),
        chain_after: chain,
        first_at_micros: first_at.get(),
        last_at_micros: last_at.get(),
        next: None,
    }
}

pub(super) fn acknowledged() -> SegmentReply {
    SegmentReply { request_id: REQUEST_ID.to_owned(), acknowledged: 0, next_grant: None }
}

pub(super) fn seal() -> SealRequest {
    let segment = segment_entry();
    let manifest = Manifest {
        format: DocumentFormat::V1,
        number: 0,
        recording: parsed(RECORDING),
        start: StartReference::of(&start()),
        agent: parsed(AGENT),
        agent_recording_number: 1,
        previous_manifest: None,
        started_at: STARTED_AT,
        ended_at: STARTED_AT.plus(LASTED.as_duration()),
        duration: LASTED,
        end: RecordingEnd::Exited(ExitStatus::Code(0)),
        streams: vec![StreamEntry {
            stream: Stream::Terminal,
            final_chain: segment.chain,
            totals: Totals::new([("events", 4), ("gaps", 0)]),
            ledger: Some(StreamLedger::default()),
            segments: vec![segment],
        }],
        delivery_mode: None,
        sealed_by: None,
    };
    let sealed = recording::seal(&manifest, &example_key(3));
    SealRequest { manifest: sealed.bytes.into(), signature: sealed.signature.to_vec().into() }
}

pub(super) fn sealed() -> SealReply {
    SealReply { request_id: REQUEST_ID.to_owned(), status: "finished".to_owned() }
}

pub(super) fn unrecorded() -> UnrecordedSessionsRequest {
    UnrecordedSessionsRequest {
        report_id: "0f5a3f5d0c8e7b6a525f0c6de1c8b04a".to_owned(),
        kind: "terminal".to_owned(),
        claimed_user: "ana (uid 1000)".to_owned(),
        sessions: 1,
        first_time: STARTED_AT.to_rfc3339_millis(),
        last_time: STARTED_AT.to_rfc3339_millis(),
        reason: "only 1048576 bytes are free for the spool".to_owned(),
        configuration_revision: 3,
    }
}

pub(super) fn unrecorded_reported() -> UnrecordedSessionsReply {
    UnrecordedSessionsReply { request_id: REQUEST_ID.to_owned() }
}

pub(super) fn refused() -> ErrorReply {
    ErrorReply {
        request_id: REQUEST_ID.to_owned(),
        host_id: "hansard.example.com".to_owned(),
        code: AgentErrorCode::SegmentOutOfOrder.code().to_owned(),
        message: "Segment 1 is expected next.".to_owned(),
        success: false,
        retryable: AgentErrorCode::SegmentOutOfOrder.retryable(),
        expected_number: Some(1),
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::keys::ServerKey;

    use super::*;

    #[test]
    fn the_configuration_is_signed_by_the_key_that_the_agent_pins() {
        let EnrolReply { server_keys, configuration: signed, .. } = enrolled();
        assert_eq!(signed.verify(&server_keys), Ok(configuration()));
        let other = [ServerKey { key_id: SERVER_KEY.to_owned(), public_key: PublicKey([1; 32]) }];
        assert!(signed.verify(&other).is_err());
    }

    /// An example is read back by its own type, as an agent or the control plane reads it.
    fn is_read_back<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
        example: &T,
    ) {
        let text = serde_json::to_string(example).unwrap();
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *example);
    }

    #[test]
    fn every_example_is_read_back() {
        is_read_back(&enrol());
        is_read_back(&enrolled());
        is_read_back(&configuration_reply());
        is_read_back(&open());
        is_read_back(&opened());
        is_read_back(&succession());
        is_read_back(&succeeded());
        is_read_back(&grant_request());
        is_read_back(&grant());
        is_read_back(&segment());
        is_read_back(&acknowledged());
        is_read_back(&seal());
        is_read_back(&sealed());
        is_read_back(&unrecorded());
        is_read_back(&unrecorded_reported());
    }

    #[test]
    fn the_leave_is_for_the_recording_and_its_proof_by_the_key_of_its_agent() {
        let SuccessionRequest { open, proof } = succession();
        let document = open.start.as_slice();
        let start = Start::parse(document).unwrap();
        let leave = succeeded().leave.unwrap().open_for(&start, document).unwrap();
        assert_eq!((&leave.agent, leave.successor.as_str()), (&start.agent, SUCCESSOR));
        let key = start.agent_sealing_key;
        assert!(agent_protocol::succession::is_proven(document, &leave.successor, &key, &proof));
    }

    #[test]
    fn the_recording_is_one_that_can_be_sealed() {
        let (open, segment, seal) = (open(), segment(), seal());
        let start = Start::parse(open.start.as_slice()).unwrap();
        assert_eq!(start.recording, open.terminal_session_token);
        let manifest = Manifest::parse(seal.manifest.as_slice()).unwrap();
        assert!(enrol().sealing_public_key.verifies(seal.manifest.as_slice(), seal.signature.as_slice()));
        assert_eq!(manifest.start, StartReference::of(open.start.as_slice()));
        let stream = manifest.find_stream(Stream::Terminal).unwrap();
        assert_eq!((stream.final_chain, stream.segments[0].sha256), (segment.chain_after, segment.sha256));
        let chained = segment.chain_before.next(segment.number, segment.length, &segment.sha256);
        assert_eq!(chained, segment.chain_after);
        assert_eq!(grant_request().sha256, segment.sha256);
    }
}
