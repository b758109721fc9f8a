//! `hansard-agent run`: the agent itself.

mod acknowledging;
mod begin;
mod cannot_be_kept;
mod configuration;
mod cutting;
mod damage_search;
mod damaged_quota;
mod delivery;
mod disk;
mod ending;
mod full;
mod last_record;
mod ledger;
mod link;
mod live;
mod notify;
mod outer_terminals;
mod pace;
mod pausing;
mod peer;
mod predecessors;
mod recorded_principals;
mod recorder_process;
mod recorders;
mod reserve;
mod session;
mod sessions;
mod severed;
mod socket;
mod standing;
mod subordinate_ids;
mod transfers;
mod unrecorded;
mod user_limits;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::Segmenting;
use recording::SealingKey;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use crate::client::{ControlPlane, Credentials};
use crate::identity::{Identity, Keys};
use crate::settings::{RunOptions, ServiceEnvironment, SyncSettings, log_colours};
use crate::state_directory::{LEDGER, StateDirectory};
use crate::{capture_kinds, logging};

use configuration::AppliedConfiguration;
use cutting::Cutter;
use damaged_quota::DamagedQuota;
use disk::Disk;
use ledger::Ledger;
use link::LinkPulses;
use notify::Manager;
use outer_terminals::OuterTerminals;
use pace::{Pace, SystemPace};
use predecessors::Predecessors;
use recorders::Recorders;
use reserve::Reserve;
use session::Session;
use sessions::Sessions;
use standing::Powers;
use subordinate_ids::Owners;
use unrecorded::UnrecordedSessions;
use user_limits::UserLimits;

pub(crate) use session::{Export, WaitingSession, export, forget_refusals, list_spool, waiting_sessions};

const MOST_DELIVERIES: usize = 8;

/// Everything the running agent's parts share.
struct Agent {
    directory: StateDirectory,
    identity: Identity,
    sealing: SealingKey,
    capture_kinds: Vec<Box<dyn Segmenting>>,
    configuration: AppliedConfiguration,
    ledger: Ledger,
    predecessors: Predecessors,
    sessions: Sessions,
    control_plane: ControlPlane,
    disk: Disk,
    user_limits: UserLimits,
    most_output_bytes: u64,
    sync: SyncSettings,
    reserve: Reserve,
    recorders: Recorders,
    powers: Powers,
    outer_terminals: Arc<OuterTerminals>,
    damaged: Arc<DamagedQuota>,
    unrecorded: UnrecordedSessions,
    /// The clock and the dice of deliveries.
    pace: Box<dyn Pace>,
    /// How long a recording is refused before it is put into quarantine.
    quarantine_after: Duration,
    /// How many steps of deliveries are taken at once: a long outage must not end in a stampede.
    deliveries: Semaphore,
    link_pulses: LinkPulses,
    /// Grows each time the link opens: whoever waits for the control plane tries at once.
    link_opened: watch::Sender<u64>,
    /// The revision of the configuration that was put in force last: whoever waits for a better one tries at once.
    configured: watch::Sender<u64>,
}

impl Agent {
    fn load(directory: StateDirectory, options: &RunOptions) -> Result<Agent, String> {
        let identity = Identity::get(&directory)?;
        let keys = Keys::load(&identity.agent_id, &directory)?;
        Agent::new(directory, identity, keys, options, capture_kinds())
    }

    fn new(
        directory: StateDirectory,
        identity: Identity,
        keys: Keys,
        options: &RunOptions,
        capture_kinds: Vec<Box<dyn Segmenting>>,
    ) -> Result<Agent, String> {
        let credentials = Credentials { agent_id: identity.agent_id.clone(), key: keys.authentication };
        let control_plane = ControlPlane::new(identity.server_url.clone(), Some(credentials))?;
        let configuration = AppliedConfiguration::load(&directory, &identity);
        let ledger = Ledger::load(directory.file(LEDGER), &identity.agent_id)?;
        let predecessors = Predecessors::load(&directory);
        let owners = Arc::<Owners>::default();
        let damaged = Arc::new(DamagedQuota::new(directory.spool(), Arc::clone(&owners)));
        let outer_terminals = Arc::new(OuterTerminals::load(&directory));
        let disk = Disk::new(directory.spool(), options.disk.clone());
        let user_limits = UserLimits::new(options.user_limits.clone(), owners);
        let reserve = Reserve::new(&directory, options.disk.minimum_free_bytes);
        let unrecorded = UnrecordedSessions::load(&directory, &identity.account_id, &identity.instance_id);
        Ok(Agent {
            directory,
            identity,
            sealing: keys.sealing,
            capture_kinds,
            configuration,
            ledger,
            predecessors,
            sessions: Sessions::default(),
            control_plane,
            disk,
            user_limits,
            most_output_bytes: options.most_output_bytes,
            sync: options.sync,
            reserve,
            recorders: Recorders::default(),
            powers: Powers::of_this_process(),
            outer_terminals,
            damaged,
            unrecorded,
            pace: Box::new(SystemPace::new()),
            quarantine_after: options.quarantine_after,
            deliveries: Semaphore::new(MOST_DELIVERIES),
            link_pulses: LinkPulses::default(),
            link_opened: watch::Sender::new(0),
            configured: watch::Sender::new(0),
        })
    }

