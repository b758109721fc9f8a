//! Every action of the wire against every ready-made policy, the account's owner and somebody without a policy, as the
//! gate decides: the committed `authorization_matrix.txt`. `UPDATE_MATRIX=1 cargo test -p domain --test
//! authorization_matrix` writes it anew; what changes in it is who may do what.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and is told by the environment"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use domain::actions::{CATALOGUE, CatalogueEntry, Door};
use domain::gate::{
    IdentityResource, InstanceFacts, PrincipalPolicies, RequestFacts, Resource, would_permit,
};
use domain::identity::{PolicyKind, PolicyRef, UserId};
use domain::principal::Principal;
use domain::vocabulary::{Form, asked_on};
use domain::{AccountId, Timestamp, system_policies};
use policies::{Context, DocumentKind, Layers, PolicyDocument, PolicySet, Request, evaluate};

/// Who asks, with all the policies that it has.
struct Column {
    name: String,
    principal: Principal,
    layers: Layers,
}

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

fn columns() -> Vec<Column> {
    let owner = Column {
        name: "AccountOwner".to_owned(),
        principal: Principal::Account { account: account() },
        layers: Layers { owner: true, ..Layers::default() },
    };
    let nobody = Column { name: "NoPolicy".to_owned(), principal: user(), layers: Layers::default() };
    let ready_made = system_policies::ALL.iter().map(|policy| {
        let document = PolicyDocument::parse(policy.document.as_bytes(), DocumentKind::Identity).unwrap();
        let identity = PolicySet::new(vec![(policy.name.into(), Arc::new(document))]);
        Column {
            name: policy.name.to_owned(),
            principal: user(),
            layers: Layers { identity, ..Layers::default() },
        }
    });
    [owner, nobody].into_iter().chain(ready_made).collect()
}

fn resource(forms: &[Form]) -> Resource {
    let identity = |form: &Form| match form {
        Form::Owner => IdentityResource::Owner,
        Form::User => IdentityResource::User("ben".parse().unwrap()),
        Form::Users => IdentityResource::Users,
        Form::Group => IdentityResource::Group("ops".parse().unwrap()),
        Form::Groups => IdentityResource::Groups,
        Form::Role => IdentityResource::Role("reader".parse().unwrap()),
        Form::Roles => IdentityResource::Roles,
        Form::Policy => IdentityResource::Policy(PolicyRef {
            kind: PolicyKind::Custom,
            name: "some-policy".parse().unwrap(),
        }),
        Form::Policies => IdentityResource::Policies,
        Form::Instance | Form::AllInstances | Form::Everything => panic!("{form:?} stands alone"),
    };
    let region = "cn-hangzhou".parse().unwrap();
    match forms {
        [Form::Instance] => Resource::Instance(InstanceFacts::untagged(region, "i-one".parse().unwrap())),
        [Form::AllInstances] => Resource::AllInstances { region },
        [Form::Everything] => Resource::Everything,
        things => Resource::Identity(things.iter().map(identity).collect()),
    }
}

fn shown(forms: &[Form]) -> String {
    forms.iter().map(|form| form.in_words()).collect::<Vec<_>>().join(" and ")
}

/// `allow`, `own` where it depends on the session being the caller's, `deny` by a statement, `-` where nothing allows it.
fn cell(entry: &CatalogueEntry, forms: &[Form], column: &Column) -> &'static str {
    let facts = RequestFacts {
        source_address: Some("10.1.2.3".parse().unwrap()),
        multi_factor: true,
        ..RequestFacts::at(Timestamp::parse_rfc3339_seconds("2026-11-24T12:00:00Z").unwrap())
    };
    let mut layers = column.layers.clone();
    if entry.ram_action() == "sts:AssumeRole" {
        layers.trust = Some(trust_of_the_account());
    }
    let policies = PrincipalPolicies::new(layers);
    match would_permit(entry, &column.principal, &resource(forms), &policies, &facts) {
        Ok(_) => "allow",
        Err(_) if allowed_for_own_sessions(entry, forms, column) => "own",
        Err(denied) if denied.explicit => "deny",
        Err(_) => "-",
    }
}

/// The role's trust policy, which names the whole account.
fn trust_of_the_account() -> PolicySet {
    let text = format!(
        r#"{{"Version": "1", "Statement": [{{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"RAM": "acs:ram::{}:root"}}}}]}}"#,
        account()
    );
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Trust).unwrap();
    PolicySet::new(vec![("trust".into(), Arc::new(document))])
}

