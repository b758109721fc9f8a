//! What a command had printed that nobody had read when its session ended before it.
//!
//! Output is not read while the person's side takes none, or while the delivery mode holds it. What is typed meanwhile runs
//! all the same, and its echo waits in the terminal. So whoever ends a session then, the person above all, would have run
//! something that the recording does not show.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, poll};

use super::Recorder;
use crate::channel::Channel;
use crate::scribe::Scribe;
use crate::timespec;

/// How much of it is recorded. What waits in a terminal or a pipe is less; a command may go on printing.
const MOST_BYTES: usize = 1024 * 1024;
/// When nothing comes for so long, what was typed last has been echoed.
const QUIET: Duration = Duration::from_millis(50);
/// The longest that the end of a session is put off for it.
const LONGEST: Duration = Duration::from_millis(500);

impl Recorder {
    /// Records it, without showing it. That it fails is no news: the session ends already, for another reason.
    pub(super) fn keep_what_nobody_saw(&mut self, scribe: &mut Scribe) {
        let deadline = Instant::now() + LONGEST;
        let mut room = MOST_BYTES;
        loop {
            for channel in &mut self.channels {
                let Ok(kept) = channel.keep(scribe, room) else { return };
                room -= kept;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds: Vec<PollFd<'_>> = self.channels.iter().filter_map(Channel::readable).collect();
            let quiet = timespec(QUIET.min(left));
            if room == 0
                || left.is_zero()
                || fds.is_empty()
                || !matches!(poll(&mut fds, Some(&quiet)), Ok(1..))
            {
                return;
            }
        }
    }
}
