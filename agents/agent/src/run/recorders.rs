//! Starts the processes that record: this program once more, with the order on its standard input.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::lines;
use agent_protocol::recorder::{RecorderAnswer, RecorderOrder};
use rustix::fd::{BorrowedFd, OwnedFd};
use tokio::signal::unix::{SignalKind, signal};

use super::Agent;
use super::recorder_process::{RecorderNote, RecorderProcess};
use crate::settings::RECORDER;

/// How long a recorder may take to answer its order.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// The recorders that this agent has started, until they have ended and were waited for.
#[derive(Default)]
pub(super) struct Recorders {
    started: Mutex<Vec<Child>>,
}

/// A recorder that waits for its order. If it is dropped before, the process ends.
pub(super) struct WaitingRecorder<'r> {
    recorders: &'r Recorders,
    child: Option<Child>,
    order: UnixStream,
    note: RecorderNote,
}

/// Waits for each recorder as soon as it has ended: until then, the system keeps its number and its place among the
/// processes. That its recording is sealed says too little, since it ends after that.
pub(super) fn wait_for_each(agent: Arc<Agent>) -> Result<impl Future<Output = ()>, String> {
    let mut a_child_ended = signal(SignalKind::child()).map_err(|error| format!("SIGCHLD: {error}"))?;
    Ok(async move {
        while a_child_ended.recv().await.is_some() {
            agent.recorders.wait_for_ended();
        }
    })
}

impl Recorders {
    /// Starts one.
    pub(super) fn start(&self) -> io::Result<WaitingRecorder<'_>> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(ANSWERS_WITHIN))?;
        ours.set_write_timeout(Some(ANSWERS_WITHIN))?;
        // This program as it runs, even if its file was replaced by that of another version. What it says is in the
        // recording: the agent's standard error may end before it.
        let child = Command::new("/proc/self/exe")
            .arg0("hansard-agent")
            .arg(RECORDER)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let process_id = i32::try_from(child.id()).map_err(io::Error::other)?;
        let note = match RecorderProcess::of(process_id) {
            Ok(process) => process.note().clone(),
            Err(error) => {
                end(child);
                return Err(error);
            }
        };
        Ok(WaitingRecorder { recorders: self, child: Some(child), order: ours, note })
    }

    /// Waits for those that have ended, which the system keeps until then.
    fn wait_for_ended(&self) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn keep(&self, child: Child) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(child);
    }
}

impl WaitingRecorder<'_> {
    /// What finds it again.
    pub(super) fn note(&self) -> &RecorderNote {
        &self.note
    }

    /// Gives it its order. Returns what it has to do without; an error says why it does not record.
    pub(super) fn order(
        mut self,
        order: &RecorderOrder,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Vec<String>, String> {
        let failed = |error: io::Error| format!("the recorder does not answer: {error}");
        lines::send(&self.order, order, descriptors).map_err(failed)?;
        let answer = lines::receive::<RecorderAnswer>(&self.order).map_err(failed)?;
        match answer {
            Some((RecorderAnswer::Ready { without }, _)) => {
                if let Some(child) = self.child.take() {
                    self.recorders.keep(child);
                }
                Ok(without)
            }
            Some((RecorderAnswer::Failed { reason }, _)) => Err(reason),
            None => Err("the recorder ended unexpectedly".to_owned()),
        }
    }
}

impl Drop for WaitingRecorder<'_> {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            end(child);
        }
    }
}

/// Ends a recorder that does not record.
fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}
