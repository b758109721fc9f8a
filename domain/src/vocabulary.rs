//! What those who write policies have to know of this deployment: its actions, what each is asked on, and its condition
//! keys. The linter finds mis-spelt names by it, and the authorization matrix has a row for each line of it.

mod condition_keys;

use policies::Vocabulary;

pub use condition_keys::{CONDITION_KEYS, ConditionKey, SetBy, spelled};

use crate::actions::{CATALOGUE, CatalogueEntry, Door};

/// A form of resource name that an action is asked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// One instance.
    Instance,
    /// Every instance at once: `*` as an InstanceId.
    AllInstances,
    /// `*`: an operation without a resource of its own.
    Everything,
    /// The account's owner.
    Owner,
    /// One user.
    User,
    /// All users.
    Users,
    /// One group.
    Group,
    /// All groups.
    Groups,
    /// One role.
    Role,
    /// All roles.
    Roles,
    /// One policy, of the account or ready-made.
    Policy,
    /// All policies.
    Policies,
}

impl Form {
    /// In words, for tables.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Instance => "an instance",
            Self::AllInstances => "all instances",
            Self::Everything => "*",
            Self::Owner => "the owner",
            Self::User => "a user",
            Self::Users => "all users",
            Self::Group => "a group",
            Self::Groups => "all groups",
            Self::Role => "a role",
            Self::Roles => "all roles",
            Self::Policy => "a policy",
            Self::Policies => "all policies",
        }
    }

    /// The names of this form, as a pattern for any account.
    #[must_use]
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Instance | Self::AllInstances => "acs:ecs-workbench:*:*:workbench/*",
            Self::Everything => "*",
            Self::Owner => "acs:ram:*:*:root",
            Self::User | Self::Users => "acs:ram:*:*:user/*",
            Self::Group | Self::Groups => "acs:ram:*:*:group/*",
            Self::Role | Self::Roles => "acs:ram:*:*:role/*",
            Self::Policy | Self::Policies => "acs:ram:*:*:policy/*",
        }
    }
}

/// What one action is asked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedOn {
    /// The action, `<ram-code>:<permission>`.
    pub action: &'static str,
    /// The alternatives, by what the call names. Of one with several forms each must be allowed.
    pub alternatives: &'static [&'static [Form]],
}

use Form::{
    AllInstances, Everything, Group, Groups, Instance, Owner, Policies, Policy, Role, Roles, User, Users,
};

macro_rules! asked_on {
    ($( $action:literal: $( $form:ident $(& $and:ident)* )|+ ; )*) => {
        &[ $( AskedOn { action: $action, alternatives: &[ $( &[ $form $(, $and)* ] ),+ ] } ),* ]
    };
}

/// What the actions of the wire are asked on. A list is asked on the instance of each of its rows too.
const ASKED_ON: &[AskedOn] = asked_on! {
    "ecs-workbench:SetInstanceRecordConfig": Instance | AllInstances;
    "ecs-workbench:GetInstanceRecordConfig": Instance | AllInstances;
    "ecs-workbench:ListInstanceRecords": Instance | Everything;
    "ecs-workbench:ViewInstanceRecords": Instance;
    "ecs-workbench:CreateAgentJoinToken": Instance | AllInstances;
    "ecs-workbench:ListAgents": Instance | Everything;
    "ecs-workbench:ValidatePolicy": Everything;
    "ecs-workbench:SimulatePolicy": Everything | User | Group | Role;
    "ecs-workbench:ListAuditEvents": Instance | Everything;
    "ecs-workbench:VerifyAgentRecordings": Instance | Everything;

    "ram:CreateUser": User;
    "ram:GetUser": User;
    "ram:UpdateUser": User;
    "ram:ListUsers": Users;
    "ram:DeleteUser": User;
    "ram:CreateLoginProfile": User;
    "ram:GetLoginProfile": User;
    "ram:UpdateLoginProfile": User;
    "ram:DeleteLoginProfile": User;
    "ram:CreateAccessKey": User | Owner;
    "ram:ListAccessKeys": User | Owner;
    "ram:UpdateAccessKey": User | Owner;
    "ram:DeleteAccessKey": User | Owner;
    "ram:GetAccessKeyLastUsed": User | Owner;

    "ram:CreateGroup": Group;
    "ram:GetGroup": Group;
    "ram:UpdateGroup": Group;
    "ram:ListGroups": Groups;
    "ram:DeleteGroup": Group;
    "ram:AddUserToGroup": User & Group;
    "ram:RemoveUserFromGroup": User & Group;
    "ram:ListUsersForGroup": Group;
    "ram:ListGroupsForUser": User;

    "ram:CreateRole": Role;
    "ram:GetRole": Role;
    "ram:UpdateRole": Role;
    "ram:ListRoles": Roles;
    "ram:DeleteRole": Role;

    "ram:CreatePolicy": Policy;
    "ram:GetPolicy": Policy;
    "ram:ListPolicies": Policies;
    "ram:DeletePolicy": Policy;
    "ram:CreatePolicyVersion": Policy;
    "ram:ListPolicyVersions": Policy;
    "ram:GetPolicyVersion": Policy;
    "ram:SetDefaultPolicyVersion": Policy;
    "ram:DeletePolicyVersion": Policy;
    "ram:AttachPolicyToUser": User & Policy;
    "ram:AttachPolicyToGroup": Group & Policy;
    "ram:AttachPolicyToRole": Role & Policy;
    "ram:DetachPolicyFromUser": User & Policy;
    "ram:DetachPolicyFromGroup": Group & Policy;
    "ram:DetachPolicyFromRole": Role & Policy;
    "ram:ListPoliciesForUser": User;
    "ram:ListPoliciesForGroup": Group;
    "ram:ListPoliciesForRole": Role;
    "ram:ListEntitiesForPolicy": Policy;
    "ram:DecodeDiagnosticMessage": Everything;

    "sts:AssumeRole": Role;
    "sts:GetCallerIdentity": Everything;
};

