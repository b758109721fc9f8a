//! The states of a limiter's callers, with an upper bound: unauthenticated callers cannot make the server hold more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

/// When each caller's allowance is full again. Callers for whom there is no room share one state.
#[derive(Debug, Clone)]
pub(super) struct BoundedStates<K> {
    states: Arc<Mutex<States<K>>>,
    most: usize,
}

#[derive(Debug)]
struct States<K> {
    by_caller: HashMap<K, Nanos>,
    all_others: Option<Nanos>,
}

impl<K> BoundedStates<K> {
    /// Room for `most` callers.
    pub(super) fn of(most: usize) -> Self {
        let states = States { by_caller: HashMap::new(), all_others: None };
        Self { states: Arc::new(Mutex::new(states)), most }
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the states.
    fn lock(&self) -> MutexGuard<'_, States<K>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> BoundedStates<K> {
    /// Makes a caller's allowance full that much sooner. A full allowance does not grow: a call counts from now on
    /// at the earliest.
    pub(super) fn give_back(&self, caller: &K, time: Nanos) {
        let mut states = self.lock();
        let States { by_caller, all_others } = &mut *states;
        if let Some(state) = by_caller.get_mut(caller).or(all_others.as_mut()) {
            *state = state.saturating_sub(time);
        }
    }
}

impl<K: Hash + Eq + Clone> StateStore for BoundedStates<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, caller: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.lock();
        if let Some(state) = states.by_caller.get_mut(caller) {
            let (outcome, next) = measure(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        if states.by_caller.len() < self.most {
            let (outcome, next) = measure(None)?;
            states.by_caller.insert(caller.clone(), next);
            return Ok(outcome);
        }
        let (outcome, next) = measure(states.all_others)?;
        states.all_others = Some(next);
        Ok(outcome)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for BoundedStates<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock().by_caller.retain(|_, state| *state >= drop_below);
    }

    fn shrink_to_fit(&self) {
        self.lock().by_caller.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.lock().by_caller.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
