//! Reading configurations.

use domain::actions::ReadsRecordConfig;
use domain::gate::Granted;
use domain::record_config::{EffectiveRecordConfig, InstanceSelector, RecordConfig};

use super::Store;
use crate::StoreError;

impl Store {
    /// The configuration that was set for exactly this selector.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is for another instance.
    pub async fn own_record_config<A: ReadsRecordConfig>(&self, granted: &Granted<A>, selector: &InstanceSelector) -> Result<Option<RecordConfig>, StoreError> {
        todo!()
    }

    /// What holds for the selector: its own configuration, else that of `*`.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is for another instance.
    pub async fn effective_record_config<A: ReadsRecordConfig>(&self, granted: &Granted<A>, selector: &InstanceSelector) -> Result<EffectiveRecordConfig, StoreError> {
        todo!()
    }
}
