//! Reading recordings, always within the grant's account and, where it names one, its instance.

use std::collections::BTreeSet;

use domain::actions::{ListsRecordings, ReadsRecording};
use domain::condition_keys::SessionOwner;
use domain::gate::{Granted, ListScope, Resource};
use domain::principal::Principal;
use domain::recording_life::{ArrivedStream, Recording};
use domain::{InstanceId, TerminalSessionToken};
use recording::{ContentHash, SealingPublicKey, Stream, TrustedKey};

use super::{Scope, Store};
use crate::pages::{Cursor, Slice, next_token};
use crate::rows::recording_scope::{Listed, MOST_PARTS};
use crate::rows::{agent_rows, counter_rows, recording_list_rows, recording_rows, segment_rows, stream_rows};
use crate::{RecordingPage, RecordingQuery, SegmentRow, StoreError};

/// The largest number of recordings that are counted where no counter says how many there are.
const MOST_COUNTED: u64 = 10_000;

impl Store {
    /// A part of the list, newest first, with the total number. It is exact where counters say it: of the whole list, or of
    /// whole instances. Where a filter narrows the list, or policies that distinguish the recordings of an instance, it is exact
    /// up to `MOST_COUNTED`: counting on would cost more with every recording.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`].
    pub async fn list_recordings<A: ListsRecordings>(
        &self,
        granted: &Granted<A>,
        query: RecordingQuery,
    ) -> Result<RecordingPage, StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        let scope = granted.list_scope().ok_or(StoreError::OutsideGrant { what: "list" })?;
        let caller = SessionOwner::of(granted.principal());
        let of_instance = instance.as_ref().map_or("*", |instance| instance.as_str());
        // Policies are not part of the digest: they are evaluated again for each page.
        let mut question = format!("recordings {account} {of_instance} {}", query.include_expired);
        if !query.filter.is_empty() {
            // The text contains names quoted and escaped, so that no two filters give the same text.
            question.push_str(&format!(" {:?}", query.filter));
        }
        let slice = Slice::of(&query.page, &question)?;
        let visible_at = (!query.include_expired).then_some(query.now);
        // All reads see one moment, so that the number belongs to the list.
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let (counter, few) = match (scope, whole_instances(scope)) {
            (ListScope::All, _) => {
                (Some(counter_rows::read(&snapshot, &account, instance.as_ref()).await?), false)
            }
            (ListScope::Some(_), Some(instances)) => {
                let (sum, whole) = counter_rows::read_sum(&snapshot, &account, &instances).await?;
                (Some(sum), are_few(&slice, instances.len(), sum.total, whole.total))
            }
            (ListScope::Some(_), None) => (None, false),
        };
        let (instance, caller, now) = (instance.as_ref(), caller.as_ref(), query.now);
        let listed = Listed { instance, filter: &query.filter, scope, caller, now, few };
        let mut recordings =
            recording_list_rows::list(&snapshot, &account, &listed, visible_at, &slice).await?;
        let most = MOST_COUNTED + 1;
        let (number, is_counted) = match (counter, visible_at) {
            (Some(counter), None) if query.filter.is_empty() => (counter.total, true),
            (Some(counter), Some(now)) if query.filter.is_empty() => {
                let expired = recording_list_rows::count_expired(&snapshot, &account, &listed, now).await?;
                (counter.visible.saturating_sub(expired), true)
            }
            _ => {
                let counted =
                    recording_list_rows::count_up_to(&snapshot, &account, &listed, visible_at, most).await?;
                (counted, false)
            }
        };
        let total_is_lower_bound = !is_counted && number > MOST_COUNTED;
        let total_count = if total_is_lower_bound { MOST_COUNTED } else { number };
        snapshot.end().await?;
        let more = slice.cut(&mut recordings);
        let next_token = recordings.last().filter(|_| more).map(|last| {
            let cursor = Cursor { at: last.listed_at().as_millis(), id: last.token.to_string() };
            next_token(&question, &cursor)
        });
        Ok(RecordingPage { recordings, total_count, total_is_lower_bound, next_token })
    }

    /// One recording of the grant's account and instance.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_recording<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Option<Recording>, StoreError> {
        let found = self.find_stored(granted, token).await?;
        Ok(found.map(|stored| stored.recording))
    }

    /// The claimed segments of one recording, of all its streams and in order within each; none when the recording is
    /// not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn segments_of_recording<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Vec<SegmentRow>, StoreError> {
        match self.find_recording(granted, token).await? {
            Some(recording) => segment_rows::list(self.inner.connections.reader(), &recording).await,
            None => Ok(Vec::new()),
        }
    }

    /// What has arrived of the streams of one recording; none when the recording is not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn streams_of_recording<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Vec<ArrivedStream>, StoreError> {
        match self.find_recording(granted, token).await? {
            Some(recording) => stream_rows::list(self.inner.connections.reader(), &recording.token).await,
            None => Ok(Vec::new()),
        }
    }

    /// What has arrived of one stream of a recording; `None` when the recording has no such stream, and when it is not within
    /// the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_stream<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
        stream: Stream,
    ) -> Result<Option<ArrivedStream>, StoreError> {
        match self.find_recording(granted, token).await? {
            Some(recording) => {
                stream_rows::find(self.inner.connections.reader(), &recording.token, stream).await
            }
            None => Ok(None),
        }
    }

    /// One claimed segment of a recording; `None` when it is not claimed, and when the recording is not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_segment<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
        stream: Stream,
        number: u32,
    ) -> Result<Option<SegmentRow>, StoreError> {
        match self.find_recording(granted, token).await? {
            Some(recording) => {
                segment_rows::find(self.inner.connections.reader(), &recording, stream, number).await
            }
            None => Ok(None),
        }
    }

    /// The sealing key that was enrolled for the agent of a recording, and for which time, even if the agent was
    /// replaced since; `None` when the recording is not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_enrolled_key<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Option<TrustedKey>, StoreError> {
        let Some(recording) = self.find_recording(granted, token).await? else { return Ok(None) };
        let agent = agent_rows::find(self.inner.connections.reader(), &recording.agent).await?;
        Ok(agent.and_then(|agent| agent.trusted_key()))
    }

    /// The sealing keys of the agents that may have sealed a recording: of the one that made it, and of the one that has taken
    /// it over; none when the recording is not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_sealing_keys<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Vec<SealingPublicKey>, StoreError> {
        let Some(recording) = self.find_recording(granted, token).await? else { return Ok(Vec::new()) };
        let mut keys = Vec::new();
        for agent in BTreeSet::from([&recording.agent, recording.holder()]) {
            let agent = agent_rows::find(self.inner.connections.reader(), agent).await?;
            keys.extend(agent.and_then(|agent| agent.trusted_key()).map(|trusted| trusted.key));
        }
        Ok(keys)
    }

    /// SHA-256 of the manifest that sealed a recording; `None` while it is not sealed, and when it is
    /// not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_manifest_sha256<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Option<ContentHash>, StoreError> {
        let found = self.find_stored(granted, token).await?;
        Ok(found.and_then(|stored| stored.manifest_sha256))
    }

    async fn find_stored<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Option<recording_rows::StoredRecording>, StoreError> {
        // When policies decide for the caller, the gate must have seen exactly this recording.
        match (granted.principal(), granted.resource()) {
            (Principal::Agent { .. } | Principal::System { .. } | Principal::Operator { .. }, _) => {}
            (_, Resource::Recording { found: Some(found), .. }) if found.token == *token => {}
            (_, Resource::Recording { .. }) => return Ok(None),
            _ => return Err(StoreError::OutsideGrant { what: "recording" }),
        }
        let Scope { account, instance, .. } = Scope::of(granted);
        recording_rows::find(self.inner.connections.reader(), &account, instance.as_ref(), token).await
    }
}

/// The admitted instances, if every recording of each is admitted.
fn whole_instances(scope: &ListScope) -> Option<BTreeSet<&InstanceId>> {
    let ListScope::Some(admitted) = scope else { return None };
    let mut instances = BTreeSet::new();
    for one in admitted {
        if one.rows.is_some() {
            return None;
        }
        instances.extend(one.instances.as_ref()?);
    }
    Some(instances)
}

/// How many times as long it takes to read and sort a recording as to pass over one.
const SORTING: u128 = 8;

/// Whether looking for the slice instance by instance costs less than walking through the account's recordings until it is full, assuming
/// that those of the instances are spread evenly. Of a few instances each is read no further than the slice is long; of many,
/// all recordings are read and sorted.
fn are_few(slice: &Slice, instances: usize, admitted: u64, whole: u64) -> bool {
    let (admitted, whole) = (u128::from(admitted), u128::from(whole));
    let wanted = u128::from(slice.offset.saturating_add(slice.limit));
    let in_parts = instances <= MOST_PARTS && instances as u128 * admitted < whole;
    in_parts || admitted * admitted * SORTING < wanted * whole
}
