//! The resource of a call, as policies are asked about it.

use super::Listing;
use crate::actions::Product;
use crate::condition_keys::RecordingFacts;
use crate::identity::{GroupName, PolicyKind, PolicyRef, RoleName, UserName};
use crate::instance_tags::InstanceTags;
use crate::role::AssumableRole;
use crate::{AccountId, InstanceId, Region};

/// An instance, as policies are asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    /// The region where it is stored; unknown ones take the deployment's region.
    pub region: Region,
    /// The instance.
    pub instance: InstanceId,
    /// Its tags.
    pub tags: InstanceTags,
}

impl InstanceFacts {
    /// An instance without tags, for principals that fixed rules decide: those ask for no tag.
    #[must_use]
    pub fn untagged(region: Region, instance: InstanceId) -> Self {
        Self { region, instance, tags: InstanceTags::default() }
    }

    pub(super) fn arn(&self, account: &AccountId) -> String {
        let Self { region, instance, .. } = self;
        let (product, region) = (Product::Workbench.ram_code(), region.as_str());
        // Several times in each call, so not by the formatter.
        ["acs:", product, ":", region, ":", account.as_str(), ":workbench/", instance.as_str()].concat()
    }
}

/// The resource of an action. The account of its ARN is the caller's own (DECISIONS I3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// One instance.
    Instance(InstanceFacts),
    /// One recording of an instance, found within the account and the instance; `None` when there is no such one.
    Recording {
        /// The instance that the caller names.
        of: InstanceFacts,
        /// The recording.
        found: Option<RecordingFacts>,
    },
    /// The rows of a list, those of one instance or of all.
    List(Listing),
    /// `*` in SetInstanceRecordConfig: every instance, `...:workbench/*`.
    AllInstances {
        /// The deployment's region.
        region: Region,
    },
    /// `*`: an operation without an instance, such as an unfiltered list.
    Everything,
    /// Things of the identity store, all of which the caller must be allowed: a user, or a user and the policy that
    /// is attached to it.
    Identity(Vec<IdentityResource>),
}

/// One thing of the identity store, as policies are asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityResource {
    /// `root`: the account's owner, who has access keys too.
    Owner,
    /// `user/<name>`.
    User(UserName),
    /// `user/*`: all users.
    Users,
    /// `group/<name>`.
    Group(GroupName),
    /// `group/*`: all groups.
    Groups,
    /// `role/<name>`.
    Role(RoleName),
    /// `role/*`: all roles.
    Roles,
    /// `role/<name>` of the role that a session is to be of, in the role's own account.
    AssumableRole(AssumableRole),
    /// `policy/<name>`, of the account or of the system.
    Policy(PolicyRef),
    /// `policy/*`: all policies.
    Policies,
}

impl IdentityResource {
    /// What it is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Owner => "account's owner",
            Self::User(_) | Self::Users => "user",
            Self::Group(_) | Self::Groups => "group",
            Self::Role(_) | Self::Roles | Self::AssumableRole(_) => "role",
            Self::Policy(_) | Self::Policies => "policy",
        }
    }

    pub(super) fn arn(&self, account: &AccountId) -> String {
        let ram = Product::Ram.ram_code();
        match self {
            Self::Owner => format!("acs:{ram}::{account}:root"),
            Self::User(name) => format!("acs:{ram}::{account}:user/{name}"),
            Self::Users => format!("acs:{ram}::{account}:user/*"),
            Self::Group(name) => format!("acs:{ram}::{account}:group/{name}"),
            Self::Groups => format!("acs:{ram}::{account}:group/*"),
            Self::Role(name) => format!("acs:{ram}::{account}:role/{name}"),
            Self::Roles => format!("acs:{ram}::{account}:role/*"),
            Self::AssumableRole(role) => role.arn.to_string(),
            Self::Policy(PolicyRef { kind: PolicyKind::Custom, name }) => {
                format!("acs:{ram}::{account}:policy/{name}")
            }
            Self::Policy(PolicyRef { kind: PolicyKind::System, name }) => {
                format!("acs:{ram}::system:policy/{name}")
            }
            Self::Policies => format!("acs:{ram}::{account}:policy/*"),
        }
    }
}

impl Resource {
    /// The ARNs that policies are asked about; each must be allowed.
    #[must_use]
    pub fn arns(&self, account: &AccountId) -> Vec<String> {
        let workbench = Product::Workbench.ram_code();
        match self {
            Self::Instance(of) | Self::Recording { of, .. } | Self::List(Listing { of: Some(of), .. }) => {
                vec![of.arn(account)]
            }
            Self::AllInstances { region } => {
                vec![format!("acs:{workbench}:{region}:{account}:workbench/*")]
            }
            Self::Everything | Self::List(Listing { of: None, .. }) => vec!["*".to_owned()],
            Self::Identity(things) => things.iter().map(|thing| thing.arn(account)).collect(),
        }
    }

    /// What it is about in one text, for audit: the ARN, `*`, or several ARNs with a blank between.
    #[must_use]
    pub fn arn(&self, account: &AccountId) -> String {
        self.arns(account).join(" ")
    }

    /// The role that a session is to be of, where the call is about one.
    #[must_use]
    pub fn assumable_role(&self) -> Option<&AssumableRole> {
        let Self::Identity(things) = self else { return None };
        things.iter().find_map(|thing| match thing {
            IdentityResource::AssumableRole(role) => Some(role),
            _ => None,
        })
    }

    /// Whether a denial for any single instance must refuse the whole (DECISIONS I4).
    pub(super) fn covers_many_instances(&self) -> bool {
        match self {
            Self::Instance(_) | Self::Recording { .. } | Self::Identity(_) => false,
            // A list leaves out the rows that are denied.
            Self::List(_) => false,
            Self::AllInstances { .. } | Self::Everything => true,
        }
    }
}
