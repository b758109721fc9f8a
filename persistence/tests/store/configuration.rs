//! Record configurations, and the revisions that signal their changes.

use std::time::Duration;

use domain::actions::{GetInstanceRecordConfig, ReadAgentConfiguration, SetInstanceRecordConfig};
use domain::expiration::ExpirationDays;
use domain::gate::Resource;
use domain::record_config::{InstanceSelector, RecordConfig, RecordConfigChanged};
use domain::session_settings::{
    DeliveryMode, FailurePolicy, Notice, RecordedPrincipals, SessionSettings, SettingSource,
};
use domain::storage_target::RecordStorageTarget;
use persistence::StoreError;

use test_facts::{
    World, account, as_agent, at, event, instance, on_both, other_account, owner, region, resource_of,
};

on_both!(
    a_set_is_read_back_and_own_wins_over_all,
    of_two_sets_on_one_revision_one_conflicts,
    a_grant_reaches_its_own_instance_only,
    what_a_configuration_says_about_sessions_is_read_back,
    a_change_is_heard_here_at_once_and_elsewhere_within_a_second,
);

fn config(selector: InstanceSelector, enabled: bool, revision: i64) -> RecordConfig {
    RecordConfig {
        account: account(),
        selector,
        enabled,
        target: enabled.then(|| RecordStorageTarget::deployment_default(&region(), &account())),
        expiration: ExpirationDays::new(30).unwrap(),
        settings: SessionSettings::default(),
        revision,
        changed_at: at(revision),
    }
}

async fn set(world: &World, expected: Option<i64>, after: RecordConfig) -> Result<(), StoreError> {
    let resource = match &after.selector {
        InstanceSelector::All => Resource::AllInstances { region: region() },
        InstanceSelector::One(instance) => resource_of(Some(instance)),
    };
    let granted = owner::<SetInstanceRecordConfig>(&account(), resource);
    let change = RecordConfigChanged { expected_revision: expected, after };
    world.store.apply(&granted, change, event(&account(), "SetInstanceRecordConfig")).await
}

/// Sets the configuration of all instances, whatever it was.
pub(crate) async fn set_all(world: &World, days: u16) {
    let everything = owner::<GetInstanceRecordConfig>(&account(), Resource::Everything);
    let before = world.store.effective_record_config(&everything, &InstanceSelector::All).await.unwrap();
    let before = before.config.map(|config| config.revision);
    let after = config(InstanceSelector::All, true, before.unwrap_or(0) + 1);
    let after = RecordConfig { expiration: ExpirationDays::new(days.into()).unwrap(), ..after };
    set(world, before, after).await.unwrap();
}

async fn a_set_is_read_back_and_own_wins_over_all(world: World) {
    let own = InstanceSelector::One(instance("web1"));
    let everything = owner::<GetInstanceRecordConfig>(&account(), Resource::Everything);
    let read = async |selector: &InstanceSelector| {
        world.store.effective_record_config(&everything, selector).await.unwrap().config
    };
    assert_eq!(read(&own).await, None);
    let all = config(InstanceSelector::All, true, 1);
    set(&world, None, all.clone()).await.unwrap();
    assert_eq!(read(&own).await, Some(all.clone()));
    assert_eq!(read(&InstanceSelector::All).await, Some(all.clone()));
    assert_eq!(world.store.find_own_record_config(&everything, &own).await.unwrap(), None);
    let off = config(own.clone(), false, 1);
    set(&world, None, off.clone()).await.unwrap();
    assert_eq!(read(&own).await, Some(off));
    let on = config(own.clone(), true, 2);
    set(&world, Some(1), on.clone()).await.unwrap();
    assert_eq!(world.store.find_own_record_config(&everything, &own).await.unwrap(), Some(on));
    assert_eq!(read(&InstanceSelector::One(instance("web2"))).await, Some(all));
    let others = owner::<GetInstanceRecordConfig>(&other_account(), Resource::Everything);
    assert_eq!(world.store.effective_record_config(&others, &own).await.unwrap().config, None);
    assert_eq!(world.count("audit_events", "action = 'SetInstanceRecordConfig'").await, 3);
}

