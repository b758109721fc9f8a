//! The action catalogue: every action of Hansard, the door that it comes through, and what it may touch in the store.
//!
//! To add an action of the wire: its row in `catalogue!`, its request and reply in `openapi` with a line in `operations!`
//! there, and its file in `api` with a `mod` line. All tables of actions are made from the rows
//! ([`wire_actions!`](crate::wire_actions)), and do not compile while one of these is missing.

mod asked_on;

pub use asked_on::{AskedOn, Form};

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

/// The interface through which an action is called.
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

/// What kind of effect an action has, for the catalogue's readers and for the audit trail.
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
    /// What it does in a sentence, for documents.
    pub summary: &'static str,
    /// The door.
    pub door: Door,
    /// What it does.
    pub access: Access,
    /// What policies are asked about; `None` for actions that no policy decides.
    pub asked_on: Option<AskedOn>,
    /// Whether a policy has to allow it. Otherwise every authenticated caller may call it by a fixed rule; such calls
    /// are audited too.
    pub needs_permission: bool,
}

impl CatalogueEntry {
    /// The full action name of a policy: `<ram-code>:<permission>`.
    #[must_use]
    pub fn ram_action(&self) -> String {
        [self.product.ram_code(), ":", self.permission].concat()
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
/// May write an agent's row: its enrolment, and when it was last heard from.
pub trait WritesAgent: Action {}
/// May remove the agent of the grant's instance.
pub trait RemovesAgent: Action {}
/// May reach agents over their links, whichever replica holds them.
pub trait ReachesAgents: Action {}
/// May read users, groups, roles, policies and what is attached to whom.
pub trait ReadsIdentity: Action {}
/// May write users, access keys, groups, roles, policies and attachments.
pub trait AdministersIdentity: ReadsIdentity {}
/// May start a session of the role that the grant is about.
pub trait StartsRoleSession: Action {}
/// May tag instances, and list them with their tags.
pub trait TagsInstances: Action {}
/// May close abandoned recordings and lower the counters of expired ones.
pub trait SweepsRecordings: Action {}

/// May read the links between an agent's recordings, and what the audit trail says about their openings and seals.
pub trait ChecksRecordings: Action {}
/// May note which recordings are missing.
pub trait NotesMissingRecordings: ChecksRecordings {}

/// May read what the account's audit trail holds.
pub trait ReadsAuditTrail: Action {}

/// Makes the catalogue. A row of the wire has the sentence that documents show, the product, the access, the resources
/// of the action (`|` between alternatives, `&` between those that must be allowed together), and what it may touch in
/// the store. A row of another door names the door, and with `as` the action that policies are asked about instead.
macro_rules! catalogue {
    (@permission $name:ident) => { stringify!($name) };
    (@permission $name:ident as $wire:ident) => { <$wire as Action>::ENTRY.permission };
    (@asked_on) => { None };
    (@asked_on as $wire:ident) => { <$wire as Action>::ENTRY.asked_on };
    (@needs permission) => { false };
    (@needs) => { true };

    ($dollar:tt
        wire { $(
            $(#[doc = $summary:literal])+
            $name:ident of $product:ident, $access:ident, on $( $form:ident $(& $and:ident)* )|+
                $(, without $free:ident)? $(, may $($may:ident),+)? ;
        )* }
        other doors { $(
            $(#[doc = $about:literal])+
            $inner:ident of $owner:ident, $does:ident, by $door:ident $(as $wire:ident)? $(, may $($can:ident),+)? ;
        )* }
    ) => {
        $(
            $(#[doc = $summary])+
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl Action for $name {
                const ENTRY: CatalogueEntry = CatalogueEntry {
                    product: Product::$product,
                    name: stringify!($name),
                    permission: stringify!($name),
                    summary: concat!($($summary),+).trim_ascii(),
                    door: Door::Wire,
                    access: Access::$access,
                    asked_on: Some(AskedOn { alternatives: &[ $( &[Form::$form $(, Form::$and)*] ),+ ] }),
                    needs_permission: catalogue!(@needs $($free)?),
                };
            }
            $( $( impl $may for $name {} )+ )?
        )*
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, Copy)]
            pub enum $inner {}
            impl sealed::Sealed for $inner {}
            impl Action for $inner {
                const ENTRY: CatalogueEntry = CatalogueEntry {
                    product: Product::$owner,
                    name: stringify!($inner),
                    permission: catalogue!(@permission $inner $(as $wire)?),
                    summary: concat!($($about),+).trim_ascii(),
                    door: Door::$door,
                    access: Access::$does,
                    asked_on: catalogue!(@asked_on $(as $wire)?),
                    needs_permission: true,
                };
            }
            $( $( impl $can for $inner {} )+ )?
        )*

        /// Every action, in the catalogue's order: those of the wire first.
        pub const CATALOGUE: &[CatalogueEntry] = &[ $( $name::ENTRY, )* $( $inner::ENTRY, )* ];

        /// Passes the names of all actions of the wire to a macro, in the catalogue's order. A table that is made from
        /// them does not compile while something of an action is missing.
        #[macro_export]
        macro_rules! wire_actions {
            ($dollar callback:ident) => { $dollar callback! { $($name)* } };
        }
    };
}

catalogue! {
    $

    wire {
        // ecs-workbench.
        /// Switches recording on or off.
        SetInstanceRecordConfig of Workbench, Write, on Instance | AllInstances, may ReadsRecordConfig, SavesRecordConfig;
        /// The configuration that applies to an instance.
        GetInstanceRecordConfig of Workbench, Read, on Instance | AllInstances, may ReadsRecordConfig;
        /// Recordings, newest first.
        ListInstanceRecords of Workbench, List, on Instance | Everything, may ListsRecordings;
        /// Permits one view of one recording and returns its replay address.
        ViewInstanceRecords of Workbench, Read, on Instance, may ReadsRecording;
        /// Creates a token with which one agent joins.
        CreateAgentJoinToken of Workbench, Write, on Instance | AllInstances, may IssuesJoinToken;
        /// The agents of the account.
        ListAgents of Workbench, List, on Instance | Everything, may ListsAgents;
        /// Removes the agent of an instance: its keys are refused, and its open recordings end. Its recordings stay.
        DeleteAgent of Workbench, Write, on Instance, may RemovesAgent;
        /// The calls to the account, with their callers and outcomes, newest first.
        ListAuditEvents of Workbench, List, on Instance | Everything, may ReadsAuditTrail;
        /// Which recordings of agents are missing.
        VerifyAgentRecordings of Workbench, Read, on Instance | Everything, may ChecksRecordings;
        /// Looks for mistakes in a policy document, with their places and how to correct them.
        ValidatePolicy of Workbench, Read, on Everything;
        /// What a stored principal could do, or what draft documents would permit, and why.
        SimulatePolicy of Workbench, Read, on Everything | User | Group | Role, may ReadsIdentity;

        // RAM: roles. STS.
        /// Creates a role, with the policy that says who may assume it.
        CreateRole of Ram, Write, on Role, may ReadsIdentity, AdministersIdentity;
        /// One role.
        GetRole of Ram, Read, on Role, may ReadsIdentity;
        /// Changes who may assume a role, for how long, or its description.
        UpdateRole of Ram, Write, on Role, may ReadsIdentity, AdministersIdentity;
        /// The roles of the account, by name.
        ListRoles of Ram, List, on Roles, may ReadsIdentity;
        /// Deletes a role that has no policies, and ends its sessions.
        DeleteRole of Ram, Write, on Role, may ReadsIdentity, AdministersIdentity;
        /// Decodes the message of a denial: why the call was denied.
        DecodeDiagnosticMessage of Ram, Read, on Everything;
        /// Starts a session of a role.
        AssumeRole of Sts, Write, on Role, may StartsRoleSession;
        /// Who the caller is. Needs no permission.
        GetCallerIdentity of Sts, Read, on Everything, without permission;

        // RAM: users, passwords, access keys, groups.
        /// Creates a user.
        CreateUser of Ram, Write, on User, may ReadsIdentity, AdministersIdentity;
        /// One user, or the caller.
        GetUser of Ram, Read, on User, may ReadsIdentity;
        /// Changes a user's name and the comment about it.
        UpdateUser of Ram, Write, on User, may ReadsIdentity, AdministersIdentity;
        /// The users of the account, by name.
        ListUsers of Ram, List, on Users, may ReadsIdentity;
        /// Deletes a user that has no access keys, no policies, no login profile and no groups.
        DeleteUser of Ram, Write, on User, may ReadsIdentity, AdministersIdentity;
        /// Gives a user a password for the console.
        CreateLoginProfile of Ram, Write, on User, may ReadsIdentity, AdministersIdentity;
        /// How a user signs in to the console.
        GetLoginProfile of Ram, Read, on User, may ReadsIdentity;
        /// Changes how a user signs in to the console.
        UpdateLoginProfile of Ram, Write, on User, may ReadsIdentity, AdministersIdentity;
        /// Removes a user's password for the console.
        DeleteLoginProfile of Ram, Write, on User, may ReadsIdentity, AdministersIdentity;
        /// Creates an access key, whose secret is shown once.
        CreateAccessKey of Ram, Write, on User | Owner, may ReadsIdentity, AdministersIdentity;
        /// The access keys of a user.
        ListAccessKeys of Ram, List, on User | Owner, may ReadsIdentity;
        /// Switches an access key on or off.
        UpdateAccessKey of Ram, Write, on User | Owner, may ReadsIdentity, AdministersIdentity;
        /// Deletes an access key.
        DeleteAccessKey of Ram, Write, on User | Owner, may ReadsIdentity, AdministersIdentity;
        /// When an access key last signed.
        GetAccessKeyLastUsed of Ram, Read, on User | Owner, may ReadsIdentity;
        /// Creates a group.
        CreateGroup of Ram, Write, on Group, may ReadsIdentity, AdministersIdentity;
        /// One group.
        GetGroup of Ram, Read, on Group, may ReadsIdentity;
        /// Changes a group's name and the comment about it.
        UpdateGroup of Ram, Write, on Group, may ReadsIdentity, AdministersIdentity;
        /// The groups of the account, by name.
        ListGroups of Ram, List, on Groups, may ReadsIdentity;
        /// Deletes a group that has no members and no policies.
        DeleteGroup of Ram, Write, on Group, may ReadsIdentity, AdministersIdentity;
        /// Puts a user into a group.
        AddUserToGroup of Ram, Write, on User & Group, may ReadsIdentity, AdministersIdentity;
        /// Takes a user out of a group.
        RemoveUserFromGroup of Ram, Write, on User & Group, may ReadsIdentity, AdministersIdentity;
        /// The users that are in a group, by name.
        ListUsersForGroup of Ram, List, on Group, may ReadsIdentity;
        /// The groups that a user is in.
        ListGroupsForUser of Ram, List, on User, may ReadsIdentity;

        // RAM: the account.
        /// The alias of the account.
        GetAccountAlias of Ram, Read, on Everything, may ReadsIdentity;
        /// Gives the account an alias.
        SetAccountAlias of Ram, Write, on Everything, may ReadsIdentity, AdministersIdentity;
        /// Takes the alias from the account.
        ClearAccountAlias of Ram, Write, on Everything, may ReadsIdentity, AdministersIdentity;
        /// What the passwords of users must be.
        GetPasswordPolicy of Ram, Read, on Everything, may ReadsIdentity;
        /// Says what the passwords of users must be.
        SetPasswordPolicy of Ram, Write, on Everything, may ReadsIdentity, AdministersIdentity;
        /// What users may do for themselves.
        GetSecurityPreference of Ram, Read, on Everything;
        /// The virtual MFA devices of the account, of which there are none yet.
        ListVirtualMFADevices of Ram, List, on Everything;
        /// The MFA device of a user, of which there is none yet.
        GetUserMFAInfo of Ram, Read, on User, may ReadsIdentity;

        // RAM: policies, their versions and attachments.
        /// Creates a policy of the account.
        CreatePolicy of Ram, Write, on Policy, may ReadsIdentity, AdministersIdentity;
        /// A policy with the document of its default version.
        GetPolicy of Ram, Read, on Policy, may ReadsIdentity;
        /// Policies of the account and of the system.
        ListPolicies of Ram, List, on Policies, may ReadsIdentity;
        /// Changes the description of a policy of the account.
        UpdatePolicyDescription of Ram, Write, on Policy, may ReadsIdentity, AdministersIdentity;
        /// Deletes a policy of the account that is attached to nobody.
        DeletePolicy of Ram, Write, on Policy, may ReadsIdentity, AdministersIdentity;
        /// Adds a version to a policy.
        CreatePolicyVersion of Ram, Write, on Policy, may ReadsIdentity, AdministersIdentity;
        /// The versions of a policy.
        ListPolicyVersions of Ram, Read, on Policy, may ReadsIdentity;
        /// One version of a policy.
        GetPolicyVersion of Ram, Read, on Policy, may ReadsIdentity;
        /// Makes another version of a policy its default.
        SetDefaultPolicyVersion of Ram, Write, on Policy, may ReadsIdentity, AdministersIdentity;
        /// Deletes a version that is not the default.
        DeletePolicyVersion of Ram, Write, on Policy, may ReadsIdentity, AdministersIdentity;
        /// Attaches a policy to a user.
        AttachPolicyToUser of Ram, Write, on User & Policy, may ReadsIdentity, AdministersIdentity;
        /// Attaches a policy to a group.
        AttachPolicyToGroup of Ram, Write, on Group & Policy, may ReadsIdentity, AdministersIdentity;
        /// Attaches a policy to a role.
        AttachPolicyToRole of Ram, Write, on Role & Policy, may ReadsIdentity, AdministersIdentity;
        /// Detaches a policy from a user.
        DetachPolicyFromUser of Ram, Write, on User & Policy, may ReadsIdentity, AdministersIdentity;
        /// Detaches a policy from a group.
        DetachPolicyFromGroup of Ram, Write, on Group & Policy, may ReadsIdentity, AdministersIdentity;
        /// Detaches a policy from a role.
        DetachPolicyFromRole of Ram, Write, on Role & Policy, may ReadsIdentity, AdministersIdentity;
        /// The policies that are attached to a user itself.
        ListPoliciesForUser of Ram, Read, on User, may ReadsIdentity;
        /// The policies that are attached to a group.
        ListPoliciesForGroup of Ram, Read, on Group, may ReadsIdentity;
        /// The policies that are attached to a role.
        ListPoliciesForRole of Ram, Read, on Role, may ReadsIdentity;
        /// The users, groups and roles that a policy is attached to.
        ListEntitiesForPolicy of Ram, Read, on Policy, may ReadsIdentity;
        /// The attachments of policies to users, groups and roles.
        ListPolicyAttachments of Ram, List, on Policies, may ReadsIdentity;

        // RAM: tags of roles and policies.
        /// Sets tags of roles or of policies of the account.
        TagResources of Ram, Write, on Role | Policy, may ReadsIdentity, AdministersIdentity;
        /// Removes tags of roles or of policies of the account.
        UntagResources of Ram, Write, on Role | Policy, may ReadsIdentity, AdministersIdentity;
        /// The tags of roles or of policies of the account.
        ListTagResources of Ram, List, on Role | Policy | Roles | Policies, may ReadsIdentity;
    }

    other doors {
        /// Enrols an agent that presents a join token.
        EnrolAgent of Workbench, Write, by AgentApi, may WritesAgent, ReadsRecordConfig;
        /// The effective configuration of the agent's own instance, by request or by the link.
        ReadAgentConfiguration of Workbench, Read, by AgentApi, may ReadsRecordConfig, WritesAgent;
        /// Opens a recording on the agent's own instance.
        OpenRecording of Workbench, Write, by AgentApi, may ReadsRecordConfig, ReadsRecording, WritesRecording, WritesAgent;
        /// Takes over a recording that an earlier agent of the agent's own instance has left behind.
        TakeOverRecording of Workbench, Write, by AgentApi, may ReadsRecordConfig, ReadsRecording, WritesRecording, WritesAgent;
        /// Permits the upload of one evidence object.
        GrantUpload of Workbench, Write, by AgentApi, may ReadsRecording, WritesRecording, WritesAgent;
        /// Claims an uploaded segment for the recording.
        AcknowledgeSegment of Workbench, Write, by AgentApi, may ReadsRecording, WritesRecording, WritesAgent;
        /// Seals a recording.
        SealRecording of Workbench, Write, by AgentApi, may ReadsRecording, WritesRecording, WritesAgent;
        /// Reports sessions of the agent's own instance that went on unrecorded under FailurePolicy best_effort.
        ReportUnrecordedSessions of Workbench, Write, by AgentApi;

        /// Exchanges a replay ticket for a replay session, and reads through it. Policy is asked as for a view.
        ReplayRecording of Workbench, Read, by Replay as ViewInstanceRecords, may ReadsRecording;

        /// Users, access keys, policies and attachments, by `hansard admin`.
        AdministerIdentity of Workbench, Write, by Administration, may ReadsIdentity, AdministersIdentity, IssuesJoinToken, ReadsAuditTrail, TagsInstances, ReadsRecordConfig;

        /// Closes abandoned recordings and lowers the counters of expired ones.
        SweepRecordings of Workbench, Write, by Job, may SweepsRecordings;
        /// Looks for missing recordings, and reports each once.
        CheckAgentRecordings of Workbench, Write, by Job, may ChecksRecordings, NotesMissingRecordings;
        /// Sends messages to an agent over its link, on behalf of the control plane itself.
        ReachAgents of Workbench, Write, by Job, may ReachesAgents;
    }
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
    fn only_get_caller_identity_needs_no_permission() {
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
