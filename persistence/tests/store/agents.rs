//! Agents and the tokens by which they join.

use domain::actions::{CreateAgentJoinToken, EnrolAgent, ListAgents, ReadAgentConfiguration};
use domain::agent::{Capability, InstancePattern, JoinToken, JoinTokenRefused, JoinTokenSecret, Retired};
use domain::{InstanceId, Region};
use persistence::{JoinTokenIssued, PageRequest, StoreError};

use test_facts::{
    DAY, World, account, as_agent, at, event, instance, list_of, on_both, other_account, owner, region,
    resource_of,
};

on_both!(
    an_agent_is_read_back_and_its_instance_has_a_region,
    each_fault_of_a_token_has_its_own_refusal,
    of_two_enrolments_with_one_token_one_succeeds,
    taking_over_needs_a_token_that_permits_it,
    of_two_takeovers_with_two_tokens_one_agent_is_left,
    agents_are_listed_within_the_grant,
    an_agent_that_is_heard_is_noted,
    a_token_stays_inside_its_grant,
);

fn refusal(result: Result<(), StoreError>) -> JoinTokenRefused {
    match result {
        Err(StoreError::JoinTokenRefused(why)) => why,
        other => panic!("not a refused token: {other:?}"),
    }
}

async fn an_agent_is_read_back_and_its_instance_has_a_region(world: World) {
    let elsewhere: Region = "cn-beijing".parse().unwrap();
    let (ours, theirs) = (account(), other_account());
    let region_of = async |account, instance: &InstanceId| {
        world.store.instance_facts(account, instance.clone(), &elsewhere).await.unwrap().region
    };
    assert_eq!(region_of(&ours, &instance("web1")).await, elsewhere);
    let agent = world.enrol(&account(), "web1").await;
    assert_eq!(world.store.find_agent(&agent.id).await.unwrap(), Some(agent.clone()));
    assert_eq!(region_of(&ours, &agent.instance).await, region());
    assert_eq!(region_of(&theirs, &agent.instance).await, elsewhere);
    assert_eq!(world.store.find_agent(&world.agent(&account(), "web1").id).await.unwrap(), None);
}

async fn each_fault_of_a_token_has_its_own_refusal(world: World) {
    let agent = world.agent(&account(), "web1");
    let unknown = world.try_enrol(&agent, &JoinTokenSecret::generate(), false).await;
    assert_eq!(refusal(unknown), JoinTokenRefused::NotFound);
    let token = world.join_token(&account(), "i-web?", false).await;
    let found = world.store.find_join_token(&token).await.unwrap().unwrap();
    assert_eq!((found.account, found.instances.as_str()), (account(), "i-web?"));
    assert!(world.store.find_join_token(&JoinTokenSecret::generate()).await.unwrap().is_none());
    let elsewhere = world.try_enrol(&world.agent(&account(), "database"), &token, false).await;
    assert_eq!(refusal(elsewhere), JoinTokenRefused::InstanceMismatch);
    let foreign = world.try_enrol(&world.agent(&other_account(), "web1"), &token, false).await;
    assert_eq!(refusal(foreign), JoinTokenRefused::InstanceMismatch);
    let mut late = agent.clone();
    late.enrolled_at = at(DAY);
    assert_eq!(refusal(world.try_enrol(&late, &token, false).await), JoinTokenRefused::Expired);
    let enrolled_with = async |asking| {
        let granted = as_agent::<EnrolAgent>(asking);
        world.store.find_agent_enrolled_with(&granted, &token).await.unwrap()
    };
    assert_eq!(enrolled_with(&agent).await, None);
    world.try_enrol(&agent, &token, false).await.unwrap();
    assert_eq!(enrolled_with(&agent).await, Some(agent.clone()));
    assert_eq!(enrolled_with(&world.agent(&account(), "web2")).await, None, "of another instance");
    let again = world.try_enrol(&world.agent(&account(), "web2"), &token, false).await;
    assert_eq!(refusal(again), JoinTokenRefused::Used);
    assert_eq!(world.count("agents", "1 = 1").await, 1);
    assert_eq!(world.count("join_tokens", &format!("hash = '{}'", token.reveal())).await, 0);
}

async fn of_two_enrolments_with_one_token_one_succeeds(world: World) {
    for round in 0..5 {
        let token = world.join_token(&account(), "*", false).await;
        let (one, two) = (
            world.agent(&account(), &format!("one{round}")),
            world.agent(&account(), &format!("two{round}")),
        );
        let (first, second) =
            tokio::join!(world.try_enrol(&one, &token, false), world.try_enrol(&two, &token, false));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let refused = if first.is_ok() { second } else { first };
        assert_eq!(refusal(refused), JoinTokenRefused::Used);
    }
}

async fn taking_over_needs_a_token_that_permits_it(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let second = world.agent(&account(), "web1");
    for (permits, asks) in [(false, false), (false, true), (true, false)] {
        let token = world.join_token(&account(), "i-web1", permits).await;
        let refused = world.try_enrol(&second, &token, asks).await;
        assert_eq!(refusal(refused), JoinTokenRefused::AgentAlreadyEnrolled, "{permits} {asks}");
        assert_eq!(
            world.store.find_agent(&first.id).await.unwrap().unwrap().retired,
            None,
            "nothing is left of it"
        );
    }
    let token = world.join_token(&account(), "i-web1", true).await;
    world.try_enrol(&second, &token, true).await.unwrap();
    assert_eq!(
        world.store.find_agent(&first.id).await.unwrap().unwrap().retired,
        Some(Retired::Replaced { at: second.enrolled_at })
    );
    let granted = owner::<ListAgents>(&account(), list_of(None));
    let listed =
        world.store.list_agents(&granted, PageRequest::Number { number: 1, size: 10 }).await.unwrap();
    assert_eq!((listed.agents, listed.total_count), (vec![second], 1));
}

