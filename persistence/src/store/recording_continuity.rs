//! What the check of agents' recordings reads and stores.

use std::collections::{BTreeMap, BTreeSet};

use domain::actions::{ChecksRecordings, ListsAgents, NotesMissingRecordings};
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::recording_continuity::AuditedRecording;
use domain::{AccountId, AgentId, InstanceId, TerminalSessionToken, Timestamp};
use recording::ContentHash;

use super::{Revision, Scope, Store};
use crate::continuity::{
    AgentRows, ContinuityChange, ContinuityRows, MissingCounts, MissingOfAgent, RecordingLink, RecordingRow,
};
use crate::rows::audit_recording_rows::Said;
use crate::rows::{
    account_rows, agent_rows, audit_recording_rows, missing_recording_rows, recording_link_rows,
    recording_rows, stream_rows,
};
use crate::{CorruptRow, StoreError};

const BATCH: u64 = 2_000;

/// A row that cannot be read counts as missing: other traces of the recording show that it is gone. It must not keep the
/// others from being checked.
fn readable<T>(row: Result<T, CorruptRow>) -> Option<T> {
    row.inspect_err(
        |corrupt| tracing::error!(%corrupt, "a recording's row cannot be read, and counts as missing"),
    )
    .ok()
}

impl Store {
    /// What the database holds about the recordings of the grant's account and instance at one moment.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn continuity_rows<A: ChecksRecordings>(
        &self,
        granted: &Granted<A>,
    ) -> Result<ContinuityRows, StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        let instance = instance.as_ref();
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let mut rows = ContinuityRows::default();
        // Including agents that were replaced, and those that only the audit trail mentions.
        for (agent, of) in agent_rows::instances(&snapshot, &account, instance).await? {
            rows.agents.entry(agent).or_default().instance = Some(of);
        }
        let mut last = String::new();
        loop {
            let page = recording_rows::after(&snapshot, &account, instance, &last, BATCH).await?;
            let Some((newest, _)) = page.last() else { break };
            newest.clone_into(&mut last);
            let page: Vec<_> = page.into_iter().filter_map(|(_, row)| readable(row)).collect();
            let tokens = page.iter().map(|stored| &stored.recording.token);
            let mut streams = stream_rows::of_recordings(&snapshot, tokens).await?;
            for stored in page {
                let recording = stored.recording;
                let of = rows.agents.entry(recording.agent).or_default();
                of.instance.get_or_insert(recording.instance);
                of.recordings.push(RecordingRow {
                    segments: streams
                        .remove(recording.token.as_str())
                        .unwrap_or_default()
                        .into_iter()
                        .map(|arrived| (arrived.stream, arrived.segments))
                        .collect(),
                    token: recording.token,
                    location: recording.target.location().clone(),
                    folder: recording.folder,
                    start_sha256: recording.start_sha256,
                    stored_bytes: recording.arrived.stored_bytes,
                    manifest_sha256: stored.manifest_sha256,
                    opened_at: recording.opened_at,
                    last_heard_at: recording.last_heard_at,
                });
            }
        }
        let mut last = String::new();
        loop {
            let page = recording_link_rows::after(&snapshot, &account, &last, BATCH).await?;
            let Some((newest, _)) = page.last() else { break };
            newest.clone_into(&mut last);
            rows.links
                .extend(page.into_iter().filter_map(|(_, link)| link).map(|link| (link.token.clone(), link)));
        }
        let mut audited: BTreeMap<(AgentId, TerminalSessionToken), AuditedRecording> = BTreeMap::new();
        // Those of which another agent has spoken, with the agents that made them.
        let mut makers: BTreeMap<TerminalSessionToken, AgentId> = BTreeMap::new();
        let mut hear_said = |said: &Said| {
            let Some((agent, token)) = agent_of(&account, &said.principal).zip(token_of(said)) else {
                return;
            };
            let maker = made_by(said);
            let named = said.instance.as_deref().and_then(|text| InstanceId::parse(text).ok());
            let of: &mut AgentRows =
                rows.agents.entry(maker.clone().unwrap_or_else(|| agent.clone())).or_default();
            of.instance = of.instance.take().or(named);
            makers.extend(maker.map(|maker| (token.clone(), maker)));
            hear(audited.entry((agent, token.clone())).or_insert_with(|| nothing_of(token, said)), said);
        };
        let pruned = self.inner.pruned_about_recordings(&snapshot).await?;
        for row in pruned.rows() {
            if let Some(said) = audit_recording_rows::said_by(row, &account, instance) {
                hear_said(&said);
            }
        }
        let mut last: Option<Said> = None;
        loop {
            let page =
                audit_recording_rows::after(&snapshot, &account, instance, last.as_ref(), BATCH).await?;
            if page.is_empty() {
                break;
            }
            for said in &page {
                hear_said(said);
            }
            last = page.into_iter().next_back();
        }
        rows.trail_is_partly_elsewhere = pruned.is_partly_elsewhere;
        let mut of_makers: BTreeMap<(AgentId, TerminalSessionToken), AuditedRecording> = BTreeMap::new();
        for ((agent, token), heard) in audited {
            let maker = makers.get(&token).cloned().unwrap_or(agent);
            let known = of_makers.entry((maker, token)).or_insert_with(|| heard.clone());
            known.at = known.at.min(heard.at);
            known.sealed |= heard.sealed;
            known.number = known.number.or(heard.number);
            known.manifest = known.manifest.or(heard.manifest);
        }
        for ((agent, _), audited) in of_makers {
            rows.agents.entry(agent).or_default().audited.push(audited);
        }
        // The transaction only read.
        snapshot.end().await?;
        Ok(rows)
    }

    /// Stores what was read from objects, so that it need not be read again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn keep_recording_links<A: NotesMissingRecordings>(
        &self,
        granted: &Granted<A>,
        links: Vec<RecordingLink>,
    ) -> Result<(), StoreError> {
        if links.is_empty() {
            return Ok(());
        }
        let account = granted.account().clone();
        let owner = account.clone();
        self.transact(account, Revision::Kept, None, move |transaction| {
            Box::pin(async move {
                for link in &links {
                    recording_link_rows::put(transaction, &owner, link).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Notes what is missing now. Each recording that is newly missing or no longer missing is written to the audit
    /// trail in the same transaction, so that it is reported once, however many replicas check. `unsure` names those
    /// about which nothing could be said this time: they stay as they were.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account; [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn note_missing_recordings<A: NotesMissingRecordings>(
        &self,
        granted: &Granted<A>,
        missing: Vec<MissingOfAgent>,
        unsure: impl Fn(&MissingOfAgent) -> bool + Clone + Send + 'static,
        now: Timestamp,
        audit: impl Fn(&MissingOfAgent, bool) -> AuditEvent + Send + Sync + 'static,
    ) -> Result<ContinuityChange, StoreError> {
        let account = granted.account().clone();
        let owner = account.clone();
        let telling = move |change: &ContinuityChange| {
            let found = change.found.iter().map(|missing| audit(missing, true));
            found.chain(change.healed.iter().map(|missing| audit(missing, false))).collect()
        };
        self.transact_telling(account, Revision::Kept, telling, move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &owner).await?;
                let before = missing_recording_rows::of_account(transaction, &owner).await?;
                let key =
                    |of: &MissingOfAgent| (of.agent.clone(), of.missing.key.clone(), of.missing.absence);
                let known: BTreeSet<_> = before.iter().map(key).collect();
                let still: BTreeSet<_> = missing.iter().map(key).collect();
                let mut change = ContinuityChange::default();
                for of in before {
                    if !still.contains(&key(&of)) && !unsure(&of) {
                        missing_recording_rows::delete(transaction, &owner, &of.agent, &of.missing.key)
                            .await?;
                        change.healed.push(of);
                    }
                }
                for of in missing {
                    if !known.contains(&key(&of)) {
                        missing_recording_rows::insert(transaction, &owner, &of, now).await?;
                        change.found.push(of);
                    }
                }
                Ok(change)
            })
        })
        .await
    }

    /// How many recordings of these agents were missing at the last check.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn count_missing_recordings<A: ListsAgents>(
        &self,
        granted: &Granted<A>,
        agents: &[&AgentId],
    ) -> Result<MissingCounts, StoreError> {
        let reader = self.inner.connections.reader();
        Ok(MissingCounts(missing_recording_rows::count(reader, granted.account(), agents).await?))
    }
}

