//! How much room the spool's disk has, and what follows: new sessions are refused when it is low, and running ones end when
//! it is critical. Nobody polls: it is looked at when a session begins, and while sessions write.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use agent_protocol::local::{DiskState, DiskStatus};
use recording::{Cause, Shortfall, ShortfallKind};

use crate::settings::DiskLimits;

/// How much room is advised for each session that is recorded.
const ADVISED_BYTES_OF_A_SESSION: u64 = 1024 * 1024 * 1024;

/// The file system of the spool.
#[derive(Debug)]
pub(super) struct Disk {
    spool: PathBuf,
    limits: DiskLimits,
    known: Mutex<Known>,
}

/// What was found when it was last looked at.
#[derive(Debug)]
struct Known {
    state: DiskState,
    /// `None` before the first look.
    space: Option<Space>,
}

/// What a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    /// For this process, without what is kept for root alone.
    pub(super) free: u64,
    /// What is used, and what is free.
    total: u64,
}

/// What the control plane is told of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DiskTold {
    pub(super) state: DiskState,
    pub(super) free_bytes: u64,
}

impl DiskTold {
    /// Whether it is worth telling after this: another state, or a quarter more or less that is free.
    pub(super) fn is_news_after(&self, told: &DiskTold) -> bool {
        self.state != told.state || self.free_bytes.abs_diff(told.free_bytes) > told.free_bytes / 4
    }
}

/// A state is left only with a quarter more free than what brought it, so that it does not change again at once.
fn with_margin(limit: u64) -> u64 {
    limit.saturating_add(limit / 4)
}

/// With less free, new sessions are refused.
fn low_limit(limits: &DiskLimits, total: u64) -> u64 {
    let unused_percent = u64::from(100_u8.saturating_sub(limits.nearly_full_percent));
    let nearly_full = (total / 100).saturating_mul(unused_percent).min(limits.nearly_full_free_bytes);
    limits.minimum_free_bytes.max(nearly_full)
}

fn next_state(before: DiskState, limits: &DiskLimits, space: Space) -> DiskState {
    let is_below = |limit: u64, was: bool| space.free < if was { with_margin(limit) } else { limit };
    if is_below(limits.critical_free_bytes(), before == DiskState::Critical) {
        DiskState::Critical
    } else if is_below(low_limit(limits, space.total), before != DiskState::Available) {
        DiskState::Low
    } else {
        DiskState::Available
    }
}

impl Disk {
    pub(super) fn new(spool: PathBuf, limits: DiskLimits) -> Self {
        let known = Mutex::new(Known { state: DiskState::Available, space: None });
        Disk { spool, limits, known }
    }

    /// What a recorder leaves free by itself, however fast its session prints. Sessions that go on without their recording
    /// stop being recorded when others begin to end; those that end with it are ended in order before.
    pub(super) fn least_free_bytes_of_a_recorder(&self, goes_on_without: bool) -> u64 {
        let critical = self.limits.critical_free_bytes();
        if goes_on_without { critical } else { critical / 4 }
    }

    fn look(&self) -> io::Result<(DiskState, Space)> {
        let found = rustix::fs::statvfs(&self.spool)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let free = bytes(found.f_bavail);
        let used = bytes(found.f_blocks.saturating_sub(found.f_bfree));
        let space = Space { free, total: used.saturating_add(free) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let state = next_state(known.state, &self.limits, space);
        if std::mem::replace(&mut *known, Known { state, space: Some(space) }).state != state {
            match state {
                DiskState::Available => {
                    tracing::info!("the spool's disk has room again: {free} bytes are free")
                }
                DiskState::Low => tracing::warn!("{}: new sessions are refused", self.lack(space)),
                DiskState::Critical => {
                    tracing::error!(
                        "{}: running sessions are ended, one after the other",
                        self.why_critical(space)
                    );
                }
            }
        }
        Ok((state, space))
    }

    fn lack(&self, space: Space) -> String {
        format!(
            "only {} bytes are free for the spool in {}, {} are needed",
            space.free,
            self.spool.display(),
            with_margin(low_limit(&self.limits, space.total))
        )
    }

    fn why_critical(&self, space: Space) -> String {
        let needed = with_margin(self.limits.critical_free_bytes());
        format!("the disk is full: only {} bytes are free for the spool, {needed} are needed", space.free)
    }

    /// Why no new session can be recorded, if that is so.
    pub(super) fn refusal(&self) -> Option<String> {
        match self.look() {
            Ok((DiskState::Available, _)) => None,
            Ok((_, space)) => Some(self.lack(space)),
            Err(error) => Some(format!("the free space of the spool's file system cannot be read: {error}")),
        }
    }

    /// Why running sessions have to end, if that is so. If the file system does not say what is free, they do not.
    pub(super) fn is_critical(&self) -> Option<String> {
        let (state, space) = self.look().ok()?;
        (state == DiskState::Critical).then(|| self.why_critical(space))
    }

    /// As it was when it was last looked at.
    pub(super) fn state(&self) -> DiskState {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).state
    }