fn allowed_for_own_sessions(entry: &CatalogueEntry, forms: &[Form], column: &Column) -> bool {
    // It is about no session, and what the trust layer refuses is not asked here.
    if entry.ram_action() == "sts:AssumeRole" {
        return false;
    }
    let mut context = Context::new();
    context.insert("ecs-workbench:SessionOwner", "self");
    let (principal, action) = (column.principal.arn(), entry.ram_action());
    resource(forms).arns(&account()).iter().all(|arn| {
        let request = Request { principal: &principal, action: &action, resource: arn, context: &context };
        evaluate(&column.layers, &request).is_allow()
    })
}

fn matrix() -> String {
    let columns = columns();
    let wire = CATALOGUE.iter().filter(|entry| entry.door == Door::Wire);
    let rows: Vec<(String, String, Vec<&str>)> = wire
        .flat_map(|entry| {
            asked_on(entry).unwrap().alternatives.iter().map(|forms| {
                let cells = columns.iter().map(|column| cell(entry, forms, column)).collect();
                (entry.ram_action(), shown(forms), cells)
            })
        })
        .collect();
    let width = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::len).max().unwrap_or(0);
    let actions = width(&mut rows.iter().map(|(action, ..)| action.as_str()));
    let forms = width(&mut rows.iter().map(|(_, forms, _)| forms.as_str()));
    let heads: Vec<Vec<&str>> = columns.iter().map(|column| words(&column.name)).collect();
    let widths: Vec<usize> =
        heads.iter().map(|head| width(&mut head.iter().copied()).max("allow".len())).collect();
    let height = heads.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::from(
        "Who may do what: actions of the wire, by what a call is about, against the ready-made policies of\n\
         policies/system. allow; own: for sessions of one's own only; deny: by a statement; -: nothing allows it.\n\n",
    );
    let mut line = |action: &str, form: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut line = format!("{action:actions$}  {form:forms$}");
        for (cell, width) in cells.zip(&widths) {
            write!(line, "  {cell:width$}").unwrap();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    for row in 0..height {
        // The heads stand on their feet.
        let mut words =
            heads.iter().map(|head| (row + head.len()).checked_sub(height).map_or("", |at| head[at]));
        line("", "", &mut words);
    }
    for (action, form, cells) in &rows {
        line(action, form, &mut cells.iter().copied());
    }
    text
}

/// `ECSWorkbenchFullAccess` as its words.
fn words(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let begins = |at: &usize| {
        let (before, this, after) = (bytes[at - 1], bytes[*at], bytes.get(at + 1));
        this.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || after.is_some_and(u8::is_ascii_lowercase))
    };
    let mut words = Vec::new();
    let mut start = 0;
    for at in (1..name.len()).filter(begins) {
        words.push(&name[start..at]);
        start = at;
    }
    words.push(&name[start..]);
    words
}

#[test]
fn the_matrix_is_the_committed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authorization_matrix.txt");
    let found = matrix();
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differ: Vec<String> = committed
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .map(|line| format!("- {line}"))
        .chain(
            found
                .lines()
                .filter(|line| !committed.lines().any(|other| other == *line))
                .map(|line| format!("+ {line}")),
        )
        .collect();
    assert!(
        committed == found,
        "who may do what has changed; look at each line, then run UPDATE_MATRIX=1 cargo test -p domain --test \
         authorization_matrix:\n{}",
        differ.join("\n")
    );
}

#[test]
fn names_are_split_into_words() {
    assert_eq!(words("AliyunECSWorkbenchFullAccess"), ["Aliyun", "ECS", "Workbench", "Full", "Access"]);
    assert_eq!(words("NoPolicy"), ["No", "Policy"]);
}

/// What the names promise, whatever the matrix shows.
#[test]
fn a_read_only_policy_permits_no_change() {
    use domain::actions::Access;
    let read_only = ["AliyunECSWorkbenchReadOnlyAccess", "AliyunRAMReadOnlyAccess"];
    for column in columns() {
        for entry in CATALOGUE.iter().filter(|entry| entry.door == Door::Wire) {
            for forms in asked_on(entry).unwrap().alternatives {
                let cell = cell(entry, forms, &column);
                match column.name.as_str() {
                    "AccountOwner" => {
                        let assumes = entry.ram_action() == "sts:AssumeRole";
                        let promised = if assumes { "-" } else { "allow" };
                        assert_eq!(cell, promised, "the owner may all but assume a role: {entry:?}");
                    }
                    "HansardAuditorAccess" => {
                        assert_eq!(cell == "-", entry.access == Access::Write, "{entry:?}");
                    }
                    name if read_only.contains(&name) => {
                        assert!(cell == "-" || entry.access != Access::Write, "{name}: {entry:?}");
                    }
                    "HansardOperatorAccess" => assert!(
                        cell == "-" || !["ViewInstanceRecords", "ListInstanceRecords"].contains(&entry.name),
                        "{entry:?}"
                    ),
                    _ => {}
                }
            }
        }
    }
}
