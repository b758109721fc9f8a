//! The reason for a denial, sealed. The caller receives it and cannot read it; DecodeDiagnosticMessage decodes it for
//! callers of the same account who have that permission. It is sealed for the caller's account, so that no other
//! account can decode it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::AccountId;
use domain::gate::{Denied, UnmetCondition};
use domain::principal::Principal;
use domain::server_keys::ServerKeys;
use openapi::replies::AccessDeniedDetail;
use serde::{Deserialize, Serialize};

/// How a message begins; its Base64 begins with `AQ`, as the vendor's does.
const VERSION: [u8; 2] = [1, 0];

/// Every message that was sealed here is shorter.
const MAX_CHARACTERS: usize = 16 * 1024;

/// A denial, with what the caller may learn about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{denied}")]
pub(crate) struct Denial {
    pub(crate) denied: Denied,
    /// The sealed reason; absent where the denial does not belong to a call of the wire.
    pub(crate) sealed: Option<String>,
}

/// Who was denied, as a denial names callers.
pub(crate) struct Caller {
    /// `SubUser`, `AssumedRoleUser` or `Account`.
    pub(crate) kind: &'static str,
    /// A user's id; `<role>:<session>`; an account's id.
    pub(crate) display_name: String,
}

impl Caller {
    /// The caller of a denial.
    pub(crate) fn of(principal: &Principal) -> Self {
        match principal {
            Principal::User { user_id, .. } => Self { kind: "SubUser", display_name: user_id.to_string() },
            Principal::AssumedRole { role_name, session_name, .. } => {
                Self { kind: "AssumedRoleUser", display_name: format!("{role_name}:{session_name}") }
            }
            other => Self { kind: "Account", display_name: other.account().to_string() },
        }
    }
}

/// The content of a message. Its names are short, because callers pass messages around.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Diagnostics {
    #[serde(rename = "e")]
    pub(crate) explicit: bool,
    /// The kind of policy that decided.
    #[serde(rename = "t")]
    pub(crate) policy_type: String,
    #[serde(rename = "a")]
    pub(crate) action: String,
    #[serde(rename = "r")]
    pub(crate) resource: String,
    #[serde(rename = "k")]
    pub(crate) caller_kind: String,
    #[serde(rename = "n")]
    pub(crate) caller_name: String,
    /// The condition keys of the request, with their values.
    #[serde(rename = "c")]
    pub(crate) context: Vec<(String, Vec<String>)>,
    /// The policy that denied, and which of its statements, from 0.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(crate) statement: Option<(String, usize)>,
    /// The conditions of statements that would otherwise have allowed the call.
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unmet: Vec<SealedCondition>,
}

/// A condition that the call did not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedCondition {
    #[serde(rename = "p")]
    pub(crate) policy: String,
    #[serde(rename = "s")]
    pub(crate) statement: usize,
    #[serde(rename = "o")]
    pub(crate) operator: String,
    #[serde(rename = "k")]
    pub(crate) key: String,
    #[serde(rename = "w")]
    pub(crate) wanted: Vec<String>,
}

/// The text was not sealed here, not for this account, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is the EncodedDiagnosticMessage of a denial in this account")]
pub(crate) struct InvalidDiagnostics;

impl Denial {
    /// Seals the reason. If the system's randomness fails, the caller is denied without a message.
    pub(crate) fn sealed(denied: Denied, keys: &ServerKeys) -> Self {
        let sealed = Diagnostics::of(&denied).seal(keys, denied.principal.account());
        Self { denied, sealed }
    }

    /// What the caller may learn about a denial (RAM, "denial on the wire"): never the policy.
    pub(crate) fn detail(&self) -> AccessDeniedDetail {
        let denied = &self.denied;
        let caller = Caller::of(&denied.principal);
        AccessDeniedDetail {
            auth_action: denied.action.clone(),
            auth_principal_type: caller.kind.to_owned(),
            auth_principal_owner_id: denied.principal.account().to_string(),
            auth_principal_display_name: caller.display_name,
            policy_type: denied.policy_type.as_str().to_owned(),
            no_permission_type: if denied.explicit { "ExplicitDeny" } else { "ImplicitDeny" }.to_owned(),
            encoded_diagnostic_message: self.sealed.clone(),
        }
    }
}

impl From<Denied> for Denial {
    fn from(denied: Denied) -> Self {
        Self { denied, sealed: None }
    }
}

impl SealedCondition {
    fn of(unmet: &UnmetCondition) -> Self {
        Self {
            policy: unmet.policy.clone(),
            statement: unmet.statement,
            operator: unmet.operator.to_owned(),
            key: unmet.key.clone(),
            wanted: unmet.wanted.clone(),
        }
    }
}

impl Diagnostics {
    fn of(denied: &Denied) -> Self {
        let caller = Caller::of(&denied.principal);
        Self {
            explicit: denied.explicit,
            policy_type: denied.policy_type.as_str().to_owned(),
            action: denied.action.clone(),
            resource: denied.resource.clone(),
            caller_kind: caller.kind.to_owned(),
            caller_name: caller.display_name,
            context: denied.context.to_vec(),
            statement: denied.statement.as_ref().map(|by| (by.policy.to_string(), by.statement)),
            unmet: denied.unmet.iter().map(SealedCondition::of).collect(),
        }
    }

