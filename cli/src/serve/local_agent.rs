//! The agent for this machine: enrols it if needed, runs it, restarts it when it ends, and ends it with the server.

use std::ffi::OsString;
use std::future::Future;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use agent_protocol::local::{LocalRequest, SOCKET_NAME};
use domain::actions::{Action as _, AdministerIdentity};
use domain::agent::{InstancePattern, JoinToken, JoinTokenLifetime, JoinTokenSecret};
use domain::audit::{AuditDecision, AuditEvent, AuditOrigin};
use domain::clock::{Clock as _, SystemClock};
use domain::gate::{InstanceFacts, PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::principal::Principal;
use domain::{AccountId, AgentId, InstanceId, Region};
use persistence::{JoinTokenIssued, Store};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use url::Url;

use crate::arguments::LocalAgentArguments;
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::serve::welcome;
use crate::settings::Settings;

/// The shortest and the longest wait before the agent is started again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// An agent that ran this long is restarted without a wait.
const STEADY: Duration = Duration::from_secs(60);

/// The agent's setting of what it logs.
const AGENT_LOG: &str = "HANSARD_AGENT_LOG";

/// What it logs for a person who watches: not again what the server says about it already.
const AGENT_LOG_ON_A_TERMINAL: &str =
    "warn,hansard_agent::run::socket=info,hansard_agent::run::delivery=info";

/// How long the agent may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(15);

/// The agent program, and how it is run.
pub(super) struct AgentProgram {
    pub(super) path: PathBuf,
    /// What it logs, where nobody chose; `None` leaves that to the agent.
    log: Option<&'static str>,
}

/// The agent program: as set, else beside this one. `watched` says whether a person watches the log, which is the
/// agent's, too.
///
/// # Errors
/// It is not there.
pub(super) fn program(
    settings: &Settings,
    environment: &Environment,
    watched: bool,
) -> Result<AgentProgram, Failure> {
    let chosen = environment.get(AGENT_LOG)?.is_some();
    let program = match &settings.local_agent_program {
        Some(program) => program.clone(),
        None => std::env::current_exe()
            .map_err(|error| Failure::failed(format!("this program does not know where it is: {error}")))?
            .with_file_name("hansard-agent"),
    };
    let path = program.canonicalize().map_err(|error| {
        Failure::usage(format!(
            "the agent program {} is not there ({error}); build it, name it with --local-agent-program, or start \
             without --with-local-agent",
            program.display()
        ))
    })?;
    Ok(AgentProgram { path, log: (watched && !chosen).then_some(AGENT_LOG_ON_A_TERMINAL) })
}

/// What is needed to look after it.
pub(super) struct LocalAgent {
    pub(super) program: AgentProgram,
    pub(super) state_dir: PathBuf,
    /// Where the agent reaches this server.
    pub(super) server: Url,
    pub(super) instance: InstanceId,
    pub(super) region: Region,
    pub(super) account: AccountId,
    pub(super) store: Store,
}

/// What of `agent.json` matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnrolledAs {
    agent_id: AgentId,
    server_url: String,
}

/// What a state directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enrolment {
    /// An agent that is enrolled.
    Stands,
    /// An agent of this instance that was removed or replaced: the next one takes over what it left.
    Ended,
    /// No agent that this deployment knows.
    None,
}

impl LocalAgent {
    /// Enrols and runs the agent until `stopping` says so. `ready` is called once, when it has been started or the
    /// first try has failed.
    pub(super) async fn supervise(self, stopping: watch::Receiver<bool>, ready: impl FnOnce()) {
        let mut ready = Some(ready);
        let mut wait = BACKOFF.0;
        while !*stopping.borrow() {
            let since = Instant::now();
            let outcome = match self.enrol_if_needed(&stopping).await {
                Ok(()) => self.run_once(&stopping, &mut ready).await,
                Err(failure) => Err(failure),
            };
            if let Some(ready) = ready.take() {
                ready();
            }
            if *stopping.borrow() {
                break;
            }
            match outcome {
                Ok(status) => tracing::warn!(%status, "the local agent ended; it is restarted"),
                Err(failure) => tracing::error!("the local agent: {failure}"),
            }
            wait = if since.elapsed() > STEADY { BACKOFF.0 } else { (wait * 2).min(BACKOFF.1) };
            let _ = until_stopping(&stopping, tokio::time::sleep(wait)).await;
        }
    }

