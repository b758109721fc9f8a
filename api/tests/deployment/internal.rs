//! The internal listener accepts only a replica of this deployment, for this lease, once, and reveals nothing to
//! anybody else.

use agent_protocol::link::ServerMessage;
use domain::agent_link::AgentLink;
use domain::clock::Clock as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use recording::ContentHash;
use serde_json::{Value, json};

use crate::link::DialledLink;
use crate::recording_agent::TestAgent;
use test_server::Running;

/// A replica that holds an agent's link, and what another replica would know of it.
struct Held {
    running: Running,
    link: AgentLink,
    dialled: DialledLink,
    message: Vec<u8>,
}

/// A call that is correct in every respect until a test changes it.
#[derive(Clone)]
struct Call {
    key_id: String,
    key: Vec<u8>,
    claims: Value,
    method: &'static str,
    path: String,
    body: Vec<u8>,
}

impl Held {
    async fn set_up() -> Self {
        let running = Running::reachable(None).await;
        let agent = TestAgent::enrol(&running, "i-web1").await;
        let mut dialled = DialledLink::dial(&running, &agent).await;
        dialled.hello(&["terminal"]).await;
        dialled.configuration().await;
        let link = running.store.find_agent_link(&running.reaching(), &agent.id, running.clock.now()).await;
        let reply = agent.get(&running, "/agent/v1/configuration").await.ok();
        let configuration = serde_json::from_value(reply["Configuration"].clone()).unwrap();
        let message = serde_json::to_vec(&ServerMessage::Configuration { configuration }).unwrap();
        Self { running, link: link.unwrap().unwrap(), dialled, message }
    }

    fn call(&self, method: &'static str, what: &str, body: &[u8]) -> Call {
        let path = format!("/internal/v1/agents/{}/{what}", self.link.agent);
        let (key_id, key) = self.running.keys.internal_key();
        let until = self.running.clock.now().as_millis() / 1_000 + 30;
        let claims = json!({
            "aud": "hansard-internal", "exp": until, "until": until, "replica": self.link.replica.as_str(),
            "epoch": self.link.epoch, "method": method, "path": path, "body_sha256": ContentHash::of(body).to_string(),
            "jti": uuid::Uuid::new_v4().to_string(),
        });
        Call { key_id: key_id.to_owned(), key: key.to_vec(), claims, method, path, body: body.to_vec() }
    }

    fn say(&self) -> Call {
        self.call("POST", "messages", &self.message)
    }

    async fn make(&self, call: &Call) -> (u16, String) {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(call.key_id.clone());
        let token =
            jsonwebtoken::encode(&header, &call.claims, &EncodingKey::from_secret(&call.key)).unwrap();
        self.make_with(call, Some(&token)).await
    }

    async fn make_with(&self, call: &Call, token: Option<&str>) -> (u16, String) {
        let address = self.link.internal_address.as_deref().unwrap().trim_end_matches('/');
        let url = format!("{address}{}", call.path);
        let mut request =
            self.running.http.request(call.method.parse().unwrap(), url).body(call.body.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

fn changed(call: Call, change: impl FnOnce(&mut Call)) -> Call {
    let mut call = call;
    change(&mut call);
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_call_that_its_token_covers_entirely_is_accepted() {
    let mut held = Held::set_up().await;
    let refused = (401, String::new());
    let claim = |name: &'static str, value: Value| changed(held.say(), |call| call.claims[name] = value);
    let now = held.running.clock.now().as_millis() / 1_000;
    let tickets = held.running.keys.ticket_key().1.to_vec();
    let wrong = [
        ("another replica", claim("replica", json!(format!("replica-{}", "0".repeat(32))))),
        ("an earlier lease", claim("epoch", json!(held.link.epoch - 1))),
        ("a later lease", claim("epoch", json!(held.link.epoch + 1))),
        ("another audience", claim("aud", json!("hansard-replay-ticket"))),
        ("another method", claim("method", json!("GET"))),
        ("another path", claim("path", json!("/internal/v1/agents"))),
        (
            "an end that is over",
            changed(held.say(), |call| {
                call.claims["exp"] = json!(now);
                call.claims["until"] = json!(now);
            }),
        ),
        (
            "an end that is too far away",
            changed(held.say(), |call| {
                call.claims["exp"] = json!(now + 61);
                call.claims["until"] = json!(now + 61);
            }),
        ),
        ("an altered body", changed(held.say(), |call| call.body.push(b' '))),
        ("no body", changed(held.say(), |call| call.body.clear())),
        ("a query", changed(held.say(), |call| call.path.push_str("?x"))),
        ("the key of tickets", changed(held.say(), |call| call.key = tickets)),
        ("an unknown key", changed(held.say(), |call| call.key_id = "tickets-0".into())),
        ("a path that there is not", changed(held.say(), |call| call.path = "/internal/v2".into())),
    ];
    for (what, call) in &wrong {
        assert_eq!(held.make(call).await, refused, "{what}");
    }
    for token in [None, Some(""), Some("nonsense"), Some("a.b.c")] {
        assert_eq!(held.make_with(&held.say(), token).await, refused);
    }
    let call = held.say();
    assert_eq!(held.make(&call).await, (204, String::new()));
    assert_eq!(held.make(&call).await, refused, "it was used");
    // The agent received it once, and nothing of all the rest.
    held.dialled.configuration().await;
    assert_eq!(held.make(&held.call("POST", "replaced", b"")).await.0, 204);
    assert!(held.dialled.close_code().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticated_call_that_fails_says_why() {
    let held = Held::set_up().await;
    let unknown = format!("/internal/v1/agents/{}/messages", domain::AgentId::generate());
    let elsewhere = changed(held.say(), |call| {
        call.claims["path"] = json!(unknown);
        call.path = unknown;
    });
    assert_eq!(held.make(&elsewhere).await, (409, r#"{"Code":"NotConnected"}"#.to_owned()));
    let channel = held.call("GET", &format!("channels/{}", "ab".repeat(16)), b"");
    assert_eq!(held.make(&channel).await, (409, r#"{"Code":"NoChannels"}"#.to_owned()));
    assert_eq!(held.make(&held.call("POST", "messages", b"{}")).await.0, 400);
    assert_eq!(held.make(&held.call("POST", "other", b"")).await.0, 404);
    let long = vec![b' '; 300 * 1024];
    assert_eq!(held.make(&held.call("POST", "messages", &long)).await.0, 401, "it is not read to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_and_the_public_door_knows_no_internal_calls() {
    let mut held = Held::set_up().await;
    for _ in 0..3 {
        held.make_with(&held.say(), None).await;
    }
    let (path, body) = (held.say().path, held.say().body);
    let public = held.running.http.post(held.running.url(&path)).body(body).send().await.unwrap();
    assert_eq!(public.status().as_u16(), 404);
    held.running.halt();
    let deployment = domain::audit::DEPLOYMENT_ACCOUNT.clone();
    let principal = domain::principal::Principal::Operator { account: deployment };
    let granted = domain::gate::authorize::<domain::actions::AdministerIdentity>(
        &principal,
        domain::gate::Resource::Everything,
        &domain::gate::PrincipalPolicies::none(),
        &domain::gate::RequestFacts::at(held.running.clock.now()),
    );
    let rows = held.running.store.latest_audit_events(&granted.unwrap(), 100).await.unwrap();
    let counted: Vec<_> = rows.iter().filter(|row| row.how.contains("InternalUnauthorized 3")).collect();
    assert_eq!(counted.len(), 1, "{rows:?}");
}
