//! Access keys: their number, their owners, and when they last signed.

use domain::access_key::AccessKeyStatus;
use domain::actions::{
    CreateAccessKey, DeleteAccessKey, GetAccessKeyLastUsed, ListAccessKeys, Product, UpdateAccessKey,
};
use domain::gate::{IdentityResource, Resource};
use domain::identity::{AccessKeyId, AccessKeyUse, KeyOwner, UserName};

use crate::users::refused;
use test_facts::{World, account, as_operator, at, event, on_both, other_account, owner};

on_both!(
    two_keys_each_and_not_one_more,
    the_last_place_for_a_key_is_taken_once,
    a_grant_for_one_owner_reaches_no_other_key,
    when_a_key_last_signed_is_written_once_a_round,
);

fn ana() -> KeyOwner {
    KeyOwner::User(UserName::parse("ana").unwrap())
}

fn bo() -> KeyOwner {
    KeyOwner::User(UserName::parse("bo").unwrap())
}

fn of(who: &KeyOwner) -> Resource {
    Resource::Identity(vec![who.resource()])
}

fn audit() -> domain::audit::AuditEvent {
    event(&account(), "Identity")
}

async fn with_users(world: &World) {
    for name in ["ana", "bo"] {
        let name = UserName::parse(name).unwrap();
        world.store.create_user(&as_operator(&account()), &name, at(1), audit()).await.unwrap();
    }
}

async fn two_keys_each_and_not_one_more(world: World) {
    with_users(&world).await;
    let store = &world.store;
    let create = async |who: KeyOwner| {
        store.create_access_key(&owner::<CreateAccessKey>(&account(), of(&who)), &who, at(2), audit()).await
    };
    let first = create(ana()).await.unwrap().0;
    create(ana()).await.unwrap();
    assert_eq!(refused(create(ana()).await), ("LimitExceeded", "User.AccessKey"));
    create(bo()).await.unwrap();
    // The root already has the key that the deployment presets.
    create(KeyOwner::Root).await.unwrap();
    assert_eq!(refused(create(KeyOwner::Root).await), ("LimitExceeded", "User.AccessKey"));
    let listed = async |who: KeyOwner| {
        let granted = owner::<ListAccessKeys>(&account(), of(&who));
        store.access_keys_of(&granted, &who).await.unwrap().len()
    };
    assert_eq!((listed(ana()).await, listed(bo()).await, listed(KeyOwner::Root).await), (2, 1, 2));
    // A key that is switched off counts, a deleted one does not.
    let updates = owner::<UpdateAccessKey>(&account(), of(&ana()));
    store.set_access_key_status(&updates, &first, AccessKeyStatus::Inactive, audit()).await.unwrap();
    assert_eq!(refused(create(ana()).await), ("LimitExceeded", "User.AccessKey"));
    let deletes = owner::<DeleteAccessKey>(&account(), of(&ana()));
    store.delete_access_key(&deletes, &first, audit()).await.unwrap();
    create(ana()).await.unwrap();
    let nobody = KeyOwner::User(UserName::parse("cy").unwrap());
    assert_eq!(refused(create(nobody.clone()).await), ("NotExist", "User"));
    let lists = owner::<ListAccessKeys>(&account(), of(&nobody));
    assert_eq!(refused(store.access_keys_of(&lists, &nobody).await), ("NotExist", "User"));
}

async fn the_last_place_for_a_key_is_taken_once(world: World) {
    with_users(&world).await;
    let (store, replica) = (&world.store, &world.replica().await);
    let operator = as_operator(&account());
    for who in [ana(), KeyOwner::Root] {
        if who != KeyOwner::Root {
            store.create_access_key(&operator, &who, at(2), audit()).await.unwrap();
        }
        let (one, other) = tokio::join!(
            store.create_access_key(&operator, &who, at(3), audit()),
            replica.create_access_key(&operator, &who, at(3), audit()),
        );
        let lost = match (one, other) {
            (Ok(_), lost) | (lost, Ok(_)) => lost,
            both => panic!("{both:?}"),
        };
        assert_eq!(refused(lost), ("LimitExceeded", "User.AccessKey"), "{who:?}");
    }
}

