//! `hansard serve`: the control plane, and perhaps an agent beside it.

mod local_agent;
mod logging;
mod reach;
mod start;
mod stopping;
mod welcome;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use api::{ApiSettings, Hansard, HansardParts, Listeners};
use domain::clock::{Clock as _, SystemClock};
use persistence::objects::FolderStores;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use url::Url;

use crate::arguments::ServeArguments;
use crate::deployment::{DataDirectory, connect, server_keys};
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::root_key;
use crate::settings::{InternalListener, Settings};
use local_agent::{AgentProgram, LocalAgent};
use start::Start;
use stopping::{Asked, Signals};
use welcome::{AgentHere, Welcome};

pub(crate) use local_agent::become_agent;

/// What happens to sessions when the server stops with its agent.
const AGENT_STOPS_TOO: &str = ", and the agent of this machine with it: until it runs again, no session begins to be \
     recorded here; those that are open go on being recorded, and are delivered at the next start";

/// Runs the command until it is told to stop.
///
/// # Errors
/// A setting is invalid, or something that the server needs is not available.
pub(crate) fn run(
    arguments: &ServeArguments,
    environment: &Environment,
    runtime: &Runtime,
) -> Result<(), Failure> {
    let settings = Settings::resolve(&arguments.flags(), arguments.store.config(), environment)?;
    let watched = logging::is_watched(&settings);
    let program = settings
        .with_local_agent
        .then(|| local_agent::program(&settings, environment, watched))
        .transpose()?;
    let held = logging::start(&settings, environment.log_colours())?;
    let open_files = raise_file_limit();
    // If the address is in use, nothing is left behind.
    let listeners = Listeners {
        public: listen(settings.listen, "--listen")?,
        internal: settings
            .internal
            .as_ref()
            .map(|internal| listen(internal.listen, "--internal-listen"))
            .transpose()?,
    };
    let new = !settings.data_dir.exists();
    let data = DataDirectory::create(&settings)?;
    let _lock = data.lock()?;
    // Calls are answered on separate threads. The jobs and the agent run here, on the main thread, which lives as long
    // as the process.
    let served = LocalSet::new()
        .block_on(runtime, serve(arguments, settings, program, &data, listeners, open_files, held.clone()));
    held.release();
    if served.is_err() && new {
        data.remove_if_unused();
    }
    served
}

