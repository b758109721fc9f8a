//! A control plane in this process. It checks everything that an agent sends as the Agent API requires: tokens,
//! order, hashes, chains, signatures, and at the end the whole recording.

mod succession;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agent_protocol::configuration::{
    CaptureDelegation, ConfigurationReply, DeliveryMode, EffectiveConfiguration, FailurePolicy,
    RecordingConfiguration,
};
use agent_protocol::enrol::{EnrolReply, EnrolRequest};
use agent_protocol::keys::ServerKey;
use agent_protocol::link::{AgentMessage, ServerMessage};
use agent_protocol::local::DiskState;
use agent_protocol::recordings::{
    Grant, GrantReply, GrantRequest, OpenRecordingReply, OpenRecordingRequest, SealReply, SealRequest,
    SegmentReply, SegmentRequest,
};
use agent_protocol::succession::SuccessionReply;
use agent_protocol::unrecorded::{UnrecordedSessionsReply, UnrecordedSessionsRequest};
use agent_protocol::{AgentClaims, AgentErrorCode, ErrorReply, PrivateKey, SignedConfiguration, clock};
use recording::events::fact::Fact;
use recording::{
    AccountId, AgentId, Cause, ChainValue, ContentHash, Expected, InstanceId, Integrity, Leave, LedgerEntry,
    MAX_START_BYTES, Manifest, MemorySource, ObjectName, RecordingEnd, Region, SealingKey, SealingPublicKey,
    Standing, Start, Stream, TerminalEventKind, TerminalSessionToken, Trust, TrustedKey, TrustedKeys,
    Verification,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::bench::eventually;
use crate::http::{self, Request};

pub(crate) const JOIN_TOKEN: &str = "join-me";
pub(crate) const INSTANCE: &str = "i-one";

type Answer = Result<String, (AgentErrorCode, Option<u32>)>;

#[derive(Default)]
pub(crate) struct Recording {
    /// The agent that may deliver it: the one that opened it, or took it over last.
    holder: Option<AgentId>,
    /// The key that signed leave to seal it for its agent.
    leave_key: Option<SealingPublicKey>,
    pub(crate) start_document: Vec<u8>,
    pub(crate) segments: Vec<SegmentRequest>,
    pub(crate) objects: MemorySource,
    pub(crate) sealed: bool,
}

impl Recording {
    pub(crate) fn start(&self) -> Start {
        Start::parse(&self.start_document).unwrap()
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest::parse(&self.objects.objects[&name("manifest-0000.json")]).unwrap()
    }

    pub(crate) fn end(&self) -> RecordingEnd {
        self.manifest().end
    }

    /// What is found out about the whole recording, which must be complete.
    pub(crate) fn verification(&self) -> Verification {
        let trusted = TrustedKey { key: self.start().agent_sealing_key, enrolment: None };
        let trusted = TrustedKeys::new(vec![trusted], self.leave_key.iter().cloned().collect());
        let verification =
            recording::verify(&self.objects, &Expected::default(), Trust::Enrolled(&trusted)).unwrap();
        assert_eq!(verification.integrity, Integrity::Complete { manifest: 0 });
        let standing = verification.signer.as_ref().map(|signer| &signer.standing);
        let in_place = self.manifest().sealed_by.is_some();
        assert!(match standing.unwrap() {
            Standing::Trusted(_) => !in_place,
            Standing::TrustedByLeave(key) => in_place && Some(*key) == self.leave_key,
            _ => false,
        });
        verification
    }

    /// What the manifest says that it lacks, besides what depends on the machine that runs the tests.
    pub(crate) fn ledger(&self) -> Vec<LedgerEntry> {
        let mut ledger = self.whole_ledger();
        ledger.retain(|entry| !is_of_machine(&entry.cause));
        ledger
    }

    /// What the manifest says that it lacks, and its segments confirm.
    pub(crate) fn whole_ledger(&self) -> Vec<LedgerEntry> {
        let verification = self.verification();
        let listed = self.manifest().streams.into_iter().map(|stream| stream.ledger.unwrap());
        let listed: Vec<LedgerEntry> = listed.flat_map(|ledger| ledger.entries().to_vec()).collect();
        let found = verification.streams.iter().flat_map(|stream| stream.ledger.entries().to_vec());
        assert_eq!(found.collect::<Vec<_>>(), listed);
        listed
    }

    /// All events, after verification of the whole recording, besides what depends on the machine that runs the tests.
    pub(crate) fn events(&self) -> Vec<recording::TerminalEvent> {
        self.verification();
        let mut events = recording::decode_recording(&self.objects).unwrap().events;
        events.retain(|event| match &event.kind {
            TerminalEventKind::Shortfall(shortfall) => !is_of_machine(&shortfall.cause),
            _ => true,
        });
        events
    }

    /// The output that has arrived of a recording that goes on.
    pub(crate) fn arrived_output(&self) -> Vec<u8> {
        shown(&recording::decode_recording(&self.objects).unwrap().events)
    }

    /// What is known to have happened besides.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (name, object) in &self.objects.objects {
            if name.to_string().contains("events/") {
                let segment = recording::events::decode_segment(object).unwrap();
                for line in recording::events::read_lines(&segment.text).unwrap() {
                    facts.push(Fact::of_line(&line.unwrap()).unwrap());
                }
            }
        }
        facts
    }

    /// All bytes of the output.
    pub(crate) fn output(&self) -> Vec<u8> {
        shown(&self.events())
    }
}