async fn what_a_configuration_says_about_sessions_is_read_back(world: World) {
    let web1 = InstanceSelector::One(instance("web1"));
    let everything = owner::<GetInstanceRecordConfig>(&account(), Resource::Everything);
    let set_with = async |selector: &InstanceSelector, expected: Option<i64>, settings: &SessionSettings| {
        let after = config(selector.clone(), true, expected.unwrap_or(0) + 1);
        set(&world, expected, RecordConfig { settings: settings.clone(), ..after }).await.unwrap();
    };
    let of_all = SessionSettings {
        failure_policy: Some(FailurePolicy::BestEffort),
        delivery_mode: Some(DeliveryMode::Sync),
        recorded_principals: Some("user:ana,group:ops-*".parse().unwrap()),
        notice: Some(Notice::Text("Sessions are recorded. Ä".parse().unwrap())),
    };
    set_with(&InstanceSelector::All, None, &of_all).await;
    let mut revision = None;
    for own in [
        SessionSettings::default(),
        SessionSettings {
            failure_policy: Some(FailurePolicy::Strict),
            delivery_mode: Some(DeliveryMode::Async),
            recorded_principals: Some(RecordedPrincipals::Everybody),
            notice: Some(Notice::None),
        },
        SessionSettings { notice: Some(Notice::Default), ..SessionSettings::default() },
        SessionSettings::default(),
    ] {
        set_with(&web1, revision, &own).await;
        revision = Some(revision.unwrap_or(0) + 1);
        let effective = world.store.effective_record_config(&everything, &web1).await.unwrap();
        assert_eq!(effective.config.unwrap().settings, own);
        assert_eq!(
            effective.settings.failure_policy.value,
            own.failure_policy.unwrap_or(FailurePolicy::BestEffort)
        );
        assert_eq!(effective.settings.delivery_mode.value, own.delivery_mode.unwrap_or(DeliveryMode::Sync));
        let source =
            |is_own| SettingSource::Selector(if is_own { web1.clone() } else { InstanceSelector::All });
        assert_eq!(effective.settings.notice.source, source(own.notice.is_some()));
    }
}

async fn of_two_sets_on_one_revision_one_conflicts(world: World) {
    let own = InstanceSelector::One(instance("web1"));
    for expected in [None, Some(1)] {
        let after = config(own.clone(), true, expected.unwrap_or(0) + 1);
        let (first, second) =
            tokio::join!(set(&world, expected, after.clone()), set(&world, expected, after.clone()));
        let conflicts = |result: &Result<(), StoreError>| {
            matches!(result, Err(StoreError::Conflict { what: "RecordConfig", .. }))
        };
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        assert!(conflicts(&first) || conflicts(&second), "{first:?} {second:?}");
    }
    assert_eq!(world.count("audit_events", "action = 'SetInstanceRecordConfig'").await, 2);
}

async fn a_grant_reaches_its_own_instance_only(world: World) {
    let (web1, web2) = (instance("web1"), instance("web2"));
    let granted = owner::<SetInstanceRecordConfig>(&account(), resource_of(Some(&web1)));
    for selector in [InstanceSelector::One(web2.clone()), InstanceSelector::All] {
        let change =
            RecordConfigChanged { expected_revision: None, after: config(selector.clone(), true, 1) };
        let refused = world.store.apply(&granted, change, event(&account(), "Set")).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
        let refused = world.store.effective_record_config(&granted, &selector).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    }
    let mut foreign = config(InstanceSelector::One(web1.clone()), false, 1);
    foreign.account = other_account();
    let change = RecordConfigChanged { expected_revision: None, after: foreign };
    let refused = world.store.apply(&granted, change.clone(), event(&account(), "Set")).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    let refused = world.store.apply(&granted, change, event(&other_account(), "Set")).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { what: "audit row" })), "{refused:?}");
    assert_eq!(world.count("record_configs", "1 = 1").await, 0);
    // An agent's grant is for its instance, and the configuration that applies there may come from '*'.
    set(&world, None, config(InstanceSelector::All, true, 1)).await.unwrap();
    let agent = world.enrol(&account(), "web1").await;
    let granted = as_agent::<ReadAgentConfiguration>(&agent);
    let effective =
        world.store.effective_record_config(&granted, &InstanceSelector::One(web1)).await.unwrap();
    assert!(effective.enabled());
    assert!(world.store.effective_record_config(&granted, &InstanceSelector::One(web2)).await.is_err());
}

async fn a_change_is_heard_here_at_once_and_elsewhere_within_a_second(world: World) {
    let replica = world.replica().await;
    let (mut here, mut there) = (world.store.subscribe_revisions(), replica.subscribe_revisions());
    let before = world.store.configuration_revision(&account()).await.unwrap();
    let others_before = world.store.configuration_revision(&other_account()).await.unwrap();
    here.mark_unchanged();
    there.mark_unchanged();
    set(&world, None, config(InstanceSelector::All, true, 1)).await.unwrap();
    // The replica polls twice a second; anything above a second here is due to a slow machine.
    let patience = Duration::from_secs(5);
    tokio::time::timeout(patience, here.changed()).await.unwrap().unwrap();
    tokio::time::timeout(patience, there.changed()).await.unwrap().unwrap();
    assert!(replica.configuration_revision(&account()).await.unwrap() > before);
    assert_eq!(replica.configuration_revision(&other_account()).await.unwrap(), others_before);
}
