//! The command lines of `admin policy` and `admin control-policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use domain::identity::{GroupName, PolicyKind, PolicyName, RoleName, UserName};
use domain::policy_bearer::PolicyBearer;
use domain::policy_version::PolicyVersionId;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Create a policy from a JSON document, or give an existing one a new default version.
    Put {
        /// The policy's name.
        name: PolicyName,
        /// The document; - reads standard input.
        file: PathBuf,
        /// Refuse unless this version is the default now, such as v3; `policy show --output json` names it.
        #[arg(long, value_name = "VERSION")]
        over: Option<PolicyVersionId>,
    },
    /// List policies.
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        kind: KindArguments,
    },
    /// Print a policy's document.
    Show {
        /// The policy's name.
        name: PolicyName,
        #[command(flatten)]
        kind: KindArguments,
    },
    /// Delete a policy that is attached to nobody, with all its versions.
    Delete {
        /// The policy's name.
        name: PolicyName,
    },
    /// Attach a policy to a user, a group or a role.
    Attach {
        /// The policy's name.
        name: PolicyName,
        #[command(flatten)]
        kind: KindArguments,
        #[command(flatten)]
        bearer: BearerArguments,
    },
    /// Detach a policy from a user, a group or a role.
    Detach {
        /// The policy's name.
        name: PolicyName,
        #[command(flatten)]
        kind: KindArguments,
        #[command(flatten)]
        bearer: BearerArguments,
    },
}

/// The owner of the policy.
#[derive(Debug, Args)]
pub(crate) struct KindArguments {
    /// Custom for the account's own, System for the ready-made.
    #[arg(long = "type", value_name = "TYPE", default_value = "Custom")]
    pub(crate) kind: PolicyKind,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct BearerArguments {
    /// The user.
    #[arg(long, value_name = "NAME")]
    user: Option<UserName>,
    /// The group.
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// The role.
    #[arg(long, value_name = "NAME")]
    role: Option<RoleName>,
}

impl BearerArguments {
    /// The user, group or role that is named. The command line requires exactly one.
    pub(crate) fn bearer(&self) -> Option<PolicyBearer> {
        let user = self.user.as_ref().map(PolicyBearer::from);
        let group = self.group.as_ref().map(PolicyBearer::from);
        user.or(group).or(self.role.as_ref().map(PolicyBearer::from))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ControlPolicyCommand {
    /// Put a control policy on a level. Users and roles may do only what every level allows; the account's owner is not
    /// bound.
    Put {
        /// The control policy's name.
        name: PolicyName,
        /// The document; - reads standard input.
        file: PathBuf,
        /// The level, from 1 [default: its present level, or 1].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
        level: Option<u32>,
    },
    /// List control policies.
    #[command(alias = "ls")]
    List,
    /// Print a control policy's document.
    Show {
        /// The control policy's name.
        name: PolicyName,
    },
    /// Delete a control policy.
    Delete {
        /// The control policy's name.
        name: PolicyName,
    },
}
