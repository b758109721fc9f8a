//! Leave for an agent to go on with what the one before it recorded.

use std::collections::BTreeMap;

use agent_protocol::succession::{SuccessionReply, SuccessionRequest, is_proven};
use agent_protocol::{AgentErrorCode, clock};
use recording::{
    ArrivedBefore, ChainValue, ContentHash, Leave, LeaveFormat, SealedBy, Start, StartReference, Stream,
    TerminalSessionToken, Timestamp,
};

use super::{Answer, ControlPlane, name, print};

impl ControlPlane {
    pub(super) fn take_over(&self, token: TerminalSessionToken, request: SuccessionRequest) -> Answer {
        let mut state = self.state();
        state.successions += 1;
        let start = Start::parse(request.open.start.as_slice()).unwrap();
        assert_eq!((&start.recording, &request.open.terminal_session_token), (&token, &token));
        let (successor, enrolled) = state.enrolled.clone().unwrap();
        let retired = state.retired.get(&start.agent).filter(|key| **key == start.agent_sealing_key);
        let proven = |key| is_proven(request.open.start.as_slice(), &successor, key, &request.proof);
        if !retired.is_some_and(proven) {
            return Err((AgentErrorCode::SuccessionRefused, None));
        }
        let (twist, twist_reply) = (state.twists_leave, state.twists_succession);
        let key = state.leave_key.public_key();
        let recording = state.recording_of(&request.open);
        recording.leave_key = Some(key);
        recording.holder = Some(successor.clone());
        let manifest = recording.objects.objects.get(&name("manifest-0000.json"));
        let sealed_with = manifest.map(|manifest| ContentHash::of(manifest));
        let of_none = |stream| ArrivedBefore {
            stream,
            segments: 0,
            chain: ChainValue::first(&recording.start_document, stream),
        };
        let mut arrived: BTreeMap<Stream, ArrivedBefore> =
            [Stream::Terminal, Stream::Events].map(|stream| (stream, of_none(stream))).into();
        for segment in &recording.segments {
            let stream = Stream::parse(&segment.stream).unwrap();
            let (segments, chain) = (segment.number + 1, segment.chain_after);
            arrived.insert(stream, ArrivedBefore { stream, segments, chain });
        }
        let mut leave = Leave {
            format: LeaveFormat::V1,
            recording: token.clone(),
            account: start.account.clone(),
            instance: start.instance.clone(),
            start: StartReference::of(request.open.start.as_slice()),
            agent: start.agent.clone(),
            successor,
            successor_sealing_key: enrolled.sealing_public_key,
            arrived: arrived.into_values().collect(),
            issued_at: Timestamp::from_millis(clock::wall_millis()),
        };
        twist(&mut leave);
        let document = leave.to_document();
        let signature = state.leave_key.sign(&Leave::to_be_signed(&document));
        let leave = sealed_with.is_none().then(|| SealedBy::new(document, key, signature));
        let mut reply = SuccessionReply {
            request_id: "r".into(),
            terminal_session_token: token,
            record_storage_target: "bucket".into(),
            object_prefix: "x".into(),
            sealed_with,
            leave,
        };
        twist_reply(&mut reply);
        print(&reply)
    }
}
