//! The vendor's unmodified SDKs: each can set, get and list, and understands a refusal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};
use whole_system::{Client, Deployment, Sdk};

fn code(outcome: &Value) -> &str {
    outcome["error"]["code"].as_str().unwrap_or_else(|| panic!("no error in {outcome}"))
}

#[test]
fn every_sdk_calls_every_recording_action() {
    let deployment = Deployment::start();
    let account = deployment.account();
    for (number, sdk) in Sdk::ALL.into_iter().enumerate() {
        let instance = format!("i-sdk{number}");
        let target = format!("acs:oss:cn-beijing:{account}:workbench-record-{account}-sdk{number}/a/b c");
        let root = &deployment.root;
        let set = json!({
            "Enabled": true, "InstanceId": instance, "RecordStorageTarget": target, "ExpirationDays": 30,
            "RegionId": "cn-shanghai",
        });
        let outcome = sdk.call(root, "SetInstanceRecordConfig", &set);
        let reply = &outcome["reply"];
        assert_eq!(
            (&reply["Root"], &reply["Success"], &reply["Code"]),
            (&json!(true), &json!(true), &json!("OK")),
            "{sdk:?} {outcome}"
        );

        let outcome = sdk.call(root, "GetInstanceRecordConfig", &json!({"InstanceId": instance}));
        let config = &outcome["reply"]["Root"];
        assert_eq!(config["RecordStorageTarget"], target.as_str(), "{sdk:?} {outcome}");
        assert_eq!(
            (&config["ExpirationDays"], &config["ParentId"]),
            (&json!(30), &json!(account)),
            "{sdk:?} {outcome}"
        );

        let outcome = sdk.call(
            root,
            "ListInstanceRecords",
            &json!({"InstanceId": instance, "PageNumber": 1, "PageSize": 5}),
        );
        assert_eq!(outcome["reply"]["Root"], json!({"TotalCount": 0, "RecordList": []}), "{sdk:?} {outcome}");

        // Refusals arrive as the SDK's own exceptions, with the code and the RequestId.
        let view =
            json!({"InstanceId": instance, "TerminalSessionToken": "00000000000000000000000000000000"});
        let outcome = sdk.call(root, "ViewInstanceRecords", &view);
        assert_eq!(code(&outcome), "InvalidTerminalSessionToken.NotFound", "{sdk:?} {outcome}");

        let outcome =
            sdk.call(root, "SetInstanceRecordConfig", &json!({"InstanceId": instance, "Enabled": false}));
        assert_eq!(outcome["reply"]["Root"], true, "{sdk:?} {outcome}");
        let outcome = sdk.call(root, "GetInstanceRecordConfig", &json!({"InstanceId": instance}));
        assert!(outcome["reply"].get("Root").is_none_or(Value::is_null), "{sdk:?} {outcome}");
    }
}

/// The SDKs that were generated for the product know its own parameters alone; the others pass on what they are given.
#[test]
fn the_settings_of_sessions_are_set_through_sdks_that_take_any_parameter() {
    let deployment = Deployment::start();
    let generic = [
        Sdk::LegacyPost,
        Sdk::LegacyGet,
        Sdk::OpenapiClient,
        Sdk::OpenapiClientV1,
        Sdk::OpenapiCore,
        Sdk::PopCoreGet,
        Sdk::PopCorePost,
    ];
    for (number, sdk) in generic.into_iter().enumerate() {
        let instance = format!("i-set{number}");
        let set = json!({
            "Enabled": true, "InstanceId": instance, "FailurePolicy": "best_effort",
            "DeliveryMode": "sync",
            "RecordedPrincipals": "user:ana,group:ops-*", "NoticeText": "Sessions are recorded – ä",
        });
        let outcome = sdk.call(&deployment.root, "SetInstanceRecordConfig", &set);
        assert_eq!(outcome["reply"]["Root"], true, "{sdk:?} {outcome}");
        let asked = json!({"InstanceId": instance});
        let reply = sdk.call(&deployment.root, "GetInstanceRecordConfig", &asked)["reply"].clone();
        assert_eq!(reply["FailurePolicy"], "best_effort", "{sdk:?} {reply}");
        assert_eq!(reply["DeliveryMode"], "sync", "{sdk:?} {reply}");
        assert_eq!(reply["FailurePolicySource"], instance.as_str(), "{sdk:?} {reply}");
        assert_eq!(reply["RecordedPrincipals"], json!(["user:ana", "group:ops-*"]), "{sdk:?} {reply}");
        assert_eq!(reply["NoticeText"], "Sessions are recorded – ä", "{sdk:?} {reply}");
        let wrong = json!({"Enabled": true, "InstanceId": instance, "FailurePolicy": "lenient"});
        let outcome = sdk.call(&deployment.root, "SetInstanceRecordConfig", &wrong);
        assert_eq!(code(&outcome), "InvalidFailurePolicy", "{sdk:?} {outcome}");
    }
}

#[test]
fn every_sdk_understands_why_it_was_refused() {
    let deployment = Deployment::start();
    let get_only = json!([{"Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*"}]);
    let user = deployment.user("reader", &get_only);
    let wrong_secret = Client { access_key_secret: "wrong".into(), ..deployment.root.clone() };
    let wrong_key = Client { access_key_id: "LTAInobody".into(), ..deployment.root.clone() };
    let set = json!({"Enabled": true, "InstanceId": "i-1"});
    for sdk in Sdk::ALL {
        let outcome = sdk.call(&wrong_secret, "GetInstanceRecordConfig", &json!({"InstanceId": "i-1"}));
        // aliyun-python-sdk-core and pop-core recognise a wrong secret by the string to sign that the server returns.
        assert!(
            matches!(code(&outcome), "SignatureDoesNotMatch" | "InvalidAccessKeySecret"),
            "{sdk:?} {outcome}"
        );
        assert!(!outcome.to_string().contains("whole-system-test-root-secret"), "{outcome}");

        let outcome = sdk.call(&wrong_key, "GetInstanceRecordConfig", &json!({"InstanceId": "i-1"}));
        assert_eq!(code(&outcome), "InvalidAccessKeyId.NotFound", "{sdk:?} {outcome}");

        let outcome = sdk.call(&user, "GetInstanceRecordConfig", &json!({"InstanceId": "i-1"}));
        assert_eq!(outcome["reply"]["Success"], true, "{sdk:?} {outcome}");
        let outcome = sdk.call(&user, "SetInstanceRecordConfig", &set);
        assert_eq!(code(&outcome), "Forbidden.RAM", "{sdk:?} {outcome}");
        if sdk == Sdk::Typed {
            let detail = &outcome["error"]["detail"];
            assert_eq!(detail["AuthAction"], "ecs-workbench:SetInstanceRecordConfig", "{outcome}");
            assert_eq!(detail["NoPermissionType"], "ImplicitDeny", "{outcome}");
            assert_eq!(detail["AuthPrincipalType"], "SubUser", "{outcome}");
        }

        let outcome = sdk.call(
            &deployment.root,
            "SetInstanceRecordConfig",
            &json!({"Enabled": true, "InstanceId": "not an id"}),
        );
        assert_eq!(code(&outcome), "InvalidInstanceId", "{sdk:?} {outcome}");
        let outcome = sdk.call(&deployment.root, "GetInstanceRecordConfig", &json!({}));
        assert_eq!(code(&outcome), "MissingInstanceId", "{sdk:?} {outcome}");
    }
    // None of these calls changed anything.
    let config = deployment.root.call("GetInstanceRecordConfig", &["InstanceId=i-1"]);
    assert!(config.get("Root").is_none(), "{config}");
}