/// Actions of the vendor's products that policies name and that this deployment does not answer. They are no mistakes.
const ELSEWHERE: &[AskedOn] = asked_on! {
    "ecs-workbench:LoginInstance": Instance;
    "ecs-workbench:LoginECSInstance": Instance;
    "ecs-workbench:ListTerminalCommands": Instance;
    "ecs-workbench:EndSessions": Everything;
    "ecs-workbench:ChatMessages": Everything;
    "ram:CreateServiceLinkedRole": Everything;
    "sts:AssumeRoleWithSAML": Role;
    "sts:AssumeRoleWithOIDC": Role;
};

/// The rest of the vendor's RAM. Of these it is known only that they are asked on something of RAM.
const ELSEWHERE_IN_RAM: &[&str] = &[
    "ram:BindMFADevice",
    "ram:ChangePassword",
    "ram:ClearAccountAlias",
    "ram:CreateVirtualMFADevice",
    "ram:DeleteServiceLinkedRole",
    "ram:DeleteVirtualMFADevice",
    "ram:GetAccountAlias",
    "ram:GetPasswordPolicy",
    "ram:GetSecurityPreference",
    "ram:GetServiceLinkedRoleTemplate",
    "ram:GetUserMFAInfo",
    "ram:ListTagResources",
    "ram:ListVirtualMFADevices",
    "ram:SetAccountAlias",
    "ram:SetPasswordPolicy",
    "ram:SetSecurityPreference",
    "ram:TagResources",
    "ram:UnbindMFADevice",
    "ram:UntagResources",
    "ram:UpdatePolicyDescription",
];

/// What an action of the wire is asked on; none for an action that comes by another door.
#[must_use]
pub fn asked_on(entry: &CatalogueEntry) -> Option<&'static AskedOn> {
    let action = entry.ram_action();
    ASKED_ON.iter().find(|asked| entry.door == Door::Wire && asked.action == action)
}

/// What the actions that are answered here are asked on.
fn answered() -> impl Iterator<Item = &'static AskedOn> {
    CATALOGUE.iter().filter_map(asked_on)
}

/// Whether an action is about instances, or shows something of them: so that who asks about all of them asks about each.
pub(crate) fn is_about_instances(entry: &CatalogueEntry) -> bool {
    let action = entry.ram_action();
    let asked = ASKED_ON.iter().find(|asked| asked.action == action);
    // What has no line here could be about anything.
    asked.is_none_or(|asked| {
        let mut forms = asked.alternatives.iter().copied().flatten();
        forms.any(|form| matches!(form, Instance | AllInstances))
    })
}

