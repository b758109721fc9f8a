//! The running server.

use std::future::{Future, ready};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{Extensions, HttpService, Protocol, Request};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt as _, fn_factory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error};
use openapi::error_codes::{ErrorCode, WireError};

use crate::ending::Step;
use crate::errors::{ActionError, Refusal};
use crate::gateway::finish::finish;
use crate::http::connection::{Refuse, Shaped, whole_reply};
use crate::http::lazily::Lazily;
use crate::http::request::RequestId;
use crate::jobs::Jobs;
use crate::limits::connections::Peer;
use crate::limits::tally::{Instance, TallyKey};
use crate::state::{Hansard, HansardParts};
use crate::{agent_api, documents, gateway, pages, readiness, replay};

/// How long a head may take to arrive; slower senders only hold connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept, as the vendor's gateway does.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How long a connection is kept after a reply whose request was not read to its end, so that its sender, who may
/// still write, hears the reply instead of finding the connection reset. What it writes is read away.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a worker goes on to be ready for HTTP after its last connection, before it rests.
const LISTENS_ON: Duration = Duration::from_secs(5);
/// How long calls in flight may take once the server was told to stop.
const DRAIN_SECONDS: u64 = 20;

/// Where a server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For people and agents.
    pub public: TcpListener,
    /// For other replicas of the deployment; `None` when they do not reach this one.
    pub internal: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(public: TcpListener) -> Self {
        Self { public, internal: None }
    }
}

/// Serves until what `shutdown` makes resolves; then refuses new work, answers what is in flight, stops the jobs and returns.
/// `shutdown` is given the control plane, so that it can announce the end before.
///
/// # Errors
/// A listener cannot be used, or the server failed.
pub async fn serve<S: Future<Output = ()>>(
    parts: HansardParts,
    listeners: impl Into<Listeners>,
    shutdown: impl FnOnce(Arc<Hansard>) -> S,
) -> io::Result<()> {
    let hansard = Arc::new(Hansard::new(parts));
    let shutdown = shutdown(Arc::clone(&hansard));
    serve_shared(Data::from(hansard), listeners, shutdown).await
}

/// Serves a control plane that other parts of this process use too.
///
/// # Errors
/// As [`serve`].
pub async fn serve_shared(
    hansard: Data<Hansard>,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let Listeners { public: listener, internal } = listeners.into();
    let workers = hansard.settings.workers;
    let address = listener.local_addr()?;
    let state = hansard.clone();
    let mut server = Server::build().shutdown_timeout(DRAIN_SECONDS).disable_signals();
    let workers = workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    server = server.workers(workers);
    if let Some(most) = hansard.settings.connections.accepted {
        server = server.max_concurrent_connections(most.get().div_ceil(workers));
    }
    let server = server.listen("hansard", listener, move || connections(state.clone(), address))?;
    let internal = internal.map(|listener| crate::internal::server(hansard.clone(), listener)).transpose()?;
    let internal_handle = internal.as_ref().map(Server::handle);
    let internal = internal.map(actix_web::rt::spawn);
    let jobs = Jobs::start(hansard.clone());
    let mut running = server.run();
    let handle = running.handle();
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        () = shutdown => {
            // Links do not end by themselves, and an idle connection would wait for its next call.
            hansard.ending.goes_on_to(Step::Refuses);
            hansard.links.here.stop();
            // Until then it listens, so that who comes is told to come again.
            let patience = Duration::from_secs(DRAIN_SECONDS);
            let answered = tokio::time::timeout(patience, hansard.limits.connections.all_answered());
            tokio::select! {
                outcome = &mut running => outcome,
                answered = answered => {
                    hansard.ending.goes_on_to(Step::Closes);
                    let (outcome, ()) = tokio::join!(running, handle.stop(answered.is_ok()));
                    outcome
                }
            }
        }
    };
    if let Some(handle) = internal_handle {
        handle.stop(true).await;
    }
    if let Some(Err(error)) = async { Some(internal?.await) }.await {
        tracing::error!(%error, "the internal listener did not end in order");
    }
    jobs.stop().await;
    outcome
}

