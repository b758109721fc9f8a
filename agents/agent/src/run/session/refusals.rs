//! How long a recording has been refused by a control plane or a store that answered, and when it is put into quarantine.
//!
//! What counts is the time between two refusals of the same start of the machine, if nothing else was heard in between, by
//! the clock that nobody can set. The wall clock, which may stand in any year, stands beside it for people alone. The sum is
//! on the disk, so that neither a restart nor a reboot begins anew.

use std::path::Path;
use std::time::Duration;

use recording::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Session, list};
use crate::durable;
use crate::run::pace::Moment;
use crate::state_directory::PRIVATE_MODE;

pub(super) const REFUSALS: &str = "refused.json";

/// The longest time between two refusals that counts: somewhat more than the longest wait between two tries. What is longer
/// was no time of refusals; nobody asked, because the agent or the machine stood still.
const MOST_BETWEEN: Duration = Duration::from_secs(65 * 60);
/// How often a quarantined recording is tried.
pub(in crate::run) const TRY_QUARANTINED_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How much may be known here and not be on the disk.
const UNWRITTEN_AT_MOST: Duration = Duration::from_secs(60);

/// `refused.json`: the refusals of one recording since something of it was taken last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::run) struct Refusals {
    /// What was said last.
    reason: String,
    /// The time that counts.
    #[serde(default)]
    refused_for_micros: u64,
    /// Since when it has been in quarantine, by the wall clock: for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantined_at: Option<Timestamp>,
    /// The last refusal, while nothing else was heard since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Moment>,
    /// The last try of a recording in quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tried: Option<Moment>,
}

impl Refusals {
    fn new(reason: &str) -> Self {
        Refusals {
            reason: reason.to_owned(),
            refused_for_micros: 0,
            quarantined_at: None,
            last: None,
            tried: None,
        }
    }

    /// How long it has been refused.
    pub(in crate::run) fn refused_for(&self) -> Duration {
        Duration::from_micros(self.refused_for_micros)
    }

    pub(in crate::run) fn reason(&self) -> &str {
        &self.reason
    }

    pub(in crate::run) fn quarantined_at(&self) -> Option<Timestamp> {
        self.quarantined_at
    }

    /// Counts one more refusal.
    fn count(&mut self, reason: &str, now: &Moment, wall: Timestamp, quarantine_after: Duration) {
        let since = self.last.as_ref().and_then(|last| now.since(last)).unwrap_or_default();
        let counted = u64::try_from(since.min(MOST_BETWEEN).as_micros()).unwrap_or(u64::MAX);
        self.refused_for_micros = self.refused_for_micros.saturating_add(counted);
        reason.clone_into(&mut self.reason);
        self.last = Some(now.clone());
        if self.quarantined_at.is_none() && self.refused_for() >= quarantine_after {
            self.quarantined_at = Some(wall);
        }
    }

    /// How long it still rests, if it is in quarantine.
    fn rest(&self, now: &Moment) -> Option<Duration> {
        self.quarantined_at?;
        let since = self.tried.as_ref().and_then(|tried| now.since(tried))?;
        TRY_QUARANTINED_EVERY.checked_sub(since)
    }
}

/// Forgets what was refused to the agent that was enrolled: to another one nobody has refused it. An agent that was removed may have
/// been refused everything for so long that all of it is in quarantine.
pub(crate) fn forget_refusals(spool: &Path) -> Result<(), String> {
    for (token, _) in list(spool, "")? {
        let refusals = spool.join(token.as_str()).join(REFUSALS);
        durable::remove(&refusals)
            .map_err(|error| format!("{} cannot be removed: {error}", refusals.display()))?;
    }
    Ok(())
}

impl Session {
    /// What an earlier agent noted. What cannot be read is as good as nothing: the recording is tried, and counted anew.
    pub(super) fn find_refusals(&self) -> Option<Refusals> {
        durable::find_json(&self.folder.join(REFUSALS)).unwrap_or_else(|error| {
            tracing::warn!(session = %self.token(), "its refusals cannot be read: {error}");
            None
        })
    }

    /// Notes that the control plane or a store answered and did not take it. Nothing is erased. True when it is put into
    /// quarantine now.
    pub(in crate::run) fn refused(
        &self,
        reason: &str,
        now: &Moment,
        wall: Timestamp,
        quarantine_after: Duration,
    ) -> bool {
        let (before, refusals) = {
            let mut progress = self.progress();
            let before = progress.refusals.clone();
            let refusals = progress.refusals.get_or_insert_with(|| Refusals::new(reason));
            refusals.count(reason, now, wall, quarantine_after);
            if refusals.quarantined_at.is_some() {
                refusals.tried = Some(now.clone());
            }
            (before, refusals.clone())
        };
        let is_new = before.as_ref().is_none_or(|before| before.quarantined_at != refusals.quarantined_at);
        let written = self.progress().refusals_written;
        if is_new
            || refusals.quarantined_at.is_some()
            || refusals.refused_for() >= written.saturating_add(UNWRITTEN_AT_MOST)
            || before.is_some_and(|before| before.last.is_none() || before.reason != refusals.reason)
        {
            self.write_refusals(&refusals);
        }
        is_new && refusals.quarantined_at.is_some()
    }