/// Modes in which a machine records less than another, whatever the session does.
fn is_of_machine(cause: &Cause) -> bool {
    ["not_spared_without_memory", "spool_not_append_only", "less_room_than_advised"].contains(&cause.as_str())
}

fn shown(events: &[recording::TerminalEvent]) -> Vec<u8> {
    events.iter().filter_map(|event| event.kind.shown()).flatten().copied().collect()
}

pub(crate) struct State {
    /// The ring of keys that sign configurations, the newest first.
    pub(crate) server_keys: Vec<(String, PrivateKey)>,
    enrolled: Option<(AgentId, EnrolRequest)>,
    /// The agents that were replaced, and the keys with which they sealed.
    retired: BTreeMap<AgentId, SealingPublicKey>,
    /// Signs leave to go on with recordings of those.
    leave_key: SealingKey,
    /// What is done to a leave before it is signed.
    pub(crate) twists_leave: fn(&mut Leave),
    /// What is done to a reply to who takes a recording over.
    pub(crate) twists_succession: fn(&mut SuccessionReply),
    /// How many times a recording was taken over.
    pub(crate) successions: usize,
    tokens_seen: HashSet<String>,
    /// The account in which agents are enrolled.
    pub(crate) account: AccountId,
    revision: u64,
    pub(crate) recording_on: bool,
    pub(crate) failure_policy: FailurePolicy,
    pub(crate) delivery_mode: DeliveryMode,
    pub(crate) recorded_principals: Option<Vec<String>>,
    pub(crate) notice_text: Option<String>,
    /// The reports of sessions that went on unrecorded.
    pub(crate) unrecorded: Vec<UnrecordedSessionsRequest>,
    /// Whether connections are closed without an answer.
    pub(crate) away: bool,
    /// Whether every new recording is refused permanently.
    pub(crate) refuses_recordings: bool,
    /// Calls whose path ends in this text get only this error, and the advice to try again much later.
    pub(crate) puts_off: Option<(&'static str, AgentErrorCode)>,
    /// If set, the first call of each kind is throttled; these kinds have been.
    pub(crate) throttled: Option<BTreeSet<String>>,
    /// What agents reported about waiting recordings.
    pub(crate) waiting: Vec<(u32, Option<String>)>,
    /// What agents reported about the disks of their spools.
    pub(crate) disks: Vec<(DiskState, u64)>,
    /// By how many seconds its clock is ahead of the real one.
    pub(crate) clock_ahead: i64,
    /// Whether configurations are signed with a key that was never pinned.
    pub(crate) forges_configurations: bool,
    pub(crate) applied_revisions: Vec<u64>,
    pub(crate) recordings: BTreeMap<TerminalSessionToken, Recording>,
    grants: BTreeMap<String, (TerminalSessionToken, GrantRequest)>,
    /// How many grants were requested by separate calls.
    pub(crate) grants_asked: usize,
    /// The upload, counted from 1, that is answered as if it had been stored, but is lost.
    pub(crate) loses_upload: Option<usize>,
    uploads: usize,
    /// Whether acknowledgements come without a grant, as from an earlier version of the control plane.
    pub(crate) gives_no_next_grants: bool,
}

impl State {
    fn grant(&mut self, token: TerminalSessionToken, request: GrantRequest) -> Grant {
        assert!(request.length <= agent_protocol::MAXIMUM_OBJECT_BYTES);
        let grant = format!("grant-{}", self.grants.len());
        self.grants.insert(grant.clone(), (token, request));
        Grant {
            method: "PUT".into(),
            url: format!("/agent/v1/uploads/{grant}"),
            headers: BTreeMap::new(),
            expire_time: "2026-01-01T00:00:00.000Z".into(),
        }
    }

