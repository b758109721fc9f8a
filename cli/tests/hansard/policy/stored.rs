//! simulate and explain with the policies that a server stores.

use serde_json::json;

use super::{Folder, allow, document, json_of, stdout};
use crate::deployment::{Server, stderr};

#[test]
fn stored_principals_are_asked_of_the_server() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let (account, ..) = server.root();
    let gets = folder.file("gets.json", document(json!([allow("ecs-workbench:Get*", "*")])));
    let sets = folder.file("sets.json", document(json!([allow("ecs-workbench:Set*", "*")])));
    server.admin(&["user", "create", "ana"]);
    server.admin(&["policy", "put", "gets", &gets]);
    server.admin(&["policy", "attach", "gets", "--user", "ana"]);
    let simulate = |more: &[&str]| {
        let asked = [
            "policy",
            "simulate",
            "--user",
            "ana",
            "--action",
            "ecs-workbench:*InstanceRecordConfig",
            "--output",
            "json",
        ];
        let output = server.as_root(&[&asked, more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let simulation = json_of(&output);
        assert_eq!(simulation["Principal"], format!("acs:ram::{account}:user/ana"));
        let answers = simulation["Answers"].as_array().unwrap();
        answers.iter().map(|answer| answer["Decision"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(simulate(&[]), ["ImplicitDeny", "Allow"]);
    assert_eq!(simulate(&["--policy", &sets]), ["Allow", "Allow"], "drafts count beside what is stored");
    assert_eq!(simulate(&["--session-policy", &sets]), ["ImplicitDeny", "ImplicitDeny"]);

    let explain = ["policy", "explain", "--user", "ana", "--action", "ecs-workbench:SetInstanceRecordConfig"];
    let output = server.as_root(&explain);
    let said = stdout(&output);
    assert!(
        output.status.success()
            && said.contains(
                "Action fails: ecs-workbench:SetInstanceRecordConfig is not covered by ecs-workbench:Get*"
            ),
        "{said} {}",
        stderr(&output)
    );

    let nobody = server.as_root(&["policy", "simulate", "--role", "nobody", "--action", "a:b"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("EntityNotExist.Role"), "{}", stderr(&nobody));
}