async fn of_two_takeovers_with_two_tokens_one_agent_is_left(world: World) {
    let (one, two) = (world.agent(&account(), "web1"), world.agent(&account(), "web1"));
    let tokens =
        [world.join_token(&account(), "*", false).await, world.join_token(&account(), "*", false).await];
    let (first, second) =
        tokio::join!(world.try_enrol(&one, &tokens[0], false), world.try_enrol(&two, &tokens[1], false));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert_eq!(world.count("agents", "replaced_at IS NULL").await, 1);
}

async fn agents_are_listed_within_the_grant(world: World) {
    let mut expected = Vec::new();
    for number in 0..5 {
        let mut agent = world.agent(&account(), &format!("web{number}"));
        agent.enrolled_at = at(1 + number / 2);
        let token = world.join_token(&account(), "*", false).await;
        world.try_enrol(&agent, &token, false).await.unwrap();
        expected.push(agent);
    }
    world.enrol(&other_account(), "web0").await;
    expected.sort_by(|a, b| (b.enrolled_at, b.id.as_str()).cmp(&(a.enrolled_at, a.id.as_str())));
    let granted = owner::<ListAgents>(&account(), list_of(None));
    let mut page = PageRequest::After { token: None, size: 2 };
    let mut listed = Vec::new();
    loop {
        let read = world.store.list_agents(&granted, page).await.unwrap();
        assert_eq!(read.total_count, 5);
        listed.extend(read.agents);
        let Some(next) = read.next_token else { break };
        page = PageRequest::After { token: Some(next), size: 2 };
    }
    assert_eq!(listed, expected);
    let second = world.store.list_agents(&granted, PageRequest::Number { number: 2, size: 2 }).await.unwrap();
    assert_eq!(second.agents, expected[2..4]);
    let one = owner::<ListAgents>(&account(), list_of(Some(&instance("web3"))));
    let only = world.store.list_agents(&one, PageRequest::Number { number: 1, size: 10 }).await.unwrap();
    assert_eq!((only.agents.len(), only.total_count), (1, 1));
    assert_eq!(only.agents[0].instance, instance("web3"));
}

async fn an_agent_that_is_heard_is_noted(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let granted = as_agent::<ReadAgentConfiguration>(&agent);
    let last_seen = async || world.store.find_agent(&agent.id).await.unwrap().unwrap().last_seen_at;
    world.store.mark_agent_seen(&granted, &agent.id, at(4_000)).await.unwrap();
    assert_eq!(last_seen().await, at(1), "not within five seconds");
    world.store.mark_agent_seen(&granted, &agent.id, at(6_000)).await.unwrap();
    assert_eq!(last_seen().await, at(6_000));
    world.store.mark_agent_seen(&granted, &agent.id, at(2_000)).await.unwrap();
    assert_eq!(last_seen().await, at(6_000), "never backwards");
    let kinds = ["terminal", "enhanced", "enhanced"];
    let announced: Vec<_> =
        kinds.iter().map(|kind| Capability { kind: (*kind).to_owned(), version: "2".to_owned() }).collect();
    world.store.describe_agent(&granted, &agent.id, "0.2.0\0", &announced, at(7_000)).await.unwrap();
    let described = world.store.find_agent(&agent.id).await.unwrap().unwrap();
    assert_eq!((described.version.as_str(), described.last_seen_at), ("0.2.0\u{fffd}", at(7_000)));
    let kinds: Vec<_> = described.capabilities.iter().map(|capability| capability.kind.as_str()).collect();
    assert_eq!(kinds, ["enhanced", "terminal"]);
    // Another agent's grant gives access neither to the row nor to its capabilities.
    let stranger = as_agent::<ReadAgentConfiguration>(&world.enrol(&account(), "web2").await);
    world.store.mark_agent_seen(&stranger, &agent.id, at(90_000)).await.unwrap();
    let refused = world.store.describe_agent(&stranger, &agent.id, "9", &[], at(90_000)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { what: "agent" })), "{refused:?}");
    assert_eq!(world.store.find_agent(&agent.id).await.unwrap().unwrap(), described);
}

async fn a_token_stays_inside_its_grant(world: World) {
    let granted = owner::<CreateAgentJoinToken>(&account(), resource_of(Some(&instance("web1"))));
    let token = |account, pattern: &str| JoinToken {
        hash: JoinTokenSecret::generate().hash(),
        account,
        region: region(),
        instances: InstancePattern::parse(pattern).unwrap(),
        permits_replace: false,
        created_by: String::new(),
        created_at: at(0),
        expires_at: at(DAY),
    };
    for outside in [token(other_account(), "i-web1"), token(account(), "*"), token(account(), "i-web2")] {
        let refused =
            world.store.apply(&granted, JoinTokenIssued { token: outside }, event(&account(), "Token")).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    }
    let change = JoinTokenIssued { token: token(account(), "i-web1") };
    world.store.apply(&granted, change.clone(), event(&account(), "Token")).await.unwrap();
    let twice = world.store.apply(&granted, change, event(&account(), "Token")).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
}
