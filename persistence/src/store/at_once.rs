//! A group of calls that is written by one statement, on databases that can do that. Whatever is not as usual (a nonce that
//! was used before, a revision that has changed, a chain whose end is not known) is left to the several statements of
//! [`group_commit`](super::group_commit), which tell what became of each call.

use std::collections::BTreeMap;

use domain::AccountId;
use domain::decided_under::Under;

use super::Inner;
use super::group_commit::{Job, Settled};
use crate::StoreError;
use crate::dialect::group_statement::Written;

impl Inner {
    /// Commits a group, and returns what became of each call. `None`: nothing was written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nobody here knows whether it happened.
    pub(super) async fn write_jobs_at_once(&self, jobs: &[&Job]) -> Result<Option<Vec<Settled>>, StoreError> {
        let Some(own) = self.nonces.own().filter(|_| self.connections.has_group_statement()) else {
            return Ok(None);
        };
        // Changes are made by statements of their own.
        if jobs.iter().any(|job| job.work.is_some()) {
            return Ok(None);
        }
        let Some(decided_under) = of_all(jobs) else { return Ok(None) };
        let mut claims = BTreeMap::new();
        let settled = jobs.iter().map(|job| match &job.claim {
            Some(claim) if own.hold(claim) => Settled::NonceUsed,
            // Of equal claims of one group the first one has it.
            Some(claim) if claims.contains_key(&claim.hash) => Settled::NonceUsed,
            Some(claim) => {
                claims.insert(claim.hash, claim);
                Settled::Committed
            }
            None => Settled::Committed,
        });
        let settled: Vec<Settled> = settled.collect();
        let events = Job::events(jobs, &Job::that_leave_rows(&settled));
        let written = self.audit.append_at_once(&self.connections, &decided_under, &claims, &events).await?;
        match written {
            Some(Written::Committed) => {}
            Some(Written::Outdated | Written::Undone | Written::Unreachable) | None => return Ok(None),
        }
        own.add(claims.into_values());
        Ok(Some(settled))
    }
}

/// The revisions under which all of them were decided. `None`: some were decided too long ago, or under revisions of which
/// not all can stand.
fn of_all<'j>(jobs: &[&'j Job]) -> Option<BTreeMap<&'j AccountId, Under>> {
    let mut of_all: BTreeMap<&AccountId, Under> = BTreeMap::new();
    for job in jobs {
        if job.is_outlived() {
            return None;
        }
        for (account, under) in job.decided_under.iter() {
            let known = of_all.entry(account).or_insert(under);
            let instances = known.instances.or(under.instances);
            if known.account != under.account || under.instances.is_some_and(|own| Some(own) != instances) {
                return None;
            }
            known.instances = instances;
        }
    }
    Some(of_all)
}
