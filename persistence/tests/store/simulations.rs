//! What a simulation reads: the policies of a bearer that is not the caller.

use domain::actions::SimulatePolicy;
use domain::gate::{Granted, Resource};
use domain::identity::IdentityRefused;
use domain::policy_bearer::PolicyBearer;
use persistence::StoreError;
use policies::{Context, Request, evaluate};

use test_facts::{World, account, as_operator, at, event, on_both, owner};

on_both!(the_policies_of_each_bearer_are_found, nobody_else_is_reached_by_a_grant);

fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "1", "Statement": [{{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}]}}"#
    )
}

/// A user `ana` in a group `crew`, and a role `deploy`, each with a policy of its own.
async fn people(world: &World) -> [PolicyBearer; 3] {
    let (store, operator, account) = (&world.store, as_operator(&account()), account());
    let audit = || event(&account, "AdministerIdentity");
    let user = store.create_user(&operator, &"ana".parse().unwrap(), at(1), audit()).await.unwrap();
    for statement in [
        format!(
            "INSERT INTO groups (group_id, account_id, name, comments, created_at, changed_at) VALUES ('400000000000000001', '{account}', 'crew', '', 0, 0)"
        ),
        format!(
            "INSERT INTO group_members (account_id, group_id, user_id, joined_at) VALUES ('{account}', '400000000000000001', '{}', 0)",
            user.id
        ),
        format!(
            "INSERT INTO roles (role_id, account_id, name, description, trust_policy, max_session_seconds, created_at, changed_at) VALUES ('300000000000000001', '{account}', 'deploy', '', '{{}}', 3600, 0, 0)"
        ),
    ] {
        world.database.execute(&statement).await;
    }
    let bearers = [
        PolicyBearer::User("ana".parse().unwrap()),
        PolicyBearer::Group("crew".parse().unwrap()),
        PolicyBearer::Role("deploy".parse().unwrap()),
    ];
    for (bearer, action) in bearers.iter().zip(["a:user", "a:group", "a:role"]) {
        let name = action.replace(':', "-").parse().unwrap();
        store.put_policy(&operator, &name, &allow(action), at(2), audit()).await.unwrap();
        store.attach_policy(&operator, bearer, &name, at(2), audit()).await.unwrap();
    }
    bearers
}

fn granted(bearer: &PolicyBearer) -> Granted<SimulatePolicy> {
    owner(&account(), Resource::Identity(vec![bearer.resource()]))
}

async fn the_policies_of_each_bearer_are_found(world: World) {
    let bearers = people(&world).await;
    for (bearer, may) in bearers.iter().zip([&["a:user", "a:group"][..], &["a:group"], &["a:role"]]) {
        let policies = world.store.policies_of_bearer(&granted(bearer), bearer).await.unwrap();
        let context = Context::new();
        for action in ["a:user", "a:group", "a:role"] {
            let principal = "acs:ram::1000000000000000:user/anybody";
            let request = Request { principal, action, resource: "*", context: &context };
            let decision = evaluate(policies.layers(), &request);
            assert_eq!(decision.is_allow(), may.contains(&action), "{bearer} {action}: {decision:?}");
        }
    }
    let nobody = PolicyBearer::User("nobody".parse().unwrap());
    let absent = world.store.policies_of_bearer(&granted(&nobody), &nobody).await;
    assert!(matches!(absent, Err(StoreError::Identity(IdentityRefused::NotExist { .. }))), "{absent:?}");
}

async fn nobody_else_is_reached_by_a_grant(world: World) {
    let [ana, crew, _] = people(&world).await;
    let refused = world.store.policies_of_bearer(&granted(&ana), &crew).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
}
