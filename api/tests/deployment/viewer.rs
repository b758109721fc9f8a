//! A viewer: opens the replay address that ViewInstanceRecords returned, as the page does.

use reqwest::header::{CONTENT_TYPE, COOKIE};
use serde_json::json;

use crate::recording_agent::Session;
use test_server::{Answer, Key, Running};

/// A replay session.
pub(crate) struct Viewer {
    /// Name and value of the cookie, as the browser sends it.
    pub(crate) cookie: String,
    /// The whole Set-Cookie header.
    pub(crate) set_cookie: String,
    path: String,
}

/// The ticket of a new replay address.
pub(crate) async fn ticket(running: &Running, key: &Key, session: &Session) -> String {
    let reply = view(running, key, session).await.ok();
    let url = reply["ReplayUrl"].as_str().unwrap();
    let (page, ticket) = url.split_once("#ticket=").unwrap();
    assert_eq!(page, running.url(&format!("/view/instance/record/replay/{}", session.token())));
    ticket.to_owned()
}

pub(crate) async fn view(running: &Running, key: &Key, session: &Session) -> Answer {
    let parameters =
        [("InstanceId", session.start.instance.as_str()), ("TerminalSessionToken", session.token())];
    running.call_as(key, "ViewInstanceRecords", &parameters).await
}

pub(crate) async fn exchange(running: &Running, session: &Session, ticket: &str) -> Answer {
    let request = running
        .http
        .post(running.url(&format!("/replay/v1/recordings/{}/exchange", session.token())))
        .header(CONTENT_TYPE, "application/json")
        .body(json!({"Ticket": ticket}).to_string());
    Answer::of(request.send().await.unwrap()).await
}

impl Viewer {
    pub(crate) async fn open(running: &Running, key: &Key, session: &Session) -> Self {
        let ticket = ticket(running, key, session).await;
        let answer = exchange(running, session, &ticket).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let set_cookie = answer.header("set-cookie").to_owned();
        let cookie = set_cookie.split(';').next().unwrap().to_owned();
        Self { cookie, set_cookie, path: format!("/replay/v1/recordings/{}", session.token()) }
    }

    /// Reads a path below the recording's address; an empty path is the address itself.
    pub(crate) async fn get(&self, running: &Running, below: &str) -> Answer {
        let request =
            running.http.get(running.url(&format!("{}{below}", self.path))).header(COOKIE, &self.cookie);
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn bytes(&self, running: &Running, below: &str) -> Vec<u8> {
        let request =
            running.http.get(running.url(&format!("{}{below}", self.path))).header(COOKIE, &self.cookie);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap().to_vec()
    }
}