/// The actions and condition keys of this deployment.
///
/// # Panics
/// Never: a test reads every pattern of every form.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::new();
    for AskedOn { action, alternatives } in answered().chain(ELSEWHERE) {
        let mut patterns: Vec<&str> = Vec::new();
        for form in alternatives.iter().copied().flatten() {
            if !patterns.contains(&form.pattern()) {
                patterns.push(form.pattern());
            }
        }
        vocabulary = vocabulary.with_action(action, &patterns).expect("every form has a well-formed pattern");
    }
    for action in ELSEWHERE_IN_RAM {
        vocabulary = vocabulary.with_action(action, &["acs:ram:*:*:*"]).expect("a well-formed pattern");
    }
    CONDITION_KEYS.iter().fold(
        vocabulary,
        |vocabulary, ConditionKey { name, value_type, several, set_by }| {
            let presence = set_by.presence();
            let vocabulary = if *several {
                vocabulary.with_key_of_several(name, *value_type, presence)
            } else {
                vocabulary.with_key(name, *value_type, presence)
            };
            match set_by.actions() {
                Some(actions) => vocabulary.set_by(actions),
                None => vocabulary,
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition_keys;

    #[test]
    fn every_action_of_the_wire_has_its_line() {
        for entry in CATALOGUE.iter().filter(|entry| entry.door == Door::Wire) {
            assert!(asked_on(entry).is_some(), "{} needs a line in ASKED_ON", entry.ram_action());
        }
        // What policies are asked at another door they are asked at the wire's too.
        for entry in CATALOGUE.iter().filter(|entry| entry.door == Door::Replay) {
            assert!(ASKED_ON.iter().any(|asked| asked.action == entry.ram_action()));
        }
    }

    #[test]
    fn no_action_stands_twice() {
        let asked = ASKED_ON.iter().chain(ELSEWHERE).map(|asked| asked.action);
        let mut actions: Vec<&str> = asked.chain(ELSEWHERE_IN_RAM.iter().copied()).collect();
        actions.sort_unstable();
        let all = actions.len();
        actions.dedup();
        assert_eq!(actions.len(), all);
    }

    #[test]
    fn no_action_of_the_vendor_s_ram_is_taken_for_a_mistake() {
        for action in
            ["ram:ChangePassword", "ram:BindMFADevice", "ram:ListTagResources", "ram:SetPasswordPolicy"]
        {
            for effect in ["Allow", "Deny"] {
                for resource in ["*", "acs:ram:*:*:user/ana", "acs:ram:*:*:mfa/*"] {
                    let text = format!(
                        r#"{{"Version": "1", "Statement": [{{"Effect": "{effect}", "Action": "{action}", "Resource": "{resource}"}}]}}"#
                    );
                    let findings =
                        policies::check(text.as_bytes(), policies::DocumentKind::Identity, &vocabulary());
                    assert_eq!(findings, [], "{text}");
                }
            }
        }
    }

    /// One's own session has its owner's ARN and `self` at once.
    #[test]
    fn conditions_that_the_two_values_of_an_owner_satisfy_never_count_as_contradiction() {
        let findings = |key: &str| {
            let text = format!(
                r#"{{"Version": "1", "Statement": [{{"Effect": "Allow", "Action": "ecs-workbench:ViewInstanceRecords", "Resource": "*",
                   "Condition": {{"StringEquals": {{"{key}": "self"}}, "StringLike": {{"{key}": "acs:ram::*:user/dev-*"}}}}}}]}}"#
            );
            policies::check(text.as_bytes(), policies::DocumentKind::Identity, &vocabulary())
        };
        assert_eq!(findings(condition_keys::SESSION_OWNER), []);
        assert_eq!(findings(condition_keys::CAPTURE_KIND).len(), 1, "no kind is two things");
    }

    #[test]
    fn a_condition_that_no_call_here_brings_is_a_security_finding() {
        let never_set = |effect: &str, action: &str, key: &str| {
            let text = format!(
                r#"{{"Version": "1", "Statement": [{{"Effect": "{effect}", "Action": "{action}", "Resource": "*",
                   "Condition": {{"StringEquals": {{"{key}": "x"}}}}}}]}}"#
            );
            let found = policies::check(text.as_bytes(), policies::DocumentKind::Identity, &vocabulary());
            found.iter().any(|finding| {
                finding.rule == policies::Rule::Lint(policies::Lint::ConditionKeyNeverSet)
                    && finding.severity == policies::Severity::SecurityWarning
            })
        };
        for (action, key, never) in [
            ("ecs-workbench:GetInstanceRecordConfig", "acs:ResourceTag/env", false),
            ("ecs-workbench:ListAgents", "acs:ResourceTag/env", false),
            ("ecs-workbench:ValidatePolicy", "acs:ResourceTag/env", true),
            ("ram:*", "acs:ResourceTag/env", true),
            ("ram:*", "ecs-workbench:InstanceTag/env", true),
            ("*", "acs:RequestTag/env", true),
            ("*", "acs:SourceVpc", true),
            ("*", "acs:PrincipalRDId", true),
            ("ram:*", "acs:UserAgent", false),
            ("sts:AssumeRole", "acs:AccessId", false),
            ("oss:*", "acs:AccessId", true),
            ("oss:*", "acs:UserAgent", true),
            ("oss:*", "acs:PrincipalARN", false),
            ("oss:*", "acs:SourceIp", false),
            ("ecs-workbench:ViewInstanceRecords", "ecs-workbench:SessionOwner", false),
            ("ecs-workbench:ListAgents", "ecs-workbench:SessionOwner", true),
            ("sts:AssumeRole", "sts:ExternalId", false),
            ("sts:GetCallerIdentity", "sts:ExternalId", true),
            ("ram:CreateServiceLinkedRole", "ram:ServiceName", false),
            ("ram:CreateRole", "ram:ServiceName", true),
        ] {
            for effect in ["Allow", "Deny"] {
                assert_eq!(never_set(effect, action, key), never, "{effect} {action} {key}");
            }
        }
    }

    #[test]
    fn the_vocabulary_knows_what_is_answered_and_what_the_vendor_has() {
        let known = vocabulary();
        let fits = |pattern| known.actions_that_fit(pattern).unwrap();
        assert_eq!(fits("ecs-workbench:listagents"), ["ecs-workbench:ListAgents"]);
        assert_eq!(fits("ecs-workbench:LoginInstance").len(), 1);
        assert!(fits("ecs-workbench:SealRecording").is_empty(), "an agent's door is no policy's business");
        assert!(fits("ecs-workbench:*").len() > 6);
    }
}
