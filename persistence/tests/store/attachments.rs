//! The policies of users, groups and roles.

use domain::identity::{GroupName, IdentityRefused, PolicyRef, RoleName, UserName};
use domain::policy_bearer::PolicyBearer;
use persistence::StoreError;

use crate::policies::{READ, ROLE, audit, code, custom, people, policy, refused, system};
use test_facts::{World, account, as_operator, at, on_both};

on_both!(
    what_is_attached_is_shown_from_both_sides,
    what_cannot_be_attached_or_detached_is_told_in_its_own_code,
    the_database_itself_keeps_what_something_is_attached_to,
    of_two_that_attach_or_detach_at_once_one_is_told,
);

async fn what_is_attached_is_shown_from_both_sides(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    store.create_policy(&operator, &policy("p"), "reads", READ, at(1), audit()).await.unwrap();
    let bearers = people(&world).await;
    for (moment, bearer) in (10..).zip(&bearers) {
        store.attach_policy(&operator, bearer, &policy("p"), at(moment), audit()).await.unwrap();
        store.attach_policy(&operator, bearer, system("AdministratorAccess"), at(20), audit()).await.unwrap();
        let attached = store.policies_attached_to(&operator, bearer).await.unwrap();
        let shown: Vec<_> = attached
            .iter()
            .map(|attached| (attached.policy.clone(), attached.attached_at, attached.description.as_str()))
            .collect();
        let everything = "Everything in this account.";
        let expected =
            [(custom("p"), at(moment), "reads"), (system("AdministratorAccess"), at(20), everything)];
        assert_eq!(shown, expected);
    }
    let (summary, _) = store.get_policy(&operator, &custom("p")).await.unwrap();
    assert_eq!(summary.attachment_count, 3);
    for asked in [custom("p"), system("AdministratorAccess")] {
        let found = store.bearers_of_policy(&operator, &asked).await.unwrap();
        assert_eq!((found.users.len(), found.groups.len(), found.roles.len()), (1, 1, 1));
        assert_eq!((found.users[0].name.as_str(), found.groups[0].comments.as_str()), ("ana", "all hands"));
        assert_eq!((found.roles[0].id.as_str(), found.roles[0].description.as_str()), (ROLE, "rolls out"));
    }
    let listed = store.all_policies(&operator).await.unwrap();
    assert_eq!(listed[0].attached_to_groups, [GroupName::parse("crew").unwrap()]);
    assert_eq!(listed[0].attached_to_roles, [RoleName::parse("deploy").unwrap()]);
    store.detach_policy(&operator, &bearers[1], &policy("p"), audit()).await.unwrap();
    assert!(store.bearers_of_policy(&operator, &custom("p")).await.unwrap().groups.is_empty());
    assert_eq!(code(store.bearers_of_policy(&operator, &custom("q")).await), "Policy");
}

