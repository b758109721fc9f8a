//! A replay session: a ticket from ViewInstanceRecords, exchanged once for the cookie that opens one recording.

use std::io;

use recording::{ObjectName, ObjectSource, TerminalSessionToken};
use reqwest::header::SET_COOKIE;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;

use domain::InstanceId;

use crate::arguments::RecordingArguments;
use crate::client::Client;
use crate::failure::{Failure, chain};
use crate::reply;

/// The cookie's name, which the server sets and expects.
const COOKIE: &str = "hansard_replay";

/// The address that opens a recording in a browser, once.
///
/// # Errors
/// There is no such recording, it has expired, or the caller may not see it.
pub(crate) async fn replay_url(client: &Client, recording: &RecordingArguments) -> Result<Value, Failure> {
    let instance = match &recording.instance_id {
        Some(instance) => instance.clone(),
        None => find_instance(client, &recording.token).await?,
    };
    let parameters = [
        ("InstanceId".to_owned(), instance.to_string()),
        ("TerminalSessionToken".to_owned(), recording.token.to_string()),
    ];
    client.call("ViewInstanceRecords", &parameters).await
}

/// Looks for the recording in the list, page by page.
async fn find_instance(client: &Client, token: &TerminalSessionToken) -> Result<InstanceId, Failure> {
    let mut next: Option<String> = None;
    loop {
        let mut parameters =
            vec![("IncludeExpired".to_owned(), "true".to_owned()), ("PageSize".to_owned(), "100".to_owned())];
        parameters.extend(next.map(|token| ("NextToken".to_owned(), token)));
        let page = client.call("ListInstanceRecords", &parameters).await?;
        for record in reply::list("ListInstanceRecords", &page, "RecordList")? {
            if record.get("TerminalSessionToken").and_then(Value::as_str) == Some(token.as_str()) {
                let instance = reply::text("ListInstanceRecords", &record, "InstanceId")?;
                return InstanceId::parse(instance).map_err(Failure::failed);
            }
        }
        next = page.get("NextToken").and_then(Value::as_str).map(str::to_owned);
        if next.is_none() {
            return Err(Failure::failed(format!(
                "there is no recording {token} among those that you may list; with --instance-id it is not looked for \
                 in the list"
            )));
        }
    }
}

/// An open session.
pub(crate) struct ReplaySession<'a> {
    client: &'a Client,
    token: TerminalSessionToken,
    cookie: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectList {
    objects: Vec<ListedObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedObject {
    name: ObjectName,
}

impl<'a> ReplaySession<'a> {
    /// Asks for a ticket and exchanges it.
    ///
    /// # Errors
    /// As for [`replay_url`].
    pub(crate) async fn open(client: &'a Client, recording: &RecordingArguments) -> Result<Self, Failure> {
        let view = replay_url(client, recording).await?;
        let ticket = ticket_of(reply::text("ViewInstanceRecords", &view, "ReplayUrl")?)?;
        let token = recording.token.clone();
        let path = format!("/replay/v1/recordings/{token}/exchange");
        let body = json!({ "Ticket": ticket });
        let reply = client.fetch("the replay exchange", Method::POST, &path, None, Some(&body)).await?;
        let cookie = reply
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok())
            .filter_map(|cookie| cookie.split(';').next())
            .find(|cookie| cookie.split_once('=').is_some_and(|(name, _)| name == COOKIE))
            .ok_or_else(|| Failure::failed("the replay exchange: the server set no replay cookie"))?
            .to_owned();
        Ok(Self { client, token, cookie })
    }

    /// Asks for something of the recording.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn get(&self, what: &str, below: &str) -> Result<Response, Failure> {
        let path = format!("/replay/v1/recordings/{}/{below}", self.token);
        self.client.fetch(what, Method::GET, &path, Some(&self.cookie), None).await
    }

    /// The whole of something of the recording.
    ///
    /// # Errors
    /// The server refuses, or the answer breaks off.
    pub(crate) async fn bytes(&self, what: &str, below: &str) -> Result<Vec<u8>, Failure> {
        let reply = self.get(what, below).await?;
        Ok(reply.bytes().await.map_err(|error| broke_off(what, &error))?.to_vec())
    }

    async fn object_names(&self) -> Result<Vec<ObjectName>, Failure> {
        let text = self.bytes("the list of objects", "objects").await?;
        let list: ObjectList = serde_json::from_slice(&text)
            .map_err(|error| Failure::failed(format!("the list of objects has another shape: {error}")))?;
        Ok(list.objects.into_iter().map(|object| object.name).collect())
    }
}

/// The line for an answer that stopped in the middle.
pub(crate) fn broke_off(what: &str, error: &reqwest::Error) -> Failure {
    Failure::failed(format!("{what} broke off: {}", chain(error)))
}

/// The ticket in a replay address's fragment.
fn ticket_of(address: &str) -> Result<String, Failure> {
    let url = Url::parse(address).ok();
    let ticket = url.as_ref().and_then(Url::fragment).and_then(|fragment| {
        let mut pairs = url::form_urlencoded::parse(fragment.as_bytes());
        pairs.find(|(name, _)| name == "ticket").map(|(_, ticket)| ticket.into_owned())
    });
    ticket.ok_or_else(|| Failure::failed("ViewInstanceRecords: the ReplayUrl has no ticket in its fragment"))
}

/// The evidence of a recording, fetched object by object while it is verified.
pub(crate) struct RemoteEvidence<'a> {
    session: ReplaySession<'a>,
    runtime: &'a Runtime,
}

impl<'a> RemoteEvidence<'a> {
    /// The evidence behind this session. It is read from outside the runtime.
    pub(crate) fn new(session: ReplaySession<'a>, runtime: &'a Runtime) -> Self {
        Self { session, runtime }
    }
}

fn as_io(failure: Failure) -> io::Error {
    let kind = if failure.is_not_found() { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
    io::Error::new(kind, failure)
}

impl ObjectSource for RemoteEvidence<'_> {
    fn list(&self) -> io::Result<Vec<ObjectName>> {
        self.runtime.block_on(self.session.object_names()).map_err(as_io)
    }

    fn read(&self, name: &ObjectName) -> io::Result<Vec<u8>> {
        let what = format!("the object {name}");
        self.runtime.block_on(self.session.bytes(&what, &format!("objects/{name}"))).map_err(as_io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticket_stands_in_the_fragment() {
        let address = "http://h:1/view/instance/record/replay/abc#ticket=a.b-c_d";
        assert_eq!(ticket_of(address).unwrap(), "a.b-c_d");
        for address in ["http://h/x", "http://h/x#other=1", "not an address"] {
            assert!(ticket_of(address).is_err(), "{address}");
        }
    }
}