    /// Runs it until it ends, or until it must end.
    async fn run_once(
        &self,
        stopping: &watch::Receiver<bool>,
        ready: &mut Option<impl FnOnce()>,
    ) -> Result<std::process::ExitStatus, Failure> {
        let mut child = self.spawn(&["run"], None)?;
        tracing::info!(program = %self.program.path.display(), instance = %self.instance, "the local agent is started");
        let socket = self.state_dir.join(SOCKET_NAME);
        // The printed commands work once the agent listens. An agent that never does must not delay them for ever.
        let listens = async {
            let give_up = Instant::now() + Duration::from_secs(5);
            while Instant::now() < give_up && !answers(&socket).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let listened = tokio::select! {
            () = listens => None,
            ended = self.ended(&mut child, stopping) => Some(ended),
        };
        if let Some(ready) = ready.take() {
            ready();
        }
        match listened {
            Some(ended) => ended,
            None => self.ended(&mut child, stopping).await,
        }
    }

    /// Waits for its end, and asks for it when the server stops.
    async fn ended(
        &self,
        child: &mut Child,
        stopping: &watch::Receiver<bool>,
    ) -> Result<std::process::ExitStatus, Failure> {
        let lost = |error: std::io::Error| Failure::failed(format!("its end cannot be waited for: {error}"));
        if let Some(ended) = until_stopping(stopping, child.wait()).await {
            return ended.map_err(lost);
        }
        if let Some(process) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            // It may have ended by itself meanwhile; it is still ours until it is waited for.
            let _ = kill_process(process, Signal::TERM);
        }
        match tokio::time::timeout(END_TIMEOUT, child.wait()).await {
            Ok(ended) => ended.map_err(lost),
            Err(_) => {
                tracing::warn!("the local agent did not end in time and is killed; its spool stays");
                child.kill().await.map_err(lost)?;
                child.wait().await.map_err(lost)
            }
        }
    }

    /// Enrols it when the state directory holds no agent that is enrolled in this deployment.
    async fn enrol_if_needed(&self, stopping: &watch::Receiver<bool>) -> Result<(), Failure> {
        let enrolment = self.enrolment().await?;
        let has_recordings = !self.spool_is_empty();
        match enrolment {
            Enrolment::Stands => return Ok(()),
            Enrolment::Ended if has_recordings => tracing::info!(
                "the local agent was removed or replaced; a new one is enrolled, and delivers what it left"
            ),
            Enrolment::Ended => {}
            Enrolment::None if !has_recordings => {}
            Enrolment::None => return Err(self.knows_nobody()),
        }
        let token = self.join_token().await?;
        let server = self.server.as_str().trim_end_matches('/');
        let arguments = ["enrol", "--server", server, "--instance-id", self.instance.as_str(), "--replace"];
        let mut child = self.spawn(&arguments, Some(&token))?;
        let status = self.ended(&mut child, stopping).await?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::failed(format!("it cannot be enrolled ({status}); see its own message above")))
        }
    }

    /// Why nobody can deliver what waits in the state directory, and what to do.
    fn knows_nobody(&self) -> Failure {
        let (spool, instance) = (self.state_dir.join("spool"), &self.instance);
        Failure::failed(format!(
            "this deployment does not know the agent whose recordings wait in {}, and gives no other one leave to deliver them. \
             Serve with the database it was enrolled in; or set them aside, and this server runs the agent again: hansard-agent \
             enrol --state-dir {} --server {} --instance-id {instance} --replace --abandon-spool --token TOKEN, with a token of: \
             hansard agents token create --instance-id {instance} --ttl 5m --replace",
            spool.display(),
            welcome::quoted(&self.state_dir),
            self.server.as_str().trim_end_matches('/'),
        ))
    }

    /// What the state directory holds, as this deployment knows it.
    async fn enrolment(&self) -> Result<Enrolment, Failure> {
        let path = self.state_dir.join("agent.json");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Enrolment::None),
            Err(error) => return Err(Failure::failed(format!("{} cannot be read: {error}", path.display()))),
        };
        let enrolled: EnrolledAs = serde_json::from_slice(&text).map_err(|error| {
            Failure::failed(format!("{} is not an agent's identity: {error}", path.display()))
        })?;
        let (before, now) = (&enrolled.server_url, &self.server);
        let moved = before.trim_end_matches('/') != now.as_str().trim_end_matches('/');
        if moved && self.spool_is_empty() {
            tracing::info!(%before, %now, "the server's address has changed; the local agent is enrolled again");
            return Ok(Enrolment::None);
        }
        let known =
            self.store.find_agent(&enrolled.agent_id).await.map_err(|error| {
                Failure::failed(format!("the agent cannot be looked up: {}", chain(&error)))
            })?;
        match known.filter(|agent| agent.account == self.account) {
            Some(agent) if agent.retired.is_none() => {
                if moved {
                    // After another enrolment it could no longer deliver what it has recorded.
                    tracing::warn!(
                        %before,
                        %now,
                        "the local agent still has recordings for the address at which it was enrolled; serve there once more, \
                         and it delivers them"
                    );
                }
                Ok(Enrolment::Stands)
            }
            Some(agent) if agent.instance == self.instance && moved => Err(Failure::failed(format!(
                "the local agent was removed or replaced, and still has recordings for the address at which it was enrolled, \
                 {before}; serve there once more, and the next one delivers them"
            ))),
            Some(agent) if agent.instance == self.instance => Ok(Enrolment::Ended),
            _ => Ok(Enrolment::None),
        }
    }

    fn spool_is_empty(&self) -> bool {
        match std::fs::read_dir(self.state_dir.join("spool")) {
            // Names that begin with a dot never began or are delivered; so are damaged ones.
            Ok(sessions) => sessions.flatten().all(|entry| {
                let name = entry.file_name();
                [&b"."[..], b"damaged-"].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix))
            }),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// A join token for this one instance, made as an operator would.
    async fn join_token(&self) -> Result<JoinTokenSecret, Failure> {
        let now = SystemClock.now();
        let principal = Principal::Operator { account: self.account.clone() };
        let facts = RequestFacts::at(now);
        let resource =
            Resource::Instance(InstanceFacts::untagged(self.region.clone(), self.instance.clone()));
        let arn = resource.arn(&self.account);
        let granted =
            authorize::<AdministerIdentity>(&principal, resource, &PrincipalPolicies::none(), &facts)
                .map_err(|denied| Failure::failed(denied.to_string()))?;
        let secret = JoinTokenSecret::generate();
        let token = JoinToken {
            hash: secret.hash(),
            account: self.account.clone(),
            region: self.region.clone(),
            instances: InstancePattern::parse(self.instance.as_str()).map_err(Failure::failed)?,
            permits_replace: true,
            created_by: principal.arn(),
            created_at: now,
            expires_at: JoinTokenLifetime::DEFAULT.counted_from(now),
        };
        let request_id = uuid::Uuid::new_v4().to_string().to_uppercase();
        let origin = AuditOrigin {
            user_agent: concat!("hansard serve/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..AuditOrigin::new(request_id, now, &principal)
        };
        let decision = AuditDecision::Allowed { by: granted.by().to_owned() };
        let event = AuditEvent::new(origin, AdministerIdentity::ENTRY.name, arn, decision, "OK");
        let audit = AuditEvent { how: "local agent join token".to_owned(), ..event };
        self.store
            .apply(&granted, JoinTokenIssued { token }, audit)
            .await
            .map_err(|error| Failure::failed(format!("no join token can be made: {}", chain(&error))))?;
        Ok(secret)
    }

    /// Starts the agent program by way of this one, so that it ends with the server whatever ends the server.
    fn spawn(&self, arguments: &[&str], token: Option<&JoinTokenSecret>) -> Result<Child, Failure> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("local-agent")
            .arg("--server")
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(&self.program.path)
            .args(arguments)
            .arg("--state-dir")
            .arg(&self.state_dir)
            .stdin(Stdio::null())
            // Ctrl-C reaches the server, which ends the agent in its own time.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(log) = self.program.log {
            command.env(AGENT_LOG, log);
        }
        if let Some(token) = token {
            // Its output on success is for people who enrol an agent by hand.
            command.stdout(Stdio::null());
            // Other users can read arguments, but not a process's environment.
            command.env("HANSARD_AGENT_JOIN_TOKEN", token.reveal());
        }
        command.spawn().map_err(|error| {
            Failure::failed(format!("{} cannot be started: {error}", self.program.path.display()))
        })
    }
}