async fn what_cannot_be_attached_or_detached_is_told_in_its_own_code(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let bearers = people(&world).await;
    for number in 0..11 {
        let name = policy(&format!("p{number}"));
        store.create_policy(&operator, &name, "", READ, at(1), audit()).await.unwrap();
    }
    for (bearer, expected) in bearers.iter().zip(["User.Policy", "Group.Policy", "Role.Policy"]) {
        let attach =
            async |policy: &PolicyRef| store.attach_policy(&operator, bearer, policy, at(2), audit()).await;
        for number in 0..10 {
            attach(&custom(&format!("p{number}"))).await.unwrap();
        }
        assert!(matches!(refused(attach(&custom("p3")).await), IdentityRefused::AlreadyExists { .. }));
        assert_eq!(code(attach(&custom("p3")).await), expected);
        let eleventh = refused(attach(&custom("p10")).await);
        let at_most_ten = |refused: &IdentityRefused| matches!(refused, IdentityRefused::LimitExceeded { code, limit: 10, .. } if *code == expected);
        assert!(at_most_ten(&eleventh), "{eleventh:?}");
        attach(&system("AdministratorAccess")).await.unwrap();
        let detached = store.detach_policy(&operator, bearer, &policy("p10"), audit()).await;
        assert!(matches!(refused(detached), IdentityRefused::NotExist { .. }));
        assert_eq!(code(store.detach_policy(&operator, bearer, &policy("p10"), audit()).await), expected);
        assert_eq!(code(attach(&custom("none")).await), "Policy");
        assert_eq!(code(attach(&system("p3")).await), "Policy");
    }
    let nobody = UserName::parse("nobody").unwrap();
    assert_eq!(code(store.attach_policy(&operator, &nobody, &policy("p1"), at(2), audit()).await), "User");
    let nobody = GroupName::parse("nobody").unwrap();
    assert_eq!(code(store.detach_policy(&operator, &nobody, &policy("p1"), audit()).await), "Group");
    let nobody = PolicyBearer::Role(RoleName::parse("nobody").unwrap());
    assert_eq!(code(store.policies_attached_to(&operator, &nobody).await), "Role");
    // Twenty system policies: there are not so many, so the rows are inserted directly.
    let account = account();
    for number in 1..20 {
        world
            .database
            .execute(&format!("INSERT INTO attachments (account_id, target_id, policy_kind, policy_name, role_id, attached_at) VALUES ('{account}', '{ROLE}', 'System', 's{number}', '{ROLE}', 0)"))
            .await;
    }
    let more = system("AliyunECSWorkbenchFullAccess");
    let full = refused(store.attach_policy(&operator, &bearers[2], more, at(3), audit()).await);
    assert!(
        matches!(full, IdentityRefused::LimitExceeded { code: "Role.Policy", limit: 20, .. }),
        "{full:?}"
    );
}

async fn the_database_itself_keeps_what_something_is_attached_to(world: World) {
    use sea_orm::ConnectionTrait as _;

    let (store, operator) = (&world.store, as_operator(&account()));
    store.create_policy(&operator, &policy("p"), "", READ, at(1), audit()).await.unwrap();
    for bearer in &people(&world).await {
        store.attach_policy(&operator, bearer, &policy("p"), at(2), audit()).await.unwrap();
    }
    let raw = world.database.raw().await;
    for statement in [
        "DELETE FROM users WHERE name = 'ana'",
        "DELETE FROM groups WHERE name = 'crew'",
        "DELETE FROM roles WHERE name = 'deploy'",
        "DELETE FROM policies WHERE name = 'p'",
        "INSERT INTO attachments (account_id, target_id, policy_kind, policy_name, user_id, custom_policy, attached_at) SELECT account_id, user_id, 'Custom', 'none', user_id, 'none', 0 FROM users",
    ] {
        let refused = raw.execute_unprepared(statement).await.expect_err(statement).to_string();
        assert!(refused.to_lowercase().contains("foreign key"), "{statement}: {refused}");
    }
    assert_eq!(world.count("attachments", "policy_name = 'p'").await, 3);
}

async fn of_two_that_attach_or_detach_at_once_one_is_told(world: World) {
    let bearers = people(&world).await;
    let (store, replica, operator) = (&world.store, &world.replica().await, as_operator(&account()));
    let p = policy("p");
    store.create_policy(&operator, &p, "", READ, at(1), audit()).await.unwrap();
    let told = |one: Result<(), StoreError>, other: Result<(), StoreError>| match (one, other) {
        (Ok(()), Err(StoreError::Identity(told))) | (Err(StoreError::Identity(told)), Ok(())) => told,
        both => panic!("{both:?}"),
    };
    for bearer in &bearers {
        let (one, other) = tokio::join!(
            store.attach_policy(&operator, bearer, &p, at(2), audit()),
            replica.attach_policy(&operator, bearer, &p, at(2), audit()),
        );
        assert!(matches!(told(one, other), IdentityRefused::AlreadyExists { .. }), "{bearer}");
        let (one, other) = tokio::join!(
            store.detach_policy(&operator, bearer, &p, audit()),
            replica.detach_policy(&operator, bearer, &p, audit()),
        );
        assert!(matches!(told(one, other), IdentityRefused::NotExist { .. }), "{bearer}");
    }
}
