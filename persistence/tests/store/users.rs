//! RAM users and how they sign in to the console.

use domain::actions::{
    AddUserToGroup, CreateLoginProfile, CreateUser, DeleteUser, GetLoginProfile, GetUser, ListUsers,
    UpdateUser,
};
use domain::gate::{IdentityResource, Resource};
use domain::identity::{
    GroupName, IdentityRefused, KeyOwner, LoginProfile, LoginProfileChange, NewGroup, NewUser, PolicyName,
    UserChange, UserName, UserProfile, limits,
};
use domain::password::{Password, PasswordHash};
use domain::principal::Principal;
use persistence::{MarkerRequest, StoreError};

use test_facts::{World, account, as_operator, at, event, on_both, other_account, owner};

on_both!(
    a_changed_user_keeps_its_id_and_all_that_it_has,
    users_are_listed_page_by_page,
    a_user_that_has_something_is_not_deleted_by_the_way,
    the_last_place_for_a_user_is_taken_once,
    of_two_creators_one_gets_the_name,
    a_grant_for_one_user_reaches_no_other,
    another_accounts_users_are_out_of_reach,
    a_password_is_kept_as_its_hash_and_goes_with_its_user,
    of_two_that_give_a_user_a_password_one_is_told,
);

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn users(names: &[&str]) -> Resource {
    Resource::Identity(names.iter().map(|name| IdentityResource::User(user(name))).collect())
}

fn audit() -> domain::audit::AuditEvent {
    event(&account(), "Identity")
}

/// The part of an error that becomes the second part of the code in the API.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) -> (&'static str, &'static str) {
    match result {
        Err(StoreError::Identity(IdentityRefused::NotExist { entity, .. })) => ("NotExist", entity.code()),
        Err(StoreError::Identity(IdentityRefused::AlreadyExists { entity, .. })) => {
            ("AlreadyExists", entity.code())
        }
        Err(StoreError::Identity(IdentityRefused::LimitExceeded { code, .. })) => ("LimitExceeded", code),
        Err(StoreError::Identity(IdentityRefused::DeleteConflict { code, .. })) => ("DeleteConflict", code),
        Err(StoreError::OutsideGrant { what }) => ("OutsideGrant", what),
        other => panic!("{other:?}"),
    }
}

fn page(marker: Option<String>, max_items: u32) -> MarkerRequest {
    MarkerRequest { marker, max_items }
}

async fn a_changed_user_keeps_its_id_and_all_that_it_has(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let profile = UserProfile { display_name: "Ana".to_owned(), ..UserProfile::default() };
    let new = NewUser { name: user("ana"), profile };
    let made = store.create_user(&operator, new, at(1), audit()).await.unwrap();
    assert_eq!((made.created_at, made.changed_at, made.last_login_at), (at(1), at(1), None));
    let (key, _) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(2), audit()).await.unwrap();
    let policy = PolicyName::parse("some").unwrap();
    let document =
        r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ram:*", "Resource": "*"}]}"#;
    store.put_policy(&operator, &policy, document, at(2), audit()).await.unwrap();
    store.attach_policy(&operator, &user("ana"), &policy, at(2), audit()).await.unwrap();

    let change = UserChange {
        name: Some(user("anna")),
        email: Some("anna@example.com".to_owned()),
        comments: Some("a\0b".to_owned()),
        ..UserChange::default()
    };
    let granted = owner::<UpdateUser>(&account(), users(&["ana", "anna"]));
    let changed = store.update_user(&granted, &user("ana"), change, at(3), audit()).await.unwrap();
    assert_eq!((&changed.id, changed.name.as_str(), changed.changed_at), (&made.id, "anna", at(3)));
    let read = store.get_user(&owner::<GetUser>(&account(), users(&["anna"])), &user("anna")).await.unwrap();
    assert_eq!((read.created_at, read.changed_at), (at(1), at(3)));
    assert_eq!(
        (read.profile.display_name.as_str(), read.profile.email.as_str()),
        ("Ana", "anna@example.com")
    );
    assert_eq!(read.profile.comments, "a\u{FFFD}b", "no database of ours is asked to keep a NUL");
    let Principal::User { user_id, user_name, .. } =
        store.find_access_key(&key).await.unwrap().unwrap().principal
    else {
        panic!("the key is a user's");
    };
    assert_eq!((user_id, user_name), (made.id, user("anna")));
    assert_eq!(store.all_policies(&operator).await.unwrap()[0].attached_to, [user("anna")]);

    // The old name is free, a taken one is not.
    store.create_user(&operator, &user("ana"), at(4), audit()).await.unwrap();
    let granted = owner::<UpdateUser>(&account(), users(&["ana", "anna", "bo"]));
    let rename = |to| UserChange { name: Some(user(to)), ..UserChange::default() };
    let taken = store.update_user(&granted, &user("ana"), rename("anna"), at(5), audit()).await;
    assert_eq!(refused(taken), ("AlreadyExists", "User"));
    let absent = store.update_user(&granted, &user("bo"), rename("bo"), at(5), audit()).await;
    assert_eq!(refused(absent), ("NotExist", "User"));
    store.update_user(&granted, &user("ana"), rename("ana"), at(5), audit()).await.unwrap();
}