    /// Notes that nobody answered, or that what was answered says nothing of this recording: the time from here to the next
    /// refusal does not count.
    pub(in crate::run) fn unanswered(&self, now: &Moment) {
        let refusals = {
            let mut progress = self.progress();
            let Some(refusals) = &mut progress.refusals else { return };
            if refusals.quarantined_at.is_some() {
                refusals.tried = Some(now.clone());
            } else if refusals.last.is_none() {
                return;
            }
            refusals.last = None;
            refusals.clone()
        };
        self.write_refusals(&refusals);
    }

    fn write_refusals(&self, refusals: &Refusals) {
        if let Err(error) = durable::write_json(&self.folder.join(REFUSALS), refusals, PRIVATE_MODE) {
            // It counts on in this process.
            tracing::warn!(session = %self.token(), "its refusals could not be stored: {error}");
            return;
        }
        self.progress().refusals_written = refusals.refused_for();
    }

    /// Notes that it is taken after all.
    pub(in crate::run) fn accept(&self) {
        let mut progress = self.progress();
        progress.refused = None;
        let was_refused = progress.refusals.take().is_some();
        progress.refusals_written = Duration::ZERO;
        drop(progress);
        if was_refused && let Err(error) = durable::remove(&self.folder.join(REFUSALS)) {
            tracing::warn!(session = %self.token(), "its refusals could not be removed: {error}");
        }
    }

    /// Since when it is in quarantine, if it is.
    pub(in crate::run) fn quarantined_at(&self) -> Option<Timestamp> {
        self.progress().refusals.as_ref()?.quarantined_at
    }

    /// How long it still rests before it is tried, if it is in quarantine.
    pub(in crate::run) fn rest_in_quarantine(&self, now: &Moment) -> Option<Duration> {
        self.progress().refusals.as_ref()?.rest(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(boot: &str, since_boot: Duration) -> Moment {
        Moment::new(boot, since_boot)
    }

    fn count(refusals: &mut Refusals, now: &Moment) {
        refusals.count("no", now, Timestamp::from_millis(7), DAY);
    }

    #[test]
    fn a_day_of_refusals_is_needed_whatever_the_wall_clock_says() {
        let mut refusals = Refusals::new("no");
        for hour in 0..24 {
            count(&mut refusals, &at("one", HOUR * hour));
            assert_eq!(refusals.quarantined_at, None, "{hour}");
        }
        count(&mut refusals, &at("one", HOUR * 24));
        assert_eq!(refusals.quarantined_at, Some(Timestamp::from_millis(7)));
    }

    #[test]
    fn what_was_no_time_of_refusals_does_not_count() {
        let mut refusals = Refusals::new("no");
        count(&mut refusals, &at("one", HOUR));
        // The machine was suspended, or the agent did not run.
        count(&mut refusals, &at("one", HOUR * 100));
        assert_eq!(refusals.refused_for(), MOST_BETWEEN);
        // Another start of the machine: its clock begins anew, and says nothing of the time between.
        count(&mut refusals, &at("two", HOUR * 50));
        assert_eq!(refusals.refused_for(), MOST_BETWEEN);
        count(&mut refusals, &at("two", HOUR * 51));
        assert_eq!(refusals.refused_for(), MOST_BETWEEN + HOUR, "the sum goes on");
        refusals.last = None;
        count(&mut refusals, &at("two", HOUR * 52));
        assert_eq!(refusals.refused_for(), MOST_BETWEEN + HOUR);
        // A clock that runs backwards, which this one does not.
        count(&mut refusals, &at("two", HOUR));
        assert_eq!(refusals.refused_for(), MOST_BETWEEN + HOUR);
        // Where the start of the machine cannot be known, nothing can be compared.
        count(&mut refusals, &at("", HOUR));
        count(&mut refusals, &at("", HOUR * 2));
        assert_eq!(refusals.refused_for(), MOST_BETWEEN + HOUR);
    }

    #[test]
    fn one_in_quarantine_rests_for_a_day_and_not_after_a_reboot() {
        let mut refusals = Refusals::new("no");
        assert_eq!(refusals.rest(&at("one", HOUR)), None);
        refusals.quarantined_at = Some(Timestamp::from_millis(0));
        refusals.tried = Some(at("one", HOUR));
        assert_eq!(refusals.rest(&at("one", HOUR * 3)), Some(HOUR * 22));
        assert_eq!(refusals.rest(&at("one", HOUR * 26)), None);
        assert_eq!(refusals.rest(&at("two", HOUR * 3)), None);
    }

    #[test]
    fn what_an_earlier_version_noted_is_read() {
        let earlier: Refusals = serde_json::from_str(r#"{"Reason":"no"}"#).unwrap();
        assert_eq!(earlier, Refusals::new("no"));
    }
}
