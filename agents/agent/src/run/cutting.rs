//! The thread that makes segments of spools, and manifests of what has ended. One zstd context serves all sessions.

mod followed;
mod tail;
mod waking;

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use recording::Compressor;
use rustix::fd::OwnedFd;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Agent;
use super::damage_search::DamageSearches;
use super::ending::Ending;
use super::session::Session;

use followed::Followed;
use tail::Next;
use waking::{Bell, Watches};

/// How often spools are looked at that are being written to, or of which something is to be found out by waiting. While
/// nothing happens, the thread sleeps.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long one user's spools take before the other users get their turn.
const TURN_OF_A_USER: Duration = Duration::from_millis(50);
/// How long to wait before a session whose files cannot be opened is tried again.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(5);

enum Order {
    Follow(Arc<Session>),
    /// A search behind damage is done, or leave has come: somebody waits for it.
    LookNow,
    /// Somebody wants to know whether the thread works.
    Answer(oneshot::Sender<()>),
    Stop,
}

/// Gives sessions to the thread.
#[derive(Clone)]
pub(super) struct Cutter {
    orders: Sender<Order>,
    bell: Bell,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Cutter {
    pub(super) fn start(agent: Arc<Agent>) -> Result<Cutter, String> {
        let (orders, inbox) = mpsc::channel();
        let bell = Bell::new().map_err(|error| format!("the cutter cannot be woken: {error}"))?;
        let (searched, ring) = (orders.clone(), bell.clone());
        let searches = DamageSearches::start(move || {
            // If the thread has ended, nothing is cut any more.
            let _ = searched.send(Order::LookNow);
            ring.ring();
        })?;
        let compressor = Compressor::new().map_err(|error| format!("zstd cannot start: {error}"))?;
        let rung = bell.clone();
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        let thread = thread::Builder::new()
            .name("cutter".to_owned())
            .spawn(move || {
                // For what has to wait for others meanwhile.
                let _runtime = runtime.enter();
                let working = || work(&agent, (&inbox, &rung), &searches, compressor);
                if panic::catch_unwind(AssertUnwindSafe(working)).is_err() {
                    // Without it nothing would be cut any more, unnoticed. The supervisor starts the agent again.
                    tracing::error!("the cutter failed unexpectedly: the agent ends");
                    std::process::exit(1);
                }
            })
            .map_err(|error| format!("the cutter's thread cannot start: {error}"))?;
        Ok(Cutter { orders, bell, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Cuts this session from now on, to its end.
    pub(super) fn follow(&self, session: Arc<Session>) {
        // The thread ends only after `stop`, when nothing is followed any more.
        let _ = self.orders.send(Order::Follow(session));
        self.bell.ring();
    }

    /// Has the thread look at everything: something that a session waited for is there.
    pub(super) fn look_now(&self) {
        // As above.
        let _ = self.orders.send(Order::LookNow);
        self.bell.ring();
    }

    /// Waits until the thread answers between two steps; it does not if it has ended.
    pub(super) async fn answers(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order::Answer(answer)).is_err() {
            return false;
        }
        self.bell.ring();
        answered.await.is_ok()
    }

    /// Ends the thread between two steps.
    pub(super) fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
        self.bell.ring();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

fn work(
    agent: &Agent,
    (inbox, bell): (&Receiver<Order>, &Bell),
    searches: &DamageSearches,
    mut compressor: Compressor,
) {
    let watches = Watches::new();
    let mut followed: Vec<Followed> = Vec::new();
    let mut unopened: Vec<Unopened> = Vec::new();
    let mut ending = Ending::default();
    let mut look_now = false;
    let mut looked_at = Instant::now();
    let mut round = 0;
    loop {
        if followed.is_empty() && unopened.is_empty() {
            agent.reserve.hold();
        }
        // What was written may have taken the last room.
        let of_ending = ending.advance(agent);
        if !look_now {
            let of_followed = followed.iter().filter_map(Followed::until_look);
            let of_unopened = (!unopened.is_empty()).then_some(OPEN_AGAIN_AFTER);
            let timeout = of_followed.chain(of_unopened).chain(of_ending).min();
            let ends: Vec<&OwnedFd> = followed.iter().filter_map(Followed::recorders_end).collect();
            waking::wait(bell, &watches, &ends, timeout, looked_at + LOOK_EVERY);
        }
        loop {
            match inbox.try_recv() {
                Ok(Order::Follow(session)) => unopened.push(Unopened { session, not_before: None }),
                Ok(Order::Answer(answer)) => {
                    // Who asked may not have waited for it.
                    let _ = answer.send(());
                }
                Ok(Order::LookNow) => {}
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => break,
            }
        }
        unopened.retain_mut(|unopened| match unopened.open(agent, &watches) {
            Some(opened) => {
                followed.push(opened);
                false
            }
            None => true,
        });
        look_now = false;
        looked_at = Instant::now();
        round += 1;
        // Sessions without a turn in the previous round come first; a user with many sessions gets no more time than
        // one with few.
        followed.sort_by_key(|one| one.served);
        let mut turns: HashMap<Option<u32>, Duration> = HashMap::new();
        followed.retain_mut(|one| {
            let turn = turns.entry(one.session.note.user_id).or_default();
            if *turn >= TURN_OF_A_USER {
                one.glance();
                look_now = true;
                return true;
            }
            one.served = round;
            let began = Instant::now();
            // A failure in one session must not end the others.
            let next =
                panic::catch_unwind(AssertUnwindSafe(|| one.advance(agent, searches, &mut compressor)));
            *turn += began.elapsed();
            match next {
                Ok(Next::Nothing) => {
                    one.stop_watching(&watches);
                    false
                }
                Ok(Next::LookLater) => true,
                Ok(Next::LookNow) => {
                    look_now = true;
                    true
                }
                Err(_) => {
                    let why = "cutting it failed unexpectedly; it continues from the last segment".to_owned();
                    tracing::error!(session = %one.session.token(), "{why}");
                    one.session.progress().trouble = Some(why);
                    one.stop_watching(&watches);
                    let session = Arc::clone(&one.session);
                    unopened.push(Unopened { session, not_before: Some(Instant::now() + OPEN_AGAIN_AFTER) });
                    false
                }
            }
        });
    }
}

/// A session that is not followed yet.
struct Unopened {
    session: Arc<Session>,
    /// When it is tried again, after it could not be opened.
    not_before: Option<Instant>,
}

impl Unopened {
    fn open(&mut self, agent: &Agent, watches: &Watches) -> Option<Followed> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        match Followed::open(agent, &self.session, watches) {
            Ok(followed) => {
                if self.not_before.is_some() {
                    self.session.progress().trouble = None;
                }
                Some(followed)
            }
            Err(why) => {
                if self.not_before.is_none() {
                    tracing::error!(session = %self.session.token(), "the session cannot be cut, and is tried again: {why}");
                }
                self.session.progress().trouble = Some(why);
                self.not_before = Some(Instant::now() + OPEN_AGAIN_AFTER);
                None
            }
        }
    }
}