    fn seal(&self, keys: &ServerKeys, account: &AccountId) -> Option<String> {
        let text = serde_json::to_vec(self).ok()?;
        let sealed = keys.seal(&context(account), &text).ok()?;
        // The second of the sealed text's two parts is hexadecimal, which takes twice the space.
        let (key_id, rest) = sealed.split_once('.')?;
        let mut bytes = VERSION.to_vec();
        bytes.push(u8::try_from(key_id.len()).ok()?);
        bytes.extend_from_slice(key_id.as_bytes());
        bytes.extend(hex::decode(rest).ok()?);
        Some(STANDARD.encode(bytes))
    }

    /// Opens a message that was sealed for this account.
    pub(crate) fn open(
        keys: &ServerKeys,
        account: &AccountId,
        message: &str,
    ) -> Result<Self, InvalidDiagnostics> {
        if message.len() > MAX_CHARACTERS {
            return Err(InvalidDiagnostics);
        }
        let bytes = STANDARD.decode(message).map_err(|_| InvalidDiagnostics)?;
        let Some([length, rest @ ..]) = bytes.strip_prefix(&VERSION) else { return Err(InvalidDiagnostics) };
        let (key_id, sealed) = rest.split_at_checked(usize::from(*length)).ok_or(InvalidDiagnostics)?;
        let key_id = std::str::from_utf8(key_id).map_err(|_| InvalidDiagnostics)?;
        let text = keys
            .open(&context(account), &format!("{key_id}.{}", hex::encode(sealed)))
            .map_err(|_| InvalidDiagnostics)?;
        serde_json::from_slice(&text).map_err(|_| InvalidDiagnostics)
    }
}

/// Binds a message to its account, and keeps it apart from other sealed texts.
fn context(account: &AccountId) -> String {
    format!("diagnostics:{account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostics() -> Diagnostics {
        Diagnostics {
            explicit: true,
            policy_type: "AccountLevelIdentityBasedPolicy".to_owned(),
            action: "ecs-workbench:ViewInstanceRecords".to_owned(),
            resource: "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-1".to_owned(),
            caller_kind: "SubUser".to_owned(),
            caller_name: "200000000000000001".to_owned(),
            context: vec![("acs:SourceIp".to_owned(), vec!["192.0.2.7".to_owned()])],
            statement: Some(("secret-policy".to_owned(), 2)),
            unmet: Vec::new(),
        }
    }

    fn account(last: char) -> AccountId {
        format!("160998252900000{last}").parse().unwrap()
    }

    #[test]
    fn a_message_opens_in_its_own_account_only() {
        let keys = ServerKeys::generate().unwrap();
        let message = diagnostics().seal(&keys, &account('0')).unwrap();
        assert_eq!(Diagnostics::open(&keys, &account('0'), &message), Ok(diagnostics()));
        assert_eq!(Diagnostics::open(&keys, &account('1'), &message), Err(InvalidDiagnostics));
        let others = ServerKeys::generate().unwrap();
        assert_eq!(Diagnostics::open(&others, &account('0'), &message), Err(InvalidDiagnostics));
        let rotated = keys.rotated(domain::server_keys::Purpose::Sealing).unwrap();
        assert_eq!(Diagnostics::open(&rotated, &account('0'), &message), Ok(diagnostics()));
    }

    #[test]
    fn a_message_shows_nothing_and_stays_short() {
        let keys = ServerKeys::generate().unwrap();
        let message = diagnostics().seal(&keys, &account('0')).unwrap();
        let bytes = STANDARD.decode(&message).unwrap();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(!shown.contains("secret-policy") && !shown.contains("192.0.2.7"), "{shown}");
        assert!(message.starts_with("AQ") && message.len() < 600, "{}", message.len());
    }

    #[test]
    fn a_message_changed_anywhere_is_refused() {
        let keys = ServerKeys::generate().unwrap();
        let message = diagnostics().seal(&keys, &account('0')).unwrap();
        let bytes = STANDARD.decode(&message).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let refused = Diagnostics::open(&keys, &account('0'), &STANDARD.encode(&changed));
            assert_eq!(refused, Err(InvalidDiagnostics), "byte {at}");
            let cut = Diagnostics::open(&keys, &account('0'), &STANDARD.encode(&bytes[..at]));
            assert_eq!(cut, Err(InvalidDiagnostics), "cut at {at}");
        }
        for bad in ["", "x", "AQ==", "é", &"A".repeat(MAX_CHARACTERS + 4)] {
            assert_eq!(Diagnostics::open(&keys, &account('0'), bad), Err(InvalidDiagnostics));
        }
        // What was sealed for another purpose is no message either.
        let secret = keys.seal("access_keys:x", b"{}").unwrap();
        let (id, rest) = secret.split_once('.').unwrap();
        let mut other = VERSION.to_vec();
        other.push(u8::try_from(id.len()).unwrap());
        other.extend_from_slice(id.as_bytes());
        other.extend(hex::decode(rest).unwrap());
        assert!(Diagnostics::open(&keys, &account('0'), &STANDARD.encode(other)).is_err());
    }
}
