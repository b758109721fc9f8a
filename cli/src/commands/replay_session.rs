//! A replay session: a ticket from ViewInstanceRecords, exchanged once for the cookie that opens one recording.

use std::io;

use recording::{
    AccountId, AgentId, ContentHash, Enrolment, EvidenceName, Expected, InstanceId, InvalidTimestamp,
    Listing, ObjectName, ObjectSource, SealingPublicKey, TerminalSessionToken, Timestamp, TrustedKey,
    TrustedKeys,
};
use reqwest::header::SET_COOKIE;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;

use super::named_recording::NamedRecording;
use crate::arguments::RecordingArguments;
use crate::client::{Client, broke_off};
use crate::failure::Failure;
use crate::reply;

/// The cookie's name, which the server sets and expects.
const COOKIE: &str = "hansard_replay";

/// The address that opens a recording in a browser, once.
///
/// # Errors
/// There is no such recording, it has expired, or the caller may not see it.
pub(crate) async fn replay_url(client: &Client, recording: &NamedRecording) -> Result<Value, Failure> {
    let parameters = [
        ("InstanceId".to_owned(), recording.instance.to_string()),
        ("TerminalSessionToken".to_owned(), recording.token.to_string()),
    ];
    client.call("ViewInstanceRecords", &parameters).await
}

/// An open session.
pub(crate) struct ReplaySession<'a> {
    client: &'a Client,
    recording: NamedRecording,
    cookie: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectList {
    #[serde(default)]
    account_id: Option<AccountId>,
    #[serde(default)]
    instance_id: Option<InstanceId>,
    #[serde(default)]
    signer: Option<EnrolledSigner>,
    /// The control plane's own keys, with which it gives leave; none of an earlier version.
    #[serde(default)]
    leave_keys: Vec<SealingPublicKey>,
    objects: Vec<ListedObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedObject {
    name: ObjectName,
    #[serde(default)]
    sha256: Option<ContentHash>,
}

/// The agent that was enrolled for the recording's instance, as the control plane knows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnrolledSigner {
    agent_id: AgentId,
    account_id: AccountId,
    instance_id: InstanceId,
    sealing_public_key: SealingPublicKey,
    enrolled_at: String,
    #[serde(default)]
    replaced_at: Option<String>,
}

impl EnrolledSigner {
    fn trusted_key(self) -> Result<TrustedKey, InvalidTimestamp> {
        Ok(TrustedKey {
            key: self.sealing_public_key,
            enrolment: Some(Enrolment {
                agent: self.agent_id,
                account: self.account_id,
                instance: self.instance_id,
                from: Timestamp::parse_rfc3339_seconds(&self.enrolled_at)?,
                until: self.replaced_at.as_deref().map(Timestamp::parse_rfc3339_seconds).transpose()?,
            }),
        })
    }
}

impl<'a> ReplaySession<'a> {
    /// Asks for a ticket and exchanges it.
    ///
    /// # Errors
    /// As for [`NamedRecording::find`] and [`replay_url`].
    pub(crate) async fn open(client: &'a Client, recording: &RecordingArguments) -> Result<Self, Failure> {
        Self::of(client, NamedRecording::find(client, recording).await?).await
    }

    /// The same for a recording that was found.
    ///
    /// # Errors
    /// As for [`replay_url`].
    pub(crate) async fn of(client: &'a Client, recording: NamedRecording) -> Result<Self, Failure> {
        let view = replay_url(client, &recording).await?;
        let ticket = ticket_of(reply::text("ViewInstanceRecords", &view, "ReplayUrl")?)?;
        let path = format!("/replay/v1/recordings/{}/exchange", recording.token);
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
        Ok(Self { client, recording, cookie })
    }

    /// The recording with its instance.
    pub(crate) fn recording(&self) -> &NamedRecording {
        &self.recording
    }

    /// The recording.
    pub(crate) fn token(&self) -> &TerminalSessionToken {
        &self.recording.token
    }

    /// Requests a part of the recording.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn get(&self, what: &str, below: &str) -> Result<Response, Failure> {
        let path = format!("/replay/v1/recordings/{}/{below}", self.token());
        self.client.fetch(what, Method::GET, &path, Some(&self.cookie), None).await
    }

    /// Fetches a whole part of the recording.
    ///
    /// # Errors
    /// The server refuses, or the answer breaks off.
    pub(crate) async fn bytes(&self, what: &str, below: &str) -> Result<Vec<u8>, Failure> {
        let reply = self.get(what, below).await?;
        Ok(reply.bytes().await.map_err(|error| broke_off(what, &error))?.to_vec())
    }

    async fn objects(&self) -> Result<ObjectList, Failure> {
        let text = self.bytes("the list of objects", "objects").await?;
        serde_json::from_slice(&text).map_err(other_shape)
    }
}

