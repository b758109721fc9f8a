//! The sessions the running agent knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_protocol::local::{Deliveries, DeliveryState, LinkState, LocalSession, LocalStatus};
use recording::{AgentId, TerminalSessionToken};

use super::session::Session;

/// All sessions in the spool, and how the link stands.
#[derive(Default)]
pub(super) struct Sessions {
    known: Mutex<BTreeMap<TerminalSessionToken, Arc<Session>>>,
    /// What lies in the spool and cannot be read.
    unreadable: Mutex<Vec<LocalSession>>,
    /// Something there may be a session under another name.
    misnamed: AtomicBool,
    link: Mutex<Link>,
    /// How many were delivered since the start.
    delivered: AtomicU64,
}

struct Link {
    state: LinkState,
    trouble: Option<String>,
}

impl Default for Link {
    fn default() -> Self {
        Self { state: LinkState::Connecting, trouble: None }
    }
}

impl Sessions {
    fn known(&self) -> MutexGuard<'_, BTreeMap<TerminalSessionToken, Arc<Session>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, session: &Arc<Session>) {
        self.known().insert(session.token().clone(), Arc::clone(session));
    }

    pub(super) fn leave_alone(&self, unreadable: Vec<LocalSession>, misnamed: bool) {
        self.misnamed.store(misnamed, Ordering::Relaxed);
        *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner) = unreadable;
    }

    /// The sessions that are being recorded.
    pub(super) fn open(&self) -> Vec<Arc<Session>> {
        self.known().values().filter(|session| !session.progress().has_ended()).cloned().collect()
    }

    /// The agents that recorded them; `None` if there is one of which that is not known.
    pub(super) fn agents(&self) -> Option<BTreeSet<AgentId>> {
        let all_are_known = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            && !self.misnamed.load(Ordering::Relaxed);
        all_are_known.then(|| self.known().values().map(|session| session.start.agent.clone()).collect())
    }

    /// A session that is being recorded.
    pub(super) fn find_open(&self, token: &TerminalSessionToken) -> Option<Arc<Session>> {
        self.known().get(token).filter(|session| !session.progress().sealed).cloned()
    }

    /// It is delivered, and not here any more.
    pub(super) fn is_delivered(&self, session: &Session) {
        self.known().remove(session.token());
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Has one recording tried at once, or all that wait; returns how many these are.
    pub(super) fn retry(&self, only: Option<&TerminalSessionToken>) -> u32 {
        let known = self.known();
        let waiting = known.values().filter(|session| match only {
            Some(token) => session.token() == token,
            None => session.describe_delivery() != DeliveryState::Pending,
        });
        waiting.map(|session| session.retry.notify_one()).fold(0, |count, ()| count + 1)
    }

    /// Whose damaged spools take how many bytes, of the sessions that are not delivered yet.
    pub(super) fn damaged(&self) -> Vec<(Option<u32>, u64)> {
        let known: Vec<Arc<Session>> = self.known().values().cloned().collect();
        known
            .iter()
            .filter(|session| session.is_damaged())
            .map(|session| (session.note.user_id, session.spool_bytes()))
            .collect()
    }

    /// Whose sessions take how many bytes of the spool.
    pub(super) fn spooled(&self) -> Vec<(u32, u64)> {
        let known: Vec<Arc<Session>> = self.known().values().cloned().collect();
        known.iter().filter_map(|session| Some((session.note.user_id?, session.spool_bytes()))).collect()
    }

    /// The tokens of the sessions that are being recorded.
    pub(super) fn open_tokens(&self) -> Vec<TerminalSessionToken> {
        let known = self.known();
        known
            .values()
            .filter(|session| !session.progress().has_ended())
            .map(|session| session.token().clone())
            .collect()
    }

    /// How many sessions the control plane does not take, and what it says of most of them.
    pub(super) fn waiting(&self) -> (u32, Option<String>) {
        let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
        for session in self.known().values() {
            let progress = session.progress();
            // One in quarantine rests also where this process has not heard its refusal itself.
            let in_quarantine = progress.refusals.as_ref().filter(|known| known.quarantined_at().is_some());
            let in_quarantine = in_quarantine.map(|known| format!("in quarantine: {}", known.reason()));
            if let Some(reason) = in_quarantine.or_else(|| progress.waits_because.clone()) {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        let recordings = reasons.values().sum();
        let commonest = reasons.into_iter().max_by_key(|(_, sessions)| *sessions);
        (recordings, commonest.map(|(reason, _)| reason))
    }

    fn deliveries(&self) -> Deliveries {
        let mut deliveries =
            Deliveries { delivered: self.delivered.load(Ordering::Relaxed), ..Deliveries::default() };
        for session in self.known().values() {
            match session.describe_delivery() {
                DeliveryState::Pending => deliveries.pending += 1,
                DeliveryState::Retrying => deliveries.retrying += 1,
                DeliveryState::Quarantined => deliveries.quarantined += 1,
                DeliveryState::Delivered => {}
            }
        }
        deliveries
    }

    pub(super) fn link_is_open(&self) {
        *self.link() = Link { state: LinkState::Connected, trouble: None };
    }

    pub(super) fn link_is_down(&self, why: &str) {
        *self.link() = Link { state: LinkState::Connecting, trouble: Some(why.to_owned()) };
    }

    /// The control plane has no such agent any more.
    pub(super) fn link_is_refused(&self, why: &str) {
        *self.link() = Link { state: LinkState::Refused, trouble: Some(why.to_owned()) };
    }

    /// For `status`; the sessions only for those who may see them.
    pub(super) fn status(&self, with_sessions: bool) -> LocalStatus {
        let sessions: Vec<LocalSession> = if with_sessions {
            let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.known().values().map(|session| session.describe()).chain(unreadable).collect()
        } else {
            Vec::new()
        };
        let link = self.link();
        LocalStatus {
            process_id: std::process::id(),
            link: link.state,
            last_error: link.trouble.clone(),
            sessions,
            damaged_files: None,
            disk: None,
            deliveries: self.deliveries(),
        }
    }
}
