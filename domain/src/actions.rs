//! The action catalogue: everything that can be asked of Hansard, through which door, and what each action
//! may touch in the store.
//!
//! To add an action: a row in `catalogue!`, the traits for what it touches, its wire structs, one action
//! file. Dispatch finds actions only through [`find`], so an action without a row cannot be reached.

/// A product of the wire: a version that calls name, and the RAM code before the colon of its actions in policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// Session recording, and what this deployment adds to it.
    Workbench,
    /// Users, groups, roles and policies.
    Ram,
    /// Sessions of roles.
    Sts,
}

impl Product {
    /// Every product that this deployment speaks.
    pub const ALL: &[Self] = &[Self::Workbench, Self::Ram, Self::Sts];

    /// The version by which a call names the product; no two products share one.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Workbench => "2022-02-20",
            Self::Ram => "2015-05-01",
            Self::Sts => "2015-04-01",
        }
    }

    /// The RAM code: what stands before the colon of its actions, and second in its ARNs.
    #[must_use]
    pub const fn ram_code(self) -> &'static str {
        match self {
            Self::Workbench => "ecs-workbench",
            Self::Ram => "ram",
            Self::Sts => "sts",
        }
    }

    /// The product with this version.
    #[must_use]
    pub fn of_version(version: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|product| product.version() == version)
    }
}

/// The way in through which an action is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// The signed RPC wire, under the version of the action's product.
    Wire,
    /// `/agent/v1`, authenticated by the agent's own key.
    AgentApi,
    /// The exchange of a replay ticket and what the replay page then reads.
    Replay,
    /// `hansard admin`, on the machine that holds the database.
    Administration,
    /// A job of the control plane itself.
    Job,
}

/// What an action does to the world, for the catalogue's readers and for audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Changes nothing.
    Read,
    /// Changes nothing and names no single resource.
    List,
    /// Changes something.
    Write,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The product it belongs to.
    pub product: Product,
    /// The action's name, as on the wire.
    pub name: &'static str,
    /// The name that policies are asked about, without the RAM code. Usually the same as `name`.
    pub permission: &'static str,
    /// The door.
    pub door: Door,
    /// What it does.
    pub access: Access,
    /// Whether a policy has to allow it. What anybody who signs may ask is decided by a fixed rule, and audited as all
    /// else is.
    pub needs_permission: bool,
}

impl CatalogueEntry {
    /// The full action name of a policy: `<ram-code>:<permission>`.
    #[must_use]
    pub fn ram_action(&self) -> String {
        format!("{}:{}", self.product.ram_code(), self.permission)
    }
}

/// Marks a type as an action. Only the catalogue makes them.
pub trait Action: sealed::Sealed + Send + Sync + 'static {
    /// Its row.
    const ENTRY: CatalogueEntry;
}

mod sealed {
    pub trait Sealed {}
}

/// May read the configuration of an instance.
pub trait ReadsRecordConfig: Action {}
/// May change the configuration of an instance or of `*`.
pub trait SavesRecordConfig: ReadsRecordConfig {}
/// May list recordings.
pub trait ListsRecordings: Action {}
/// May find one recording and read its content.
pub trait ReadsRecording: Action {}
/// May open a recording, add to it and seal it.
pub trait WritesRecording: ReadsRecording {}
/// May create a token with which an agent joins.
pub trait IssuesJoinToken: Action {}
/// May list agents.
pub trait ListsAgents: Action {}
/// May write an agent's row: enrolment, and when it was last heard.
pub trait WritesAgent: Action {}
/// May read users, groups, roles, policies and what is attached to whom.
pub trait ReadsIdentity: Action {}
/// May write users, access keys, groups, roles, policies and attachments.
pub trait AdministersIdentity: ReadsIdentity {}
/// May start a session of the role that the grant is about.
pub trait StartsRoleSession: Action {}
/// May tag instances, and list them with their tags.
pub trait TagsInstances: Action {}
/// May close what was abandoned and lower the counters of what expired.
pub trait SweepsRecordings: Action {}

