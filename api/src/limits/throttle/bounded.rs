//! The states of a limiter's callers, with an upper bound: unauthenticated callers cannot make the server hold more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// When each caller's allowance is whole again. Callers for whom there is no room share one state.
#[derive(Debug)]
pub(super) struct BoundedStates<K> {
    states: Mutex<States<K>>,
    most: usize,
}

#[derive(Debug)]
struct States<K> {
    by_caller: HashMap<K, Duration>,
    all_others: Option<Duration>,
}

impl<K> BoundedStates<K> {
    /// Room for `most` callers.
    pub(super) fn of(most: usize) -> Self {
        let states = States { by_caller: HashMap::new(), all_others: None };
        Self { states: Mutex::new(states), most }
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the states.
    fn lock(&self) -> MutexGuard<'_, States<K>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> BoundedStates<K> {
    /// Makes a caller's allowance whole that much sooner. A whole allowance does not grow: a call counts from now on
    /// at the earliest.
    pub(super) fn give_back(&self, caller: &K, time: Duration) {
        let mut states = self.lock();
        let States { by_caller, all_others } = &mut *states;
        if let Some(state) = by_caller.get_mut(caller).or(all_others.as_mut()) {
            *state = state.saturating_sub(time);
        }
    }

    /// Replaces a caller's state by what `next` makes of it; an error leaves it as it is.
    pub(super) fn change<E>(
        &self,
        caller: &K,
        next: impl FnOnce(Option<Duration>) -> Result<Duration, E>,
    ) -> Result<(), E> {
        let mut states = self.lock();
        if let Some(state) = states.by_caller.get_mut(caller) {
            *state = next(Some(*state))?;
        } else if states.by_caller.len() < self.most {
            let state = next(None)?;
            states.by_caller.insert(caller.clone(), state);
        } else {
            states.all_others = Some(next(states.all_others)?);
        }
        Ok(())
    }

    /// Forgets the callers whose allowance is whole at this moment.
    pub(super) fn forget_whole_at(&self, now: Duration) {
        self.lock().by_caller.retain(|_, whole_at| *whole_at > now);
    }

    /// Whether newcomers have no state of their own.
    pub(super) fn is_full(&self) -> bool {
        self.lock().by_caller.len() >= self.most
    }

    pub(super) fn shrink_to_fit(&self) {
        self.lock().by_caller.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().by_caller.len()
    }
}