    /// How much is free, if the file system says it.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        Some(self.look().ok()?.1.free)
    }

    /// What the control plane is told: as it was when it was last looked at. `None` before that.
    pub(super) fn to_tell(&self) -> Option<DiskTold> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Some(DiskTold { state: known.state, free_bytes: known.space?.free })
    }

    /// For `status`, with so many sessions that are recorded.
    pub(super) fn describe(&self, sessions: usize) -> Option<DiskStatus> {
        let (state, space) = self.look().ok()?;
        Some(DiskStatus {
            state,
            free_bytes: space.free,
            total_bytes: space.total,
            low_below_bytes: low_limit(&self.limits, space.total),
            critical_below_bytes: self.limits.critical_free_bytes(),
            advised_bytes: advised(sessions),
        })
    }

    /// What a session lacks that is the last of so many: room that is advised.
    pub(super) fn less_than_advised(&self, sessions: usize) -> Option<Shortfall> {
        let (_, space) = self.look().ok()?;
        (space.free < advised(sessions)).then(|| {
            let reason = format!(
                "it began with {} bytes free for the recordings of {sessions} sessions; {} are advised",
                space.free,
                advised(sessions)
            );
            Shortfall::new(ShortfallKind::DegradedMode, Cause::new("less_room_than_advised"), reason)
        })
    }

    /// Says in the log what is advised.
    pub(super) fn report(&self, sessions: usize) {
        let Ok((_, space)) = self.look() else { return };
        let room_for = space.free / ADVISED_BYTES_OF_A_SESSION;
        if space.free < advised(sessions + 1) {
            tracing::warn!(
                "{} bytes are free for the spool: 1 GiB is advised for each session that is recorded, which is enough for {room_for}",
                space.free
            );
        } else {
            tracing::info!("the spool's disk has the advised room, 1 GiB each, for {room_for} sessions");
        }
    }
}

fn advised(sessions: usize) -> u64 {
    ADVISED_BYTES_OF_A_SESSION.saturating_mul(sessions as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const GIB: u64 = 1024 * MIB;

    fn states(total: u64, free: &[u64]) -> Vec<DiskState> {
        let limits = DiskLimits::of_tests(500 * MIB);
        let mut state = DiskState::Available;
        let next = |free: &u64| {
            state = next_state(state, &limits, Space { free: *free, total });
            state
        };
        free.iter().map(next).collect()
    }

    #[test]
    fn a_state_is_left_only_with_a_quarter_more_than_what_brought_it() {
        use DiskState::{Available, Critical, Low};
        let free = [500, 499, 624, 625, 499, 99, 124, 125, 624, 625].map(|free| free * MIB);
        let expected = [Available, Low, Low, Available, Low, Critical, Critical, Low, Low, Available];
        assert_eq!(states(GIB, &free), expected);
        assert_eq!(
            states(GIB, &[99 * MIB, 700 * MIB, 99 * MIB, 0]),
            [Critical, Available, Critical, Critical]
        );
    }

    #[test]
    fn the_control_plane_is_told_of_another_state_and_of_what_matters() {
        let told = DiskTold { state: DiskState::Available, free_bytes: 4 * GIB };
        let is_news = |state, free_bytes| DiskTold { state, free_bytes }.is_news_after(&told);
        assert!(!is_news(DiskState::Available, 4 * GIB));
        assert!(!is_news(DiskState::Available, 3 * GIB) && !is_news(DiskState::Available, 5 * GIB));
        assert!(is_news(DiskState::Available, 3 * GIB - 1) && is_news(DiskState::Available, 5 * GIB + 1));
        assert!(is_news(DiskState::Low, 4 * GIB));
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_low_unless_much_is_free_all_the_same() {
        use DiskState::{Available, Low};
        // Of 20 GiB, 2 GiB are a tenth.
        assert_eq!(
            states(20 * GIB, &[2 * GIB, 2 * GIB - MIB, 2 * GIB, 2560 * MIB]),
            [Available, Low, Low, Available]
        );
        assert_eq!(states(1000 * GIB, &[5 * GIB, 5 * GIB - 1]), [Available, Low]);
        let limits = DiskLimits { nearly_full_percent: 100, ..DiskLimits::of_tests(500 * MIB) };
        let space = Space { free: 501 * MIB, total: 1000 * GIB };
        assert_eq!(next_state(Available, &limits, space), Available);
    }
}
