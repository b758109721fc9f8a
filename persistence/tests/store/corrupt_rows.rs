//! A row that makes no sense results in an error that names it, and never in a guess.

use domain::actions::{GetInstanceRecordConfig, SetInstanceRecordConfig};
use domain::expiration::ExpirationDays;
use domain::gate::Resource;
use domain::identity::{AccessKeyId, KeyOwner, PolicyName, UserName};
use domain::record_config::{InstanceSelector, RecordConfig, RecordConfigChanged};
use domain::session_settings::SessionSettings;
use domain::storage_target::RecordStorageTarget;
use persistence::{CorruptRow, StoreError};

use test_facts::{Backend, World, account, as_operator, at, event, on_both, owner, region, view};

on_both!(
    a_damaged_recording_is_named,
    a_damaged_configuration_is_named,
    a_damaged_agent_or_token_is_named,
    a_damaged_key_or_policy_is_named,
);

#[track_caller]
fn named<T: std::fmt::Debug>(result: Result<T, StoreError>, table: &str, column: &str, id: &str) {
    match result {
        Err(StoreError::CorruptRow(CorruptRow { table: t, column: c, id: i, why })) => {
            assert_eq!((t, c, i.as_str()), (table, column, id));
            assert!(!why.is_empty());
        }
        other => panic!("{table}.{column} is damaged, and the answer is {other:?}"),
    }
}

async fn a_damaged_recording_is_named(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    for (column, damage) in [
        ("state", "state = 'lost'"),
        ("failure_policy", "failure_policy = 'lenient'"),
        ("delivery_mode", "failure_policy = NULL, delivery_mode = 'later'"),
        ("target", "delivery_mode = NULL, target = 'acs:oss:cn-hangzhou:1609982529000001:b/p'"),
        ("folder", "folder = '../x'"),
        ("segments", "segments = -1"),
        ("expiration_days", "expiration_days = 0"),
        ("ended_at", "state = 'sealed'"),
        ("end_kind", "state = 'sealed', ended_at = 5"),
        ("end_kind", "state = 'sealed', ended_at = 5, end_kind = 'interrupted'"),
        ("session_owner", "session_owner = 'acs:ram::1609982529000000:user/ana'"),
        ("successor", "taken_over_at = 5"),
        ("successor", "successor = 'agent 1', taken_over_at = 5, arrived_before = '[]'"),
        ("arrived_before", "successor = agent_id, taken_over_at = 5, arrived_before = '[5]'"),
        ("agent_id", "agent_id = agent_id, last_at_micros = -3, instance_id = instance_id"),
    ] {
        let opened = world.open(&agent, 10, 7).await;
        let view = view(&opened);
        world.acknowledge(&agent, &opened.token, 0, 11).await.unwrap();
        world
            .database
            .execute(&format!("UPDATE recordings SET {damage} WHERE token = '{}'", opened.token))
            .await;
        let column = if damage.contains("last_at_micros") { "last_at_micros" } else { column };
        named(
            world.store.find_recording(&view, &opened.token).await,
            "recordings",
            column,
            opened.token.as_str(),
        );
        let listed = world.store.segments_of_recording(&view, &opened.token).await;
        named(listed, "recordings", column, opened.token.as_str());
    }
    let opened = world.open(&agent, 10, 7).await;
    let view = view(&opened);
    world.acknowledge(&agent, &opened.token, 0, 11).await.unwrap();
    world
        .database
        .execute(&format!("UPDATE recording_segments SET length = -1 WHERE token = '{}'", opened.token))
        .await;
    world
        .database
        .execute(&format!("UPDATE recording_streams SET chain = 'zz' WHERE token = '{}'", opened.token))
        .await;
    let stream = world.store.find_stream(&view, &opened.token, recording::Stream::Terminal).await;
    named(stream, "recording_streams", "chain", &format!("{} terminal", opened.token));
    let listed = world.store.segments_of_recording(&view, &opened.token).await;
    named(listed, "recording_segments", "length", &format!("{} terminal 0", opened.token));
}