/// The agent that made the recording, where another one has called.
fn made_by(said: &Said) -> Option<AgentId> {
    said.how.split(", ").find_map(|word| AgentId::parse(word.strip_prefix("made by ")?).ok())
}

/// The agent that a principal stands for.
fn agent_of(account: &AccountId, principal: &str) -> Option<AgentId> {
    let rest = principal.strip_prefix("acs:ecs-workbench::")?.strip_prefix(account.as_str())?;
    AgentId::parse(rest.strip_prefix(":agent/")?).ok()
}

fn token_of(said: &Said) -> Option<TerminalSessionToken> {
    TerminalSessionToken::parse(said.recording.as_deref()?).ok()
}

fn nothing_of(token: TerminalSessionToken, said: &Said) -> AuditedRecording {
    let at = Timestamp::from_millis(said.at);
    AuditedRecording { token, number: None, at, sealed: false, manifest: None }
}

fn hear(audited: &mut AuditedRecording, said: &Said) {
    audited.at = audited.at.min(Timestamp::from_millis(said.at));
    audited.sealed |= said.sealed;
    // `how` is a list of short words: `number 7`; `seal, manifest <SHA-256>, made by <AgentId>`.
    for word in said.how.split(", ") {
        match word.split_once(' ') {
            Some(("number", number)) if !said.sealed => {
                audited.number = number.parse().ok().or(audited.number)
            }
            // A word that is not a hash means nothing here: `audit verify` finds a row that was changed.
            Some(("manifest", sha256)) if said.sealed => {
                audited.manifest = ContentHash::parse(sha256).ok().or(audited.manifest);
            }
            _ => {}
        }
    }
}
