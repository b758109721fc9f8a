//! Groups and their members.

use domain::actions::{
    AddUserToGroup, CreateGroup, DeleteGroup, GetGroup, ListGroups, ListGroupsForUser, ListUsersForGroup,
    RemoveUserFromGroup, UpdateGroup,
};
use domain::gate::{IdentityResource, Resource};
use domain::identity::{GroupChange, GroupName, NewGroup, UserName, limits};
use persistence::{MarkerRequest, StoreError};

use crate::users::refused;
use test_facts::{World, account, as_operator, at, event, on_both, other_account, owner};

on_both!(
    a_changed_group_keeps_its_id_and_its_users,
    groups_and_their_users_are_listed_page_by_page,
    a_group_with_users_or_policies_is_not_deleted,
    a_user_is_in_a_group_once_and_in_ten_at_most,
    the_last_place_for_a_group_is_taken_once,
    of_two_that_put_a_user_into_its_last_group_one_does,
    nobody_comes_into_a_group_that_is_being_deleted,
    of_two_that_take_a_user_out_of_a_group_one_is_told,
    a_grant_for_one_group_reaches_no_other,
);

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn new(name: &str) -> NewGroup {
    NewGroup { name: group(name), comments: String::new() }
}

fn groups(names: &[&str]) -> Resource {
    Resource::Identity(names.iter().map(|name| IdentityResource::Group(group(name))).collect())
}

fn both(user_name: &str, group_name: &str) -> Resource {
    Resource::Identity(vec![
        IdentityResource::User(user(user_name)),
        IdentityResource::Group(group(group_name)),
    ])
}

fn audit() -> domain::audit::AuditEvent {
    event(&account(), "Identity")
}

async fn with_users(world: &World, names: &[&str]) {
    for name in names {
        world.store.create_user(&as_operator(&account()), &user(name), at(1), audit()).await.unwrap();
    }
}

async fn with_groups(world: &World, names: &[&str]) {
    for name in names {
        let granted = owner::<CreateGroup>(&account(), groups(&[name]));
        world.store.create_group(&granted, new(name), at(1), audit()).await.unwrap();
    }
}

async fn join(world: &World, user_name: &str, group_name: &str, millis: i64) -> Result<(), StoreError> {
    let granted = owner::<AddUserToGroup>(&account(), both(user_name, group_name));
    world.store.add_user_to_group(&granted, &user(user_name), &group(group_name), at(millis), audit()).await
}

fn page(marker: Option<String>, max_items: u32) -> MarkerRequest {
    MarkerRequest { marker, max_items }
}

async fn a_changed_group_keeps_its_id_and_its_users(world: World) {
    let store = &world.store;
    with_users(&world, &["ana"]).await;
    with_groups(&world, &["operators", "readers"]).await;
    join(&world, "ana", "operators", 2).await.unwrap();
    let reads = owner::<GetGroup>(&account(), groups(&["operators", "ops"]));
    let before = store.get_group(&reads, &group("operators")).await.unwrap();
    let granted = owner::<UpdateGroup>(&account(), groups(&["operators", "ops", "readers"]));
    let rename = |to: &str| GroupChange { name: Some(group(to)), comments: Some("who operate".to_owned()) };
    let taken = store.update_group(&granted, &group("operators"), rename("readers"), at(3), audit()).await;
    assert_eq!(refused(taken), ("AlreadyExists", "Group"));
    let changed =
        store.update_group(&granted, &group("operators"), rename("ops"), at(3), audit()).await.unwrap();
    assert_eq!((&changed.id, changed.created_at, changed.changed_at), (&before.id, at(1), at(3)));
    assert_eq!(store.get_group(&reads, &group("ops")).await.unwrap(), changed);
    assert_eq!(refused(store.get_group(&reads, &group("operators")).await), ("NotExist", "Group"));
    let of_ana = Resource::Identity(vec![IdentityResource::User(user("ana"))]);
    let granted = owner::<ListGroupsForUser>(&account(), of_ana);
    let listed = store.groups_of_user(&granted, &user("ana")).await.unwrap();
    assert_eq!((listed.len(), listed[0].what.name.as_str(), listed[0].joined_at), (1, "ops", at(2)));
}

