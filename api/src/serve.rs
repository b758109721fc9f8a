//! The running server.

use std::future::{Future, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Protocol, Request};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error};
use tokio::sync::Notify;

use crate::connection::Shaped;
use crate::gateway::finish::{finish, nothing_here};
use crate::jobs::Jobs;
use crate::state::{Hansard, HansardParts};
use crate::{agent_api, documents, gateway, replay};

/// How long a head may take to arrive; slower senders only hold connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept, as the vendor's gateway does.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How long calls in flight may take once the server was told to stop.
const DRAIN_SECONDS: u64 = 20;

/// Serves until `shutdown` resolves; then answers what is in flight, stops the jobs and returns.
///
/// # Errors
/// The listener cannot be used, or the server failed.
pub async fn serve(
    parts: HansardParts,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let workers = parts.settings.workers;
    let address = listener.local_addr()?;
    let hansard = Data::new(Hansard::new(parts));
    let stopping = Arc::new(Notify::new());
    let (state, signal) = (hansard.clone(), stopping.clone());
    let mut server = Server::build().shutdown_timeout(DRAIN_SECONDS).disable_signals();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let server =
        server.listen("hansard", listener, move || connections(state.clone(), address, signal.clone()))?;
    let jobs = Jobs::start(hansard.clone());
    let mut running = server.run();
    let handle = running.handle();
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        () = shutdown => {
            // Links never end by themselves, and an idle connection would wait for its next call.
            hansard.links.stop();
            stopping.notify_waiters();
            let (outcome, ()) = tokio::join!(running, handle.stop(true));
            outcome
        }
    };
    jobs.stop().await;
    outcome
}

/// What a worker does with a connection. `HttpServer` would do the same, but for [`Shaped`].
fn connections(
    state: Data<Hansard>,
    address: SocketAddr,
    stopping: Arc<Notify>,
) -> impl actix_service::ServiceFactory<
    TcpStream,
    Config = (),
    Response = (),
    Error = actix_http::error::DispatchError,
    InitError = (),
> {
    let host_id: Arc<str> = state.settings.host_id.as_str().into();
    let app = App::new()
        .app_data(state)
        .wrap(from_fn(finish))
        .configure(configure)
        .default_service(web::to(nothing_here));
    let app =
        IntoServiceFactory::<_, Request>::into_factory(app).map_err(|error: Error| error.error_response());
    let http = HttpService::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .local_addr(address)
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        // Only whether it is TLS is ever asked of it; that this is not TLS is the default.
        .finish(map_config(app, |()| AppConfig::default()));
    fn_service(move |stream: TcpStream| {
        // A reply is one write; waiting for more only delays it.
        let nodelay = stream.set_nodelay(true);
        if let Err(error) = nodelay {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let peer = stream.peer_addr().ok();
        ready(Ok((Shaped::new(stream, host_id.clone(), peer), Protocol::Http1, peer)))
    })
    .and_then(http)
}

/// Every resource of the server.
fn configure(config: &mut ServiceConfig) {
    gateway::configure(config);
    agent_api::configure(config);
    replay::configure(config);
    documents::configure(config);
}
