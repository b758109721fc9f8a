//! Reading recordings, always within the grant's account and, where it names one, its instance.

use domain::TerminalSessionToken;
use domain::actions::{ListsRecordings, ReadsRecording};
use domain::gate::Granted;
use domain::recording_life::Recording;

use super::Store;
use crate::{RecordingPage, RecordingQuery, SegmentRow, StoreError};

impl Store {
    /// A part of the list, newest first, with the exact number of the whole.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`].
    pub async fn list_recordings<A: ListsRecordings>(&self, granted: &Granted<A>, query: RecordingQuery) -> Result<RecordingPage, StoreError> {
        todo!()
    }

    /// One recording of the grant's account and instance.
    pub async fn find_recording<A: ReadsRecording>(&self, granted: &Granted<A>, token: &TerminalSessionToken) -> Result<Option<Recording>, StoreError> {
        todo!()
    }

    /// The claimed segments of one recording, in order; none when the recording is not within the grant.
    pub async fn list_segments<A: ReadsRecording>(&self, granted: &Granted<A>, token: &TerminalSessionToken) -> Result<Vec<SegmentRow>, StoreError> {
        todo!()
    }

    /// SHA-256 (lower-case hex) of the manifest that sealed a recording; `None` while it is not sealed.
    pub async fn find_manifest_sha256<A: ReadsRecording>(&self, granted: &Granted<A>, token: &TerminalSessionToken) -> Result<Option<String>, StoreError> {
        todo!()
    }
}
