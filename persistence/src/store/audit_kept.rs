//! Anchors that are kept elsewhere (`audit::kept_anchors`): appended to a file as they are made, and printed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use domain::Timestamp;

use super::Store;
use super::blocking::blocking;
use crate::StoreError;
use crate::audit::anchor::SignedAnchor;
use crate::audit::kept_anchors::AnchorsFile;
use crate::audit::line::ExportedLine;
use crate::rows::audit_anchor_rows;

/// How many anchors wait while the file cannot be written; the newest are kept, because they cover everything before
/// them.
const MOST_WAITING: usize = 1_000;
const ANCHOR_BATCH: u64 = 200;

/// Why anchors cannot be appended to their file.
#[derive(Debug, thiserror::Error)]
pub enum KeepAnchorsError {
    /// The file could not be written.
    #[error("anchors cannot be appended to {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// The control plane is stopping.
    #[error(transparent)]
    Stopping(#[from] StoreError),
}

/// The file, and the anchors that wait for it.
#[derive(Debug, Default)]
pub(super) struct KeptTo {
    file: OnceLock<Arc<Mutex<AnchorsFile>>>,
    waiting: Mutex<Vec<SignedAnchor>>,
    behind: AtomicBool,
}

impl KeptTo {
    /// Adds anchors that were committed.
    pub(super) fn add(&self, anchors: Vec<SignedAnchor>) {
        if self.file.get().is_none() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(anchors);
        let too_many = waiting.len().saturating_sub(MOST_WAITING);
        waiting.drain(..too_many);
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }
}

impl Store {
    /// From now on, anchors of this store are also appended to this file. To be called once, before the first.
    ///
    /// # Errors
    /// [`KeepAnchorsError::Io`]: the file cannot be appended to.
    pub fn keep_anchors_in(&self, file: &Path) -> Result<(), KeepAnchorsError> {
        let opened = AnchorsFile::open(file)
            .map_err(|source| KeepAnchorsError::Io { path: file.to_owned(), source })?;
        // A caller that names a second file continues with the first.
        let _ = self.inner.exports.kept.file.set(Arc::new(Mutex::new(opened)));
        Ok(())
    }

    /// Appends the waiting anchors. Those that cannot be written keep waiting.
    ///
    /// # Errors
    /// [`KeepAnchorsError`].
    pub async fn write_kept_anchors(&self) -> Result<(), KeepAnchorsError> {
        let kept = &self.inner.exports.kept;
        let Some(file) = kept.file.get().cloned() else { return Ok(()) };
        let anchors = std::mem::take(&mut *kept.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if anchors.is_empty() {
            return Ok(());
        }
        let written = anchors.clone();
        let written = blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let path = file.path().to_owned();
            file.append(written).map_err(|source| KeepAnchorsError::Io { path, source })
        })
        .await
        .map_err(KeepAnchorsError::from)
        .flatten();
        kept.behind.store(written.is_err(), Ordering::Relaxed);
        if written.is_err() {
            let mut waiting = kept.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let newer = std::mem::replace(&mut *waiting, anchors);
            drop(waiting);
            kept.add(newer);
        }
        written
    }

    /// The anchors that were made at a moment or later, each as the line that [`keep_anchors_in`](Self::keep_anchors_in)
    /// appends, passed on in pieces. It takes no grant: an anchor contains only writers, numbers and times.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn audit_anchor_lines<E: From<StoreError>>(
        &self,
        since: Timestamp,
        mut piece: impl FnMut(String) -> Result<(), E>,
    ) -> Result<(), E> {
        let reader = self.inner.connections.reader();
        let mut writer_id = String::new();
        while let Some(next) = audit_anchor_rows::writer_after(reader, &writer_id).await? {
            writer_id = next;
            let mut after = i64::MIN;
            loop {
                let anchors = audit_anchor_rows::of_writer(reader, &writer_id, after, ANCHOR_BATCH).await?;
                let Some(last) = anchors.last() else { break };
                after = i64::try_from(last.number).unwrap_or(i64::MAX);
                let made_since = anchors.into_iter().filter(|anchor| anchor.at >= since.as_millis());
                let text: String = made_since.map(|anchor| ExportedLine::Anchor(anchor).to_text()).collect();
                if !text.is_empty() {
                    piece(text)?;
                }
            }
        }
        Ok(())
    }
}
