//! What is written down about every call.

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::{AccountId, Timestamp};

/// The account of the deployment itself. Nobody can have it: to it belong the events about callers whose account
/// nobody knows. No account reads them; operators do, beside the database.
pub static DEPLOYMENT_ACCOUNT: LazyLock<AccountId> =
    LazyLock::new(|| AccountId::parse("1000000000000000").expect("it is an account id"));

/// How the gate decided, as audit keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditDecision {
    /// It was permitted.
    Allowed {
        /// The statement, or the fixed rule, that permitted it.
        by: String,
    },
    /// It was refused by policy.
    Denied {
        /// The statement that refused it; `None` when nothing allowed it.
        by: Option<String>,
    },
    /// It was refused before a policy was asked: no such action, a malformed parameter.
    NotAsked,
}

/// One final row about one authenticated call, append-only. It never holds a secret, a token that is a
/// credential, or a query string. Calls that were refused before anybody was authenticated, and those that were
/// throttled, are counted for a minute and are one event together: its `how` says how many they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The call's RequestId.
    pub request_id: String,
    /// When the call arrived.
    pub at: Timestamp,
    /// The caller's account.
    pub account: AccountId,
    /// The caller's ARN.
    pub principal: String,
    /// The key that signed, where one did.
    pub access_key_id: Option<String>,
    /// The action's name, as asked.
    pub action: String,
    /// The resource that was asked about: an ARN or `*`; empty when it was never located.
    pub resource: String,
    /// What the gate said.
    pub decision: AuditDecision,
    /// The wire code of the outcome: `OK` or the error's code.
    pub result: String,
    /// Where the call came from.
    pub source_address: Option<IpAddr>,
    /// The caller's program, as it named itself; cut at 256 characters.
    pub user_agent: String,
    /// The recording concerned, where one is.
    pub recording: Option<String>,
    /// How a recording was looked at (`ticket`, `exchange`, `replay`, `download`), or another short word about
    /// the call; empty otherwise.
    pub how: String,
}
