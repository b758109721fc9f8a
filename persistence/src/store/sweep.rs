//! What time does to recordings.

use std::time::Duration;

use domain::Timestamp;
use domain::actions::SweepsRecordings;
use domain::gate::Granted;

use super::Store;
use crate::{StoreError, Swept};

impl Store {
    /// Marks as abandoned what has been silent for `abandoned_after` and whose agent has been silent as long, takes
    /// what has expired out of the counters, and removes what has lapsed. It may run at any time and as often as one
    /// likes.
    pub async fn sweep<A: SweepsRecordings>(&self, granted: &Granted<A>, now: Timestamp, abandoned_after: Duration) -> Result<Swept, StoreError> {
        todo!()
    }
}
