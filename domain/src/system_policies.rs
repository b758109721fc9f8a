//! The ready-made policies under `policies/system`: the same in every account, changed by no call, versioned with the
//! program.

use crate::Timestamp;
use crate::identity::{InvalidName, PolicyName};

/// When they are said to have been made and changed: when the first of them were written, since replies have to name
/// some moment, and the same in every account.
pub const WRITTEN_AT: Timestamp = Timestamp::from_millis(1_795_478_400_000);

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
    SystemPolicy {
        name: "AliyunECSWorkbenchReadOnlyAccess",
        description: "Sees configurations, recordings and agents, and changes nothing; not the audit trail.",
        document: include_str!("../../policies/system/AliyunECSWorkbenchReadOnlyAccess.json"),
    },
    SystemPolicy {
        name: "AliyunRAMFullAccess",
        description: "Manages users, groups, roles, policies and access keys.",
        document: include_str!("../../policies/system/AliyunRAMFullAccess.json"),
    },
    SystemPolicy {
        name: "AliyunRAMReadOnlyAccess",
        description: "Sees users, groups, roles and policies, and changes nothing.",
        document: include_str!("../../policies/system/AliyunRAMReadOnlyAccess.json"),
    },
    SystemPolicy {
        name: "AliyunSTSAssumeRoleAccess",
        description: "Assumes every role whose trust policy permits it.",
        document: include_str!("../../policies/system/AliyunSTSAssumeRoleAccess.json"),
    },
    SystemPolicy {
        name: "HansardAgentEnrolmentAccess",
        description: "Makes the tokens with which agents join, and sees which agents there are.",
        document: include_str!("../../policies/system/HansardAgentEnrolmentAccess.json"),
    },
    SystemPolicy {
        name: "HansardAuditorAccess",
        description: "Sees everything, recordings, policies and the audit trail too, and changes nothing.",
        document: include_str!("../../policies/system/HansardAuditorAccess.json"),
    },
    SystemPolicy {
        name: "HansardOperatorAccess",
        description: "Works on instances and sees how they are recorded, but no recording.",
        document: include_str!("../../policies/system/HansardOperatorAccess.json"),
    },
    SystemPolicy {
        name: "HansardOwnSessionsAccess",
        description: "Works on instances, and sees the recordings of its own sessions and no others.",
        document: include_str!("../../policies/system/HansardOwnSessionsAccess.json"),
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