    /// What is wrong with the parts that run as long as the agent does, if anything. That it is asked at all shows that the
    /// runtime turns.
    async fn works(&self, cutter: &Cutter, patience: Duration) -> Result<(), String> {
        if let Some(part) = self.link_pulses.late() {
            return Err(format!("the link's loop hangs: {part}"));
        }
        match tokio::time::timeout(patience, cutter.answers()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the cutter has ended".to_owned()),
            Err(_) => Err(format!("the cutter has not answered for {patience:?}")),
        }
    }

    /// Erases the keys of earlier agents that have left nothing here any more. What cannot be read may be of any of them.
    fn forget_predecessors(&self) {
        if let Some(mut agents) = self.sessions.agents() {
            agents.remove(&self.identity.agent_id);
            self.predecessors.keep_only(&agents);
        }
    }

    fn segmenting(&self, kind: &str) -> Option<&dyn Segmenting> {
        self.capture_kinds.iter().find(|offered| offered.capability().kind == kind).map(AsRef::as_ref)
    }
}

/// One thread runs everything that waits; files and compression have threads of their own when there is work.
pub(crate) fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .map_err(|error| format!("the agent's runtime cannot start: {error}"))
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(state_dir: &Path, options: &RunOptions) -> Result<(), String> {
    logging::start(&options.log, log_colours())?;
    take_all_descriptors();
    // Before anything is created there, so that a mistyped directory stays untouched.
    Identity::get(&StateDirectory::at(state_dir))?;
    let directory = StateDirectory::create(state_dir)?;
    let _lock = directory.lock()?;
    let agent = Arc::new(Agent::load(directory, options)?);
    runtime()?.block_on(serve(agent))
}

async fn serve(agent: Arc<Agent>) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("SIGTERM: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("SIGINT: {error}"))?;

    let cutter = Cutter::start(Arc::clone(&agent))?;
    let session::TakenUp { sessions: found, unreadable, misnamed } =
        session::take_up(&agent.directory.spool())?;
    agent.sessions.leave_alone(unreadable, misnamed);
    let recorded: Vec<_> = found
        .iter()
        .filter(|session| session.is_recorded_now().unwrap_or(true))
        .map(Session::token)
        .collect();
    agent.outer_terminals.give_back_unless(|session| recorded.contains(&session));
    agent.ledger.reconcile(&found)?;
    agent.predecessors.reconcile(&found);
    let listener = socket::listen(&agent.directory)?;
    tracing::info!(
        agent = %agent.identity.agent_id,
        instance = %agent.identity.instance_id,
        server = %agent.identity.server_url,
        sessions = found.len(),
        "the agent runs"
    );
    for session in found {
        begin::register(&agent, &cutter, session);
    }
    agent.forget_predecessors();
    let reap = tokio::spawn(recorders::wait_for_each(Arc::clone(&agent))?);
    agent.disk.report(agent.sessions.open().len());
    let link = tokio::spawn(link::hold(Arc::clone(&agent)));
    let report = tokio::spawn(unrecorded::deliver(Arc::clone(&agent)));
    let accept = tokio::spawn(socket::accept(Arc::clone(&agent), listener, cutter.clone()));

    let manager = Manager::find(&ServiceEnvironment::of_this_process());
    if let Some(manager) = &manager {
        manager.is_ready();
    }
    let works = async || match &manager {
        _ if accept.is_finished() => Err("nobody answers on the socket".to_owned()),
        _ if link.is_finished() => Err("nobody holds the link".to_owned()),
        Some(manager) => agent.works(&cutter, manager.patience()).await,
        None => Ok(()),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = keep_telling(manager.as_ref(), works) => {}
    }
    if let Some(manager) = &manager {
        manager.stops();
    }
    tracing::info!("the agent stops; open sessions continue to record, and the next start continues them");
    accept.abort();
    socket::remove(&agent.directory);
    link.abort();
    report.abort();
    reap.abort();
    // What is cut is on the disk; what is not is in the spool.
    tokio::task::spawn_blocking(move || cutter.stop())
        .await
        .map_err(|error| format!("the cutter did not stop: {error}"))
}

async fn keep_telling(manager: Option<&Manager>, works: impl AsyncFn() -> Result<(), String>) {
    match manager {
        Some(manager) => manager.keep_telling(works).await,
        None => std::future::pending().await,
    }
}

/// Every session holds a file open. Many systems give a program few descriptors unless it asks for more.
fn take_all_descriptors() {
    let limits = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }) {
        tracing::warn!("no more files can be open than {:?}: {error}", limits.current);
    }
}
