//! The lease on an agent's link: one holder at a time, each with a higher epoch than the previous one.

use domain::actions::{EnrolAgent, ReachAgents, ReadAgentConfiguration};
use domain::agent::Agent;
use domain::agent_link::{AgentLink, ReplicaId};
use domain::gate::{Granted, PrincipalPolicies, authorize};
use domain::principal::Principal;
use persistence::{LinkLease, LinkNoted, LinkTaken, StoreError};

use test_facts::{
    World, account, as_agent, at, facts, instance, on_both, other_account, resource_of, until_async,
};

on_both!(
    a_lease_is_taken_renewed_and_given_back,
    of_many_who_take_a_link_at_once_each_has_an_epoch_of_its_own,
    nobody_reaches_beyond_the_grant,
    what_many_links_note_at_once_is_told_to_each,
    links_are_told_what_is_in_force_as_of_the_change_that_was_seen,
    what_is_in_force_after_the_database_was_put_back_is_told,
    a_replaced_agent_is_reached_no_more_and_its_holder_is_found,
);

fn taken(replica: &ReplicaId, until: i64) -> LinkTaken {
    let internal_address = Some("http://10.0.0.7:9000".to_owned());
    LinkTaken { replica: replica.clone(), internal_address, expires_at: at(until) }
}

async fn take(world: &World, agent: &Agent, replica: &ReplicaId, until: i64) -> u64 {
    let granted = as_agent::<ReadAgentConfiguration>(agent);
    world.store.take_agent_link(&granted, agent, taken(replica, until)).await.unwrap()
}

async fn renew(world: &World, agent: &Agent, replica: &ReplicaId, epoch: u64, until: i64) -> bool {
    let granted = as_agent::<ReadAgentConfiguration>(agent);
    world.store.renew_agent_link(&granted, &agent.id, replica, epoch, at(until)).await.unwrap()
}

fn reaching(of: &domain::AccountId, name: Option<&str>) -> Granted<ReachAgents> {
    let principal = Principal::System { account: of.clone() };
    let of = name.map(instance);
    authorize(&principal, resource_of(of.as_ref()), &PrincipalPolicies::none(), &facts()).unwrap()
}

async fn holder(world: &World, agent: &Agent, now: i64) -> Option<AgentLink> {
    world.store.find_agent_link(&reaching(&agent.account, None), &agent.id, at(now)).await.unwrap()
}

async fn a_lease_is_taken_renewed_and_given_back(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let (one, other) = (ReplicaId::generate(), ReplicaId::generate());
    assert_eq!(holder(&world, &agent, 0).await, None);
    assert_eq!(take(&world, &agent, &one, 100).await, 1);
    let held = AgentLink {
        agent: agent.id.clone(),
        account: account(),
        instance: agent.instance.clone(),
        replica: one.clone(),
        internal_address: Some("http://10.0.0.7:9000".to_owned()),
        epoch: 1,
        expires_at: at(100),
    };
    assert_eq!(holder(&world, &agent, 99).await, Some(held.clone()));
    assert_eq!(holder(&world, &agent, 100).await, None, "it has lapsed");
    assert!(renew(&world, &agent, &one, 1, 200).await);
    // Repeating the renewal changes nothing, and does not lose the lease.
    assert!(renew(&world, &agent, &one, 1, 200).await);
    assert_eq!(holder(&world, &agent, 100).await, Some(AgentLink { expires_at: at(200), ..held }));

    assert_eq!(take(&world, &agent, &other, 300).await, 2);
    assert!(!renew(&world, &agent, &one, 1, 900).await);
    assert!(!renew(&world, &agent, &other, 1, 900).await);
    assert!(!renew(&world, &agent, &one, 2, 900).await);
    let now = holder(&world, &agent, 250).await.unwrap();
    assert_eq!((now.replica, now.epoch, now.expires_at), (other.clone(), 2, at(300)));
    // Once given back, the lease has no holder, but the next one's epoch is higher all the same.
    assert!(renew(&world, &agent, &other, 2, 0).await);
    assert_eq!(holder(&world, &agent, 250).await, None);
    assert_eq!(take(&world, &agent, &one, 400).await, 3);
}

