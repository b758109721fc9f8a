//! The links as a bus: any replica can talk to any agent and open channels to it, and channels outlive links and
//! their holders.

use std::time::Duration;

use agent_protocol::bus::{Channel, MOST_CHANNELS, Reset, ResetCode, ServiceName, WINDOW_BYTES};
use agent_protocol::link::ServerMessage;
use api::NotReached;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::bus_agent::BusAgent;
use crate::link::DialledLink;
use crate::recording_agent::TestAgent;
use test_facts::postgres::{FAST, new_database};
use test_facts::until_async;
use test_server::{Running, listen_for_replicas};

async fn soon<T>(waits: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), waits).await.expect("it comes in time")
}

async fn open(running: &Running, agent: &TestAgent, service: &str) -> Result<Channel, NotReached> {
    let service = ServiceName::parse(service).unwrap();
    soon(running.hansard.open_channel(&running.reaching(), &agent.id, &service)).await
}

/// This many bytes; no two long parts of them are alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 251) % 251).unwrap()).collect()
}

/// Sends these bytes and finishes. Returns what comes back until the other end has finished too.
async fn echoed(channel: Channel, bytes: &[u8]) -> Result<Vec<u8>, Reset> {
    let Channel { mut reader, mut writer } = channel;
    let sending = async {
        writer.write(bytes).await?;
        writer.finish();
        Ok::<_, Reset>(())
    };
    let receiving = async {
        let mut heard = Vec::new();
        while let Some(bytes) = reader.read().await? {
            heard.extend(bytes);
        }
        Ok::<_, Reset>(heard)
    };
    let (sent, received) = tokio::join!(sending, receiving);
    sent.and(received)
}

#[track_caller]
fn assert_same(heard: &[u8], sent: &[u8]) {
    assert!(heard == sent, "{} of {} bytes came back, or others", heard.len(), sent.len());
}

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