/// What a worker does with a connection. `HttpServer` would do the same, but for [`Shaped`].
fn connections(
    state: Data<Hansard>,
    address: SocketAddr,
) -> impl actix_service::ServiceFactory<
    TcpStream,
    Config = (),
    Response = (),
    Error = actix_http::error::DispatchError,
    InitError = (),
> {
    let host_id: Arc<str> = state.settings.host_id.as_str().into();
    let (door, refuse) = (state.clone(), refuse_malformed(state.clone()));
    let spoken = move || {
        let state = state.clone();
        ready(Ok(Lazily::made_by(move || http(state.clone(), address), LISTENS_ON)))
    };
    fn_service(move |stream: TcpStream| {
        // A reply is one write; waiting for more only delays it.
        let nodelay = stream.set_nodelay(true);
        if let Err(error) = nodelay {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let peer = stream.peer_addr().ok();
        let address = peer.map(|peer| peer.ip().to_canonical());
        let Ok(slot) = door.limits.connections.open(door.peer(address)) else {
            turn_away(stream, address, &door);
            return ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()));
        };
        let patience = door.settings.reply_patience;
        let shaped = Shaped::new(stream, host_id.clone(), address, refuse.clone(), patience, slot);
        ready(Ok((shaped, Protocol::Http1, peer)))
    })
    .and_then(fn_factory(spoken))
}

/// How HTTP is spoken on a connection.
fn http(
    state: Data<Hansard>,
    address: SocketAddr,
) -> impl actix_service::ServiceFactory<
    (Shaped<TcpStream>, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = actix_http::error::DispatchError,
    InitError = (),
> {
    let ending = state.clone();
    let app = App::new()
        .app_data(state)
        .wrap(from_fn(finish))
        .configure(configure)
        .default_service(web::to(pages::nothing_here));
    let app =
        IntoServiceFactory::<_, Request>::into_factory(app).map_err(|error: Error| error.error_response());
    HttpService::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(UNREAD_TIMEOUT)
        .on_connect_ext(|stream: &Shaped<TcpStream>, data: &mut Extensions| {
            data.insert(stream.slot().clone());
        })
        .local_addr(address)
        .graceful_shutdown_signal(move || ending.ending.of_connection())
        // Only whether it is TLS is ever asked of it; that this is not TLS is the default.
        .finish(map_config(app, |()| AppConfig::default()))
}

impl Hansard {
    fn peer(&self, address: Option<IpAddr>) -> Peer {
        match address {
            Some(address) if self.settings.trusted_proxies.trusts(address) => Peer::TrustedProxy,
            address => Peer::Caller(address),
        }
    }
}

/// A request that is not HTTP counts like every other call. Such requests are counted, not logged one by one.
fn refuse_malformed(hansard: Data<Hansard>) -> Refuse {
    Rc::new(move |peer, request_id, refusal| {
        let throttled = hansard.limits.throttle.by_address(peer).err();
        let refusal = throttled.map_or(refusal, |throttled| Refusal::from(&ActionError::from(throttled)));
        count(&hansard, peer, request_id, &refusal);
        refusal
    })
}

/// Answers a connection for which there is no room, if that is possible without waiting.
fn turn_away(stream: TcpStream, peer: Option<IpAddr>, hansard: &Hansard) {
    let request_id = RequestId::generate();
    let message = "There are too many connections; try again in a second.";
    let error = WireError::with_message(ErrorCode::ServiceUnavailable, message);
    let refusal = Refusal { retry_after: Some(Duration::from_secs(1)), ..error.into() };
    count(hansard, peer, &request_id, &refusal);
    let reply = whole_reply(&refusal, &request_id, &hansard.settings.host_id, None);
    // A client that does not read it finds the connection closed. The stream does not block.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&reply);
    }
}

fn count(hansard: &Hansard, peer: Option<IpAddr>, request_id: &RequestId, refusal: &Refusal) {
    let code = refusal.wire.code_text();
    let call = Instance { request_id, source_address: peer, at: hansard.now(), code: &code };
    hansard.limits.tally.count(TallyKey::unauthenticated(peer), &call);
}

/// Every resource of the server.
fn configure(config: &mut ServiceConfig) {
    gateway::configure(config);
    agent_api::configure(config);
    replay::configure(config);
    pages::configure(config);
    documents::configure(config);
    readiness::configure(config);
}