async fn what_many_links_note_at_once_is_told_to_each(world: World) {
    let (here, elsewhere) = (ReplicaId::generate(), ReplicaId::generate());
    let mut agents = Vec::new();
    for number in 0..6 {
        let agent = world.enrol(&account(), &format!("web{number}")).await;
        let epoch = take(&world, &agent, &here, 100).await;
        agents.push((agent, epoch));
    }
    // Another link of one agent has the lease, the next one's lease was given back, and one more agent is replaced.
    take(&world, &agents[1].0, &elsewhere, 100).await;
    let granted = as_agent::<ReadAgentConfiguration>(&agents[2].0);
    let over = domain::Timestamp::from_millis(0);
    assert!(world.store.renew_agent_link(&granted, &agents[2].0.id, &here, 1, over).await.unwrap());
    let token = world.join_token(&account(), "*", true).await;
    world.try_enrol(&world.agent(&account(), "web3"), &token, true).await.unwrap();
    let notes = agents.iter().enumerate().map(|(number, (agent, epoch))| {
        let lease = LinkLease { replica: here.clone(), epoch: *epoch, expires_at: at(500) };
        // One has not said hello.
        let lease = (number != 4).then_some(lease);
        let granted = as_agent::<ReadAgentConfiguration>(agent);
        let (store, agent) = (world.store.clone(), agent.clone());
        tokio::spawn(async move { store.note_link(&granted, &agent, at(400), lease).await.unwrap() })
    });
    let mut noted = Vec::new();
    for note in notes.collect::<Vec<_>>() {
        noted.push(note.await.unwrap());
    }
    let goes_on = LinkNoted::GoesOn;
    let (superseded, retired) = (LinkNoted::Superseded, LinkNoted::Retired);
    assert_eq!(noted, [goes_on, superseded, goes_on, retired, goes_on, goes_on]);
    assert_eq!(holder(&world, &agents[0].0, 450).await.unwrap().expires_at, at(500));
    assert_eq!(holder(&world, &agents[1].0, 99).await.unwrap().expires_at, at(100), "it is another's");
    assert_eq!(holder(&world, &agents[2].0, 1).await, None, "what was given back is not held again");
    assert_eq!(holder(&world, &agents[4].0, 450).await, None, "it was not asked for");
    let heard = world.store.find_agent(&agents[0].0.id).await.unwrap().unwrap();
    assert_eq!(heard.last_seen_at, at(400));
}

async fn links_are_told_what_is_in_force_as_of_the_change_that_was_seen(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let granted = as_agent::<ReadAgentConfiguration>(&agent);
    let replica = world.replica().await;
    let mut seen = replica.subscribe_revisions();
    let first = replica.in_force(&granted, &agent).await.unwrap();
    // One that enrolled after that was read is not taken for one that is gone.
    let late = world.enrol(&account(), "web9").await;
    let granted_late = as_agent::<ReadAgentConfiguration>(&late);
    assert!(!replica.in_force(&granted_late, &late).await.unwrap().is_retired);
    assert!(first.config.config.is_none() && !first.is_retired);
    for days in [3, 4] {
        seen.mark_unchanged();
        crate::configuration::set_all(&world, days).await;
        seen.changed().await.unwrap();
        until_async("the change is in force", async || {
            let in_force = replica.in_force(&granted, &agent).await.unwrap();
            let config = in_force.config.config?;
            (config.expiration.get() == days && in_force.revision > first.revision).then_some(())
        })
        .await;
    }
    let token = world.join_token(&account(), "*", true).await;
    world.try_enrol(&world.agent(&account(), "web1"), &token, true).await.unwrap();
    until_async("it is retired", async || {
        replica.in_force(&granted, &agent).await.unwrap().is_retired.then_some(())
    })
    .await;
    // What changes while nobody subscribes is in force for the next subscriber at once.
    drop(seen);
    let other = world.enrol(&account(), "web2").await;
    crate::configuration::set_all(&world, 5).await;
    let _seen = replica.subscribe_revisions();
    let in_force = replica.in_force(&as_agent::<ReadAgentConfiguration>(&other), &other).await.unwrap();
    assert!(!in_force.is_retired && in_force.config.config.unwrap().expiration.get() == 5);
}

