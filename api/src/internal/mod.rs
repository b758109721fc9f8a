//! `/internal/v1`: what replicas say to each other, on a listener of its own. A replica that holds an agent's link
//! passes on to it what another one has for it. Nothing here is for people or agents, and a caller that does not prove
//! to be a replica of this deployment learns nothing. The listener is off by default. Its traffic is not encrypted, so
//! that it belongs in a private network.

mod channels;
pub(crate) mod token;
pub(crate) mod wire;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{self, Bytes, BytesMut, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use agent_protocol::bus::ChannelId;
use agent_protocol::link::ServerMessage;
use domain::AgentId;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::Hansard;
use crate::http::request::RequestId;
use crate::limits::tally::{Instance, TallyKey};
use crate::links::NotReached;
use token::{InternalToken, Proven};
use wire::{PREFIX, Refused};

/// The longest body: a configuration, with room.
const MOST_BODY_BYTES: usize = 256 * 1024;
/// How long a head may take to arrive, and then a body.
const WITHIN: Duration = Duration::from_secs(10);
/// The most connections at once: channels that other replicas have on this one's links, and a few calls.
const MOST_CONNECTIONS: usize = 4_096;

/// A call for one agent's link.
enum Call {
    /// Send this message to the agent.
    Message(AgentId),
    /// The agent was replaced or removed.
    Replaced(AgentId),
    /// Attach this channel to the link.
    Channel(AgentId, ChannelId),
}

impl Call {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let (agent, what) = path.strip_prefix(PREFIX)?.strip_prefix("/agents/")?.split_once('/')?;
        let agent = AgentId::parse(agent).ok()?;
        match (method, what) {
            (&Method::POST, "messages") => Some(Self::Message(agent)),
            (&Method::POST, "replaced") => Some(Self::Replaced(agent)),
            (&Method::GET, _) => {
                let channel = ChannelId::parse(what.strip_prefix("channels/")?)?;
                Some(Self::Channel(agent, channel))
            }
            _ => None,
        }
    }

    fn agent(&self) -> &AgentId {
        match self {
            Self::Message(agent) | Self::Replaced(agent) | Self::Channel(agent, _) => agent,
        }
    }
}

/// A server of the internal calls on this listener.
pub(crate) fn server(hansard: Data<Hansard>, listener: TcpListener) -> io::Result<Server> {
    let app = move || App::new().app_data(hansard.clone()).default_service(web::to(handle));
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(MOST_CONNECTIONS)
        .client_request_timeout(WITHIN)
        .disable_signals()
        // Channels continue on another replica; there is nothing to wait for.
        .shutdown_timeout(1)
        .listen(listener)?;
    Ok(server.run())
}

/// Handles every request. The caller is authenticated first, whatever it asks for.
async fn handle(hansard: Data<Hansard>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(proven_call) = ProvenCall::prove(&hansard, &request, payload).await else {
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        let request_id = RequestId::generate();
        // It is counted, which replaces a line for each.
        tracing::debug!(%request_id, ?peer, "a call of the internal listener was not authenticated");
        let call = Instance {
            request_id: &request_id,
            source_address: peer,
            at: hansard.now(),
            code: "InternalUnauthorized",
        };
        hansard.limits.tally.count(TallyKey::unauthenticated(peer), &call);
        return HttpResponse::Unauthorized().finish();
    };
    let ProvenCall { proven, call, body, payload } = proven_call;
    let Some(call) = call else { return HttpResponse::NotFound().finish() };
    let here = &hansard.links.here;
    let agent = call.agent();
    // A link that was lost and taken again has another lease, which this token is not for.
    let done = match here.epoch_of(agent) {
        None => Err(NotReached::NotConnected),
        Some(epoch) if epoch != proven.epoch => return HttpResponse::Unauthorized().finish(),
        Some(epoch) => match &call {
            Call::Message(_) => match serde_json::from_slice::<ServerMessage>(&body) {
                Ok(message) => here.send(agent, epoch, message),
                // The message comes from a newer version.
                Err(_) => return HttpResponse::BadRequest().finish(),
            },
            Call::Replaced(_) => here.close(agent, epoch),
            Call::Channel(_, channel) => match here.attach(agent, epoch, *channel) {
                Ok(attachment) => return channels::carry(&request, payload, attachment),
                Err(refused) => Err(refused),
            },
        },
    };
    match done {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(refused) => refusal(&refused),
    }
}

fn refusal(refused: &NotReached) -> HttpResponse {
    let refused = match refused {
        NotReached::NoChannels => Refused::NoChannels,
        NotReached::TooManyChannels => Refused::TooManyChannels,
        NotReached::Busy => Refused::Busy,
        _ => Refused::NotConnected,
    };
    HttpResponse::build(StatusCode::CONFLICT).json(refused)
}

/// A call that a replica of this deployment makes.
struct ProvenCall {
    proven: Proven,
    call: Option<Call>,
    body: Bytes,
    payload: Payload,
}

impl ProvenCall {
    async fn prove(hansard: &Hansard, request: &HttpRequest, mut payload: Payload) -> Option<Self> {
        let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let token = header.strip_prefix("Bearer ")?;
        let target = request.uri().path_and_query()?.as_str();
        let (keys, replica, now) = (&hansard.keys, &hansard.links.replica, hansard.now());
        let token = InternalToken::read(keys, token, replica, request.method().as_str(), target, now).ok()?;
        let call = Call::of(request.method(), target);
        // A body is read only for a caller that knows the key; the body of a channel never ends.
        let body = match &call {
            Some(Call::Channel(..)) => Bytes::new(),
            _ => read(&mut payload).await?,
        };
        let proven = hansard.internal_tokens.claim(token, &body, now).ok()?;
        Some(Self { proven, call, body, payload })
    }
}

/// The whole of a body, if it is short enough and comes in time.
async fn read(payload: &mut Payload) -> Option<Bytes> {
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(piece) = payload.next().await {
            let piece = piece.ok()?;
            if body.len() + piece.len() > MOST_BODY_BYTES {
                return None;
            }
            body.extend_from_slice(&piece);
        }
        Some(body.freeze())
    };
    timeout(WITHIN, reading).await.ok().flatten()
}
