//! An event as it is written down.

use domain::audit::{AuditDecision, AuditEvent};

use crate::rows::column_text;

/// A value of the column `decision`.
pub(crate) const ALLOWED: &str = "allowed";
/// See [`ALLOWED`].
pub(crate) const DENIED: &str = "denied";
/// See [`ALLOWED`].
pub(crate) const NOT_ASKED: &str = "not-asked";

/// The texts of a row, as they are stored: nothing is interpreted, so that damaged rows can be reported too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenEvent {
    pub(crate) request_id: String,
    pub(crate) at: i64,
    pub(crate) account_id: String,
    pub(crate) principal: String,
    pub(crate) access_key_id: Option<String>,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) decision: String,
    pub(crate) decided_by: Option<String>,
    pub(crate) result: String,
    pub(crate) source_address: Option<String>,
    pub(crate) user_agent: String,
    pub(crate) recording: Option<String>,
    pub(crate) how: String,
    /// Derived from the other fields; not part of the chain.
    pub(crate) instance_id: Option<String>,
}

impl WrittenEvent {
    /// The event as the database can keep it; the chain is computed over what is kept.
    pub(crate) fn of(event: AuditEvent) -> Self {
        let instance_id = event.instance().map(String::from);
        let (decision, decided_by) = decision_columns(event.decision);
        Self {
            request_id: kept(event.request_id),
            at: event.at.as_millis(),
            account_id: event.account.as_str().to_owned(),
            principal: kept(event.principal),
            access_key_id: event.access_key_id.map(kept),
            action: kept(event.action),
            resource: kept(event.resource),
            decision: decision.to_owned(),
            decided_by: decided_by.map(kept),
            result: kept(event.result),
            source_address: event.source_address.map(|address| address.to_string()),
            user_agent: kept(event.user_agent),
            recording: event.recording.map(kept),
            how: kept(event.how),
            instance_id,
        }
    }

    /// What [`AuditEvent::instance`] derives from these texts.
    pub(crate) fn derived_instance(&self) -> Option<String> {
        domain::audit::instance_of(&self.resource, &self.account_id).map(String::from)
    }
}

/// Which parts of the decision go into which column.
fn decision_columns(decision: AuditDecision) -> (&'static str, Option<String>) {
    match decision {
        AuditDecision::Allowed { by } => (ALLOWED, Some(by)),
        AuditDecision::Denied { by } => (DENIED, by),
        AuditDecision::NotAsked => (NOT_ASKED, None),
    }
}

/// Nearly every text is kept as it is.
fn kept(text: String) -> String {
    if text.contains('\0') { column_text(&text) } else { text }
}
