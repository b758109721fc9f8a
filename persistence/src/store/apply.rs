//! Applying decisions.

use domain::audit::AuditEvent;
use domain::gate::Granted;

use super::Store;
use crate::StoreError;
use crate::changes::Permits;

/// A decided change that the store knows how to apply.
pub trait Change: Send + 'static {}

impl Change for domain::record_config::RecordConfigChanged {}
impl Change for domain::recording_life::SegmentAcknowledged {}
impl Change for domain::recording_life::RecordingSealed {}
impl Change for domain::recording_life::RecordingDelivered {}
impl Change for crate::RecordingOpened {}
impl Change for crate::JoinTokenIssued {}
impl Change for crate::AgentEnrolled {}

impl Store {
    /// Applies a decision: the change, its audit row, its counters and its revision, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something else changed first, so that the decision must be made anew;
    /// [`StoreError::NotFound`]; [`StoreError::JoinTokenRefused`]; nothing is changed then, and no audit row is
    /// written.
    pub async fn apply<A, C>(&self, granted: &Granted<A>, change: C, audit: AuditEvent) -> Result<(), StoreError>
    where
        A: Permits<C>,
        C: Change,
    {
        todo!()
    }
}
