//! What a transaction writes to the audit trail.

use domain::AccountId;
use domain::audit::{AuditEvent, ForeignRoleAssumed};

use crate::StoreError;

/// The audit rows of one transaction, which are written only when they belong to the account that it changes. One row
/// may belong to another account: that of a session's start in the trail of the role's account.
#[derive(Debug, Default)]
pub(super) struct AuditRows {
    own: Vec<AuditEvent>,
    foreign_role: Option<ForeignRoleAssumed>,
}

impl AuditRows {
    pub(super) fn with_foreign_role(mut self, assumed: Option<ForeignRoleAssumed>) -> Self {
        self.foreign_role = assumed;
        self
    }

    /// The rows, in order, if they belong to the account.
    pub(super) fn within(self, account: &AccountId) -> Result<Vec<AuditEvent>, StoreError> {
        if self.own.iter().any(|event| event.account != *account) {
            return Err(StoreError::OutsideGrant { what: "audit row" });
        }
        Ok(self.own.into_iter().chain(self.foreign_role.map(ForeignRoleAssumed::into_event)).collect())
    }
}

impl From<Vec<AuditEvent>> for AuditRows {
    fn from(own: Vec<AuditEvent>) -> Self {
        Self { own, foreign_role: None }
    }
}

impl From<Option<AuditEvent>> for AuditRows {
    fn from(own: Option<AuditEvent>) -> Self {
        Self { own: own.into_iter().collect(), foreign_role: None }
    }
}