async fn users_are_listed_page_by_page(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    for name in ["dora", "ana", "carl", "bo", "eve"] {
        store.create_user(&operator, &user(name), at(1), audit()).await.unwrap();
    }
    store
        .create_user(&as_operator(&other_account()), &user("cy"), at(1), event(&other_account(), "x"))
        .await
        .unwrap();
    let granted = owner::<ListUsers>(&account(), Resource::Identity(vec![IdentityResource::Users]));
    let (mut marker, mut pages) = (None, Vec::new());
    loop {
        let read = store.list_users(&granted, &page(marker, 2)).await.unwrap();
        pages.push(read.items.iter().map(|user| user.name.to_string()).collect::<Vec<_>>().join(" "));
        marker = read.marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(pages, ["ana bo", "carl dora", "eve"]);
    let whole = store.list_users(&granted, &page(None, 5)).await.unwrap();
    assert_eq!((whole.items.len(), whole.marker), (5, None));
    let bad = store.list_users(&granted, &page(Some("ana".to_owned()), 5)).await;
    assert!(matches!(bad, Err(StoreError::InvalidMarker)), "{bad:?}");
}

async fn a_user_that_has_something_is_not_deleted_by_the_way(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let granted = owner::<DeleteUser>(&account(), users(&["ana"]));
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let (key, _) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(1), audit()).await.unwrap();
    let group = GroupName::parse("operators").unwrap();
    let new = NewGroup { name: group.clone(), comments: String::new() };
    store.create_group(&operator, new, at(1), audit()).await.unwrap();
    store.add_user_to_group(&operator, &user("ana"), &group, at(1), audit()).await.unwrap();
    let policy = PolicyName::parse("some").unwrap();
    let document =
        r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ram:*", "Resource": "*"}]}"#;
    store.put_policy(&operator, &policy, document, at(2), audit()).await.unwrap();
    store.attach_policy(&operator, &user("ana"), &policy, at(2), audit()).await.unwrap();
    let events = world.count("audit_events", "action = 'Identity'").await;
    let ana = user("ana");
    let delete = || store.delete_user(&granted, &ana, audit());

    assert_eq!(refused(delete().await), ("DeleteConflict", "User.AccessKey"));
    store.delete_access_key(&operator, &key, audit()).await.unwrap();
    assert_eq!(refused(delete().await), ("DeleteConflict", "User.Group"));
    store.remove_user_from_group(&operator, &user("ana"), &group, audit()).await.unwrap();
    assert_eq!(refused(delete().await), ("DeleteConflict", "User.Policy"));
    store.detach_policy(&operator, &user("ana"), &policy, audit()).await.unwrap();
    delete().await.unwrap();
    assert_eq!(refused(delete().await), ("NotExist", "User"));
    // A refused change changes nothing, and is written to the audit trail by the caller of the store.
    assert_eq!(world.count("audit_events", "action = 'Identity'").await, events + 4);
}

async fn the_last_place_for_a_user_is_taken_once(world: World) {
    let standing = limits::USERS.most() - 1;
    world
        .database
        .execute(&format!(
            "INSERT INTO users (user_id, account_id, name, created_at) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {standing}) \
             SELECT CAST(200000000000000000 + i AS {text}), '{}', 'u' || CAST(i AS {text}), 0 FROM n",
            account(),
            text = world.database.backend.text()
        ))
        .await;
    let (store, replica) = (&world.store, &world.replica().await);
    let operator = as_operator(&account());
    let (anas, bos) = (user("ana"), user("bo"));
    let outcomes = tokio::join!(
        store.create_user(&operator, &anas, at(1), audit()),
        replica.create_user(&operator, &bos, at(1), audit()),
    );
    let (won, lost) = match outcomes {
        (Ok(won), lost) | (lost, Ok(won)) => (won, lost),
        both => panic!("{both:?}"),
    };
    assert_eq!(refused(lost), ("LimitExceeded", "User"));
    assert_eq!(world.count("users", "name IN ('ana', 'bo')").await, 1);
    store.delete_user(&operator, &won.name, audit()).await.unwrap();
    store.create_user(&operator, &user("cy"), at(1), audit()).await.unwrap();
    // The limits of other accounts are separate.
    let stranger = as_operator(&other_account());
    store.create_user(&stranger, &user("ana"), at(1), event(&other_account(), "x")).await.unwrap();
}