async fn groups_and_their_users_are_listed_page_by_page(world: World) {
    let store = &world.store;
    with_users(&world, &["dora", "ana", "carl", "bo"]).await;
    with_groups(&world, &["readers", "operators", "auditors"]).await;
    for (number, name) in ["carl", "ana", "dora"].into_iter().enumerate() {
        join(&world, name, "readers", 10 + i64::try_from(number).unwrap()).await.unwrap();
    }
    join(&world, "bo", "operators", 2).await.unwrap();
    let granted = owner::<ListGroups>(&account(), Resource::Identity(vec![IdentityResource::Groups]));
    let first = store.list_groups(&granted, &page(None, 2)).await.unwrap();
    let second = store.list_groups(&granted, &page(first.marker, 2)).await.unwrap();
    let names: Vec<_> =
        first.items.iter().chain(&second.items).map(|group| group.name.as_str().to_owned()).collect();
    assert_eq!((names.join(" ").as_str(), second.marker), ("auditors operators readers", None));

    let granted = owner::<ListUsersForGroup>(&account(), groups(&["readers", "operators"]));
    let list = |group_name: &str, page| {
        let (granted, group_name) = (&granted, group(group_name));
        async move { store.list_group_members(granted, &group_name, &page).await }
    };
    let first = list("readers", page(None, 2)).await.unwrap();
    let seen: Vec<_> =
        first.items.iter().map(|member| (member.what.name.as_str(), member.joined_at)).collect();
    assert_eq!(seen, [("ana", at(11)), ("carl", at(10))]);
    let other = list("operators", page(first.marker.clone(), 2)).await;
    assert!(matches!(other, Err(StoreError::InvalidMarker)), "{other:?}");
    let second = list("readers", page(first.marker, 2)).await.unwrap();
    assert_eq!((second.items[0].what.name.as_str(), second.items.len(), second.marker), ("dora", 1, None));
}

async fn a_group_with_users_or_policies_is_not_deleted(world: World) {
    let store = &world.store;
    with_users(&world, &["ana"]).await;
    with_groups(&world, &["operators"]).await;
    join(&world, "ana", "operators", 2).await.unwrap();
    let granted = owner::<DeleteGroup>(&account(), groups(&["operators"]));
    let name = group("operators");
    let delete = || store.delete_group(&granted, &name, audit());
    assert_eq!(refused(delete().await), ("DeleteConflict", "Group.User"));
    let leaves = owner::<RemoveUserFromGroup>(&account(), both("ana", "operators"));
    store.remove_user_from_group(&leaves, &user("ana"), &name, audit()).await.unwrap();
    let again = store.remove_user_from_group(&leaves, &user("ana"), &name, audit()).await;
    assert_eq!(refused(again), ("NotExist", "User.Group"));
    let group_id =
        store.get_group(&owner::<GetGroup>(&account(), groups(&["operators"])), &name).await.unwrap().id;
    world
        .database
        .execute(&format!(
            "INSERT INTO attachments (account_id, target_id, policy_kind, policy_name, group_id, attached_at) \
             VALUES ('{}', '{group_id}', 'System', 'AdministratorAccess', '{group_id}', 0)",
            account()
        ))
        .await;
    assert_eq!(refused(delete().await), ("DeleteConflict", "Group.Policy"));
    world.database.execute("DELETE FROM attachments").await;
    delete().await.unwrap();
    assert_eq!(refused(delete().await), ("NotExist", "Group"));
}

