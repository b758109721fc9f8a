//! Work that waits for files.

use crate::StoreError;

/// Runs work on files on a thread where waiting blocks nothing else.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopping)
}