async fn a_message_reaches_an_agent_at_whichever_replica(database: Option<String>) {
    let one = Running::reachable_with(database, |settings| {
        listen_for_replicas(settings);
        settings.link_timing.ping_every = Duration::from_millis(500);
        settings.link_timing.silent_after = NEVER;
    })
    .await;
    let other = one.another().await;
    let agent = TestAgent::enrol(&one, "i-web1").await;
    let message = {
        let reply = agent.get(&one, "/agent/v1/configuration").await.ok();
        let configuration = serde_json::from_value(reply["Configuration"].clone()).unwrap();
        ServerMessage::Configuration { configuration }
    };
    let send = async |from: &Running| from.hansard.send_to_agent(&from.reaching(), &agent.id, &message).await;
    for replica in [&one, &other] {
        assert!(matches!(send(replica).await, Err(NotReached::NotConnected)));
    }
    let mut link = DialledLink::dial(&one, &agent).await;
    link.hello(&["terminal"]).await;
    link.configuration().await;
    for replica in [&one, &other] {
        send(replica).await.unwrap();
        link.configuration().await;
    }
    // The agent greets without services, as agents of the previous version do.
    for replica in [&one, &other] {
        let refused = open(replica, &agent, "echo").await;
        assert!(matches!(refused, Err(NotReached::NoChannels)), "{refused:?}");
    }
    // The agent dials the other replica. From then on, that one holds its link, and the first one notices with its
    // next ping.
    let mut newer = DialledLink::dial(&other, &agent).await;
    newer.hello(&["terminal"]).await;
    newer.configuration().await;
    for replica in [&one, &other] {
        send(replica).await.unwrap();
        newer.configuration().await;
    }
    assert_eq!(link.close_code().await, Some(CloseCode::Policy));
    send(&one).await.unwrap();
    newer.configuration().await;
    // The agent closes its link properly, and from then on no replica looks for it there.
    newer.socket.close(None).await.unwrap();
    drop(newer);
    until_async("nobody holds the link", async || {
        matches!(send(&one).await, Err(NotReached::NotConnected)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_an_agent_on_sqlite() {
    a_message_reaches_an_agent_at_whichever_replica(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_an_agent_on_postgres() {
    a_message_reaches_an_agent_at_whichever_replica(Some(new_database(FAST).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_an_internal_listener_is_named_as_the_reason() {
    let one = Running::start().await;
    let other = one.another().await;
    let bus = BusAgent::linked(&one, "i-web1").await;
    assert!(open(&one, &bus.agent, "echo").await.is_ok());
    let refused = open(&other, &bus.agent, "echo").await.unwrap_err();
    assert!(matches!(refused, NotReached::NoInternalListener), "{refused:?}");
    assert!(refused.to_string().contains("--internal-listen"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_gone_is_reported_as_out_of_reach() {
    let mut one = Running::reachable(None).await;
    let other = one.another().await;
    let bus = BusAgent::linked(&one, "i-web1").await;
    // A lease that its holder abandoned without returning it, as a killed replica does.
    let granted = other.reaching();
    let link =
        other.store.find_agent_link(&granted, &bus.agent.id, other.hansard.now()).await.unwrap().unwrap();
    one.halt();
    let taken = persistence::LinkTaken {
        replica: link.replica,
        internal_address: link.internal_address,
        expires_at: link.expires_at,
    };
    let agent = other.store.find_agent(&bus.agent.id).await.unwrap().unwrap();
    let as_agent = domain::gate::authorize::<domain::actions::ReadAgentConfiguration>(
        &domain::principal::Principal::Agent {
            account: agent.account.clone(),
            agent: agent.id.clone(),
            instance: agent.instance.clone(),
        },
        domain::gate::Resource::Instance(domain::gate::InstanceFacts::untagged(
            agent.region.clone(),
            agent.instance.clone(),
        )),
        &domain::gate::PrincipalPolicies::none(),
        &domain::gate::RequestFacts::at(other.hansard.now()),
    );
    other.store.take_agent_link(&as_agent.unwrap(), &agent, taken).await.unwrap();
    let refused = open(&other, &bus.agent, "echo").await.unwrap_err();
    assert!(matches!(refused, NotReached::HolderUnreachable { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_passes_bytes_both_ways_and_half_closes() {
    let one = Running::reachable(None).await;
    let other = one.another().await;
    let bus = BusAgent::linked(&one, "i-web1").await;
    for replica in [&one, &other] {
        // More than the windows, so that the windows have to move.
        let sent = pattern(5 * WINDOW_BYTES as usize);
        let channel = open(replica, &bus.agent, "echo").await.unwrap();
        assert_same(&soon(echoed(channel, &sent)).await.unwrap(), &sent);
        // A channel without any bytes works, too.
        let channel = open(replica, &bus.agent, "echo").await.unwrap();
        assert_same(&soon(echoed(channel, b"")).await.unwrap(), b"");
        // One direction continues after the other one has ended.
        let Channel { mut reader, mut writer } = open(replica, &bus.agent, "echo").await.unwrap();
        writer.write(b"last words").await.unwrap();
        writer.finish();
        assert_eq!(soon(reader.read()).await.unwrap().unwrap(), b"last words");
        assert_eq!(soon(reader.read()).await, Ok(None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_from_either_side_has_a_code() {
    let one = Running::reachable(None).await;
    let other = one.another().await;
    let mut bus = BusAgent::linked(&one, "i-web1").await;
    for replica in [&one, &other] {
        let refused = open(replica, &bus.agent, "nothing").await;
        assert!(matches!(refused, Err(NotReached::NoSuchService { .. })), "{refused:?}");
        let Channel { mut reader, mut writer } = open(replica, &bus.agent, "fails").await.unwrap();
        writer.write(b"x").await.unwrap();
        let reset = soon(reader.read()).await.unwrap_err();
        assert_eq!(reset, Reset::new(ResetCode::Failed, "not today"));
        assert_eq!(writer.write(b"x").await, Err(reset));
        let mut channel = open(replica, &bus.agent, "watched").await.unwrap();
        channel.writer.write(b"x").await.unwrap();
        channel.reset(ResetCode::Cancelled, "enough");
        let watched = soon(bus.watched.recv()).await.unwrap();
        assert_eq!(watched, Err(Reset::new(ResetCode::Cancelled, "enough")));
        // Dropping a channel resets it.
        drop(open(replica, &bus.agent, "watched").await.unwrap());
        let watched = soon(bus.watched.recv()).await.unwrap();
        assert_eq!(watched.unwrap_err().code, ResetCode::Cancelled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_channel_delays_no_other_and_the_number_of_channels_is_limited() {
    let one = Running::reachable(None).await;
    let other = one.another().await;
    let bus = BusAgent::linked(&one, "i-web1").await;
    let (mut stalled, mut unread) = (Vec::new(), Vec::new());
    for replica in [&one, &other] {
        // One channel that the agent's side does not read, and one that this side does not read.
        let mut channel = open(replica, &bus.agent, "stalled").await.unwrap();
        let much = pattern(2 * WINDOW_BYTES as usize);
        let writing = timeout(Duration::from_millis(300), channel.writer.write(&much)).await;
        assert!(writing.is_err(), "nothing is taken beyond the window");
        stalled.push(channel);
        let mut channel = open(replica, &bus.agent, "echo").await.unwrap();
        let writing =
            timeout(Duration::from_millis(300), channel.writer.write(&pattern(3 * much.len()))).await;
        assert!(writing.is_err(), "what comes back is not read");
        unread.push(channel);
    }
    for replica in [&one, &other] {
        let sent = pattern(2 * WINDOW_BYTES as usize);
        let channel = open(replica, &bus.agent, "echo").await.unwrap();
        assert_same(&soon(echoed(channel, &sent)).await.unwrap(), &sent);
    }
    let mut more = Vec::new();
    let refused = loop {
        match open(if more.len() % 2 == 0 { &one } else { &other }, &bus.agent, "stalled").await {
            Ok(channel) => more.push(channel),
            Err(refused) => break refused,
        }
        assert!(more.len() <= MOST_CHANNELS);
    };
    assert!(matches!(refused, NotReached::TooManyChannels), "{refused:?}");
    assert!(more.len() + 4 >= MOST_CHANNELS - 4, "{}", more.len());
}

async fn channels_outlive_links(database: Option<String>) {
    let one = Running::reachable(database).await;
    let other = one.another().await;
    let mut bus = BusAgent::linked(&one, "i-web1").await;
    // One opener holds the link, and the other one does not; the agent dials them in turn.
    let sent = pattern(8 * WINDOW_BYTES as usize);
    let mut echoing = Vec::new();
    for replica in [&one, &other] {
        let (channel, sent) = (open(replica, &bus.agent, "echo").await.unwrap(), sent.clone());
        let Channel { mut reader, mut writer } = channel;
        let heard = tokio::sync::watch::Sender::new(0);
        let hears = heard.subscribe();
        let echo = tokio::spawn(async move {
            let sending = async {
                writer.write(&sent).await?;
                writer.finish();
                Ok::<_, Reset>(())
            };
            let receiving = async {
                let mut all = Vec::new();
                while let Some(bytes) = reader.read().await? {
                    all.extend(bytes);
                    heard.send_replace(all.len());
                    // Slow enough that links are lost in the middle of the transfer.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Ok::<_, Reset>(all)
            };
            let (sent, received) = tokio::join!(sending, receiving);
            sent.and(received)
        });
        echoing.push((echo, hears));
    }
    for (round, replica) in [&other, &one, &one, &other].into_iter().enumerate() {
        for (_, hears) in &mut echoing {
            soon(hears.wait_for(|heard| *heard > round * sent.len() / 5)).await.unwrap();
        }
        bus.dial(replica).await;
    }
    for (echo, _) in echoing {
        assert_same(&soon(echo).await.unwrap().unwrap(), &sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_outlive_links_on_sqlite() {
    channels_outlive_links(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_outlive_links_on_postgres() {
    channels_outlive_links(Some(new_database(FAST).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_whose_agent_does_not_return_is_reset_in_time() {
    let one = Running::adjusted(|settings| {
        listen_for_replicas(settings);
        settings.resume_within = Duration::from_millis(500);
    })
    .await;
    let other = one.another().await;
    let mut bus = BusAgent::linked(&one, "i-web1").await;
    let mut channels =
        [open(&one, &bus.agent, "echo").await.unwrap(), open(&other, &bus.agent, "echo").await.unwrap()];
    bus.cut_off().await;
    for channel in &mut channels {
        let reset = soon(channel.reader.read()).await.unwrap_err();
        assert_eq!(reset.code, ResetCode::Lost);
        assert!(reset.reason.contains("not reached again in time"), "{reset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_breaks_the_rules_of_frames_loses_its_link() {
    use futures_util::SinkExt as _;
    use tokio_tungstenite::tungstenite::Message;

    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let mut link = DialledLink::dial(&running, &agent).await;
    link.say(serde_json::json!({
        "Type": "hello", "AgentVersion": "0.2.0", "Capabilities": [], "Sessions": [], "Services": [],
    }))
    .await;
    link.configuration().await;
    link.socket.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(link.close_code().await, Some(CloseCode::Policy));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_replaced_at_one_replica_is_cut_off_at_the_other() {
    // Within the time of this test, the holder does not notice it by itself.
    let one = Running::reachable_with(None, |settings| {
        listen_for_replicas(settings);
        settings.link_timing.ping_every = NEVER;
        settings.link_timing.silent_after = NEVER;
    })
    .await;
    let other = one.another().await;
    let agent = TestAgent::enrol(&one, "i-web1").await;
    let mut link = DialledLink::dial(&one, &agent).await;
    link.hello(&["terminal"]).await;
    link.configuration().await;
    TestAgent::enrol_with(&other, "i-web1", true).await;
    assert_eq!(link.close_code().await, Some(CloseCode::Policy));
}
