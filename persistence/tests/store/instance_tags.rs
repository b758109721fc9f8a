//! Tags of instances.

use domain::instance_tags::{InstanceTags, TagKey, TagValue};
use persistence::StoreError;

use test_facts::{World, account, as_operator, event, instance, on_both, other_account, region};

on_both!(tags_are_set_listed_and_removed, an_instance_has_at_most_twenty_tags);

fn tag(key: &str, value: &str) -> (TagKey, TagValue) {
    (key.parse().unwrap(), value.parse().unwrap())
}

async fn tags_are_set_listed_and_removed(world: World) {
    world.enrol(&account(), "web1").await;
    let granted = as_operator(&account());
    let change = async |name: &str, remove: &[&str], set: &[(&str, &str)]| {
        let remove = remove.iter().map(|key| key.parse().unwrap()).collect();
        let set = set.iter().map(|(key, value)| tag(key, value)).collect();
        let audit = event(&account(), "AdministerIdentity");
        world.store.tag_instance(&granted, &instance(name), remove, set, audit).await.unwrap()
    };
    let revision = world.store.configuration_revision(&account()).await.unwrap();
    let set = change("web1", &[], &[("Env", "prod"), ("team", "")]).await;
    assert_eq!(set, InstanceTags::of([tag("Env", "prod"), tag("team", "")]));
    let now = world.store.configuration_revision(&account()).await.unwrap();
    assert_eq!(now, revision, "no agent has to hear of it");
    assert_eq!(change("web1", &["TEAM"], &[("env", "test")]).await, InstanceTags::of([tag("env", "test")]));
    // An instance that no agent has joined from.
    change("new1", &[], &[("env", "prod")]).await;
    let (ours, theirs) = (account(), other_account());
    let facts = async |account, name: &str| {
        world.store.instance_facts(account, instance(name), &"cn-beijing".parse().unwrap()).await.unwrap()
    };
    let web1 = facts(&ours, "web1").await;
    assert_eq!((web1.region, web1.tags), (region(), InstanceTags::of([tag("env", "test")])));
    let new1 = facts(&ours, "new1").await;
    assert_eq!((new1.region.as_str(), new1.tags), ("cn-beijing", InstanceTags::of([tag("env", "prod")])));
    assert_eq!(facts(&theirs, "web1").await.tags, InstanceTags::default());
    let listed = world.store.all_instances(&granted).await.unwrap();
    let shown: Vec<_> =
        listed.iter().map(|entry| (entry.instance.as_str(), entry.region.is_some())).collect();
    assert_eq!(shown, [("i-new1", false), ("i-web1", true)]);
    assert!(world.store.all_instances(&as_operator(&other_account())).await.unwrap().is_empty());
    change("new1", &["env"], &[]).await;
    assert_eq!(world.store.all_instances(&granted).await.unwrap().len(), 1);
}

async fn an_instance_has_at_most_twenty_tags(world: World) {
    let granted = as_operator(&account());
    let set = async |numbers: std::ops::Range<u32>| {
        let tags = numbers.map(|number| tag(&number.to_string(), "x")).collect();
        let audit = event(&account(), "AdministerIdentity");
        world.store.tag_instance(&granted, &instance("web1"), Vec::new(), tags, audit).await
    };
    set(0..20).await.unwrap();
    let rows = world.count("audit_events", "action = 'AdministerIdentity'").await;
    let refused = set(20..21).await;
    assert!(matches!(refused, Err(StoreError::Conflict { what: "instance", .. })), "{refused:?}");
    assert_eq!(world.count("instance_tags", "1 = 1").await, 20);
    assert_eq!(world.count("audit_events", "action = 'AdministerIdentity'").await, rows);
    set(0..20).await.unwrap();
}
