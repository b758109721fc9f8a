//! Room for bodies. Whoever reads a body asks for it; authenticated callers have it in one way (`in_flight`), others in another
//! (`unproven`).

use std::time::Duration;

/// The room that a body takes among what else is held. It is given back when this is dropped.
pub(crate) trait Room {
    /// How much room is made at once; a body that says how long it is makes room for no more than that.
    const STEP: usize;

    /// Whether the wait for room counts against the sender's time, because the sender waits only for itself.
    const WAITS_FOR_ITSELF: bool;

    /// Makes room for so many bytes more, and may wait for it.
    async fn make(&mut self, bytes: usize) -> Result<(), NoRoom>;
}

/// There is no room for what an unauthenticated caller sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// The address has used its share.
    #[error("too much is being received from this address")]
    OfAddress,
    /// All unauthenticated callers together have used theirs.
    #[error("too much is being received from unauthenticated callers")]
    OfAll,
}

impl NoRoom {
    /// When it is worth trying again: by then the room is released, or its holder has continued.
    pub(crate) const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
}
