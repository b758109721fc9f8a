//! Counts the steps of matching and reading, so that a test or a fuzzer can bound them without a clock. In every other
//! build it is nothing at all.

#[cfg(any(test, fuzzing))]
mod counter {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    pub(crate) fn add(steps: usize) {
        STEPS.with(|counted| counted.set(counted.get() + steps as u64));
    }

    /// What `run` gives, and the steps that it took on this thread.
    pub(crate) fn count<T>(run: impl FnOnce() -> T) -> (T, u64) {
        let before = STEPS.with(Cell::get);
        let made = run();
        (made, STEPS.with(Cell::get) - before)
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) use counter::{add, count};

/// Takes note of so many steps.
#[cfg(not(any(test, fuzzing)))]
#[inline(always)]
pub(crate) fn add(_steps: usize) {}