async fn a_grant_for_one_owner_reaches_no_other_key(world: World) {
    with_users(&world).await;
    let (store, operator) = (&world.store, as_operator(&account()));
    let (key, _) = store.create_access_key(&operator, &ana(), at(2), audit()).await.unwrap();
    let root = AccessKeyId::parse("root-key").unwrap();
    for (who, account, theirs) in [
        (bo(), account(), &key),
        (KeyOwner::Root, account(), &key),
        (ana(), account(), &root),
        (ana(), other_account(), &key),
        (KeyOwner::Root, other_account(), &root),
    ] {
        let absent = ("NotExist", "User.AccessKey");
        let audit = || event(&account, "Identity");
        let updates = owner::<UpdateAccessKey>(&account, of(&who));
        let updated = store.set_access_key_status(&updates, theirs, AccessKeyStatus::Inactive, audit()).await;
        assert_eq!(refused(updated), absent, "{who:?}");
        let deletes = owner::<DeleteAccessKey>(&account, of(&who));
        assert_eq!(refused(store.delete_access_key(&deletes, theirs, audit()).await), absent, "{who:?}");
        let reads = owner::<GetAccessKeyLastUsed>(&account, of(&who));
        assert_eq!(refused(store.get_access_key(&reads, theirs).await), absent, "{who:?}");
    }
    let creates = owner::<CreateAccessKey>(&account(), of(&bo()));
    let created = store.create_access_key(&creates, &ana(), at(3), audit()).await;
    assert_eq!(refused(created), ("OutsideGrant", "user"));
    let created = store.create_access_key(&creates, &KeyOwner::Root, at(3), audit()).await;
    assert_eq!(refused(created), ("OutsideGrant", "account's owner"));
    let lists = owner::<ListAccessKeys>(&account(), Resource::Identity(vec![IdentityResource::Users]));
    assert_eq!(refused(store.access_keys_of(&lists, &ana()).await), ("OutsideGrant", "user"));
    assert_eq!(store.find_access_key(&key).await.unwrap().unwrap().status, AccessKeyStatus::Active);
}

async fn when_a_key_last_signed_is_written_once_a_round(world: World) {
    with_users(&world).await;
    let (store, operator) = (&world.store, as_operator(&account()));
    let (key, _) = store.create_access_key(&operator, &ana(), at(2), audit()).await.unwrap();
    let last_used = async || store.get_access_key(&operator, &key).await.unwrap().last_used;
    let used = |millis, service: Option<&str>| {
        Some(AccessKeyUse { at: at(millis), service: service.map(str::to_owned) })
    };
    assert_eq!(store.write_key_usage().await.unwrap(), 0);
    assert_eq!(last_used().await, None);
    store.note_key_used(&key, at(10), Some(Product::Ram));
    store.note_key_used(&key, at(30), Some(Product::Workbench));
    store.note_key_used(&key, at(20), Some(Product::Ram));
    assert_eq!(last_used().await, used(30, Some("ecs-workbench")), "where it was seen it is known at once");
    let elsewhere = world.replica().await.get_access_key(&operator, &key).await.unwrap();
    assert_eq!(elsewhere.last_used, None, "a call does not write");
    let revision = store.configuration_revision(&account()).await.unwrap();
    assert_eq!(store.write_key_usage().await.unwrap(), 1, "three calls are one write");
    assert_eq!(last_used().await, used(30, Some("ecs-workbench")));
    assert_eq!(store.configuration_revision(&account()).await.unwrap(), revision, "nobody has to hear of it");
    // Another replica that is behind does not overwrite it with an earlier time.
    let replica = world.replica().await;
    replica.note_key_used(&key, at(25), Some(Product::Ram));
    replica.write_key_usage().await.unwrap();
    assert_eq!(last_used().await, used(30, Some("ecs-workbench")));
    replica.note_key_used(&key, at(40), None);
    replica.write_key_usage().await.unwrap();
    assert_eq!(last_used().await, used(40, None));
    // A key that was deleted meanwhile does not block the others.
    store.note_key_used(&key, at(50), None);
    store.delete_access_key(&operator, &key, audit()).await.unwrap();
    assert_eq!(store.write_key_usage().await.unwrap(), 1);
    assert_eq!(store.write_key_usage().await.unwrap(), 0);
}
