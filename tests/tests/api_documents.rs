//! The OpenAPI documents and the running control plane agree, as schemathesis finds: calls that fit a document are
//! accepted, others are refused, and replies are as documented. `make test-deep` runs it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::json;
use whole_system::{Client, Deployment, DeploymentOptions, deep_python, tests_folder};

/// As many calls of each operation within its document, and as many others.
const EXAMPLES: &str = "150";

fn no_limits() -> DeploymentOptions {
    let arguments = ["--address-rate", "0", "--principal-rate", "0"].map(str::to_owned).to_vec();
    DeploymentOptions { arguments, ..DeploymentOptions::default() }
}

fn agrees(caller: &Client, document: &str) {
    let document = tests_folder().parent().unwrap().join("openapi").join(document);
    let mut command = deep_python();
    command
        .arg(tests_folder().join("schema/documents.py"))
        .args(["--examples", EXAMPLES])
        .arg(&document)
        .envs(caller.environment());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{said}{}",
        document.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "it takes minutes and a tool of its own; make test-deep runs it"]
fn the_documents_and_the_control_plane_agree() {
    let deployment = Deployment::start_with(no_limits());
    // The account's owner may assume no role.
    let everything = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]);
    agrees(&deployment.user("caller", &everything), "sts-2015-04-01.json");
    agrees(&deployment.root, "ecs-workbench-2022-02-20.json");
    agrees(&deployment.root, "ram-2015-05-01.json");
}
