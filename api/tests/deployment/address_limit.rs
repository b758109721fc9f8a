//! The limit per address on the endpoints of agents and viewers: unknown callers are told of it, and calls of known
//! callers do not count.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::Duration;

use agent_protocol::{AgentClaims, PrivateKey};
use api::{ApiSettings, ConnectionLimits, RateLimit, ThrottleLimits};
use domain::AgentId;
use domain::clock::Clock as _;
use reqwest::header::COOKIE;
use tokio::io::AsyncReadExt as _;

use crate::link::DialledLink;
use crate::recording_agent::{TestAgent, object_name, upload};
use crate::viewer::Viewer;
use test_server::{Answer, Running};

/// The clock stands still, so that what is used up stays used up.
const AT_ONCE: u32 = 10;

fn limited(settings: &mut ApiSettings) {
    let (per_second, burst) = (NonZeroU32::MIN, NonZeroU32::new(AT_ONCE).unwrap());
    settings.throttle =
        ThrottleLimits { address: Some(RateLimit { per_second, burst }), ..ThrottleLimits::default() };
}

/// How many calls of an unknown caller are handled until it is told to wait.
async fn heard(running: &Running, ask: impl AsyncFn() -> Answer, refused: (u16, &str)) -> u32 {
    let mut heard = 0;
    loop {
        let answer = ask().await;
        if answer.status == 429 {
            assert!(["Throttling", "Throttling.User"].contains(&answer.refusal().1), "{answer:?}");
            assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
            assert_eq!(answer.body["Retryable"], true, "{answer:?}");
            running.http.get(running.url("/healthz")).send().await.unwrap().error_for_status().unwrap();
            return heard;
        }
        assert_eq!(answer.refusal(), refused);
        heard += 1;
        assert!(heard <= AT_ONCE, "nothing stops it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_open_door_has_the_limit_per_address() {
    let running = Running::adjusted(limited).await;
    let stranger = PrivateKey::generate().unwrap();
    let token = |method: &str, path: &str| {
        let claims = AgentClaims::new(method, path, b"", running.clock.now().as_millis()).unwrap();
        claims.sign(&AgentId::generate(), &stranger).unwrap()
    };
    let nobody = "0".repeat(32);
    let get = async |path: &str| {
        let request = running.http.get(running.url(path)).bearer_auth(token("GET", path));
        Answer::of(request.send().await.unwrap()).await
    };
    let recording = format!("/replay/v1/recordings/{nobody}");
    let upload = format!("/agent/v1/uploads/{nobody}/terminal/000000.cast.zst");
    let grants = format!("/agent/v1/recordings/{nobody}/grants");
    let unknown = (401, "AgentNotFound");
    let mut counts = Vec::new();
    for (path, refused) in [
        ("/agent/v1/configuration", unknown),
        ("/agent/v1/link", unknown),
        ("/agent/v1/elsewhere", (404, "NotFound")),
        (recording.as_str(), (401, "ReplaySessionRequired")),
        (&format!("{recording}/cast"), (401, "ReplaySessionRequired")),
        (&format!("{recording}/objects/start.json"), (401, "ReplaySessionRequired")),
        ("/openapi/nothing.json", (404, "InvalidAction.NotFound")),
        ("/docs/nothing.js", (404, "InvalidAction.NotFound")),
        ("/assets/nothing.js", (404, "InvalidAction.NotFound")),
        ("/nothing", (404, "InvalidAction.NotFound")),
    ] {
        counts.push((path.to_owned(), heard(&running, async || get(path).await, refused).await));
        running.advance_seconds(60);
    }
    let put =
        async || Answer::of(running.http.put(running.url(&upload)).body("x").send().await.unwrap()).await;
    counts.push((upload.clone(), heard(&running, put, (403, "InvalidGrant")).await));
    running.advance_seconds(60);
    let post = async || {
        let request = running.http.post(running.url(&grants)).bearer_auth(token("POST", &grants)).body("{}");
        Answer::of(request.send().await.unwrap()).await
    };
    counts.push((grants.clone(), heard(&running, post, unknown).await));
    for (path, heard) in counts {
        assert_eq!(heard, AT_ONCE, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_authenticated_agents_and_viewers_do_not_count() {
    let running = Running::adjusted(limited).await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"hello\r\n", b"world\r\n"], None);
    agent.open(&running, &session).await.ok();
    running.advance_seconds(60);
    for _ in 0..3 * AT_ONCE {
        agent.get(&running, "/agent/v1/configuration").await.ok();
    }
    let segment = &session.segments[0];
    let grant = agent.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok();
    for _ in 0..3 * AT_ONCE {
        upload(&running, &grant["Grant"], &segment.bytes).await.ok();
    }
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    agent.seal(&running, &session).await.ok();
    for _ in 0..3 * AT_ONCE {
        drop(DialledLink::dial(&running, &agent).await);
    }
    // ViewInstanceRecords is a call at `/`, and counts; the viewer that it opens does not.
    let viewer = Viewer::open(&running, &running.root.clone(), &session).await;
    for _ in 0..AT_ONCE {
        for below in ["", "/cast", "/text", "/objects", "/objects/start.json"] {
            assert_eq!(viewer.get(&running, below).await.status, 200, "{below}");
        }
    }
    // The one call at `/` has counted, and unknown callers have the rest.
    let stranger = async || {
        let request = running.http.get(running.url(&format!("/replay/v1/recordings/{}", session.token())));
        Answer::of(request.header(COOKIE, "hansard_replay=forged").send().await.unwrap()).await
    };
    assert_eq!(heard(&running, stranger, (401, "ReplaySessionRequired")).await, AT_ONCE - 1);
    // Anybody else at the same address has to wait like them.
    let answer = agent.get(&running, "/agent/v1/configuration").await;
    assert_eq!(answer.refusal(), (429, "Throttling"));
    running.advance_seconds(60);
    agent.get(&running, "/agent/v1/configuration").await.ok();
}

/// A request that an agent repeats.
type Door<'d> = &'d dyn Fn() -> Pin<Box<dyn Future<Output = Answer> + 'd>>;

/// The number of calls that an agent may make at once, where that is limited.
const OF_AN_AGENT: u32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_a_rate_of_its_own_at_each_of_its_doors() {
    let mut running = Running::adjusted(|settings| {
        limited(settings);
        let (per_second, burst) = (NonZeroU32::MIN, NonZeroU32::new(OF_AN_AGENT).unwrap());
        settings.throttle.principal = Some(RateLimit { per_second, burst });
    })
    .await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let other = TestAgent::enrol(&running, "i-web2").await;
    let session = agent.session(&running, &[b"hello\r\n"], None);
    agent.open(&running, &session).await.ok();
    let segment = &session.segments[0];
    let grant = agent.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok();
    running.advance_seconds(60);
    let path = "/agent/v1/configuration";
    let token = agent.token(&running, "GET", path, b"");
    let claims = crate::recording_agent::claim(segment);
    let doors: [(&str, Door<'_>); 4] = [
        ("replays", &|| {
            let request = running.http.get(running.url(path)).bearer_auth(&token);
            Box::pin(async { Answer::of(request.send().await.unwrap()).await })
        }),
        ("calls", &|| Box::pin(agent.get(&running, path))),
        ("uploads", &|| Box::pin(upload(&running, &grant["Grant"], &segment.bytes))),
        ("bodies", &|| Box::pin(agent.acknowledge(&running, &session, &claims))),
    ];
    for (what, ask) in doors {
        for call in 0..3 * OF_AN_AGENT {
            let answer = ask().await;
            if call < OF_AN_AGENT {
                assert_ne!(answer.status, 429, "{what} {call}: {answer:?}");
            } else {
                assert_eq!(answer.refusal(), (429, "Throttling"), "{what} {call}");
                assert_eq!((answer.header("retry-after"), &answer.body["Retryable"]), ("1", &true.into()));
            }
        }
        other.get(&running, path).await.ok();
        // None of it counted for the address, except the calls refused as replays.
        let counted = if what == "replays" { OF_AN_AGENT - 1 } else { 0 };
        let stranger = async || {
            let request =
                running.http.get(running.url(&format!("/replay/v1/recordings/{}", session.token())));
            Answer::of(request.header(COOKIE, "hansard_replay=forged").send().await.unwrap()).await
        };
        assert_eq!(
            heard(&running, stranger, (401, "ReplaySessionRequired")).await,
            AT_ONCE - counted,
            "{what}"
        );
        running.advance_seconds(60);
    }
    // A refusal has no row of its own; it is counted in the event of its minute.
    let principal = format!("agent/{}", agent.id);
    running.halt();
    let rows = running.audit_rows().await;
    let told: Vec<_> = rows
        .iter()
        .filter(|row| row.principal.ends_with(&principal) && row.result == "Throttling.User")
        .map(|row| row.how.clone())
        .collect();
    assert_eq!(told, vec![format!("{0} refused: Throttling.User {0}", 2 * OF_AN_AGENT); 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_replay_count_for_the_one_who_opened_it() {
    let mut running = Running::adjusted(|settings| {
        let (per_second, burst) = (NonZeroU32::MIN, NonZeroU32::new(AT_ONCE).unwrap());
        settings.throttle.principal = Some(RateLimit { per_second, burst });
    })
    .await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"hello\r\n"], None);
    agent.deliver_whole(&running, &session).await;
    let viewer = Viewer::open(&running, &running.root.clone(), &session).await;
    running.advance_seconds(60);
    for _ in 0..AT_ONCE {
        assert_eq!(viewer.get(&running, "/cast").await.status, 200);
    }
    let rows = running.audit_rows().await.len();
    for below in ["", "/cast", "/text", "/objects", "/objects/start.json"] {
        assert_eq!(viewer.get(&running, below).await.refusal(), (429, "Throttling.User"), "{below}");
    }
    assert_eq!(running.call("ListAgents", &[]).await.refusal(), (429, "Throttling.User"));
    // No other agent has to wait because of it.
    agent.get(&running, "/agent/v1/configuration").await.ok();
    running.halt();
    let after = running.audit_rows().await;
    let told: Vec<_> = after[rows..].iter().map(|row| row.how.as_str()).collect();
    assert!(told.contains(&"6 refused: Throttling.User 6"), "{told:?}");
    assert_eq!(after.len(), rows + 2, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_or_a_token_that_was_used_gives_no_calls_without_a_limit() {
    let running = Running::adjusted(limited).await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    running.advance_seconds(60);
    let path = "/agent/v1/configuration";
    let token = agent.token(&running, "GET", path, b"");
    let again = async || {
        Answer::of(running.http.get(running.url(path)).bearer_auth(&token).send().await.unwrap()).await
    };
    again().await.ok();
    assert_eq!(heard(&running, again, (401, "InvalidAgentToken.Replayed")).await, AT_ONCE);
    running.advance_seconds(60);
    let session = agent.record(&running, &[b"x"], None).await;
    running.advance_seconds(60);
    let ticket = crate::viewer::ticket(&running, &running.root.clone(), &session).await;
    running.advance_seconds(60);
    let again = async || crate::viewer::exchange(&running, &session, &ticket).await;
    again().await.ok();
    assert_eq!(heard(&running, again, (401, "InvalidReplayTicket.Used")).await, AT_ONCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_does_not_use_up_anybodys_connections() {
    let running = Running::adjusted(|settings| {
        let most = std::num::NonZeroUsize::new(4);
        settings.connections = ConnectionLimits { total: most, per_address: most, accepted: None };
    })
    .await;
    let mut links = Vec::new();
    for number in 0..8 {
        let agent = TestAgent::enrol(&running, &format!("i-web{number}")).await;
        let mut link = DialledLink::dial(&running, &agent).await;
        link.hello(&["terminal"]).await;
        links.push(link);
    }
    let address = running.address.strip_prefix("http://").unwrap().to_owned();
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    // The flood has arrived: the oldest of its connections are closed again, and so are connections that the client
    // kept for later.
    for stream in &mut idle[..16] {
        let closed =
            tokio::time::timeout(Duration::from_secs(10), stream.read_u8()).await.expect("it is closed");
        assert!(closed.is_err());
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let health = http.get(running.url("/healthz")).timeout(Duration::from_secs(10));
    health.send().await.unwrap().error_for_status().unwrap();
    // All links still exist: a change is pushed to each of them.
    running.record("*", "7").await;
    for link in &mut links {
        link.configuration().await;
    }
    drop(idle);
}
