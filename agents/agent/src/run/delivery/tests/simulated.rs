//! A clock that tests move, and a control plane that answers as they say.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use agent_protocol::recordings::{
    Grant, GrantReply, GrantRequest, OpenRecordingReply, OpenRecordingRequest, SealReply, SealRequest,
    SegmentReply, SegmentRequest,
};
use agent_protocol::{AgentErrorCode, ErrorReply};
use recording::ContentHash;
use serde::Serialize;
use tokio::sync::watch;

use crate::run::pace::{Moment, Pace, Wait};

#[path = "../../../../tests/agent/http.rs"]
mod http;

/// A clock that stands until it is moved.
#[derive(Clone)]
pub(super) struct Clock(Arc<ClockState>);

struct ClockState {
    now: watch::Sender<Duration>,
    boot: Mutex<String>,
    /// Who waits until when.
    waiting: Mutex<BTreeMap<u64, Duration>>,
    waits: Mutex<u64>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock(Arc::new(ClockState {
            now: watch::Sender::new(Duration::from_secs(1000)),
            boot: Mutex::new("boot".to_owned()),
            waiting: Mutex::default(),
            waits: Mutex::default(),
        }))
    }

    pub(super) fn pace(&self) -> Box<dyn Pace> {
        Box::new(self.clone())
    }

    pub(super) fn passed(&self) -> Duration {
        *self.0.now.borrow()
    }

    /// Waits until so many deliveries have done what they can, and then moves to the next moment for which one waits, as
    /// long as that is not after the end.
    pub(super) async fn pass(&self, how_long: Duration, deliveries: impl Fn() -> usize) {
        let end = self.passed() + how_long;
        loop {
            let deadline = Instant::now() + Duration::from_secs(20);
            while self.0.waiting.lock().unwrap().len() != deliveries() {
                assert!(Instant::now() < deadline, "a delivery neither waits nor ends");
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            let next = self.0.waiting.lock().unwrap().values().min().copied();
            let now = next.map_or(end, |next| next.min(end)).max(self.passed());
            self.0.now.send_replace(now);
            if now == end {
                return;
            }
            // Whoever waited for it goes on.
            let woken = |waiting: &BTreeMap<u64, Duration>| waiting.values().all(|until| *until > now);
            while !woken(&self.0.waiting.lock().unwrap()) {
                assert!(Instant::now() < deadline, "nobody goes on");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Forgets a wait that ended or was given up.
struct Waiting<'a>(&'a ClockState, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().unwrap().remove(&self.1);
    }
}

impl Pace for Clock {
    fn now(&self) -> Moment {
        Moment::new(&self.0.boot.lock().unwrap(), self.passed())
    }

    fn sleep(&self, how_long: Duration) -> Wait<'_> {
        Box::pin(async move {
            let until = self.passed() + how_long;
            let number = {
                let mut waits = self.0.waits.lock().unwrap();
                *waits += 1;
                *waits
            };
            self.0.waiting.lock().unwrap().insert(number, until);
            let _waiting = Waiting(&self.0, number);
            let mut now = self.0.now.subscribe();
            now.wait_for(|now| *now >= until).await.unwrap();
        })
    }

    fn chance(&self) -> f64 {
        // Any sequence will do, if it is the same each time.
        let waits = *self.0.waits.lock().unwrap();
        f64::from(u16::try_from(waits * 40_503 % 65_536).unwrap()) / 65_536.0
    }
}

/// What a control plane does with calls.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Takes,
    Refuses(AgentErrorCode),
    /// Connections are closed without an answer.
    Silent,
}

#[derive(Default)]
pub(super) struct Taken {
    pub(super) opened: BTreeMap<String, Vec<u8>>,
    pub(super) objects: BTreeMap<(String, String), Vec<u8>>,
    pub(super) sealed: BTreeMap<String, (Vec<u8>, Vec<u8>)>,
    grants: Vec<(String, GrantRequest)>,
    /// How many calls opened, or tried to open, a recording.
    pub(super) tries: BTreeMap<String, usize>,
}

/// A control plane that keeps what it takes.
#[derive(Clone)]
pub(super) struct Simulated {
    pub(super) address: String,
    /// By the token of the recording; `*` stands for the others.
    moods: Arc<Mutex<BTreeMap<String, Mood>>>,
    taken: Arc<Mutex<Taken>>,
}

