//! Which replica of the control plane holds an agent's link (DECISIONS N4): a lease, of which each has a greater epoch than the one
//! before.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{AccountId, AgentId, InstanceId, Timestamp};

/// How long a lease lasts without renewal. A link that is silent for this long is dead.
pub const LEASE_LASTS: Duration = Duration::from_secs(45);

/// One running process of the control plane. A process that starts again is another replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplicaId(String);

/// The text is not a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a replica is replica- and 32 lower-case hexadecimal digits")]
pub struct InvalidReplicaId;

impl ReplicaId {
    const PREFIX: &'static str = "replica-";

    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("{}{}", Self::PREFIX, crate::TerminalSessionToken::generate()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReplicaId {
    type Err = InvalidReplicaId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let digits = text.strip_prefix(Self::PREFIX).ok_or(InvalidReplicaId)?;
        let well_formed = digits.len() == 32 && digits.bytes().all(digit);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidReplicaId) }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lease on an agent's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLink {
    /// The agent.
    pub agent: AgentId,
    /// Its account.
    pub account: AccountId,
    /// Its instance.
    pub instance: InstanceId,
    /// The replica that holds it.
    pub replica: ReplicaId,
    /// The address at which other replicas reach that one; `None` if it has no internal listener.
    pub internal_address: Option<String>,
    /// The number of the lease, from 1.
    pub epoch: u64,
    /// When it lapses.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_read_back_as_they_print_and_nothing_else_is_one() {
        let replica = ReplicaId::generate();
        assert_eq!(replica.as_str().parse(), Ok(replica.clone()));
        let digits = &replica.as_str()["replica-".len()..];
        for bad in
            ["", digits, "replica-", &format!("replica-{digits}0"), &format!("replica-{}", "A".repeat(32))]
        {
            assert_eq!(bad.parse::<ReplicaId>(), Err(InvalidReplicaId), "{bad}");
        }
    }
}