/// The future's result, or nothing when the server stops first.
async fn until_stopping<T>(stopping: &watch::Receiver<bool>, future: impl Future<Output = T>) -> Option<T> {
    let mut stopping = stopping.clone();
    tokio::select! {
        done = future => Some(done),
        _ = stopping.wait_for(|stopping| *stopping) => None,
    }
}

/// Whether the agent answers on its socket.
async fn answers(socket: &Path) -> bool {
    let asked = async {
        // A path that is too long for a socket's address counts as no answer.
        let mut stream = UnixStream::connect(socket).await?;
        let mut request = serde_json::to_vec(&LocalRequest::Status)?;
        request.push(b'\n');
        stream.write_all(&request).await?;
        stream.read_u8().await
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), asked).await, Ok(Ok(_)))
}

/// `hansard local-agent`: asks the kernel to end this process with the server, then becomes the agent.
///
/// # Errors
/// The agent cannot be started.
pub(crate) fn become_agent(
    arguments: &LocalAgentArguments,
    foreign: impl Iterator<Item = String>,
) -> Failure {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return Failure::failed(format!("the agent cannot be tied to the server: {error}"));
    }
    // The server may have ended before the line above.
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != arguments.server) {
        return Failure::failed("the server that started this agent has ended");
    }
    let Some((program, rest)) = arguments.command.split_first() else {
        return Failure::usage("there is no agent program to become");
    };
    let mut command = std::process::Command::new(program);
    command.args(rest);
    // The agent must not get the server's settings and keys, and this machine is not reached through a proxy.
    for variable in foreign.map(OsString::from).chain(PROXIES.iter().map(OsString::from)) {
        command.env_remove(variable);
    }
    let error = command.exec();
    Failure::failed(format!("{} cannot be started: {error}", PathBuf::from(program).display()))
}

const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
