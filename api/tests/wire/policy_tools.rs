//! ValidatePolicy and SimulatePolicy: what they report, to whom, and what they refuse.

use domain::audit::AuditDecision;
use serde_json::{Value, json};

use crate::service::{ACCOUNT, Service};

fn policy(statements: Value) -> String {
    json!({ "Version": "1", "Statement": statements }).to_string()
}

fn allow(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

fn instance(id: &str) -> String {
    format!("acs:ecs-workbench:cn-hangzhou:{ACCOUNT}:workbench/{id}")
}

const VIEW: &str = "ecs-workbench:ViewInstanceRecords";
const SIMULATE: &str = "SimulatePolicy";

/// The decision and the reason of each answer.
fn decisions(reply: &Value) -> Vec<(String, String)> {
    let answers = reply["Root"]["Answers"].as_array().unwrap();
    let text = |answer: &Value, name: &str| answer[name].as_str().unwrap().to_owned();
    answers.iter().map(|answer| (text(answer, "Decision"), text(answer, "Reason"))).collect()
}

#[test]
fn validation_says_what_is_wrong_where_and_how_to_correct_it() {
    let service = Service::start();
    let typo = policy(json!([allow("ecs-workbench:ListAgnets", "*")]));
    let reply = service.call("ValidatePolicy", &[("PolicyDocument", &typo)]).done();
    assert_eq!(reply["Root"]["Valid"], true);
    let finding = &reply["Root"]["Findings"][0];
    assert_eq!(
        (&finding["Severity"], &finding["Rule"]),
        (&json!("General Warning"), &json!("UnknownAction"))
    );
    assert_eq!(finding["Mend"], "write ecs-workbench:ListAgents if that is meant");
    assert_eq!(finding["Pointer"], "/Statement/0/Action");

    let refused = service.call("ValidatePolicy", &[("PolicyDocument", "{\n \"Version\": 1}")]).done();
    assert_eq!(refused["Root"]["Valid"], false);
    let first = &refused["Root"]["Findings"][0];
    assert_eq!((&first["Severity"], &first["Line"]), (&json!("Error"), &json!(1)), "{refused}");
    let trust = policy(
        json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs.aliyuncs.com"}}]),
    );
    for (kind, valid) in [("trust", true), ("identity", false), ("session", false), ("control", false)] {
        let reply =
            service.call("ValidatePolicy", &[("PolicyDocument", &trust), ("PolicyKind", kind)]).done();
        assert_eq!(reply["Root"]["Valid"], valid, "{kind}");
    }
    let odd = service.call("ValidatePolicy", &[("PolicyDocument", &trust), ("PolicyKind", "odd")]);
    assert_eq!(odd.refusal(), (400, "InvalidPolicyKind".to_owned()));
    assert_eq!(service.call("ValidatePolicy", &[]).refusal(), (400, "MissingPolicyDocument".to_owned()));
    let audited = &service.audit(1)[0];
    assert_eq!((audited.action.as_str(), audited.resource.as_str()), ("ValidatePolicy", ""));
}

#[test]
fn drafts_are_simulated_in_every_layer_and_context() {
    let service = Service::start();
    let view = json!({"Effect": "Allow", "Action": VIEW, "Resource": instance("i-*"),
        "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}});
    let drafts = json!([policy(json!([view]))]).to_string();
    let actions = json!([VIEW]).to_string();
    let resources = json!([instance("i-1"), "*"]).to_string();
    let contexts = r#"{"office": {"acs:SourceIp": "10.1.2.3"}, "elsewhere": {}}"#;
    let asked = [
        ("PolicyDocuments", &*drafts),
        ("Actions", &*actions),
        ("Resources", &*resources),
        ("Contexts", contexts),
    ];
    let reply = service.call(SIMULATE, &asked).done();
    let outcomes: Vec<String> = decisions(&reply).into_iter().map(|(decision, _)| decision).collect();
    assert_eq!(outcomes, ["Allow", "ImplicitDeny", "ImplicitDeny", "ImplicitDeny"]);
    let answers = &reply["Root"]["Answers"];
    assert_eq!(answers[0]["Statement"]["Policy"], "PolicyDocuments[0]");
    assert_eq!(answers[1]["AbsentKeys"], json!(["acs:SourceIp"]));
    assert!(answers[0].get("Explanation").is_none());

    let deny = policy(json!([{"Effect": "Deny", "Action": "ecs-workbench:View*", "Resource": "*"}]));
    let session = policy(json!([allow("ecs-workbench:List*", "*")]));
    let office = r#"{"acs:SourceIp": ["10.1.2.3"]}"#;
    let asked = |more: &[(&'static str, &str)]| {
        let resources = json!([instance("i-1")]).to_string();
        let mut all = vec![
            ("PolicyDocuments", &*drafts),
            ("Actions", &*actions),
            ("Resources", &*resources),
            ("Context", office),
            ("Explain", "true"),
        ];
        all.extend(more);
        let reply = service.call(SIMULATE, &all).done();
        let answer = reply["Root"]["Answers"][0].clone();
        let deciding = answer["Explanation"]["Layers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|layer| layer["Decides"] == true)
            .map(|layer| layer["PolicyType"].as_str().unwrap().to_owned());
        (answer["Decision"].as_str().unwrap().to_owned(), deciding.unwrap_or_default(), answer)
    };
    let (decision, layer, answer) = asked(&[]);
    assert_eq!((&*decision, &*layer), ("Allow", "AccountLevelIdentityBasedPolicy"));
    assert!(
        answer["Explanation"]["Text"].as_str().unwrap().contains("Condition IpAddress holds"),
        "{answer}"
    );
    let controls = json!([deny]).to_string();
    let (decision, layer, _) = asked(&[("ControlPolicies", &controls)]);
    assert_eq!((&*decision, &*layer), ("ExplicitDeny", "ControlPolicy"));
    let (decision, layer, _) = asked(&[("SessionPolicy", &session)]);
    assert_eq!((&*decision, &*layer), ("ImplicitDeny", "SessionPolicy"));
    let root = format!("acs:ram::{ACCOUNT}:root");
    assert_eq!(asked(&[("ControlPolicies", &controls), ("Principal", &root)]).0, "Allow");
}

#[test]
fn stored_principals_are_simulated_with_their_policies_and_drafts_are_added() {
    let service = Service::start();
    service.user("ana", &[&policy(json!([allow("ecs-workbench:Get*", "*")]))]);
    let actions = json!(["ecs-workbench:*InstanceRecordConfig"]).to_string();
    let ask = |more: &[(&'static str, &str)]| {
        let mut asked = vec![("StoredPrincipal", "user/ana"), ("Actions", &*actions)];
        asked.extend(more);
        service.call(SIMULATE, &asked).done()
    };
    let reply = ask(&[]);
    assert_eq!(reply["Root"]["Principal"], format!("acs:ram::{ACCOUNT}:user/ana"));
    let found: Vec<(&str, &str)> = reply["Root"]["Answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| (answer["Action"].as_str().unwrap(), answer["Decision"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("ecs-workbench:SetInstanceRecordConfig", "ImplicitDeny"),
            ("ecs-workbench:GetInstanceRecordConfig", "Allow")
        ]
    );
    let draft = json!([policy(json!([allow("ecs-workbench:Set*", "*")]))]).to_string();
    let both = decisions(&ask(&[("PolicyDocuments", &draft)]));
    assert!(both.iter().all(|(decision, _)| decision == "Allow"), "{both:?}");
    let by_arn = format!("acs:ram::{ACCOUNT}:user/ana");
    let reply = service.call(SIMULATE, &[("StoredPrincipal", &by_arn), ("Actions", &actions)]).done();
    assert_eq!(reply["Root"]["Answers"].as_array().unwrap().len(), 2);
    assert_eq!(service.audit(1)[0].resource, by_arn);
}

#[test]
fn a_caller_who_may_not_read_policies_cannot_simulate_them() {
    let service = Service::start();
    service.user("ana", &[&policy(json!([allow("*", "*")]))]);
    // Permission for all of ecs-workbench does not include permission to read others' policies.
    let workbench = service.user("full", &[&policy(json!([allow("ecs-workbench:*", "*")]))]);
    let reader = policy(json!([
        allow("ecs-workbench:SimulatePolicy", &format!("acs:ram:*:{ACCOUNT}:user/a*")),
        allow("ram:ListPoliciesForUser", &format!("acs:ram:*:{ACCOUNT}:user/a*")),
        allow("ram:GetPolicy", "*"),
    ]));
    // Permission to read the names of policies is less than permission to read their contents.
    let lister = policy(json!([
        allow("ecs-workbench:SimulatePolicy", "*"),
        allow("ram:ListPoliciesForUser", "*"),
        allow("ram:GetPolicy", &format!("acs:ram:*:{ACCOUNT}:policy/ana-0")),
    ]));
    let lister = service.user("lister", &[&lister]);
    let reply =
        service.call_as(&lister, SIMULATE, &[("StoredPrincipal", "user/ana"), ("Actions", r#"["a:b"]"#)]);
    assert_eq!(reply.refusal(), (403, "Forbidden.RAM".to_owned()));
    assert_eq!(reply.json()["AccessDeniedDetail"]["AuthAction"], "ram:GetPolicy");
    let reader = service.user("reader", &[&reader]);
    let drafter = service.user("drafter", &[&policy(json!([allow("ecs-workbench:SimulatePolicy", "*")]))]);
    let asked = |of: &'static str| [("StoredPrincipal", of), ("Actions", r#"["a:b"]"#)];
    for (key, who, of, code) in [
        (&workbench, "full", "user/ana", "Forbidden.RAM"),
        (&drafter, "drafter", "user/ana", "Forbidden.RAM"),
        // A user that does not exist is refused in the same words.
        (&workbench, "full", "user/nobody", "Forbidden.RAM"),
        (&reader, "reader", "user/full", "Forbidden.RAM"),
        (&reader, "reader", "user/nobody", "Forbidden.RAM"),
        (&reader, "reader", "group/a", "Forbidden.RAM"),
    ] {
        let reply = service.call_as(key, SIMULATE, &asked(of));
        assert_eq!(reply.refusal(), (403, code.to_owned()), "{who} {of}: {reply:?}");
        let detail = &reply.json()["AccessDeniedDetail"];
        assert!(detail["EncodedDiagnosticMessage"].is_string(), "{who} {of}: {detail}");
        let second = who != "reader";
        assert_eq!(detail["AuthAction"] == "ram:ListPoliciesForUser", second, "{who} {of}: {detail}");
        let row = service.audit(1).remove(0);
        assert_eq!((row.action.as_str(), row.result.as_str()), (SIMULATE, code), "{who} {of}");
        assert_eq!(row.decision, AuditDecision::Denied { by: None }, "{who} {of}");
    }
    // The statement that refused the second permission is audited.
    let denied = [allow("*", "*"), json!({"Effect": "Deny", "Action": "ram:List*", "Resource": "*"})];
    let denied = service.user("denied", &[&policy(json!(denied))]);
    let reply = service.call_as(&denied, SIMULATE, &asked("user/ana"));
    assert_eq!(reply.refusal(), (403, "Forbidden.RAM".to_owned()));
    let AuditDecision::Denied { by: Some(by) } = service.audit(1).remove(0).decision else {
        panic!("denied")
    };
    assert!(by.ends_with("denied-0#1"), "{by}");
    service.call_as(&reader, SIMULATE, &asked("user/ana")).done();
    let absent = service.call_as(&reader, SIMULATE, &asked("user/a-nobody"));
    assert_eq!(absent.refusal(), (404, "EntityNotExist.User".to_owned()));
    let drafts = [("PolicyDocuments", "[]"), ("Actions", r#"["a:b"]"#)];
    service.call_as(&drafter, SIMULATE, &drafts).done();
    let refused = service.call_as(&reader, SIMULATE, &drafts);
    assert_eq!(refused.refusal(), (403, "Forbidden.RAM".to_owned()));
}

#[test]
fn what_cannot_be_asked_is_refused_by_the_parameters_name() {
    let service = Service::start();
    let long = json!(["x".repeat(1_025)]).to_string();
    let many = json!(vec!["a:b"; 101]).to_string();
    let resources = json!(vec!["*"; 100]).to_string();
    let documents = json!(vec!["{}"; 31]).to_string();
    let large = format!(r#"{{"a:k": "{}"}}"#, "x".repeat(16_384));
    let one = ("Actions", r#"["a:b"]"#);
    for (parameters, code, says) in [
        (&[][..], "MissingActions", ""),
        (&[("Actions", "a:b")], "InvalidActions", "it must be a JSON list of strings"),
        (&[("Actions", "[]")], "InvalidActions", "at least one string"),
        (&[("Actions", &*long)], "InvalidActions", "1 to 1024 bytes"),
        (&[("Actions", r#"["a:*"]"#)], "InvalidActions", "no known action fits"),
        (
            &[("Actions", &*many), ("Resources", &*resources)],
            "InvalidActions",
            "10100 questions are too many; ask at most 10000",
        ),
        (
            &[("Actions", &*many), ("Explain", "true")],
            "InvalidActions",
            "101 questions are too many; ask at most 100",
        ),
        (&[one, ("Resources", "[3]")], "InvalidResources", "it must be a JSON list of strings"),
        (&[one, ("Context", "[]")], "InvalidContext", "line 1, column 1: the context is a list"),
        (&[one, ("Context", &*large)], "InvalidContext", "at most 16384 characters"),
        (&[one, ("Contexts", "{}")], "InvalidContexts", "at least one context"),
        (&[one, ("Contexts", "{}"), ("Context", "{}")], "InvalidContexts", "cannot be combined with Context"),
        (
            &[one, ("PolicyDocuments", r#"["{\n"]"#)],
            "InvalidPolicyDocuments",
            "PolicyDocuments[0]: line 2, column 1",
        ),
        (&[one, ("PolicyDocuments", &*documents)], "InvalidPolicyDocuments", "at most 30 documents"),
        (&[one, ("TrustPolicy", "{}")], "InvalidTrustPolicy", "TrustPolicy: line 1, column 1"),
        (
            &[one, ("StoredPrincipal", "ana")],
            "InvalidStoredPrincipal",
            "user/<name>, group/<name> or role/<name>",
        ),
        (
            &[one, ("StoredPrincipal", "acs:ram::1000000000000001:user/ana")],
            "InvalidStoredPrincipal",
            "of your own account",
        ),
        (&[one, ("StoredPrincipal", "user/a b")], "InvalidStoredPrincipal", ""),
    ] {
        let reply = service.call(SIMULATE, parameters);
        assert_eq!(reply.refusal(), (400, code.to_owned()), "{reply:?}");
        assert!(reply.json()["Message"].as_str().unwrap().contains(says), "{says}: {reply:?}");
    }
}
