//! The running server.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer};

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
    let hansard = Data::new(Hansard::new(parts));
    let app_state = hansard.clone();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(app_state.clone())
            .wrap(from_fn(finish))
            .configure(configure)
            .default_service(web::to(nothing_here))
    })
    .client_request_timeout(HEAD_TIMEOUT)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(DRAIN_SECONDS)
    .disable_signals();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let jobs = Jobs::start(hansard.clone());
    let mut running = server.listen(listener)?.run();
    let handle = running.handle();
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        () = shutdown => {
            // Links never end by themselves, and an open one would hold up the rest.
            hansard.links.stop();
            let (outcome, ()) = tokio::join!(running, handle.stop(true));
            outcome
        }
    };
    jobs.stop().await;
    outcome
}

/// Every resource of the server.
fn configure(config: &mut ServiceConfig) {
    gateway::configure(config);
    agent_api::configure(config);
    replay::configure(config);
    documents::configure(config);
}
