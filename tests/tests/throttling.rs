//! A principal that calls too often, from the view of the vendor's unmodified SDKs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use whole_system::{Client, Deployment, DeploymentOptions, Sdk, until};

/// Calls as this client over and over while `meanwhile` runs, so that its allowance is always used up.
fn busy<T>(client: &Client, meanwhile: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = client.run(&["call", "GetInstanceRecordConfig", "InstanceId=i-1"]);
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn every_sdk_takes_a_throttled_call_for_one_and_other_principals_are_not_affected() {
    let arguments = ["--principal-rate", "1", "--principal-burst", "20"].map(str::to_owned).to_vec();
    let deployment = Deployment::start_with(DeploymentOptions { arguments, ..DeploymentOptions::default() });
    let everything = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]);
    let user = deployment.user("busy", &everything);
    let asked = json!({"InstanceId": "i-1"});
    busy(&user, || {
        for sdk in Sdk::ALL {
            // Occasionally the SDK's call gets the next unit of the allowance.
            let error = until("a throttled call", || {
                let outcome = sdk.call(&user, "GetInstanceRecordConfig", &asked);
                outcome.get("error").cloned()
            });
            assert_eq!(error["code"], "Throttling.User", "{sdk:?} {error}");
            let (class, millis) = (&error["class"], error["retry_after"].as_u64());
            match sdk {
                Sdk::Typed | Sdk::TypedAsync | Sdk::TypedV1 => {
                    assert_eq!(class, "ThrottlingException", "{sdk:?} {error}");
                    assert_eq!(error["status"], 429, "{sdk:?} {error}");
                    assert!(millis.is_some_and(|millis| (1..=1_000).contains(&millis)), "{sdk:?} {error}");
                }
                Sdk::OpenapiCore => {
                    assert_eq!(class, "ThrottlingError", "{sdk:?} {error}");
                    assert!(millis.is_some_and(|millis| (1..=1_000).contains(&millis)), "{sdk:?} {error}");
                }
                _ => {}
            }
            let outcome = sdk.call(&deployment.root, "GetInstanceRecordConfig", &asked);
            assert_eq!(outcome["reply"]["Success"], true, "{sdk:?} {outcome}");
        }
    });
    // The user may call again without any intervention.
    until("the user may call again", || {
        user.run(&["call", "GetInstanceRecordConfig", "InstanceId=i-1"]).status.success().then_some(())
    });
}