async fn serve(
    arguments: &ServeArguments,
    settings: Settings,
    program: Option<AgentProgram>,
    data: &DataDirectory,
    listeners: Listeners,
    open_files: Option<u64>,
    held: logging::Held,
) -> Result<(), Failure> {
    let signals = Signals::handle()?;
    let keys = Arc::new(server_keys(&settings, data, true)?);
    let (store, _exclusive) = connect(&settings, data, &keys).await?;
    if let Some(folder) = data.audit_log(&settings) {
        store.open_audit_log(&folder).await.map_err(|error| {
            Failure::failed(format!("{}; --audit-log-dir names another folder, or off", chain(&error)))
        })?;
    }
    if let Some(file) = &settings.audit_anchors {
        store.keep_anchors_in(file).map_err(|error| {
            Failure::failed(format!("{}; --audit-anchors-file names another file", chain(&error)))
        })?;
    }
    let start = Start::find(&store, &settings).await?;
    let root = root_key::ensure(settings.root.clone(), data, &store, SystemClock.now()).await?;
    for other in root_key::others(&root, &store).await? {
        let data = welcome::quoted(data.path());
        tracing::warn!(
            "the root has another access key that signs, {other}; unless somebody needs it: hansard admin access-key \
             delete {other} --data-dir {data}"
        );
    }
    let stores = FolderStores::open(&data.objects())
        .map_err(|error| Failure::failed(format!("the folder store: {}", chain(&error))))?;
    let local = address_of(&listeners.public, settings.listen, "--listen")?;
    let internal_address = match (&settings.internal, &listeners.internal) {
        (Some(InternalListener { address: Some(address), .. }), _) => Some(address.clone()),
        (Some(internal), Some(listener)) => Some(address_of(listener, internal.listen, "--internal-listen")?),
        _ => None,
    };
    let public = settings.public_url.clone().unwrap_or_else(|| local.clone());
    if settings.public_url.is_none() && settings.listen.ip().is_unspecified() {
        tracing::warn!(
            "replay addresses work only on this machine; set --public-url to the address by which others reach it"
        );
    }
    let agent_here = program.as_ref().map(|program| AgentHere {
        instance: settings.local_instance_id.clone(),
        program: program.path.clone(),
        state_dir: data.agent(),
        closed: reach::closed_to_others(&data.agent(), &program.path),
    });
    let welcome = Welcome::new(data, &root, &local, agent_here, start);
    let parts = HansardParts {
        store: store.clone(),
        stores: Arc::new(stores),
        clock: Arc::new(SystemClock),
        keys,
        settings: ApiSettings {
            trusted_proxies: settings.trusted_proxies.clone(),
            throttle: settings.throttle,
            connections: settings.connection_limits(open_files),
            internal_address,
            recording_lease: settings.recording_lease,
            audit_retention: settings.audit_retention,
            compares_clocks: true,
            ..ApiSettings::new(public, settings.region.clone())
        },
    };
    tracing::info!(
        listen = %local,
        public_url = %parts.settings.public_url,
        internal = parts.settings.internal_address.as_ref().map(tracing::field::display),
        data = %data.path().display(),
        account = %root.account(),
        "serving"
    );
    let (stop, stopping) = watch::channel(false);
    let stop = Arc::new(stop);
    let (ask, mut asked) = watch::channel(Asked::Nothing);
    spawn_local(signals.pass_on(ask));
    let (format, print_credentials) = (settings.log_format, arguments.print_credentials);
    let show = move || {
        welcome.show(format, print_credentials);
        held.release();
    };
    let with_agent = program.is_some();
    let agent = program.map(|program| LocalAgent {
        program,
        state_dir: data.agent(),
        server: local,
        instance: settings.local_instance_id.clone(),
        region: settings.region.clone(),
        account: root.account().clone(),
        store,
    });
    let beside = spawn_local(async move {
        match agent {
            Some(agent) => agent.supervise(stopping, show).await,
            None => show(),
        }
    });
    let (delay, stop_agent) = (settings.shutdown_delay, Arc::clone(&stop));
    let shutdown = |hansard: Arc<Hansard>| async move {
        // The sender lives until the server has ended, and a task that panicked has ended too.
        let announced = asked.wait_for(|asked| *asked != Asked::Nothing).await;
        let announced = announced.is_ok_and(|asked| *asked == Asked::AnnouncedEnd);
        if announced && !delay.is_zero() {
            hansard.announce_end();
            tracing::info!(
                "ending in {delay:?}; until then /readyz answers 503, and calls are answered as before"
            );
            tokio::time::sleep(delay).await;
        }
        stop_agent.send_replace(true);
        tracing::info!("stopping{}", if with_agent { AGENT_STOPS_TOO } else { "" });
        // The agent ends first, while the server still accepts what it delivers.
        let _ = beside.await;
    };
    let served = api::serve(parts, listeners, shutdown).await;
    stop.send_replace(true);
    served.map_err(|error| Failure::failed(format!("the server ended: {error}")))?;
    tracing::info!("stopped");
    Ok(())
}

/// Raises the limit on open files, because each connection is an open file and the usual soft limit of 1024 is meant
/// for old programs. Returns the limit that is then in force; `None` means no limit.
fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    // The server works all the same, up to the limit that it has.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit on open files could not be raised");
    }
    getrlimit(Resource::Nofile).current
}

fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| cannot_listen(address, flag, &error))
}

/// How this machine itself reaches a listener.
fn address_of(listener: &TcpListener, asked: SocketAddr, flag: &str) -> Result<Url, Failure> {
    local_url(listener.local_addr().map_err(|error| cannot_listen(asked, flag, &error))?)
}

fn cannot_listen(address: SocketAddr, flag: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::failed(format!(
            "the address {address} is in use by another program; choose another with {flag}, such as {flag} \
             127.0.0.1:{}",
            address.port().checked_add(1).unwrap_or(8080)
        )),
        io::ErrorKind::PermissionDenied => Failure::failed(format!(
            "the address {address} may not be used: ports below 1024 need privileges; choose another with {flag}"
        )),
        _ => Failure::failed(format!("the address {address} cannot be listened on: {error}")),
    }
}

/// How this machine itself reaches the server.
fn local_url(address: SocketAddr) -> Result<Url, Failure> {
    let host = match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(any) if any.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host => host,
    };
    let text = format!("http://{}", SocketAddr::new(host, address.port()));
    text.parse().map_err(|error| Failure::failed(format!("{text} is not an address: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_one_clear_line() {
        let taken = listen(SocketAddr::from(([127, 0, 0, 1], 0)), "--listen").unwrap();
        let address = taken.local_addr().unwrap();
        let failure = listen(address, "--listen").unwrap_err();
        let expected =
            format!("the address {address} is in use by another program; choose another with --listen");
        assert!(failure.message().starts_with(&expected), "{failure}");
    }

    #[test]
    fn the_local_address_can_be_dialled() {
        for (listen, dialled) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("[::]:8080", "http://[::1]:8080/"),
            ("10.0.0.1:80", "http://10.0.0.1/"),
        ] {
            assert_eq!(local_url(listen.parse().unwrap()).unwrap().as_str(), dialled);
        }
    }
}