async fn a_damaged_configuration_is_named(world: World) {
    let granted = owner::<SetInstanceRecordConfig>(&account(), Resource::AllInstances { region: region() });
    let after = RecordConfig {
        account: account(),
        selector: InstanceSelector::All,
        enabled: true,
        target: Some(RecordStorageTarget::deployment_default(&region(), &account())),
        expiration: ExpirationDays::DEFAULT,
        settings: SessionSettings::default(),
        revision: 1,
        changed_at: at(0),
    };
    let change = RecordConfigChanged { expected_revision: None, after };
    world.store.apply(&granted, change, event(&account(), "Set")).await.unwrap();
    let read = owner::<GetInstanceRecordConfig>(&account(), Resource::Everything);
    for (column, damage) in [
        ("failure_policy", "failure_policy = 'lenient'"),
        ("delivery_mode", "failure_policy = NULL, delivery_mode = 'later'"),
        ("recorded_principals", "delivery_mode = NULL, recorded_principals = 'ana'"),
        ("notice", "recorded_principals = NULL, notice = 'loud'"),
        ("notice_text", "notice = 'text'"),
        ("notice_text", "notice_text = ' '"),
        ("target", "notice = NULL, target = NULL"),
        ("target", "target = 'nowhere'"),
        ("expiration_days", "target = NULL, enabled = (1 = 0), expiration_days = 99999"),
    ] {
        world.database.execute(&format!("UPDATE record_configs SET {damage}")).await;
        let found = world.store.effective_record_config(&read, &InstanceSelector::All).await;
        named(found, "record_configs", column, &format!("{} *", account()));
    }
}

async fn a_damaged_agent_or_token_is_named(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let short = match world.database.backend {
        Backend::Postgres => r"'\x00'::bytea",
        Backend::Sqlite | Backend::MariaDb => "x'00'",
    };
    world.database.execute(&format!("UPDATE agents SET sealing_key = {short}")).await;
    named(world.store.find_agent(&agent.id).await, "agents", "sealing_key", agent.id.as_str());
    world.database.execute("UPDATE instances SET region = 'Nowhere'").await;
    let region = world.store.instance_facts(&account(), agent.instance.clone(), &region()).await;
    named(region, "instances", "region", &format!("{} i-web1", account()));
    let token = world.join_token(&account(), "*", false).await;
    world.database.execute("UPDATE join_tokens SET instances = 'a b'").await;
    named(world.store.find_join_token(&token).await, "join_tokens", "instances", &token.hash().to_string());
}

async fn a_damaged_key_or_policy_is_named(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let audit = || event(&account(), "AdministerIdentity");
    let ana = UserName::parse("ana").unwrap();
    store.create_user(&operator, &ana, at(1), audit()).await.unwrap();
    let (key, _) =
        store.create_access_key(&operator, &KeyOwner::User(ana.clone()), at(2), audit()).await.unwrap();
    let principal = store.find_access_key(&key).await.unwrap().unwrap().principal;
    let policy = PolicyName::parse("deny").unwrap();
    let document = r#"{"Version": "1", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}"#;
    store.put_policy(&operator, &policy, document, at(3), audit()).await.unwrap();
    store.attach_policy(&operator, &ana, &policy, at(4), audit()).await.unwrap();
    world.database.execute("UPDATE policy_versions SET document = '{}'").await;
    named(store.policies_of(&principal).await, "policy_versions", "document", &format!("{} deny", account()));
    // A secret that was moved from another key cannot be unsealed.
    let sealed = "(SELECT sealed_secret FROM access_keys WHERE access_key_id = 'root-key')";
    world
        .database
        .execute(&format!("UPDATE access_keys SET sealed_secret = {sealed} WHERE access_key_id = '{key}'"))
        .await;
    let moved = store.find_access_key(&key).await.unwrap_err();
    assert!(matches!(moved, StoreError::Keys { .. }), "{moved:?}");
    assert!(store.find_access_key(&AccessKeyId::parse("root-key").unwrap()).await.unwrap().is_some());
    world
        .database
        .execute(&format!("UPDATE access_keys SET status = 'Maybe' WHERE access_key_id = '{key}'"))
        .await;
    named(store.find_access_key(&key).await, "access_keys", "status", key.as_str());
}
