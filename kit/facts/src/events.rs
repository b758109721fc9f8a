//! Audit events of tests.

use domain::audit::{AuditDecision, AuditEvent};
use domain::{AccountId, Timestamp};

use crate::names::at;

/// A call of the account's owner.
#[must_use]
pub fn event(account: &AccountId, action: &str) -> AuditEvent {
    AuditEvent {
        request_id: "4B1E8E5C-0000-4000-8000-000000000000".to_owned(),
        at: at(0),
        account: account.clone(),
        principal: format!("acs:ram::{account}:root"),
        access_key_id: Some("root-key".to_owned()),
        action: action.to_owned(),
        resource: "*".to_owned(),
        decision: AuditDecision::Allowed { by: "owner".to_owned() },
        result: "OK".to_owned(),
        source_address: Some("192.0.2.7".parse().unwrap()),
        user_agent: "test".to_owned(),
        recording: None,
        how: String::new(),
    }
}

/// An event for what a test does to a running control plane without going through its API. The principal tells it apart
/// from every call.
#[must_use]
pub fn operator_event(account: &AccountId, action: &str, at: Timestamp) -> AuditEvent {
    AuditEvent {
        at,
        principal: "test".to_owned(),
        access_key_id: None,
        decision: AuditDecision::NotAsked,
        source_address: None,
        ..event(account, action)
    }
}