/// A server that took the place of another may lack its last changes, and count on from before them.
async fn what_is_in_force_after_the_database_was_put_back_is_told(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let granted = as_agent::<ReadAgentConfiguration>(&agent);
    let replica = world.replica().await;
    let mut seen = replica.subscribe_revisions();
    let days = async || {
        let in_force = replica.in_force(&granted, &agent).await.unwrap();
        in_force.config.config.map(|config| config.expiration.get())
    };
    for change in [3, 4] {
        seen.mark_unchanged();
        crate::configuration::set_all(&world, change).await;
        seen.changed().await.unwrap();
        until_async("the change is in force", async || (days().await == Some(change)).then_some(())).await;
    }
    world.database.execute("UPDATE record_configs SET expiration_days = 3").await;
    world.database.execute("UPDATE revisions SET revision = 0").await;
    seen.changed().await.unwrap();
    assert_eq!(days().await, Some(3), "as before the last change");
}

async fn of_many_who_take_a_link_at_once_each_has_an_epoch_of_its_own(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let replicas: Vec<_> = (0..8).map(|_| ReplicaId::generate()).collect();
    let other = world.replica().await;
    let mut taking = Vec::new();
    for (number, replica) in replicas.iter().enumerate() {
        let store = if number % 2 == 0 { world.store.clone() } else { other.clone() };
        let (agent, taken) = (agent.clone(), taken(replica, 100));
        taking.push(tokio::spawn(async move {
            store.take_agent_link(&as_agent::<ReadAgentConfiguration>(&agent), &agent, taken).await.unwrap()
        }));
    }
    let mut epochs = Vec::new();
    for taken in taking {
        epochs.push(taken.await.unwrap());
    }
    let last = holder(&world, &agent, 1).await.unwrap();
    assert_eq!(last.epoch, 8);
    let winner = epochs.iter().position(|epoch| *epoch == 8).unwrap();
    assert_eq!(last.replica, replicas[winner]);
    let kept: Vec<_> = replicas.iter().zip(&epochs).collect();
    for (replica, epoch) in kept {
        assert_eq!(renew(&world, &agent, replica, *epoch, 100).await, *epoch == 8);
    }
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2, 3, 4, 5, 6, 7, 8]);
}

async fn nobody_reaches_beyond_the_grant(world: World) {
    let (web1, foreign) =
        (world.enrol(&account(), "web1").await, world.enrol(&other_account(), "web1").await);
    let replica = ReplicaId::generate();
    for agent in [&web1, &foreign] {
        take(&world, agent, &replica, 100).await;
    }
    let find = async |granted: &Granted<ReachAgents>, agent: &Agent| {
        world.store.find_agent_link(granted, &agent.id, at(1)).await
    };
    assert!(find(&reaching(&account(), Some("web1")), &web1).await.unwrap().is_some());
    for granted in [reaching(&account(), Some("web2")), reaching(&other_account(), None)] {
        assert!(matches!(find(&granted, &web1).await, Err(StoreError::OutsideGrant { .. })));
    }
    let unknown = Agent { id: domain::AgentId::generate(), ..web1.clone() };
    assert!(matches!(find(&reaching(&account(), None), &unknown).await, Err(StoreError::NotFound { .. })));
    // An agent can take only the link of its own instance.
    let granted = as_agent::<ReadAgentConfiguration>(&web1);
    let refused = world.store.take_agent_link(&granted, &foreign, taken(&replica, 100)).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    let renewed = world.store.renew_agent_link(&granted, &foreign.id, &replica, 1, at(900)).await;
    assert!(!renewed.unwrap(), "a lease of another account is none of this one's");
    assert_eq!(holder(&world, &foreign, 1).await.unwrap().expires_at, at(100));
}

async fn a_replaced_agent_is_reached_no_more_and_its_holder_is_found(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let replica = ReplicaId::generate();
    take(&world, &agent, &replica, 100).await;
    let newcomer = world.agent(&account(), "web1");
    let token = world.join_token(&account(), "*", true).await;
    world.try_enrol(&newcomer, &token, true).await.unwrap();
    assert_eq!(holder(&world, &agent, 1).await, None);
    let granted = as_agent::<EnrolAgent>(&newcomer);
    let replaced = async |now| world.store.links_replaced_by(&granted, &newcomer, at(now)).await.unwrap();
    let found: Vec<_> = replaced(1).await.into_iter().map(|link| (link.agent, link.replica)).collect();
    assert_eq!(found, [(agent.id.clone(), replica.clone())]);
    assert!(replaced(100).await.is_empty(), "a lease that has lapsed is nobody's");
    take(&world, &newcomer, &replica, 200).await;
    assert_eq!(replaced(1).await.len(), 1, "its own link is not replaced");
}
