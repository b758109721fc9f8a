//! What agents report about the recordings that wait in their spools, and who may see it.

use domain::actions::{ListAgents, ListInstanceRecords, ReadAgentConfiguration};
use domain::agent::Agent;
use domain::spool_disk::{SpoolDisk, SpoolDiskState};
use domain::waiting::WaitingRecordings;
use persistence::StoreError;

use test_facts::{World, account, as_agent, at, instance, list_of, on_both, other_account, owner};

on_both!(
    what_waits_is_shown_until_it_does_not,
    what_waits_is_shown_of_the_listed_instance_only,
    only_its_own_agent_speaks_for_an_instance,
    the_disk_of_a_spool_is_as_its_agent_said_last,
);

fn waiting(agent: &Agent, recordings: u32, since: i64) -> WaitingRecordings {
    WaitingRecordings {
        agent: agent.id.clone(),
        instance: agent.instance.clone(),
        recordings,
        reason: format!("{recordings} have no room"),
        since: at(since),
    }
}

async fn note(world: &World, agent: &Agent, waiting: Option<WaitingRecordings>) -> Result<(), StoreError> {
    world.store.note_waiting(&as_agent::<ReadAgentConfiguration>(agent), &agent.id, waiting).await
}

async fn what_waits_is_shown_until_it_does_not(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let granted = owner::<ListInstanceRecords>(&account(), list_of(None));
    let listed = || world.store.all_waiting(&granted);
    assert!(listed().await.unwrap().is_empty());
    note(&world, &agent, Some(waiting(&agent, 1, 10))).await.unwrap();
    note(&world, &agent, Some(waiting(&agent, 3, 20))).await.unwrap();
    // The time since when something waits does not change while something waits.
    assert_eq!(listed().await.unwrap(), [WaitingRecordings { since: at(10), ..waiting(&agent, 3, 20) }]);
    note(&world, &agent, None).await.unwrap();
    assert!(listed().await.unwrap().is_empty());
    note(&world, &agent, Some(waiting(&agent, 2, 30))).await.unwrap();
    assert_eq!(listed().await.unwrap(), [waiting(&agent, 2, 30)]);
    // What a replaced agent still has, its successor reports.
    let successor = world.agent(&account(), "web1");
    let token = world.join_token(&account(), "*", true).await;
    world.try_enrol(&successor, &token, true).await.unwrap();
    assert!(listed().await.unwrap().is_empty());
}

async fn what_waits_is_shown_of_the_listed_instance_only(world: World) {
    let (one, two) = (world.enrol(&account(), "web1").await, world.enrol(&account(), "web2").await);
    let foreign = world.enrol(&other_account(), "web1").await;
    for agent in [&one, &two, &foreign] {
        note(&world, agent, Some(waiting(agent, 1, 10))).await.unwrap();
    }
    let web2 = instance("web2");
    let of_one = owner::<ListInstanceRecords>(&account(), list_of(Some(&web2)));
    assert_eq!(world.store.all_waiting(&of_one).await.unwrap(), [waiting(&two, 1, 10)]);
    let of_all = owner::<ListInstanceRecords>(&account(), list_of(None));
    assert_eq!(world.store.all_waiting(&of_all).await.unwrap(), [waiting(&one, 1, 10), waiting(&two, 1, 10)]);
}

async fn only_its_own_agent_speaks_for_an_instance(world: World) {
    let (one, two) = (world.enrol(&account(), "web1").await, world.enrol(&account(), "web2").await);
    let refused = note(&world, &one, Some(waiting(&two, 1, 10))).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
}

async fn the_disk_of_a_spool_is_as_its_agent_said_last(world: World) {
    let (one, two) = (world.enrol(&account(), "web1").await, world.enrol(&account(), "web2").await);
    let foreign = world.enrol(&other_account(), "web1").await;
    let disk = |agent: &Agent, state, free_bytes, told_at| SpoolDisk {
        agent: agent.id.clone(),
        state,
        free_bytes,
        told_at: at(told_at),
    };
    let note = |agent: &Agent, disk| {
        let granted = as_agent::<ReadAgentConfiguration>(agent);
        let store = world.store.clone();
        async move { store.note_spool_disk(&granted, disk).await }
    };
    for (state, told_at) in [(SpoolDiskState::Critical, 1), (SpoolDiskState::Low, 2)] {
        note(&one, disk(&one, state, 7, told_at)).await.unwrap();
        note(&foreign, disk(&foreign, state, 9, told_at)).await.unwrap();
    }
    let granted = owner::<ListAgents>(&account(), list_of(None));
    let said = world.store.spool_disks(&granted, &[&one.id, &two.id, &foreign.id]).await.unwrap();
    assert_eq!(said, [disk(&one, SpoolDiskState::Low, 7, 2)]);
    // An agent speaks for its own spool alone.
    for other in [&two, &foreign] {
        let refused = note(&one, disk(other, SpoolDiskState::Low, 1, 3)).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    }
}
