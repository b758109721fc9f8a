//! How far the recorder of a session stands from the recorded person, and what this process may do for it.

use std::fs;

use recording::{CaptureNote, Recorder};

use super::peer::Peer;

const ROOT: u32 = 0;
/// Numbers of `linux/capability.h`.
const CAP_CHOWN: u32 = 0;
const CAP_FOWNER: u32 = 3;
const CAP_KILL: u32 = 5;

/// What holds of one session's recorder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) recorder: Recorder,
    pub(super) notes: Vec<CaptureNote>,
    /// Whether it may end what is left of a session whose recording failed.
    pub(super) ends_what_is_left: bool,
}

/// What this process is and may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Powers {
    user_id: u32,
    capabilities: u64,
}

impl Powers {
    /// Of this process. The recorder that it starts has the same.
    pub(super) fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let capabilities = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        Powers {
            user_id: rustix::process::geteuid().as_raw(),
            capabilities: capabilities.unwrap_or_default(),
        }
    }

    fn has(self, capability: u32) -> bool {
        self.capabilities & (1 << capability) != 0
    }

    /// Whether it may give and take what belongs to others.
    pub(super) fn may_give_and_take(self) -> bool {
        self.has(CAP_CHOWN) && self.has(CAP_FOWNER)
    }

    /// What holds of the recorder of a person of this user.
    fn over(self, user_id: u32) -> Standing {
        let own = user_id == self.user_id;
        let recorder = if own || user_id == ROOT { Recorder::SameUser } else { Recorder::Separate };
        let ends_what_is_left = own || self.has(CAP_KILL);
        let mut notes = Vec::new();
        if !(own || self.may_give_and_take()) {
            notes.push(CaptureNote::TerminalNotByName);
        }
        if !ends_what_is_left {
            notes.push(CaptureNote::LeftOverNotEnded);
        }
        Standing { recorder, notes, ends_what_is_left }
    }

    /// What holds of the recorder of this peer's session.
    pub(super) fn towards(self, peer: &Peer) -> Standing {
        let mut standing = self.over(peer.user_id);
        standing.notes.extend(peer.foreign_namespaces());
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_is_separate_from_everybody_but_its_own_user_and_root() {
        let all = Powers { user_id: ROOT, capabilities: u64::MAX };
        let with_three =
            Powers { user_id: 7, capabilities: 1 << CAP_CHOWN | 1 << CAP_FOWNER | 1 << CAP_KILL };
        let none = Powers { user_id: 7, capabilities: 0 };
        let standing = |recorder, notes: &[CaptureNote], ends_what_is_left| Standing {
            recorder,
            notes: notes.to_vec(),
            ends_what_is_left,
        };
        for powers in [all, with_three] {
            assert_eq!(powers.over(1000), standing(Recorder::Separate, &[], true));
            assert_eq!(powers.over(ROOT).recorder, Recorder::SameUser);
        }
        let limits = [CaptureNote::TerminalNotByName, CaptureNote::LeftOverNotEnded];
        assert_eq!(none.over(1000), standing(Recorder::Separate, &limits, false));
        assert_eq!(none.over(7), standing(Recorder::SameUser, &[], true));
        assert_eq!(none.over(ROOT), standing(Recorder::SameUser, &limits, false));
    }
}
