//! Looks for missing recordings of agents. It reports each once, as an audit event, and once more when it is there
//! again; `ListAgents` counts them.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::actions::CheckAgentRecordings;
use domain::audit::{AuditDecision, AuditEvent, AuditOrigin};
use domain::gate::{InstanceFacts, Resource};
use domain::principal::Principal;
use domain::recording_continuity::{Absence, MissingRecording};
use domain::{AccountId, AgentId, TerminalSessionToken, Timestamp};
use persistence::{ContinuityChange, MissingOfAgent};

use super::runner::Job;
use super::{accounts, authorize};
use crate::Hansard;
use crate::continuity::check;
use crate::errors::{ActionError, chain_of};
use crate::http::request::RequestId;

/// How long a recording may be on its way before it is reported, because recordings arrive concurrently.
const ON_ITS_WAY: Duration = Duration::from_secs(10 * 60);

pub(super) struct FindMissing;

impl Job for FindMissing {
    const NAME: &'static str = "find missing recordings";
    /// All rows are read, and the folder of each recording is listed.
    const EVERY: Duration = Duration::from_secs(5 * 60);
    /// It may ask for many objects.
    const GIVES_UP: bool = true;

    /// Checks every account. An error in one account does not delay the others; the next round tries again.
    async fn run(&mut self, hansard: &Hansard) {
        let accounts = match accounts(hansard).await {
            Ok(accounts) => accounts,
            Err(error) => {
                tracing::warn!(chain = %chain_of(&error), "the search for missing recordings failed");
                return;
            }
        };
        for account in accounts {
            match look_in(hansard, &account).await {
                Ok(change) if change == ContinuityChange::default() => {}
                Ok(change) => tell(&account, &change),
                Err(error) => {
                    tracing::warn!(%account, chain = %chain_of(&error), "an account could not be searched for missing recordings");
                }
            }
        }
    }
}

fn tell(account: &AccountId, change: &ContinuityChange) {
    for MissingOfAgent { agent, missing, .. } in &change.found {
        let absence = missing.absence.as_str();
        tracing::error!(%account, %agent, absence, key = %missing.key, why = %missing.why, "a recording is missing");
    }
    for MissingOfAgent { agent, missing, .. } in &change.healed {
        tracing::info!(%account, %agent, key = %missing.key, "a recording is no longer missing");
    }
}

/// Looks in an account.
///
/// # Errors
/// The database, or the gate.
async fn look_in(hansard: &Hansard, account: &AccountId) -> Result<ContinuityChange, ActionError> {
    let now = hansard.now();
    let principal = Principal::System { account: account.clone() };
    let granted = authorize::<CheckAgentRecordings>(hansard, account)?;
    let checked = check(hansard, &granted, None).await?;
    hansard.store.keep_recording_links(&granted, checked.links).await?;
    let mut missing = Vec::new();
    let mut unchecked: BTreeSet<TerminalSessionToken> = BTreeSet::new();
    let mut unsure_agents: BTreeSet<AgentId> = BTreeSet::new();
    for of in checked.agents {
        if !of.unchecked.is_empty() {
            unsure_agents.insert(of.agent.clone());
        }
        unchecked.extend(of.unchecked);
        // The trail names the instance of every opening; without one there is nothing that could be missing.
        let Some(instance) = of.instance else { continue };
        let due = of.missing.into_iter().filter(|missing| is_due(missing, now));
        missing.extend(due.map(|missing| MissingOfAgent {
            agent: of.agent.clone(),
            instance: instance.clone(),
            missing,
        }));
    }
    // What this replica does not find may be in the files of another one, which looks for it too.
    let elsewhere = checked.trail_is_partly_elsewhere;
    let unsure = move |of: &MissingOfAgent| match &of.missing.token {
        _ if elsewhere => true,
        Some(token) => unchecked.contains(token),
        // What it is based on may be among those.
        None => unsure_agents.contains(&of.agent),
    };
    let region = hansard.settings.region.clone();
    let by = granted.by().to_owned();
    let audit = move |of: &MissingOfAgent, found: bool| {
        let facts = InstanceFacts::untagged(region.clone(), of.instance.clone());
        let resource = Resource::Instance(facts).arn(principal.account());
        let origin = AuditOrigin::new(RequestId::generate().to_string(), now, &principal);
        let decision = AuditDecision::Allowed { by: by.clone() };
        let result = outcome(&of.missing, found);
        AuditEvent {
            recording: of.missing.token.as_ref().map(ToString::to_string),
            how: how(of),
            ..AuditEvent::new(origin, "CheckAgentRecordings", resource, decision, result)
        }
    };
    Ok(hansard.store.note_missing_recordings(&granted, missing, unsure, now, audit).await?)
}

/// A recording that the trail knows is gone at once; one that only other recordings name may be on its way.
fn is_due(missing: &MissingRecording, now: Timestamp) -> bool {
    let is_known_here = missing.absence == Absence::Gone && missing.token.is_some();
    is_known_here || missing.since.plus(ON_ITS_WAY) <= now
}

fn outcome(missing: &MissingRecording, found: bool) -> &'static str {
    match (found, missing.absence) {
        (true, Absence::Gone) => "RecordingGone",
        (true, Absence::NotArrived) => "RecordingNotArrived",
        (false, _) => "RecordingThereAgain",
    }
}

fn how(of: &MissingOfAgent) -> String {
    let number = match of.missing.numbers {
        Some((first, last)) if first == last => format!(", number {first}"),
        Some((first, last)) => format!(", numbers {first} to {last}"),
        None => String::new(),
    };
    format!("{}{number}: {}", of.agent, of.missing.why)
}
