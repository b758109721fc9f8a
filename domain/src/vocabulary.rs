//! What policy authors have to know about this deployment: its actions with their resources, and its condition keys.
//! The linter uses it to find misspelt names, and the authorization matrix has a row for each line of it.

mod condition_keys;

use policies::Vocabulary;

pub use condition_keys::{CONDITION_KEYS, ConditionKey, SetBy, spelled};

pub use crate::actions::{AskedOn, Form};
use crate::actions::{CATALOGUE, CatalogueEntry, Door};

/// Actions of the vendor's products that policies may name and that this deployment does not support. They are not
/// mistakes.
const ELSEWHERE: &[(&str, Form)] = &[
    ("ecs-workbench:LoginInstance", Form::Instance),
    ("ecs-workbench:LoginECSInstance", Form::Instance),
    ("ecs-workbench:ListTerminalCommands", Form::Instance),
    ("ecs-workbench:EndSessions", Form::Everything),
    ("ecs-workbench:ChatMessages", Form::Everything),
    ("ram:CreateServiceLinkedRole", Form::Everything),
    ("sts:AssumeRoleWithSAML", Form::Role),
    ("sts:AssumeRoleWithOIDC", Form::Role),
];

/// The rest of the vendor's RAM. Of these it is known only that they are asked on something of RAM.
const ELSEWHERE_IN_RAM: &[&str] = &[
    "ram:BindMFADevice",
    "ram:ChangePassword",
    "ram:CreateVirtualMFADevice",
    "ram:DeleteServiceLinkedRole",
    "ram:DeleteVirtualMFADevice",
    "ram:GetServiceLinkedRoleTemplate",
    "ram:SetSecurityPreference",
    "ram:UnbindMFADevice",
];

/// What an action of the wire is asked on; none for an action that comes by another door.
#[must_use]
pub fn asked_on(entry: &CatalogueEntry) -> Option<AskedOn> {
    entry.asked_on.filter(|_| entry.door == Door::Wire)
}

/// The actions that are answered here, as policies name them, with what they are asked on.
fn answered() -> impl Iterator<Item = (String, AskedOn)> {
    CATALOGUE.iter().filter_map(|entry| Some((entry.ram_action(), asked_on(entry)?)))
}

/// Whether an action is about instances, or shows something of them: so that who asks about all of them asks about each.
pub(crate) fn is_about_instances(entry: &CatalogueEntry) -> bool {
    // What does not say what it is asked on could be about anything.
    entry
        .asked_on
        .is_none_or(|asked| asked.forms().any(|form| matches!(form, Form::Instance | Form::AllInstances)))
}

/// The actions and condition keys of this deployment.
///
/// # Panics
/// Never: a test reads every pattern of every form.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::new();
    for (action, asked) in answered() {
        let mut patterns: Vec<&str> = Vec::new();
        for form in asked.forms() {
            if !patterns.contains(&form.pattern()) {
                patterns.push(form.pattern());
            }
        }
        vocabulary =
            vocabulary.with_action(&action, &patterns).expect("every form has a well-formed pattern");
    }
    for (action, form) in ELSEWHERE {
        vocabulary = vocabulary.with_action(action, &[form.pattern()]).expect("a well-formed pattern");
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
                Some(actions) => vocabulary.set_by(actions.iter().map(String::as_str)),
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
    fn every_action_that_policies_decide_says_what_it_is_asked_on() {
        for entry in CATALOGUE {
            let by_policies = matches!(entry.door, Door::Wire | Door::Replay);
            assert_eq!(entry.asked_on.is_some(), by_policies, "{}", entry.name);
            // What policies are asked at another door they are asked at the wire's too.
            let same = |wire: &&CatalogueEntry| wire.ram_action() == entry.ram_action();
            let wire = CATALOGUE.iter().filter(|wire| wire.door == Door::Wire).find(same);
            assert_eq!(entry.asked_on, wire.and_then(|wire| wire.asked_on), "{}", entry.name);
        }
    }

    #[test]
    fn no_action_stands_twice() {
        let elsewhere = ELSEWHERE.iter().map(|(action, _)| *action).chain(ELSEWHERE_IN_RAM.iter().copied());
        let answered = answered().map(|(action, _)| action);
        let mut actions: Vec<String> = answered.chain(elsewhere.map(str::to_owned)).collect();
        actions.sort_unstable();
        let all = actions.len();
        actions.dedup();
        assert_eq!(actions.len(), all);
    }

    #[test]
    fn no_action_of_the_vendor_s_ram_is_taken_for_a_mistake() {
        for action in ["ram:ChangePassword", "ram:BindMFADevice", "ram:SetSecurityPreference"] {
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
    fn a_condition_key_that_no_call_sets_is_a_security_finding() {
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