impl Simulated {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Simulated { address, moods: Arc::default(), taken: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream.unwrap()));
            }
        });
        server
    }

    pub(super) fn mood(&self, token: &str, mood: Mood) {
        self.moods.lock().unwrap().insert(token.to_owned(), mood);
    }

    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap()
    }

    pub(super) fn tries(&self, token: &str) -> usize {
        self.taken().tries.get(token).copied().unwrap_or_default()
    }

    fn mood_towards(&self, token: &str) -> Mood {
        let moods = self.moods.lock().unwrap();
        moods.get(token).or_else(|| moods.get("*")).copied().unwrap_or(Mood::Takes)
    }

    fn serve(&self, stream: TcpStream) {
        // A reply is written in pieces, which must not wait for each other.
        stream.set_nodelay(true).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Ok(Some(request)) = http::read_request(&mut reader) {
            let Some((status, body)) = self.answer(&request) else { return };
            let date = "Thu, 16 Nov 2023 02:59:39 GMT";
            if http::write_reply(&mut writer, status, date, &body).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &http::Request) -> Option<(u16, String)> {
        let path = request.path.strip_prefix("/agent/v1/").unwrap();
        assert!(request.method == "PUT" || request.header("authorization").is_some());
        let words: Vec<&str> = path.split('/').collect();
        let opens = match words[..] {
            ["recordings"] => Some(serde_json::from_slice::<OpenRecordingRequest>(&request.body).unwrap()),
            _ => None,
        };
        let token = match (&opens, &words[..]) {
            (Some(opens), _) => opens.terminal_session_token.to_string(),
            (None, ["uploads", number]) => self.taken().grants[number.parse::<usize>().unwrap()].0.clone(),
            (None, words) => words[1].to_owned(),
        };
        if opens.is_some() {
            *self.taken().tries.entry(token.clone()).or_default() += 1;
        }
        match self.mood_towards(&token) {
            Mood::Silent => return None,
            Mood::Refuses(code) => return Some(refusal(code)),
            Mood::Takes => {}
        }
        let mut taken = self.taken();
        let request_id = "r".to_owned();
        let body = match words[..] {
            ["recordings"] => {
                let opens = opens.unwrap();
                taken.opened.insert(token, opens.start.0);
                print(&OpenRecordingReply {
                    request_id,
                    terminal_session_token: opens.terminal_session_token,
                    record_storage_target: "t".into(),
                    object_prefix: "p/".into(),
                })
            }
            ["recordings", _, "grants"] => {
                let asked: GrantRequest = serde_json::from_slice(&request.body).unwrap();
                let url = format!("/agent/v1/uploads/{}", taken.grants.len());
                taken.grants.push((token, asked));
                let grant = Grant {
                    method: "PUT".into(),
                    url,
                    headers: BTreeMap::new(),
                    expire_time: "2026-01-01T00:00:00Z".into(),
                };
                print(&GrantReply { request_id, grant })
            }
            ["uploads", number] => {
                let (token, asked) = taken.grants[number.parse::<usize>().unwrap()].clone();
                assert_eq!(ContentHash::of(&request.body), asked.sha256);
                let before = taken.objects.insert((token, asked.object_name), request.body.clone());
                assert!(before.is_none_or(|before| before == request.body), "never overwritten");
                "{}".to_owned()
            }
            ["recordings", _, "segments"] => {
                let asked: SegmentRequest = serde_json::from_slice(&request.body).unwrap();
                print(&SegmentReply { request_id, acknowledged: asked.number, next_grant: None })
            }
            ["recordings", _, "seal"] => {
                let asked: SealRequest = serde_json::from_slice(&request.body).unwrap();
                taken.sealed.insert(token, (asked.manifest.0, asked.signature.0));
                print(&SealReply { request_id, status: "finished".into() })
            }
            _ => panic!("{path}"),
        };
        Some((200, body))
    }
}

fn refusal(code: AgentErrorCode) -> (u16, String) {
    let reply = ErrorReply {
        request_id: "r".into(),
        host_id: "h".into(),
        code: code.code().into(),
        message: "not \u{1b}[2J\u{202e}this one".into(),
        success: false,
        retryable: code.retryable(),
        expected_number: None,
    };
    (code.status(), print(&reply))
}

fn print(reply: &impl Serialize) -> String {
    serde_json::to_string(reply).unwrap()
}
