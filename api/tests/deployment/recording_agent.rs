//! An agent for tests. It enrols, proves its calls and delivers a recording step by step, so that a test can make any
//! step fail.

use agent_protocol::{AgentClaims, PrivateKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::clock::Clock as _;
use recording::{
    AgentId, CaptureKind, Compressor, ContentHash, CutPolicy, DocumentFormat, ExitStatus, InstanceId,
    Manifest, Micros, Recorder, RecordingEnd, SealedBy, SealedManifest, SealingKey, Segment, SegmentCutter,
    Start, StartReference, TerminalEvent, TerminalSessionToken, TerminalSize,
};
use serde_json::{Value, json};

use test_server::{Answer, Running};

/// An enrolled agent.
pub(crate) struct TestAgent {
    pub(crate) id: AgentId,
    pub(crate) instance: InstanceId,
    pub(crate) key: PrivateKey,
    pub(crate) sealing: SealingKey,
    pub(crate) enrolled: Value,
}

/// The body of an enrolment, which a test may change before sending it.
pub(crate) fn enrolment(
    token: &str,
    instance: &str,
    key: &PrivateKey,
    sealing: &SealingKey,
    replace: bool,
) -> Value {
    json!({
        "JoinToken": token, "InstanceId": instance, "AuthenticationPublicKey": key.public_key().to_string(),
        "SealingPublicKey": sealing.public_key().to_string(), "Hostname": "web1", "AgentVersion": "0.1.0-test",
        "Capabilities": [{"Kind": "terminal", "Version": "1"}, {"Kind": "from-the-future", "Version": "9"}], "Replace": replace,
    })
}

pub(crate) async fn send_enrolment(running: &Running, body: &Value) -> Answer {
    let request = running.http.post(running.url("/agent/v1/enrol")).body(body.to_string());
    Answer::of(request.send().await.unwrap()).await
}

impl TestAgent {
    pub(crate) async fn enrol(running: &Running, instance: &str) -> Self {
        Self::enrol_with(running, instance, false).await
    }

    pub(crate) async fn enrol_with(running: &Running, instance: &str, replace: bool) -> Self {
        let (key, sealing) = (PrivateKey::generate().unwrap(), SealingKey::generate());
        let token = running.join_token(instance, replace).await;
        let enrolled =
            send_enrolment(running, &enrolment(&token, instance, &key, &sealing, replace)).await.ok();
        Self {
            id: AgentId::parse(enrolled["AgentId"].as_str().unwrap()).unwrap(),
            instance: InstanceId::parse(enrolled["InstanceId"].as_str().unwrap()).unwrap(),
            key,
            sealing,
            enrolled,
        }
    }

    /// A token for one request.
    pub(crate) fn token(&self, running: &Running, method: &str, path: &str, body: &[u8]) -> String {
        let claims = AgentClaims::new(method, path, body, running.clock.now().as_millis()).unwrap();
        claims.sign(&self.id, &self.key).unwrap()
    }

    pub(crate) async fn get(&self, running: &Running, path: &str) -> Answer {
        let request = running.http.get(running.url(path)).bearer_auth(self.token(running, "GET", path, b""));
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, running: &Running, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let token = self.token(running, "POST", path, body.as_bytes());
        Answer::of(running.http.post(running.url(path)).bearer_auth(token).body(body).send().await.unwrap())
            .await
    }

    /// A session of this agent that shows `output` in pieces and then ends, with a cut after every piece.
    pub(crate) fn session(&self, running: &Running, output: &[&[u8]], exit: Option<ExitStatus>) -> Session {
        self.numbered_session(running, output, exit, 1, None)
    }

    /// The same, with a number among the agent's recordings.
    pub(crate) fn numbered_session(
        &self,
        running: &Running,
        output: &[&[u8]],
        exit: Option<ExitStatus>,
        number: u64,
        previous_manifest: Option<ContentHash>,
    ) -> Session {
        let pieces = (0_u64..)
            .zip(output)
            .map(|(second, piece)| vec![TerminalEvent::output(Micros::new(second * 1_000_000), *piece)]);
        self.session_of(running, &pieces.collect::<Vec<_>>(), exit, number, previous_manifest)
    }

    /// A session of these events, with a cut after every piece; a piece is a second.
    pub(crate) fn session_of(
        &self,
        running: &Running,
        pieces: &[Vec<TerminalEvent>],
        exit: Option<ExitStatus>,
        number: u64,
        previous_manifest: Option<ContentHash>,
    ) -> Session {
        let start = Start {
            format: DocumentFormat::V1,
            recording: TerminalSessionToken::generate(),
            kind: CaptureKind::Terminal,
            account: running.account.clone(),
            instance: self.instance.clone(),
            agent: self.id.clone(),
            agent_sealing_key: self.sealing.public_key(),
            agent_recording_number: number,
            previous_manifest,
            configuration_revision: 1,
            recorder: Recorder::SameUser,
            notes: vec![],
            failure_policy: None,
            delivery_mode: None,
            started_at: running.clock.now(),
            terminal: Some(TerminalSize { columns: 80, rows: 24 }),
            command: Some(vec!["bash".into(), "-c".into(), "echo \u{1b}[31m<b>".into()]),
            claimed_user: Some("ana".into()),
            term: Some("xterm-256color".into()),
            shell: None,
            agent_version: Some("0.1.0-test".into()),
        };
        let document = start.to_document();
        let mut cutter = SegmentCutter::new(&start, &document, CutPolicy::default());
        let mut compressor = Compressor::new().unwrap();
        let mut segments = Vec::new();
        for piece in pieces {
            piece.iter().for_each(|event| cutter.push(event));
            segments.extend(cutter.cut(&mut compressor).unwrap());
        }
        let last_at = Micros::new(pieces.len() as u64 * 1_000_000);
        if let Some(status) = exit {
            cutter.push(&TerminalEvent::exit(last_at, status));
        }
        segments.extend(cutter.finish(&mut compressor).unwrap());
        let end = match exit {
            Some(status) => RecordingEnd::Exited(status),
            None => RecordingEnd::Interrupted { reason: "the recorder died".into() },
        };
        let manifest = Manifest {
            format: DocumentFormat::V1,
            number: 0,
            recording: start.recording.clone(),
            start: StartReference::of(&document),
            agent: self.id.clone(),
            agent_recording_number: start.agent_recording_number,
            previous_manifest,
            started_at: start.started_at,
            ended_at: start.started_at.plus(last_at.as_duration()),
            duration: last_at,
            end,
            delivery_mode: None,
            sealed_by: None,
            streams: vec![cutter.stream_entry(segments.iter().map(Segment::entry).collect())],
        };
        Session { start, document, segments, manifest }
    }

    pub(crate) async fn open(&self, running: &Running, session: &Session) -> Answer {
        self.open_with(running, &session.start.recording, &session.document).await
    }

    pub(crate) async fn open_with(
        &self,
        running: &Running,
        token: &TerminalSessionToken,
        document: &[u8],
    ) -> Answer {
        let body =
            json!({"TerminalSessionToken": token, "Kind": "terminal", "Start": STANDARD.encode(document)});
        self.post(running, "/agent/v1/recordings", &body).await
    }

    /// The request to take over what an earlier agent has recorded, which a test may change before sending it.
    pub(crate) fn succession(&self, session: &Session, earlier: &Self) -> Value {
        let proof = agent_protocol::succession::prove(&session.document, &self.id, &earlier.sealing);
        let (token, start) = (&session.start.recording, STANDARD.encode(&session.document));
        let open = json!({"TerminalSessionToken": token, "Kind": "terminal", "Start": start});
        json!({"Open": open, "Proof": STANDARD.encode(proof.as_slice())})
    }

    pub(crate) async fn take_over(&self, running: &Running, session: &Session, earlier: &Self) -> Answer {
        self.post(running, &session.path("succession"), &self.succession(session, earlier)).await
    }

    /// Seals in the place of the agent that made the recording.
    pub(crate) async fn seal_in_place(
        &self,
        running: &Running,
        session: &Session,
        leave: &SealedBy,
    ) -> Answer {
        let manifest = Manifest { sealed_by: Some(leave.clone()), ..session.manifest.clone() };
        self.seal_with(running, session, &recording::seal(&manifest, &self.sealing)).await
    }

    pub(crate) async fn grant(
        &self,
        running: &Running,
        session: &Session,
        name: &str,
        bytes: &[u8],
    ) -> Answer {
        let body = json!({"ObjectName": name, "Length": bytes.len(), "Sha256": ContentHash::of(bytes)});
        self.post(running, &session.path("grants"), &body).await
    }

    pub(crate) async fn acknowledge(&self, running: &Running, session: &Session, claim: &Value) -> Answer {
        self.post(running, &session.path("segments"), claim).await
    }

    /// Grant, upload, acknowledge.
    pub(crate) async fn deliver(&self, running: &Running, session: &Session, number: usize) {
        let segment = &session.segments[number];
        let grant = self.grant(running, session, &object_name(segment), &segment.bytes).await.ok();
        upload(running, &grant["Grant"], &segment.bytes).await.ok();
        let reply = self.acknowledge(running, session, &claim(segment)).await.ok();
        assert_eq!(reply["Acknowledged"], number);
    }

    pub(crate) async fn seal(&self, running: &Running, session: &Session) -> Answer {
        self.seal_with(running, session, &recording::seal(&session.manifest, &self.sealing)).await
    }

    pub(crate) async fn seal_with(
        &self,
        running: &Running,
        session: &Session,
        sealed: &SealedManifest,
    ) -> Answer {
        let body = json!({"Manifest": STANDARD.encode(&sealed.bytes), "Signature": STANDARD.encode(sealed.signature)});
        self.post(running, &session.path("seal"), &body).await
    }

    /// A complete session, from its opening to its seal.
    pub(crate) async fn record(
        &self,
        running: &Running,
        output: &[&[u8]],
        exit: Option<ExitStatus>,
    ) -> Session {
        let session = self.session(running, output, exit);
        self.deliver_whole(running, &session).await;
        session
    }

    pub(crate) async fn deliver_whole(&self, running: &Running, session: &Session) {
        self.open(running, session).await.ok();
        for number in 0..session.segments.len() {
            self.deliver(running, session, number).await;
        }
        self.seal(running, session).await.ok();
    }
}

/// A recorded session, ready to be delivered.
pub(crate) struct Session {
    pub(crate) start: Start,
    pub(crate) document: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) manifest: Manifest,
}

