use std::sync::Arc;

use policies::{DocumentKind, Layers, PolicyDocument, PolicySet};

use super::super::{Granted, Resource, authorize};
use super::*;
use crate::Timestamp;
use crate::actions::{Action as _, ListAgents, ListInstanceRecords, ViewInstanceRecords};
use crate::identity::UserId;
use crate::instance_tags::InstanceTags;

const ALLOW_ALL: &str = r#"{"Effect":"Allow","Action":"ecs-workbench:*","Resource":"*"}"#;

fn account() -> AccountId {
    "1609982529000000".parse().unwrap()
}

fn user() -> Principal {
    Principal::User {
        account: account(),
        user_id: UserId::parse("200000000000000001").unwrap(),
        user_name: "ana".parse().unwrap(),
    }
}

fn policies(statements: &str) -> PrincipalPolicies {
    let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).unwrap();
    PrincipalPolicies::new(Layers {
        identity: PolicySet::new(vec![("test".into(), Arc::new(document))]),
        ..Layers::default()
    })
}

fn facts() -> RequestFacts {
    RequestFacts::at(Timestamp::from_millis(1_790_000_000_000))
}

fn region() -> Region {
    "cn-hangzhou".parse().unwrap()
}

fn instance(id: &str, tag: Option<(&str, &str)>) -> InstanceFacts {
    let tags = tag.map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()));
    InstanceFacts { region: region(), instance: id.parse().unwrap(), tags: InstanceTags::of(tags) }
}

fn listing(of: Option<InstanceFacts>, instances: &[InstanceFacts]) -> Listing {
    let candidates = Candidates { instances: instances.to_vec(), owners: Vec::new() };
    Listing { of, region: region(), recordings: true, candidates }
}

fn list(statements: &str, listing: &Listing) -> Result<Granted<ListInstanceRecords>, Denied> {
    authorize(&user(), Resource::List(listing.clone()), &policies(statements), &facts())
}

fn scope(statements: &str, listing: &Listing) -> ListScope {
    list(statements, listing).unwrap().list_scope().unwrap().clone()
}

fn needs(statements: &str, of: Option<InstanceFacts>) -> ListNeeds {
    list_needs(&ListInstanceRecords::ENTRY, &user(), &listing(of, &[]), &policies(statements))
}

fn conditional(effect: &str, resource: &str, condition: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"*","Resource":"{resource}","Condition":{{{condition}}}}}"#)
}

