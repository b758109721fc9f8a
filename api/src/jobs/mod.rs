//! The jobs of the control plane. They are idempotent and take no input; a round that failed is made good by the next.

mod audit;
mod continuity;
mod idle;
mod key_usage;
mod lapsed;
mod pruning;
mod replica;
mod runner;
mod sweep;
mod tallies;
mod unclaimed;

use std::sync::Arc;

use actix_web::web::Data;
use domain::AccountId;
use domain::actions::Action;
use domain::gate::{self, Granted, PrincipalPolicies, RequestFacts, Resource};
use domain::principal::Principal;
use persistence::StoreError;

use crate::Hansard;
use crate::errors::ActionError;
use runner::RunningJobs;

/// The running jobs.
pub(crate) struct Jobs {
    jobs: RunningJobs,
    /// Stopped after the others, so that it also exports what these write at their end.
    auditor: RunningJobs,
}

impl Jobs {
    /// Starts the jobs; each runs at once, then by its timer or when it is woken.
    pub(crate) fn start(hansard: Data<Hansard>) -> Self {
        let hansard = hansard.into_inner();
        let mut jobs = RunningJobs::new(Arc::clone(&hansard));
        // With a file there are no other replicas, and no other clock.
        if hansard.store.may_have_replicas() {
            jobs.start(replica::RenewLease::default());
        }
        jobs.start(sweep::Sweep);
        jobs.start(unclaimed::RemoveUnclaimed);
        jobs.start(lapsed::RemoveLapsed);
        jobs.start(pruning::PruneAudit);
        jobs.start(idle::ForgetIdle);
        jobs.start(tallies::WriteTallies);
        jobs.start(key_usage::WriteKeyUsage);
        jobs.start(continuity::FindMissing);
        let mut auditor = RunningJobs::new(hansard);
        auditor.start(audit::Audit::default());
        Self { jobs, auditor }
    }

    /// Lets running rounds end, and starts no more. Calls are not answered any more by now.
    pub(crate) async fn stop(self) {
        self.jobs.stop().await;
        self.auditor.stop().await;
    }
}

/// The accounts, for a job that does something in each of them.
async fn accounts(hansard: &Hansard) -> Result<Vec<AccountId>, StoreError> {
    hansard.store.all_accounts().await
}

/// The permission for a job to act in an account.
fn authorize<A: Action>(hansard: &Hansard, account: &AccountId) -> Result<Granted<A>, ActionError> {
    let principal = Principal::System { account: account.clone() };
    let facts = RequestFacts::at(hansard.now());
    Ok(gate::authorize(&principal, Resource::Everything, &PrincipalPolicies::none(), &facts)?)
}
