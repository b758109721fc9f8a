//! Writes down when access keys last signed. The moment that GetAccessKeyLastUsed shows is as far behind as this job's
//! rounds are apart.

use crate::Hansard;
use crate::errors::chain_of;

/// Writes what was noted since the last round. What could not be written is kept for the next.
pub(super) async fn write(hansard: &Hansard) {
    if let Err(error) = hansard.store.write_key_usage().await {
        tracing::warn!(chain = %chain_of(&error), "when access keys last signed could not be written");
    }
}