async fn of_two_creators_one_gets_the_name(world: World) {
    let (store, replica) = (&world.store, &world.replica().await);
    let operator = as_operator(&account());
    let name = user("ana");
    let (one, other) = tokio::join!(
        store.create_user(&operator, &name, at(1), audit()),
        replica.create_user(&operator, &name, at(1), audit()),
    );
    let lost = match (one, other) {
        (Ok(_), lost) | (lost, Ok(_)) => lost,
        both => panic!("{both:?}"),
    };
    assert_eq!(refused(lost), ("AlreadyExists", "User"));
    assert_eq!(world.count("users", "name = 'ana'").await, 1);
}

async fn a_grant_for_one_user_reaches_no_other(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    for name in ["ana", "bo"] {
        store.create_user(&operator, &user(name), at(1), audit()).await.unwrap();
    }
    let outside = ("OutsideGrant", "user");
    let ana = || users(&["ana"]);
    let reads = owner::<GetUser>(&account(), ana());
    assert_eq!(refused(store.get_user(&reads, &user("bo")).await), outside);
    assert_eq!(refused(store.list_users(&reads, &page(None, 9)).await), outside);
    assert_eq!(refused(store.groups_of_user(&reads, &user("bo")).await), outside);
    let profiles = owner::<GetLoginProfile>(&account(), ana());
    assert_eq!(refused(store.get_login_profile(&profiles, &user("bo")).await), outside);
    let creates = owner::<CreateUser>(&account(), ana());
    assert_eq!(refused(store.create_user(&creates, &user("cy"), at(1), audit()).await), outside);
    let updates = owner::<UpdateUser>(&account(), ana());
    let change = UserChange::default;
    assert_eq!(refused(store.update_user(&updates, &user("bo"), change(), at(1), audit()).await), outside);
    let rename = UserChange { name: Some(user("cy")), ..UserChange::default() };
    assert_eq!(refused(store.update_user(&updates, &user("ana"), rename, at(1), audit()).await), outside);
    let deletes = owner::<DeleteUser>(&account(), ana());
    assert_eq!(refused(store.delete_user(&deletes, &user("bo"), audit()).await), outside);
    assert_eq!(refused(store.purge_user(&deletes, &user("bo"), audit()).await), outside);
    let joins = owner::<AddUserToGroup>(&account(), ana());
    let group = GroupName::parse("operators").unwrap();
    let joined = store.add_user_to_group(&joins, &user("ana"), &group, at(1), audit()).await;
    assert_eq!(refused(joined), ("OutsideGrant", "group"));
    // The grant for something unrelated names no user.
    let elsewhere = owner::<GetUser>(&account(), test_facts::resource_of(Some(&"i-1".parse().unwrap())));
    assert_eq!(refused(store.get_user(&elsewhere, &user("ana")).await), outside);
    assert_eq!(world.count("users", "account_id <> ''").await, 2);
}

async fn another_accounts_users_are_out_of_reach(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let theirs = || event(&other_account(), "x");
    let reads = owner::<GetUser>(&other_account(), users(&["ana"]));
    assert_eq!(refused(store.get_user(&reads, &user("ana")).await), ("NotExist", "User"));
    let updates = owner::<UpdateUser>(&other_account(), users(&["ana"]));
    let changed = store.update_user(&updates, &user("ana"), UserChange::default(), at(2), theirs()).await;
    assert_eq!(refused(changed), ("NotExist", "User"));
    let deletes = owner::<DeleteUser>(&other_account(), users(&["ana"]));
    assert_eq!(refused(store.purge_user(&deletes, &user("ana"), theirs()).await), ("NotExist", "User"));
    let lists = owner::<ListUsers>(&other_account(), Resource::Identity(vec![IdentityResource::Users]));
    assert_eq!(store.list_users(&lists, &page(None, 9)).await.unwrap().items, []);
}

