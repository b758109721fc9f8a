//! Reading configurations.

use domain::actions::ReadsRecordConfig;
use domain::gate::Granted;
use domain::record_config::{EffectiveRecordConfig, InstanceSelector, RecordConfig};

use super::{Scope, Store};
use crate::StoreError;
use crate::rows::record_config_rows;

impl Store {
    /// The configuration that was set for exactly this selector.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is for another instance.
    pub async fn find_own_record_config<A: ReadsRecordConfig>(
        &self,
        granted: &Granted<A>,
        selector: &InstanceSelector,
    ) -> Result<Option<RecordConfig>, StoreError> {
        let scope = Scope::of(granted);
        scope.admits_selector(selector)?;
        let found =
            record_config_rows::find(self.inner.connections.reader(), &scope.account, &[selector]).await?;
        Ok(found.into_iter().next())
    }

    /// The configuration that applies to the selector: its own, otherwise that of `*`.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is for another instance.
    pub async fn effective_record_config<A: ReadsRecordConfig>(
        &self,
        granted: &Granted<A>,
        selector: &InstanceSelector,
    ) -> Result<EffectiveRecordConfig, StoreError> {
        let scope = Scope::of(granted);
        scope.admits_selector(selector)?;
        let asked = [selector, &InstanceSelector::All];
        let found = record_config_rows::find(self.inner.connections.reader(), &scope.account, &asked).await?;
        let (all, own): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|config| config.selector == InstanceSelector::All);
        Ok(EffectiveRecordConfig::of(own.into_iter().next(), all.into_iter().next()))
    }
}