impl Session {
    pub(crate) fn token(&self) -> &str {
        self.start.recording.as_str()
    }

    pub(crate) fn path(&self, call: &str) -> String {
        format!("/agent/v1/recordings/{}/{call}", self.token())
    }
}

pub(crate) fn object_name(segment: &Segment) -> String {
    let (stream, number) = (segment.header.stream, segment.header.number);
    recording::EvidenceName::Segment { stream, number }.to_string()
}

/// The body of an acknowledgement, which a test may change before sending it.
pub(crate) fn claim(segment: &Segment) -> Value {
    json!({
        "Stream": segment.header.stream, "Number": segment.header.number, "Length": segment.bytes.len(), "Sha256": segment.sha256,
        "ChainBefore": segment.header.chain_before, "ChainAfter": segment.chain_after,
        "FirstAtMicros": segment.header.first_at.get(), "LastAtMicros": segment.last_at.get(),
    })
}

pub(crate) async fn upload(running: &Running, grant: &Value, bytes: &[u8]) -> Answer {
    assert_eq!(grant["Method"], "PUT");
    let mut request = running.http.put(running.url(grant["Url"].as_str().unwrap())).body(bytes.to_vec());
    for (name, value) in grant["Headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    Answer::of(request.send().await.unwrap()).await
}