/// What the recording with this token must be, according to the control plane.
fn expected(
    token: &TerminalSessionToken,
    instance: Option<InstanceId>,
    account: Option<AccountId>,
    objects: &[ListedObject],
) -> Expected {
    let hashed = objects
        .iter()
        .filter_map(|object| Some((EvidenceName::parse(object.name.as_str())?, object.sha256?)));
    Expected {
        recording: Some(token.clone()),
        instance,
        account,
        objects: hashed.collect(),
        ..Expected::default()
    }
}

fn other_shape(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("the list of objects has an unexpected shape: {error}"))
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

/// The evidence of a recording, fetched object by object while it is verified, with what the control plane says of it.
pub(crate) struct RemoteEvidence<'a> {
    session: ReplaySession<'a>,
    runtime: &'a Runtime,
    names: Vec<ObjectName>,
    expected: Expected,
    enrolled: Option<TrustedKeys>,
}

impl<'a> RemoteEvidence<'a> {
    /// The evidence behind this session. It is read from outside the runtime.
    ///
    /// # Errors
    /// The objects cannot be listed.
    pub(crate) fn open(session: ReplaySession<'a>, runtime: &'a Runtime) -> Result<Self, Failure> {
        let list = runtime.block_on(session.objects())?;
        let enrolled = list.signer.map(EnrolledSigner::trusted_key).transpose().map_err(other_shape)?;
        let enrolled = enrolled.map(|agent| TrustedKeys::new(vec![agent], list.leave_keys));
        let expected = expected(session.token(), list.instance_id, list.account_id, &list.objects);
        let names = list.objects.into_iter().map(|object| object.name).collect();
        Ok(Self { session, runtime, names, expected, enrolled })
    }

    /// What the control plane says of the recording.
    pub(crate) fn expected(&self) -> &Expected {
        &self.expected
    }

    /// The keys that the control plane says are trusted for it.
    pub(crate) fn enrolled(&self) -> Option<&TrustedKeys> {
        self.enrolled.as_ref()
    }
}

fn as_io(failure: Failure) -> io::Error {
    let kind = if failure.is_evidence_changed() {
        io::ErrorKind::InvalidData
    } else if failure.is_not_found() {
        io::ErrorKind::NotFound
    } else {
        io::ErrorKind::Other
    };
    io::Error::new(kind, failure)
}

impl ObjectSource for RemoteEvidence<'_> {
    fn list(&self) -> io::Result<Listing> {
        Ok(Listing::of_objects(self.names.clone()))
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
    fn the_ticket_is_in_the_fragment() {
        let address = "http://h:1/view/instance/record/replay/abc#ticket=a.b-c_d";
        assert_eq!(ticket_of(address).unwrap(), "a.b-c_d");
        for address in ["http://h/x", "http://h/x#other=1", "not an address"] {
            assert!(ticket_of(address).is_err(), "{address}");
        }
    }

    #[test]
    fn the_objects_must_match_what_the_server_says_about_the_recording() {
        let hash = ContentHash::of(b"x");
        let text = json!({
            "AccountId": "1609982529000000",
            "InstanceId": "i-web1",
            "Objects": [
                {"Name": "start.json", "Sha256": hash},
                // What an earlier version took in has no hash.
                {"Name": "manifest-0000.json"},
                {"Name": "derived/0000-1/index", "Sha256": hash},
            ],
        });
        let list: ObjectList = serde_json::from_value(text).unwrap();
        // An earlier version gives no leave.
        assert_eq!((list.signer.is_none(), list.leave_keys.len()), (true, 0));
        let token = TerminalSessionToken::generate();
        let of_whom = Expected {
            recording: Some(token.clone()),
            instance: Some("i-web1".parse().unwrap()),
            account: Some("1609982529000000".parse().unwrap()),
            objects: [(EvidenceName::Start, hash)].into(),
            ..Expected::default()
        };
        assert_eq!(expected(&token, list.instance_id, list.account_id, &list.objects), of_whom);
        // A server that names neither makes no statement about them.
        let nothing = Expected { recording: Some(token.clone()), ..Expected::default() };
        assert_eq!(expected(&token, None, None, &[]), nothing);
    }
}
