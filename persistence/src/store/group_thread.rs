//! The writer of groups on SQLite: a thread with a connection of its own. Between tokio's tasks and the driver's thread, each
//! statement of a group costs two hops, and they cost more than the statements; this thread takes the calls, writes them and
//! tells their callers.
//!
//! It does by itself what nearly every group is: claims and rows that follow a known end of the chain. Any other group goes
//! the way of the other databases ([`Inner::write_group`]), which knows how a chain begins, how its end is found after a
//! commit that is in doubt, and how the index of nonces takes in what another process has added.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use sea_orm::{DbErr, RuntimeErr};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Inner;
use super::group_commit::{Job, MOST_OF_A_GROUP, Parts, Settled, Waiting, WritingSince, take_apart};
use super::group_work::{MayChange, WithChanges};
use crate::StoreError;
use crate::dialect::sqlite_direct::Direct;
use crate::rows::revision_rows;
use crate::turn::Turns;

/// What the thread works with.
struct GroupThread {
    file: PathBuf,
    turns: Turns,
    runtime: Handle,
    /// Opened with the first group.
    connection: Option<Direct>,
}

/// Starts the thread, which ends when nobody can send it calls any more.
pub(super) fn start(
    file: PathBuf,
    turns: Turns,
    calls: mpsc::Receiver<Waiting>,
    with_changes: WithChanges<Waiting>,
    writing: WritingSince,
) -> Result<(), StoreError> {
    let runtime = Handle::current();
    let started = thread::Builder::new().name("audit-writer".to_owned()).spawn(move || {
        // Whoever is told last may leave the store to this thread, and with it tasks that end.
        let _tasks = runtime.enter();
        let mut own = GroupThread { file, turns, runtime: runtime.clone(), connection: None };
        run(calls, with_changes, &writing, |group| own.write(group));
    });
    let failed = |error: std::io::Error| DbErr::Conn(RuntimeErr::Internal(error.to_string()));
    started.map(drop).map_err(failed).map_err(StoreError::at("start its writer"))
}

/// Takes what has come, again and again. A panic costs the group and not the writer: its callers learn that nothing is
/// known, and the chain is in doubt.
fn run<C: MayChange>(
    mut calls: mpsc::Receiver<C>,
    mut with_changes: WithChanges<C>,
    writing: &WritingSince,
    mut write: impl FnMut(Vec<C>),
) {
    let mut group = Vec::new();
    loop {
        if with_changes.is_empty() && calls.blocking_recv_many(&mut group, MOST_OF_A_GROUP) == 0 {
            return;
        }
        let next = take_apart(&mut calls, &mut group, &mut with_changes);
        for group in next.into_iter().filter(|group| !group.is_empty()) {
            writing.begin();
            if catch_unwind(AssertUnwindSafe(|| write(group))).is_err() {
                tracing::error!("a group was not committed, because its writer panicked");
            }
            writing.end();
        }
    }
}

impl GroupThread {
    fn write(&mut self, group: Vec<Waiting>) {
        let Some((store, mut parts)) = Parts::of(group) else { return };
        while let Some(part) = parts.next() {
            // Changes are made by statements of the driver.
            let plainly = if part.iter().any(Waiting::has_change) {
                Ok(None)
            } else {
                self.write_plainly(&store, &part)
            };
            match plainly {
                Ok(Some(settled)) => parts.tell(&store, part, Ok(settled)),
                Ok(None) => {
                    let (part, settled) = self.write_by_driver(&store, part);
                    parts.tell(&store, part, settled);
                }
                Err(error) => parts.tell(&store, part, Err(error)),
            }
        }
    }

    /// Commits a group that needs nothing but this; otherwise nothing is written, and it is `None`.
    fn write_plainly(&mut self, store: &Inner, part: &[Waiting]) -> Result<Option<Vec<Settled>>, StoreError> {
        let jobs: Vec<&Job> = part.iter().map(|waiting| &waiting.job).collect();
        let mut turn = self.turns.take_blocking(&self.runtime);
        turn.writes(part.len());
        // One that could not be rolled back is closed, which does it.
        self.connection.take_if(|connection| !connection.is_free());
        let connection = match &mut self.connection {
            Some(connection) => connection,
            closed => closed.insert(Direct::open(&self.file)?),
        };
        let transaction = connection.begin()?;
        // First of all: a change that was answered before one of these calls came is seen here.
        let accounts = Job::accounts(&jobs);
        let revisions = revision_rows::of_accounts_directly(&transaction, &accounts)?;
        store.correct(&revisions);
        let holds = Job::that_hold(&jobs, &revisions);
        let claims = Job::claims(&jobs, &holds);
        let Some(mut claimed) = store.nonces.claim_directly(&transaction, &claims)? else { return Ok(None) };
        let settled = Job::settled(&jobs, &holds, &mut claimed);
        let events = Job::events(&jobs, &Job::that_leave_rows(&settled));
        if events.is_empty() {
            transaction.commit()?;
        } else if !store.audit.append_and_commit_directly(transaction, &events)? {
            return Ok(None);
        }
        claimed.committed();
        Ok(Some(settled))
    }

    /// In a task, so that it ends with the runtime.
    fn write_by_driver(
        &self,
        store: &Arc<Inner>,
        part: Vec<Waiting>,
    ) -> (Vec<Waiting>, Result<Vec<Settled>, StoreError>) {
        let store = Arc::clone(store);
        let written = self.runtime.spawn(async move {
            let settled = store.write_group(&part).await;
            (part, settled)
        });
        match self.runtime.block_on(written) {
            Ok(written) => written,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            // Those who waited are gone, or learn that the program is stopping.
            Err(_) => (Vec::new(), Ok(Vec::new())),
        }
    }
}

#[cfg(test)]
mod tests;
