//! Reading recordings, always within the grant's account and, where it names one, its instance.

use domain::TerminalSessionToken;
use domain::actions::{ListsRecordings, ReadsRecording};
use domain::gate::Granted;
use domain::recording_life::Recording;

use super::{Scope, Store};
use crate::pages::{Cursor, Slice, next_token};
use crate::rows::{counter_rows, recording_list_rows, recording_rows, segment_rows};
use crate::{RecordingPage, RecordingQuery, SegmentRow, StoreError};

impl Store {
    /// A part of the list, newest first, with the exact number of the whole.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`].
    pub async fn list_recordings<A: ListsRecordings>(
        &self,
        granted: &Granted<A>,
        query: RecordingQuery,
    ) -> Result<RecordingPage, StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        let of_instance = instance.as_ref().map_or("*", |instance| instance.as_str());
        let question = format!("recordings {account} {of_instance} {}", query.include_expired);
        let slice = Slice::of(&query.page, &question)?;
        let visible_at = (!query.include_expired).then_some(query.now);
        // One moment for all three, so that the number is that of the list.
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let mut recordings =
            recording_list_rows::list(&snapshot, &account, instance.as_ref(), visible_at, &slice).await?;
        let counter = counter_rows::read(&snapshot, &account, instance.as_ref()).await?;
        let total_count = match visible_at {
            None => counter.total,
            Some(now) => {
                let expired =
                    recording_list_rows::count_expired(&snapshot, &account, instance.as_ref(), now).await?;
                counter.visible.saturating_sub(expired)
            }
        };
        snapshot.commit().await.map_err(StoreError::at("end a read"))?;
        let more = slice.cut(&mut recordings);
        let next_token = recordings.last().filter(|_| more).map(|last| {
            let cursor = Cursor { at: last.started_at.as_millis(), id: last.token.to_string() };
            next_token(&question, &cursor)
        });
        Ok(RecordingPage { recordings, total_count, next_token })
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

    /// The claimed segments of one recording, in order; none when the recording is not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn list_segments<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Vec<SegmentRow>, StoreError> {
        match self.find_recording(granted, token).await? {
            Some(recording) => segment_rows::list(self.inner.connections.reader(), &recording).await,
            None => Ok(Vec::new()),
        }
    }

    /// SHA-256 (lower-case hex) of the manifest that sealed a recording; `None` while it is not sealed, and when it is
    /// not within the grant.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_manifest_sha256<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Option<String>, StoreError> {
        let found = self.find_stored(granted, token).await?;
        Ok(found.and_then(|stored| stored.manifest_sha256))
    }

    async fn find_stored<A: ReadsRecording>(
        &self,
        granted: &Granted<A>,
        token: &TerminalSessionToken,
    ) -> Result<Option<recording_rows::StoredRecording>, StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        recording_rows::find(self.inner.connections.reader(), &account, instance.as_ref(), token).await
    }
}