#[test]
fn policies_that_distinguish_nothing_need_no_rows() {
    for everything in [
        ALLOW_ALL.to_owned(),
        r#"{"Effect":"Allow","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/*"}"#.to_owned(),
        format!("{ALLOW_ALL},{}", conditional("Deny", "acs:oss:*:*:b", r#""StringEquals":{"a:b":"c"}"#)),
    ] {
        assert_eq!(needs(&everything, None), ListNeeds::default(), "{everything}");
        assert_eq!(scope(&everything, &listing(None, &[])), ListScope::All, "{everything}");
    }
    let own = conditional("Allow", "*", r#""StringEquals":{"ecs-workbench:SessionOwner":"self"}"#);
    assert_eq!(needs(&own, None), ListNeeds::default());
    let owner = Some(OwnerClass::Others { but: Vec::new(), own: true });
    let rows = Some(vec![RowClass { owner, kind: None, ages: None }]);
    assert_eq!(scope(&own, &listing(None, &[])), ListScope::Some(vec![Admitted { instances: None, rows }]));
}

#[test]
fn instances_and_their_tags_are_read_when_policies_name_them() {
    let deny = r#"{"Effect":"Deny","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/i-2"}"#;
    let but = format!("{ALLOW_ALL},{deny}");
    assert_eq!(needs(&but, None), ListNeeds { instances: true, ..ListNeeds::default() });
    assert_eq!(needs(&but, Some(instance("i-1", None))), ListNeeds::default());
    let stored = [instance("i-1", None), instance("i-2", None), instance("i-3", Some(("env", "prod")))];
    let named = |names: &[&str]| {
        let instances = Some(names.iter().map(|name| name.parse().unwrap()).collect());
        ListScope::Some(vec![Admitted { instances, rows: None }])
    };
    assert_eq!(scope(&but, &listing(None, &stored)), named(&["i-1", "i-3"]));
    let tagged =
        conditional("Allow", "*", r#""StringEquals":{"ecs-workbench:InstanceTag/ENV":["prod","x"]}"#);
    let tags = ListNeeds { instances: true, tags: true, owners: false };
    assert_eq!(needs(&tagged, None), tags);
    assert_eq!(scope(&tagged, &listing(None, &stored)), named(&["i-3"]));
    assert_eq!(scope(&tagged, &listing(Some(stored[2].clone()), &[])), ListScope::All);
    list(&tagged, &listing(Some(stored[0].clone()), &[])).unwrap_err();
    list(&tagged, &listing(None, &stored[..2])).unwrap_err();
}

/// A list and a view agree, whichever of its two names a policy asks for a tag by.
#[test]
fn a_tag_is_the_same_by_the_name_that_every_product_has() {
    let tags = ListNeeds { instances: true, tags: true, owners: false };
    let stored = [
        instance("i-1", None),
        instance("i-2", Some(("env", "prod"))),
        instance("i-3", Some(("Env", "dev"))),
    ];
    for key in ["acs:ResourceTag/env", "ACS:resourcetag/ENV", "ecs-workbench:InstanceTag/env"] {
        for (operator, values) in [
            ("StringEquals", "prod"),
            ("StringNotEquals", "prod"),
            ("StringLike", "*"),
            ("StringEqualsIgnoreCase", "DEV"),
        ] {
            for effect in ["Allow", "Deny"] {
                let condition = conditional(effect, "*", &format!(r#""{operator}":{{"{key}":"{values}"}}"#));
                let statements =
                    if effect == "Deny" { format!("{ALLOW_ALL},{condition}") } else { condition };
                assert_eq!(needs(&statements, None), tags, "{statements}");
                let one = |of: &InstanceFacts| {
                    let resource = Resource::Instance(of.clone());
                    authorize::<ViewInstanceRecords>(&user(), resource, &policies(&statements), &facts())
                        .is_ok()
                };
                let viewed: BTreeSet<_> =
                    stored.iter().filter(|of| one(of)).map(|of| of.instance.clone()).collect();
                let listed = match list(&statements, &listing(None, &stored)) {
                    Err(_) => BTreeSet::new(),
                    Ok(granted) => match granted.list_scope().unwrap() {
                        ListScope::All => stored.iter().map(|of| of.instance.clone()).collect(),
                        ListScope::Some(admitted) => {
                            admitted.iter().flat_map(|one| one.instances.clone().unwrap()).collect()
                        }
                    },
                };
                assert_eq!(listed, viewed, "{statements}");
                assert!(!viewed.is_empty() && viewed.len() < stored.len(), "{statements}");
            }
        }
    }
}

#[test]
fn agents_have_no_owner_age_or_kind() {
    let own = conditional("Allow", "*", r#""StringEquals":{"ecs-workbench:SessionOwner":"self"}"#);
    let agents = Listing { recordings: false, ..listing(None, &[]) };
    let ask = |statements: &str| {
        authorize::<ListAgents>(&user(), Resource::List(agents.clone()), &policies(statements), &facts())
    };
    ask(&own).unwrap_err();
    let others = conditional("Allow", "*", r#""StringNotLike":{"ecs-workbench:SessionOwner":"s*"}"#);
    assert_eq!(ask(&others).unwrap().list_scope(), Some(&ListScope::All));
}

#[test]
fn a_caller_who_could_see_some_row_gets_an_empty_list_and_others_a_denial() {
    let stored = [instance("i-1", None)];
    let deny = r#"{"Effect":"Deny","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/i-1"}"#;
    assert_eq!(scope(&format!("{ALLOW_ALL},{deny}"), &listing(None, &stored)), ListScope::Some(Vec::new()));
    let elsewhere = r#"{"Effect":"Allow","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/i-2"}"#;
    let denied = list(elsewhere, &listing(None, &stored)).unwrap_err();
    assert_eq!((denied.resource.as_str(), denied.explicit, denied.told), ("*", false, Told::Denial));
    let whole = r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#;
    assert!(list(&format!("{ALLOW_ALL},{whole}"), &listing(None, &stored)).unwrap_err().explicit);
    // On the named instance every recording is denied, and the list does not reveal that there are any.
    let kinds = conditional("Deny", "*", r#""StringLike":{"ecs-workbench:CaptureKind":"*"}"#);
    let named = listing(Some(stored[0].clone()), &[]);
    assert_eq!(scope(&format!("{ALLOW_ALL},{kinds}"), &named), ListScope::Some(Vec::new()));
    // Each kind of capture by itself.
    let terminal = conditional("Deny", "*", r#""StringEquals":{"ecs-workbench:CaptureKind":"terminal"}"#);
    let ListScope::Some(admitted) = scope(&format!("{ALLOW_ALL},{terminal}"), &named) else {
        panic!("some are denied");
    };
    let rows = admitted.iter().flat_map(|admitted| admitted.rows.iter().flatten());
    let kinds: Vec<_> = rows.map(|row| row.kind).collect();
    assert_eq!(kinds, [Some(CaptureKind::Command), Some(CaptureKind::Desktop)]);
}

#[test]
fn ages_become_spans_of_days() {
    let spans = |condition: &str| {
        let allow = conditional("Allow", "*", condition);
        match scope(&allow, &listing(None, &[])) {
            ListScope::All => None,
            ListScope::Some(admitted) => {
                let rows = admitted.into_iter().flat_map(|one| one.rows.unwrap());
                Some(rows.map(|class| class.ages.unwrap()).collect::<Vec<_>>())
            }
        }
    };
    let age = |operator: &str, values: &str| {
        spans(&format!(r#""{operator}":{{"ecs-workbench:RecordingAge":{values}}}"#))
    };
    assert_eq!(age("NumericLessThan", r#""7""#), Some(vec![(0, Some(6))]));
    assert_eq!(age("NumericLessThanEquals", r#""7""#), Some(vec![(0, Some(7))]));
    assert_eq!(age("NumericLessThan", r#""6.5""#), Some(vec![(0, Some(6))]));
    assert_eq!(age("NumericGreaterThan", r#""007.0""#), Some(vec![(8, None)]));
    assert_eq!(age("NumericNotEquals", r#"["3","5"]"#), Some(vec![(0, Some(2)), (4, Some(4)), (6, None)]));
    assert_eq!(age("StringEquals", r#"["3","03","x"]"#), Some(vec![(3, Some(3))]));
    assert_eq!(age("NumericGreaterThan", r#""-1""#), None);
    assert_eq!(age("NumericGreaterThan", r#""-0.5""#), None);
    assert_eq!(age("NumericLessThan", r#""99999999999999999999999""#), None);
    assert_eq!(age("NumericGreaterThanEquals", r#""0""#), None);
    // A span that lies between two statements is one.
    let early = conditional("Allow", "*", r#""NumericLessThan":{"ecs-workbench:RecordingAge":"3"}"#);
    let late = conditional("Allow", "*", r#""NumericGreaterThanEquals":{"ecs-workbench:RecordingAge":"3"}"#);
    assert_eq!(scope(&format!("{early},{late}"), &listing(None, &[])), ListScope::All);
}

#[test]
fn policies_that_cannot_become_a_query_are_refused_with_advice() {
    let told = |statements: &str, listing: &Listing| match list(statements, listing).unwrap_err().told {
        Told::TooWide(why) => why.to_string(),
        other => panic!("{other:?}"),
    };
    let patterns = conditional("Allow", "*", r#""StringLike":{"ecs-workbench:RecordingAge":"1*"}"#);
    assert!(told(&patterns, &listing(None, &[])).contains("compare with Numeric operators"));
    let like = conditional("Allow", "*", r#""StringLike":{"ecs-workbench:SessionOwner":"*user/a*"}"#);
    assert!(needs(&like, None).owners);
    let mut crowded = listing(None, &[]);
    crowded.candidates.owners = (0..=MAX_LISTED_OWNERS)
        .map(|number| SessionOwner { arn: format!("acs:ram::1:user/{number}"), id: format!("user/{number}") })
        .collect();
    assert!(told(&like, &crowded).contains("name one InstanceId"));
    let part = r#"{"Effect":"Allow","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/i-1*"}"#;
    let many: Vec<_> =
        (0..=MAX_LISTED_INSTANCES).map(|number| instance(&format!("i-{number}"), None)).collect();
    assert!(told(part, &listing(None, &many)).contains("name one InstanceId"));
    assert!(list(part, &listing(None, &many[1..])).is_ok());
    // What multiplies is refused before it is built.
    let texts = |count: usize| (0..count).map(|n| format!(r#""{n}""#)).collect::<Vec<_>>().join(",");
    let combined = |owners: usize, ages: usize| {
        let (owners, ages) = (texts(owners), texts(ages));
        let condition = format!(
            r#""StringEquals":{{"ecs-workbench:SessionOwner":[{owners}]}},"NumericEquals":{{"ecs-workbench:RecordingAge":[{ages}]}}"#
        );
        conditional("Allow", "*", &condition)
    };
    assert!(told(&combined(300, 300), &listing(None, &[])).contains("let the policies name fewer"));
    assert!(told(&combined(300, 1), &listing(None, &[])).contains("let the policies name fewer"));
    assert!(list(&combined(9, 9), &listing(None, &[])).is_ok());
}

#[test]
fn owners_are_distinguished_by_name_and_by_being_the_caller() {
    let colleague = "acs:ram::1609982529000000:user/ben";
    let condition = format!(r#""StringEquals":{{"ecs-workbench:SessionOwner":["self","{colleague}"]}}"#);
    let ListScope::Some(admitted) = scope(&conditional("Allow", "*", &condition), &listing(None, &[])) else {
        panic!("not all");
    };
    let owners: Vec<_> =
        admitted[0].rows.iter().flatten().map(|class| class.owner.clone().unwrap()).collect();
    let named = |own| OwnerClass::Named { arn: colleague.to_owned(), own };
    let others = OwnerClass::Others { but: vec![colleague.to_owned()], own: true };
    assert_eq!(owners, [named(true), others, named(false)]);
}