    /// A recording, which is opened by this if it is not known.
    fn recording_of(&mut self, open: &OpenRecordingRequest) -> &mut Recording {
        let opener = self.enrolled.as_ref().map(|(agent_id, _)| agent_id.clone());
        self.recordings.entry(open.terminal_session_token.clone()).or_insert_with(|| {
            let start_document = open.start.0.clone();
            let mut recording = Recording { holder: opener, start_document, ..Recording::default() };
            recording.objects.objects.insert(name("start.json"), open.start.0.clone());
            recording
        })
    }

    /// Whether the agent that is enrolled may deliver a recording, if that is known.
    fn is_held_by_the_enrolled(&self, token: &TerminalSessionToken) -> bool {
        let enrolled = self.enrolled.as_ref().map(|(agent_id, _)| agent_id);
        self.recordings.get(token).is_none_or(|recording| recording.holder.as_ref() == enrolled)
    }

    fn public_keys(&self) -> Vec<ServerKey> {
        self.server_keys
            .iter()
            .map(|(id, key)| ServerKey { key_id: id.clone(), public_key: key.public_key() })
            .collect()
    }
}

#[derive(Clone)]
pub(crate) struct ControlPlane {
    address: String,
    state: Arc<Mutex<State>>,
}

impl ControlPlane {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            server_keys: vec![("k1".into(), PrivateKey::generate().unwrap())],
            enrolled: None,
            retired: BTreeMap::new(),
            leave_key: SealingKey::generate(),
            twists_leave: |_| (),
            twists_succession: |_| (),
            successions: 0,
            tokens_seen: HashSet::new(),
            account: AccountId::parse("1000000000000001").unwrap(),
            revision: 1,
            recording_on: true,
            failure_policy: FailurePolicy::Strict,
            delivery_mode: DeliveryMode::Async,
            recorded_principals: None,
            notice_text: None,
            unrecorded: Vec::new(),
            away: false,
            refuses_recordings: false,
            puts_off: None,
            throttled: None,
            waiting: Vec::new(),
            disks: Vec::new(),
            clock_ahead: 0,
            forges_configurations: false,
            applied_revisions: Vec::new(),
            recordings: BTreeMap::new(),
            grants: BTreeMap::new(),
            grants_asked: 0,
            loses_upload: None,
            uploads: 0,
            gives_no_next_grants: false,
        };
        let plane = ControlPlane { address, state: Arc::new(Mutex::new(state)) };
        let serving = plane.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        plane
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the configuration; open links receive it.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut State)) -> u64 {
        let mut state = self.state();
        change(&mut state);
        state.revision += 1;
        state.revision
    }

    /// Waits until the recording of this token is sealed, and returns it.
    pub(crate) fn sealed(&self, token: &TerminalSessionToken) -> Recording {
        eventually("the recording is sealed", || {
            let mut state = self.state();
            state.recordings.get(token).is_some_and(|recording| recording.sealed).then(|| {
                // Removed, because a test looks at each recording only once.
                state.recordings.remove(token).unwrap()
            })
        })
    }

    fn serve(&self, stream: TcpStream) {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Ok(Some(request)) = http::read_request(&mut reader) {
            if self.state().away {
                return;
            }
            let date = self.date();
            let answer = self.answer(&request);
            if request.path == "/agent/v1/link" && answer.is_ok() {
                self.hold_link(&request, writer);
                return;
            }
            let written = match answer {
                Ok(body) => http::write_reply(&mut writer, 200, &date, &body),
                Err((code, expected_number)) => {
                    let reply = ErrorReply {
                        request_id: "r".into(),
                        host_id: "h".into(),
                        code: code.code().into(),
                        message: format!("{} {}", request.method, request.path),
                        success: false,
                        retryable: code.retryable(),
                        expected_number,
                    };
                    let puts_off = self.state().puts_off.is_some_and(|(_, with)| with == code);
                    let date = if puts_off { format!("{date}\r\nRetry-After: 3600") } else { date };
                    http::write_reply(
                        &mut writer,
                        code.status(),
                        &date,
                        &serde_json::to_string(&reply).unwrap(),
                    )
                }
            };
            if written.is_err() {
                return;
            }
        }
    }

    fn now_millis(&self) -> i64 {
        clock::wall_millis() + self.state().clock_ahead * 1000
    }

    fn date(&self) -> String {
        let now = OffsetDateTime::from_unix_timestamp(self.now_millis() / 1000).unwrap();
        let shape = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        now.format(shape).unwrap()
    }

    fn answer(&self, request: &Request) -> Answer {
        let path: Vec<&str> = request.path.trim_start_matches("/agent/v1/").split('/').collect();
        if (request.method.as_str(), path.as_slice()) == ("POST", &["enrol"]) {
            return self.enrol(parse(request)?);
        }
        if let Some(throttled) = &mut self.state().throttled {
            let kind = if path[0] == "uploads" { path[0] } else { path[path.len() - 1] };
            if throttled.insert(kind.to_owned()) {
                return Err((AgentErrorCode::Throttling, None));
            }
        }
        if let ("PUT", ["uploads", grant]) = (request.method.as_str(), path.as_slice()) {
            return self.upload(grant, &request.body);
        }
        self.authenticate(request)?;
        if let Some((_, code)) = self.state().puts_off.filter(|(call, _)| request.path.ends_with(call)) {
            return Err((code, None));
        }
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["configuration"]) => {
                let configuration = self.configuration();
                print(&ConfigurationReply { request_id: "r".into(), configuration })
            }
            ("GET", ["link"]) => Ok(String::new()),
            ("POST", ["recordings"]) => self.open(parse(request)?),
            ("POST", ["unrecorded-sessions"]) => {
                self.state().unrecorded.push(parse(request)?);
                print(&UnrecordedSessionsReply { request_id: "r".into() })
            }
            ("POST", ["recordings", token, what]) => {
                let token = TerminalSessionToken::parse(token).unwrap();
                match *what {
                    "succession" => self.take_over(token, parse(request)?),
                    "grants" | "segments" | "seal" if !self.state().is_held_by_the_enrolled(&token) => {
                        Err((AgentErrorCode::RecordingNotFound, None))
                    }
                    "grants" => self.grant(token, parse(request)?),
                    "segments" => self.segment(&token, parse(request)?),
                    "seal" => self.seal(&token, parse(request)?),
                    _ => Err((AgentErrorCode::NotFound, None)),
                }
            }
            _ => Err((AgentErrorCode::NotFound, None)),
        }
    }

    fn authenticate(&self, request: &Request) -> Result<(), (AgentErrorCode, Option<u32>)> {
        let refused = (AgentErrorCode::InvalidAgentToken, None);
        let token =
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).ok_or(refused)?;
        let now = self.now_millis();
        let mut state = self.state();
        let (agent_id, enrolled) = state.enrolled.as_ref().ok_or((AgentErrorCode::AgentNotFound, None))?;
        if AgentClaims::agent_id(token).map_err(|_| refused)? != *agent_id {
            return Err((AgentErrorCode::AgentNotFound, None));
        }
        let key = enrolled.authentication_public_key;
        let claims = AgentClaims::verify(token, &key, &request.method, &request.path, &request.body, now)
            .map_err(|error| match error {
                agent_protocol::ClaimsRefused::Expired => (AgentErrorCode::AgentTokenExpired, None),
                _ => refused,
            })?;
        if !state.tokens_seen.insert(claims.jti) {
            return Err((AgentErrorCode::AgentTokenReplayed, None));
        }
        Ok(())
    }

    fn configuration(&self) -> SignedConfiguration {
        let state = self.state();
        let (agent_id, _) = state.enrolled.as_ref().unwrap();
        let configuration = EffectiveConfiguration {
            agent_id: agent_id.clone(),
            account_id: state.account.clone(),
            instance_id: InstanceId::parse(INSTANCE).unwrap(),
            region: Region::parse("cn-hangzhou").unwrap(),
            revision: state.revision,
            issued_time: "2026-01-01T00:00:00.000Z".into(),
            server_keys: state.public_keys(),
            recording: state.recording_on.then(|| RecordingConfiguration {
                record_storage_target: "bucket".into(),
                expiration_days: 7,
                selector: "*".into(),
                failure_policy: state.failure_policy,
                delivery_mode: state.delivery_mode,
                recorded_principals: state.recorded_principals.clone(),
                notice_text: state.notice_text.clone(),
            }),
            captures: vec![CaptureDelegation {
                kind: "terminal".into(),
                failure_policy: FailurePolicy::Strict,
            }],
            default_record_storage_target: "default".into(),
            default_expiration_days: 7,
        };
        let forger = PrivateKey::generate().unwrap();
        let signers: Vec<_> = state
            .server_keys
            .iter()
            .map(|(id, key)| (id.as_str(), if state.forges_configurations { &forger } else { key }.pair()))
            .collect();
        SignedConfiguration::sign(&configuration, &signers).unwrap()
    }

    fn enrol(&self, request: EnrolRequest) -> Answer {
        if request.join_token != JOIN_TOKEN {
            return Err((AgentErrorCode::JoinTokenNotFound, None));
        }
        if self.state().enrolled.is_some() && !request.replace {
            return Err((AgentErrorCode::AgentAlreadyEnrolled, None));
        }
        let agent_id = AgentId::generate();
        let instance_id = request.instance_id.clone();
        let mut state = self.state();
        let replaced = state.enrolled.replace((agent_id.clone(), request));
        state.retired.extend(replaced.map(|(agent_id, request)| (agent_id, request.sealing_public_key)));
        drop(state);
        let account_id = self.state().account.clone();
        let server_keys = self.state().public_keys();
        print(&EnrolReply {
            request_id: "r".into(),
            agent_id,
            account_id,
            instance_id,
            region: Region::parse("cn-hangzhou").unwrap(),
            server_keys,
            configuration: self.configuration(),
        })
    }

    fn open(&self, request: OpenRecordingRequest) -> Answer {
        let mut state = self.state();
        if state.refuses_recordings || request.start.as_slice().len() > MAX_START_BYTES {
            return Err((AgentErrorCode::InvalidStart, None));
        }
        let start = Start::parse(request.start.as_slice()).unwrap();
        let (agent_id, enrolled) = state.enrolled.as_ref().unwrap();
        if start.agent != *agent_id || start.agent_sealing_key != enrolled.sealing_public_key {
            return Err((AgentErrorCode::InvalidStart, None));
        }
        let token = request.terminal_session_token.clone();
        assert_eq!(start.recording, token);
        // The configuration in force when the session began is sent with it.
        assert_eq!(start.configuration_revision > 0, request.configuration.is_some());
        if state.recording_of(&request).start_document != request.start.0 {
            return Err((AgentErrorCode::RecordingConflict, None));
        }
        print(&OpenRecordingReply {
            request_id: "r".into(),
            terminal_session_token: token,
            record_storage_target: "bucket".into(),
            object_prefix: "x".into(),
        })
    }

    fn grant(&self, token: TerminalSessionToken, request: GrantRequest) -> Answer {
        let mut state = self.state();
        state.grants_asked += 1;
        let grant = state.grant(token, request);
        print(&GrantReply { request_id: "r".into(), grant })
    }

    fn upload(&self, grant: &str, body: &[u8]) -> Answer {
        let mut state = self.state();
        let (token, request) =
            state.grants.get(grant).cloned().ok_or((AgentErrorCode::InvalidGrant, None))?;
        if request.length != body.len() as u64 || request.sha256 != ContentHash::of(body) {
            return Err((AgentErrorCode::ObjectMismatch, None));
        }
        state.uploads += 1;
        if state.loses_upload == Some(state.uploads) {
            return Ok(String::new());
        }
        let recording = state.recordings.get_mut(&token).unwrap();
        let object =
            recording.objects.objects.entry(name(&request.object_name)).or_insert_with(|| body.to_vec());
        if object != body {
            return Err((AgentErrorCode::ObjectAlreadyExists, None));
        }
        Ok(String::new())
    }

    fn segment(&self, token: &TerminalSessionToken, mut request: SegmentRequest) -> Answer {
        let mut state = self.state();
        let wanted = request.next.take().filter(|_| !state.gives_no_next_grants);
        let recording = state.recordings.get_mut(token).ok_or((AgentErrorCode::RecordingNotFound, None))?;
        let stream = request.stream.clone();
        let known: Vec<&SegmentRequest> =
            recording.segments.iter().filter(|known| known.stream == stream).collect();
        let next = u32::try_from(known.len()).unwrap();
        if request.number < next {
            assert_eq!(
                *known[request.number as usize], request,
                "a segment changed after its acknowledgement"
            );
        } else if request.number > next {
            return Err((AgentErrorCode::SegmentOutOfOrder, Some(next)));
        } else {
            let of_stream = Stream::parse(&stream.to_string()).unwrap();
            let object = format!("{stream}/{next:06}{}", of_stream.extension());
            let Some(object) = recording.objects.objects.get(&name(&object)) else {
                return Err((AgentErrorCode::ObjectNotFound, None));
            };
            assert_eq!(ContentHash::of(object), request.sha256);
            let before = known.last().map_or_else(
                || ChainValue::first(&recording.start_document, of_stream),
                |last| last.chain_after,
            );
            assert_eq!(request.chain_before, before);
            assert_eq!(request.chain_after, before.next(next, request.length, &request.sha256));
            recording::check_segment(object).unwrap();
            recording.segments.push(request.clone());
        }
        let next_grant = wanted.map(|wanted| state.grant(token.clone(), wanted));
        print(&SegmentReply { request_id: "r".into(), acknowledged: request.number, next_grant })
    }

    fn seal(&self, token: &TerminalSessionToken, request: SealRequest) -> Answer {
        let mut state = self.state();
        let recording = state.recordings.get_mut(token).ok_or((AgentErrorCode::RecordingNotFound, None))?;
        recording.objects.objects.insert(name("manifest-0000.json"), request.manifest.0);
        recording.objects.objects.insert(name("manifest-0000.sig"), request.signature.0);
        recording.sealed = true;
        print(&SealReply { request_id: "r".into(), status: "finished".into() })
    }

    fn hold_link(&self, request: &Request, mut stream: TcpStream) {
        // Before the agent hears that the link is open: what it asks for from then on is this one or a later one.
        let mut pushed = self.state().revision;
        let accept = derive_accept_key(request.header("sec-websocket-key").unwrap().as_bytes());
        let reply = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        std::io::Write::write_all(&mut stream, reply.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut link = WebSocket::from_raw_socket(stream, Role::Server, None);
        loop {
            let (away, revision) = {
                let state = self.state();
                (state.away, state.revision)
            };
            if away {
                return;
            }
            if revision != pushed {
                let message = ServerMessage::Configuration { configuration: self.configuration() };
                if link.send(Message::text(serde_json::to_string(&message).unwrap())).is_err() {
                    return;
                }
                pushed = revision;
            }
            match link.read() {
                Ok(Message::Text(text)) => match serde_json::from_str(&text).unwrap() {
                    AgentMessage::ConfigurationApplied { revision } => {
                        self.state().applied_revisions.push(revision);
                    }
                    AgentMessage::Waiting { recordings, reason } => {
                        self.state().waiting.push((recordings, reason));
                    }
                    AgentMessage::SpoolDisk { state, free_bytes } => {
                        self.state().disks.push((state, free_bytes));
                    }
                    AgentMessage::Hello { .. } => {}
                },
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return,
            }
        }
    }
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

fn parse<T: DeserializeOwned>(request: &Request) -> Result<T, (AgentErrorCode, Option<u32>)> {
    serde_json::from_slice(&request.body).map_err(|_| (AgentErrorCode::InvalidRequest, None))
}

fn print(reply: &impl Serialize) -> Answer {
    Ok(serde_json::to_string(reply).unwrap())
}
