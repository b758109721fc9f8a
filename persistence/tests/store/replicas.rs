//! The leases of replicas: each counts the others as long as they live, by the database's clock.

use domain::agent_link::ReplicaId;
use domain::replica_lease::{LEASE_LASTS, LiveReplicas};
use test_facts::{World, on_both, until_async};

on_both!(
    three_replicas_count_each_other_while_they_live,
    a_replica_that_ends_without_a_word_counts_until_its_lease_lapses,
);

fn ids(live: &LiveReplicas) -> Vec<&ReplicaId> {
    live.replicas.iter().map(|replica| &replica.id).collect()
}

async fn three_replicas_count_each_other_while_they_live(world: World) {
    let stores = [world.store.clone(), world.replica().await, world.replica().await];
    let mut begun: Vec<ReplicaId> = Vec::new();
    for store in &stores {
        let replica = ReplicaId::generate();
        let live = store.renew_replica(&replica, Some("http://10.0.0.7:9000")).await.unwrap().unwrap();
        begun.push(replica);
        let mut known = begun.clone();
        known.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let mut found = ids(&live);
        found.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        assert_eq!(found, known.iter().collect::<Vec<_>>());
    }
    let renewed = stores[0].renew_replica(&begun[0], None).await.unwrap().unwrap();
    let this = renewed.replicas.iter().find(|replica| replica.id == begun[0]).unwrap();
    assert_eq!(this.internal_address.as_deref(), Some("http://10.0.0.7:9000"));
    assert!(this.started_at <= renewed.at);

    stores[2].end_replica(&begun[2]).await.unwrap();
    let live = stores[0].renew_replica(&begun[0], None).await.unwrap().unwrap();
    assert_eq!(live.replicas.len(), 2, "it ended, and the others need not wait");
}

async fn a_replica_that_ends_without_a_word_counts_until_its_lease_lapses(world: World) {
    let (one, killed) = (ReplicaId::generate(), ReplicaId::generate());
    let before = world.store.renew_replica(&one, None).await.unwrap().unwrap().at;
    world.store.renew_replica(&killed, None).await.unwrap().unwrap();
    let lapsed = until_async("its lease lapses", async || {
        let live = world.store.renew_replica(&one, None).await.unwrap().unwrap();
        assert!(ids(&live).contains(&&one));
        (live.replicas.len() == 1).then_some(live.at)
    })
    .await;
    assert!(lapsed >= before.plus(LEASE_LASTS), "it counted for as long as its lease lasts");
    // A row that lapsed just now is kept for a while, for people who look.
    world.store.forget_replicas().await.unwrap();
    assert_eq!(world.count("replicas", "1 = 1").await, 2);
    world.database.execute("UPDATE replicas SET expires_at = expires_at - 7200000").await;
    world.store.forget_replicas().await.unwrap();
    assert_eq!(world.count("replicas", "1 = 1").await, 0);
}