async fn a_user_is_in_a_group_once_and_in_ten_at_most(world: World) {
    with_users(&world, &["ana"]).await;
    let names: Vec<_> = (0..=limits::GROUPS_OF_USER.most()).map(|number| format!("g{number}")).collect();
    with_groups(&world, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    join(&world, "ana", "g0", 2).await.unwrap();
    assert_eq!(refused(join(&world, "ana", "g0", 2).await), ("AlreadyExists", "User.Group"));
    assert_eq!(refused(join(&world, "bo", "g0", 2).await), ("NotExist", "User"));
    assert_eq!(refused(join(&world, "ana", "none", 2).await), ("NotExist", "Group"));
    for name in &names[1..names.len() - 1] {
        join(&world, "ana", name, 2).await.unwrap();
    }
    let last = names.last().unwrap();
    assert_eq!(refused(join(&world, "ana", last, 2).await), ("LimitExceeded", "User.Group"));
    assert_eq!(refused(join(&world, "ana", "g0", 2).await), ("AlreadyExists", "User.Group"));
    // A user who still has groups is deleted only when that is explicitly requested.
    let operator = as_operator(&account());
    world.store.purge_user(&operator, &user("ana"), audit()).await.unwrap();
    assert_eq!(world.count("group_members", "user_id <> ''").await, 0);
}

async fn the_last_place_for_a_group_is_taken_once(world: World) {
    let standing = limits::GROUPS.most() - 1;
    world
        .database
        .execute(&format!(
            "INSERT INTO groups (group_id, account_id, name, comments, created_at, changed_at) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {standing}) \
             SELECT CAST(400000000000000000 + i AS {text}), '{}', 'g' || CAST(i AS {text}), '', 0, 0 FROM n",
            account(),
            text = world.database.backend.text()
        ))
        .await;
    let (store, replica, operator) = (&world.store, &world.replica().await, as_operator(&account()));
    let (ours, theirs) = (new("ours"), new("theirs"));
    let (one, other) = tokio::join!(
        store.create_group(&operator, ours, at(1), audit()),
        replica.create_group(&operator, theirs, at(1), audit()),
    );
    let lost = match (one, other) {
        (Ok(_), lost) | (lost, Ok(_)) => lost,
        both => panic!("{both:?}"),
    };
    assert_eq!(refused(lost), ("LimitExceeded", "Group"));
}

async fn of_two_that_put_a_user_into_its_last_group_one_does(world: World) {
    with_users(&world, &["ana"]).await;
    let names: Vec<_> = (0..=limits::GROUPS_OF_USER.most()).map(|number| format!("g{number}")).collect();
    with_groups(&world, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for name in &names[..names.len() - 2] {
        join(&world, "ana", name, 2).await.unwrap();
    }
    let (store, replica, operator) = (&world.store, &world.replica().await, as_operator(&account()));
    let (ana, ninth, tenth) = (user("ana"), group("g9"), group("g10"));
    let (one, other) = tokio::join!(
        store.add_user_to_group(&operator, &ana, &ninth, at(3), audit()),
        replica.add_user_to_group(&operator, &ana, &tenth, at(3), audit()),
    );
    let lost = match (one, other) {
        (Ok(()), lost) | (lost, Ok(())) => lost,
        both => panic!("{both:?}"),
    };
    assert_eq!(refused(lost), ("LimitExceeded", "User.Group"));
    assert_eq!(world.count("group_members", "user_id <> ''").await, 10);
}

async fn nobody_comes_into_a_group_that_is_being_deleted(world: World) {
    with_users(&world, &["ana"]).await;
    let (store, replica, operator) = (&world.store, &world.replica().await, as_operator(&account()));
    let (ana, name) = (user("ana"), group("operators"));
    for _ in 0..5 {
        with_groups(&world, &["operators"]).await;
        let (joined, deleted) = tokio::join!(
            store.add_user_to_group(&operator, &ana, &name, at(3), audit()),
            replica.delete_group(&operator, &name, audit()),
        );
        match (joined, deleted) {
            (Ok(()), deleted) => {
                assert_eq!(refused(deleted), ("DeleteConflict", "Group.User"));
                store.remove_user_from_group(&operator, &ana, &name, audit()).await.unwrap();
                store.delete_group(&operator, &name, audit()).await.unwrap();
            }
            (joined, Ok(())) => assert_eq!(refused(joined), ("NotExist", "Group")),
            both => panic!("{both:?}"),
        }
        assert_eq!(world.count("group_members", "user_id <> ''").await, 0);
    }
}

async fn of_two_that_take_a_user_out_of_a_group_one_is_told(world: World) {
    with_users(&world, &["ana"]).await;
    with_groups(&world, &["operators"]).await;
    let (store, replica, operator) = (&world.store, &world.replica().await, as_operator(&account()));
    let (ana, name) = (user("ana"), group("operators"));
    for round in 0..5 {
        join(&world, "ana", "operators", 2).await.unwrap();
        let (one, other) = tokio::join!(
            store.remove_user_from_group(&operator, &ana, &name, audit()),
            replica.remove_user_from_group(&operator, &ana, &name, audit()),
        );
        let told = match (one, other) {
            (Ok(()), told) | (told, Ok(())) => told,
            both => panic!("round {round}: {both:?}"),
        };
        assert_eq!(refused(told), ("NotExist", "User.Group"), "round {round}");
    }
}

async fn a_grant_for_one_group_reaches_no_other(world: World) {
    let store = &world.store;
    with_users(&world, &["ana", "bo"]).await;
    with_groups(&world, &["operators", "readers"]).await;
    let outside = ("OutsideGrant", "group");
    let ours = || groups(&["operators"]);
    let reads = owner::<GetGroup>(&account(), ours());
    assert_eq!(refused(store.get_group(&reads, &group("readers")).await), outside);
    assert_eq!(refused(store.list_groups(&reads, &page(None, 9)).await), outside);
    assert_eq!(refused(store.list_group_members(&reads, &group("readers"), &page(None, 9)).await), outside);
    let creates = owner::<CreateGroup>(&account(), ours());
    let created = store.create_group(&creates, new("new"), at(1), audit()).await;
    assert_eq!(refused(created), outside);
    let updates = owner::<UpdateGroup>(&account(), ours());
    let change = || GroupChange { name: Some(group("new")), comments: None };
    for name in ["operators", "readers"] {
        let changed = store.update_group(&updates, &group(name), change(), at(1), audit()).await;
        assert_eq!(refused(changed), outside);
    }
    let deletes = owner::<DeleteGroup>(&account(), ours());
    assert_eq!(refused(store.delete_group(&deletes, &group("readers"), audit()).await), outside);
    let joins = owner::<AddUserToGroup>(&account(), both("ana", "operators"));
    let joined = store.add_user_to_group(&joins, &user("ana"), &group("readers"), at(1), audit()).await;
    assert_eq!(refused(joined), outside);
    let joined = store.add_user_to_group(&joins, &user("bo"), &group("operators"), at(1), audit()).await;
    assert_eq!(refused(joined), ("OutsideGrant", "user"));
    let leaves = owner::<RemoveUserFromGroup>(&account(), both("ana", "operators"));
    let left = store.remove_user_from_group(&leaves, &user("bo"), &group("operators"), audit()).await;
    assert_eq!(refused(left), ("OutsideGrant", "user"));
    // Another account has no group of this name.
    let theirs = owner::<GetGroup>(&other_account(), ours());
    assert_eq!(refused(store.get_group(&theirs, &group("operators")).await), ("NotExist", "Group"));
}