/// May read what ties an agent's recordings to each other, and what the audit trail says of their openings and seals.
pub trait ChecksRecordings: Action {}
/// May note which recordings are missing.
pub trait NotesMissingRecordings: ChecksRecordings {}

/// May read what the account's audit trail holds.
pub trait ReadsAuditTrail: Action {}

macro_rules! catalogue {
    ($( $(#[$doc:meta])* $name:ident as $product:ident $permission:literal $(without $free:ident)?, $door:ident, $access:ident $(, $may:ident)* ; )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl Action for $name {
                const ENTRY: CatalogueEntry = CatalogueEntry {
                    product: Product::$product,
                    name: stringify!($name),
                    permission: $permission,
                    door: Door::$door,
                    access: Access::$access,
                    needs_permission: { let free: &[&str] = &[$(stringify!($free))?]; free.is_empty() },
                };
            }
            $( impl $may for $name {} )*
        )*

        /// Every action, in the catalogue's order.
        pub const CATALOGUE: &[CatalogueEntry] = &[ $( $name::ENTRY ),* ];
    };
}

catalogue! {
    /// Switches recording on or off for an instance or for `*`.
    SetInstanceRecordConfig as Workbench "SetInstanceRecordConfig", Wire, Write, ReadsRecordConfig, SavesRecordConfig;
    /// The effective configuration of an instance.
    GetInstanceRecordConfig as Workbench "GetInstanceRecordConfig", Wire, Read, ReadsRecordConfig;
    /// Recordings, newest first.
    ListInstanceRecords as Workbench "ListInstanceRecords", Wire, List, ListsRecordings;
    /// Permits one view of one recording and hands out its replay address.
    ViewInstanceRecords as Workbench "ViewInstanceRecords", Wire, Read, ReadsRecording;
    /// Creates a token with which an agent joins.
    CreateAgentJoinToken as Workbench "CreateAgentJoinToken", Wire, Write, IssuesJoinToken;
    /// The agents of the account.
    ListAgents as Workbench "ListAgents", Wire, List, ListsAgents;
    /// What was asked of the account, by whom and with what outcome, newest first.
    ListAuditEvents as Workbench "ListAuditEvents", Wire, List, ReadsAuditTrail;

    /// Which recordings of its agents are missing.
    VerifyAgentRecordings as Workbench "VerifyAgentRecordings", Wire, Read, ChecksRecordings;

    /// Looks for mistakes in a policy document.
    ValidatePolicy as Workbench "ValidatePolicy", Wire, Read;
    /// What somebody could do by its policies, or what documents would permit.
    SimulatePolicy as Workbench "SimulatePolicy", Wire, Read, ReadsIdentity;

    // RAM: roles. STS.
    /// Makes a role, with the policy that says who may assume it.
    CreateRole as Ram "CreateRole", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// One role.
    GetRole as Ram "GetRole", Wire, Read, ReadsIdentity;
    /// Changes who may assume a role, for how long, or its description.
    UpdateRole as Ram "UpdateRole", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// The roles of the account, by name.
    ListRoles as Ram "ListRoles", Wire, List, ReadsIdentity;
    /// Deletes a role that has no policies, and ends its sessions.
    DeleteRole as Ram "DeleteRole", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Opens what a denial sealed: why it was denied.
    DecodeDiagnosticMessage as Ram "DecodeDiagnosticMessage", Wire, Read;
    /// Starts a session of a role.
    AssumeRole as Sts "AssumeRole", Wire, Write, StartsRoleSession;
    /// Who the caller is.
    GetCallerIdentity as Sts "GetCallerIdentity" without permission, Wire, Read;

    /// Makes an agent of a bearer of a join token.
    EnrolAgent as Workbench "EnrolAgent", AgentApi, Write, WritesAgent, ReadsRecordConfig;
    /// The effective configuration of the agent's own instance, by request or by the link.
    ReadAgentConfiguration as Workbench "ReadAgentConfiguration", AgentApi, Read, ReadsRecordConfig, WritesAgent;
    /// Opens a recording on the agent's own instance.
    OpenRecording as Workbench "OpenRecording", AgentApi, Write, ReadsRecordConfig, ReadsRecording, WritesRecording, WritesAgent;
    /// Permits the upload of one evidence object.
    GrantUpload as Workbench "GrantUpload", AgentApi, Write, ReadsRecording, WritesRecording, WritesAgent;
    /// Claims an uploaded segment for the recording.
    AcknowledgeSegment as Workbench "AcknowledgeSegment", AgentApi, Write, ReadsRecording, WritesRecording, WritesAgent;
    /// Seals a recording.
    SealRecording as Workbench "SealRecording", AgentApi, Write, ReadsRecording, WritesRecording, WritesAgent;

    /// Exchanges a replay ticket for a replay session, and reads through it. Policy is asked as for a view.
    ReplayRecording as Workbench "ViewInstanceRecords", Replay, Read, ReadsRecording;

    /// Users, access keys, policies and attachments, by `hansard admin`.
    AdministerIdentity as Workbench "AdministerIdentity", Administration, Write, ReadsIdentity, AdministersIdentity, IssuesJoinToken, ReadsAuditTrail, TagsInstances;

    // RAM: users, access keys, groups.
    /// Makes a user.
    CreateUser as Ram "CreateUser", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// One user.
    GetUser as Ram "GetUser", Wire, Read, ReadsIdentity;
    /// Changes a user's name and what is noted about it.
    UpdateUser as Ram "UpdateUser", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// The users of the account, by name.
    ListUsers as Ram "ListUsers", Wire, List, ReadsIdentity;
    /// Deletes a user that has nothing any more.
    DeleteUser as Ram "DeleteUser", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Gives a user a password for the console.
    CreateLoginProfile as Ram "CreateLoginProfile", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// How a user signs in to the console.
    GetLoginProfile as Ram "GetLoginProfile", Wire, Read, ReadsIdentity;
    /// Changes how a user signs in to the console.
    UpdateLoginProfile as Ram "UpdateLoginProfile", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Takes the console from a user.
    DeleteLoginProfile as Ram "DeleteLoginProfile", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Makes an access key, whose secret is shown once.
    CreateAccessKey as Ram "CreateAccessKey", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// The access keys of a user.
    ListAccessKeys as Ram "ListAccessKeys", Wire, List, ReadsIdentity;
    /// Switches an access key on or off.
    UpdateAccessKey as Ram "UpdateAccessKey", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Deletes an access key.
    DeleteAccessKey as Ram "DeleteAccessKey", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// When an access key last signed.
    GetAccessKeyLastUsed as Ram "GetAccessKeyLastUsed", Wire, Read, ReadsIdentity;
    /// Makes a group.
    CreateGroup as Ram "CreateGroup", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// One group.
    GetGroup as Ram "GetGroup", Wire, Read, ReadsIdentity;
    /// Changes a group's name and what is noted about it.
    UpdateGroup as Ram "UpdateGroup", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// The groups of the account, by name.
    ListGroups as Ram "ListGroups", Wire, List, ReadsIdentity;
    /// Deletes a group that nobody is in and nothing is attached to.
    DeleteGroup as Ram "DeleteGroup", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Puts a user into a group.
    AddUserToGroup as Ram "AddUserToGroup", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Takes a user out of a group.
    RemoveUserFromGroup as Ram "RemoveUserFromGroup", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// The users that are in a group, by name.
    ListUsersForGroup as Ram "ListUsersForGroup", Wire, List, ReadsIdentity;
    /// The groups that a user is in.
    ListGroupsForUser as Ram "ListGroupsForUser", Wire, List, ReadsIdentity;

    /// Closes abandoned recordings and lowers the counters of expired ones.
    SweepRecordings as Workbench "SweepRecordings", Job, Write, SweepsRecordings;

    /// Looks for recordings that are missing, and tells of them once.
    CheckAgentRecordings as Workbench "CheckAgentRecordings", Job, Write, ChecksRecordings, NotesMissingRecordings;

    // RAM: policies.
    /// Makes a policy of the account.
    CreatePolicy as Ram "CreatePolicy", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// A policy with its deciding document.
    GetPolicy as Ram "GetPolicy", Wire, Read, ReadsIdentity;
    /// Policies of the account and of the system.
    ListPolicies as Ram "ListPolicies", Wire, List, ReadsIdentity;
    /// Deletes a policy of the account that nobody has.
    DeletePolicy as Ram "DeletePolicy", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Gives a policy another version.
    CreatePolicyVersion as Ram "CreatePolicyVersion", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// The versions of a policy.
    ListPolicyVersions as Ram "ListPolicyVersions", Wire, Read, ReadsIdentity;
    /// One version of a policy.
    GetPolicyVersion as Ram "GetPolicyVersion", Wire, Read, ReadsIdentity;
    /// Makes another version of a policy the deciding one.
    SetDefaultPolicyVersion as Ram "SetDefaultPolicyVersion", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Deletes a version of a policy that does not decide.
    DeletePolicyVersion as Ram "DeletePolicyVersion", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Attaches a policy to a user.
    AttachPolicyToUser as Ram "AttachPolicyToUser", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Attaches a policy to a group.
    AttachPolicyToGroup as Ram "AttachPolicyToGroup", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Attaches a policy to a role.
    AttachPolicyToRole as Ram "AttachPolicyToRole", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Detaches a policy from a user.
    DetachPolicyFromUser as Ram "DetachPolicyFromUser", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Detaches a policy from a group.
    DetachPolicyFromGroup as Ram "DetachPolicyFromGroup", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// Detaches a policy from a role.
    DetachPolicyFromRole as Ram "DetachPolicyFromRole", Wire, Write, ReadsIdentity, AdministersIdentity;
    /// The policies that a user has.
    ListPoliciesForUser as Ram "ListPoliciesForUser", Wire, Read, ReadsIdentity;
    /// The policies that a group has.
    ListPoliciesForGroup as Ram "ListPoliciesForGroup", Wire, Read, ReadsIdentity;
    /// The policies that a role has.
    ListPoliciesForRole as Ram "ListPoliciesForRole", Wire, Read, ReadsIdentity;
    /// Who has a policy.
    ListEntitiesForPolicy as Ram "ListEntitiesForPolicy", Wire, Read, ReadsIdentity;
}

/// The row of an action that can be asked for on the wire under `version`.
#[must_use]
pub fn find(version: &str, name: &str) -> Option<&'static CatalogueEntry> {
    let product = Product::of_version(version)?;
    CATALOGUE.iter().find(|entry| entry.door == Door::Wire && entry.product == product && entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn who_one_is_everybody_may_ask_and_nothing_else() {
        let free: Vec<_> = CATALOGUE.iter().filter(|entry| !entry.needs_permission).collect();
        assert_eq!(free.iter().map(|entry| entry.name).collect::<Vec<_>>(), ["GetCallerIdentity"]);
        assert!(free.iter().all(|entry| entry.door == Door::Wire && entry.access == Access::Read));
    }

    #[test]
    fn only_wire_actions_are_found() {
        let workbench = Product::Workbench.version();
        assert!(find(workbench, "ListAgents").is_some());
        assert!(find(workbench, "SealRecording").is_none());
        assert!(find(workbench, "AdministerIdentity").is_none());
        assert!(find(Product::Ram.version(), "ListAgents").is_none());
        assert!(find("2015-05-02", "ListAgents").is_none());
        assert!(find(workbench, "listagents").is_none());
    }
}