async fn a_password_is_kept_as_its_hash_and_goes_with_its_user(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let granted = owner::<CreateLoginProfile>(&account(), users(&["ana"]));
    let hash = Password::parse("correct horse").unwrap().hash();
    let profile = LoginProfile { password_reset_required: true, mfa_bind_required: false, created_at: at(2) };
    let ana = user("ana");
    let create = |profile: &LoginProfile| {
        store.create_login_profile(&granted, &ana, hash.clone(), profile.clone(), audit())
    };
    assert_eq!(refused(create(&profile).await), ("NotExist", "User"));
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    assert_eq!(
        refused(store.get_login_profile(&granted, &user("ana")).await),
        ("NotExist", "User.LoginProfile")
    );
    let change = LoginProfileChange { password_reset_required: Some(false), ..LoginProfileChange::default() };
    let early = store.update_login_profile(&operator, &user("ana"), change.clone(), at(3), audit()).await;
    assert_eq!(refused(early), ("NotExist", "User.LoginProfile"));
    create(&profile).await.unwrap();
    assert_eq!(refused(create(&profile).await), ("AlreadyExists", "User.LoginProfile"));
    assert_eq!(store.get_login_profile(&granted, &user("ana")).await.unwrap(), profile);
    store.update_login_profile(&operator, &user("ana"), change, at(3), audit()).await.unwrap();
    let changed = LoginProfile { password_reset_required: false, ..profile.clone() };
    assert_eq!(store.get_login_profile(&granted, &user("ana")).await.unwrap(), changed);
    let stored = stored_hash(&world).await;
    assert!(stored.verify("correct horse"), "it was not changed");
    let password = Some(Password::parse("battery staple").unwrap().hash());
    let change = LoginProfileChange { password, ..LoginProfileChange::default() };
    store.update_login_profile(&operator, &user("ana"), change, at(4), audit()).await.unwrap();
    let stored = stored_hash(&world).await;
    assert!(stored.verify("battery staple") && !stored.verify("correct horse"));
    store.delete_login_profile(&operator, &user("ana"), audit()).await.unwrap();
    let again = store.delete_login_profile(&operator, &user("ana"), audit()).await;
    assert_eq!(refused(again), ("NotExist", "User.LoginProfile"));
    create(&profile).await.unwrap();
    let kept = store.delete_user(&operator, &user("ana"), audit()).await;
    assert_eq!(refused(kept), ("DeleteConflict", "User.LoginProfile"));
    store.purge_user(&operator, &user("ana"), audit()).await.unwrap();
    assert_eq!(world.count("login_profiles", "user_id <> ''").await, 0);
}

async fn of_two_that_give_a_user_a_password_one_is_told(world: World) {
    let (store, replica, operator) = (&world.store, &world.replica().await, as_operator(&account()));
    let ana = user("ana");
    store.create_user(&operator, &ana, at(1), audit()).await.unwrap();
    let hash = Password::parse("correct horse").unwrap().hash();
    let profile =
        || LoginProfile { password_reset_required: true, mfa_bind_required: false, created_at: at(2) };
    for round in 0..5 {
        let (one, other) = tokio::join!(
            store.create_login_profile(&operator, &ana, hash.clone(), profile(), audit()),
            replica.create_login_profile(&operator, &ana, hash.clone(), profile(), audit()),
        );
        let told = match (one, other) {
            (Ok(()), told) | (told, Ok(())) => told,
            both => panic!("round {round}: {both:?}"),
        };
        assert_eq!(refused(told), ("AlreadyExists", "User.LoginProfile"), "round {round}");
        let (one, other) = tokio::join!(
            store.delete_login_profile(&operator, &ana, audit()),
            replica.delete_login_profile(&operator, &ana, audit()),
        );
        let told = match (one, other) {
            (Ok(()), told) | (told, Ok(())) => told,
            both => panic!("round {round}: {both:?}"),
        };
        assert_eq!(refused(told), ("NotExist", "User.LoginProfile"), "round {round}");
    }
}

async fn stored_hash(world: &World) -> PasswordHash {
    use sea_orm::ConnectionTrait as _;

    let raw = world.database.raw().await;
    let statement = "SELECT password_hash FROM login_profiles";
    let row = raw.query_one_raw(sea_orm::Statement::from_string(raw.get_database_backend(), statement)).await;
    PasswordHash::parse(&row.unwrap().unwrap().try_get::<String>("", "password_hash").unwrap()).unwrap()
}
