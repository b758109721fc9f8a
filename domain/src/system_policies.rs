//! The ready-made policies under `policies/system`: the same in every account, changed by no call, versioned with the
//! program.

use crate::identity::{InvalidName, PolicyName};

/// One ready-made policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemPolicy {
    /// Its name, unique among system policies.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub description: &'static str,
    /// The document.
    pub document: &'static str,
}

impl SystemPolicy {
    /// Its name as a policy's name.
    ///
    /// # Errors
    /// Never for those of [`ALL`]; a test reads each.
    pub fn policy_name(&self) -> Result<PolicyName, InvalidName> {
        PolicyName::parse(self.name)
    }
}

/// Every ready-made policy, by name.
pub const ALL: &[SystemPolicy] = &[
    SystemPolicy {
        name: "AdministratorAccess",
        description: "Everything in this account.",
        document: include_str!("../../policies/system/AdministratorAccess.json"),
    },
    SystemPolicy {
        name: "AliyunECSWorkbenchFullAccess",
        description: "Every call of ecs-workbench.",
        document: include_str!("../../policies/system/AliyunECSWorkbenchFullAccess.json"),
    },
];

/// The ready-made policy of this name; letters count.
#[must_use]
pub fn find(name: &str) -> Option<&'static SystemPolicy> {
    ALL.iter().find(|policy| policy.name == name)
}

#[cfg(test)]
mod tests {
    use policies::{DocumentKind, PolicyDocument};

    use super::*;

    #[test]
    fn each_can_be_read_and_they_stand_in_order() {
        for policy in ALL {
            policy.policy_name().unwrap();
            PolicyDocument::parse(policy.document.as_bytes(), DocumentKind::Identity)
                .unwrap_or_else(|error| panic!("{}: {error}", policy.name));
        }
        assert!(ALL.is_sorted_by(|a, b| a.name < b.name));
    }
}
