//! The messages on an open link. One task only reads and another only writes, so that a control plane that reads
//! nothing for a while does not keep this agent from receiving.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::configuration::{ConfigurationReply, SignedConfiguration};
use agent_protocol::link::{AgentMessage, PING_EVERY_SECONDS, SILENT_AFTER_SECONDS, ServerMessage};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Upgraded;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::MAY_BE_LATE;
use super::channels::Channels;
use super::services::Service;
use crate::run::Agent;
use crate::run::disk::DiskTold;
use crate::{AGENT_VERSION, capabilities, chain};

/// How often it is looked whether there is news for the control plane of recordings that wait, or of the spool's disk.
const LOOK_FOR_NEWS_EVERY: Duration = Duration::from_secs(5);
/// A link that is silent for so long is dead, and so is one that takes nothing for so long.
const SILENT_AFTER: Duration = Duration::from_secs(SILENT_AFTER_SECONDS);
/// How long asking for the configuration may take, and putting it in force.
const CONFIGURED_WITHIN: Duration = Duration::from_secs(90);
/// How many messages may wait to be said.
const MOST_UNSAID: usize = 8;

type Link = WebSocketStream<Upgraded>;

/// Talks until the link ends.
///
/// # Errors
/// It did not end in order; the text says why.
pub(super) async fn talk(agent: &Arc<Agent>, channels: &Channels, link: Link) -> Result<(), String> {
    let (sink, stream) = link.split();
    let (say, said) = mpsc::channel(MOST_UNSAID);
    tokio::select! {
        ended = hear(agent, channels, stream, say) => ended,
        why = speak(agent, channels, sink, said) => Err(why),
    }
}

async fn hear(
    agent: &Arc<Agent>,
    channels: &Channels,
    mut link: SplitStream<Link>,
    say: mpsc::Sender<AgentMessage>,
) -> Result<(), String> {
    let hello = AgentMessage::Hello {
        agent_version: AGENT_VERSION.to_owned(),
        capabilities: capabilities(),
        sessions: agent.sessions.open_tokens(),
        services: Some(Service::names()),
    };
    tell(&say, hello).await?;
    agent.link_pulses.holding.lives_for(CONFIGURED_WITHIN + MAY_BE_LATE);
    // What changed while the link was down.
    let reply: ConfigurationReply =
        agent.control_plane.get("/configuration").await.map_err(|error| error.to_string())?;
    obey(agent, &say, reply.configuration).await?;
    loop {
        agent.link_pulses.holding.lives_for(SILENT_AFTER + MAY_BE_LATE);
        let message = timeout(SILENT_AFTER, link.next())
            .await
            .map_err(|_| format!("the control plane was silent for {SILENT_AFTER_SECONDS} s"))?;
        match message {
            None | Some(Ok(Message::Close(_))) => return Ok(()),
            Some(Ok(Message::Text(text))) => match serde_json::from_str(text.as_str()) {
                Ok(ServerMessage::Configuration { configuration }) => {
                    obey(agent, &say, configuration).await?;
                }
                // A newer control plane may say more than this agent knows.
                Err(error) => tracing::warn!("a message on the link is not understood: {error}"),
            },
            Some(Ok(Message::Binary(frame))) => channels.receive(&frame)?,
            // Pings are answered by the library.
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(chain(&error)),
        }
    }
}

/// Says what there is to say, until that cannot be done any more: messages, pings, and the frames of channels, a frame each in turn.
async fn speak(
    agent: &Agent,
    channels: &Channels,
    mut link: SplitSink<Link, Message>,
    mut said: mpsc::Receiver<AgentMessage>,
) -> String {
    let mut ping = interval(Duration::from_secs(PING_EVERY_SECONDS));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = interval(LOOK_FOR_NEWS_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    let mut greeted = false;
    loop {
        agent.link_pulses.speaking.lives_for(LOOK_FOR_NEWS_EVERY + MAY_BE_LATE);
        // Messages first: they are few, and hello comes before everything else.
        let message = tokio::select! {
            biased;
            message = said.recv() => {
                greeted = true;
                match message.as_ref().map(text) {
                    Some(Ok(text)) => text,
                    Some(Err(why)) => return why,
                    None => return "nobody hears any more".to_owned(),
                }
            }
            _ = ping.tick() => Message::Ping(Bytes::new()),
            _ = look.tick(), if greeted => {
                let Some(news) = told.news(agent) else { continue };
                // There may be more.
                look.reset_immediately();
                match text(&news) {
                    Ok(text) => text,
                    Err(why) => return why,
                }
            }
            frame = channels.next(), if greeted => Message::binary(frame),
        };
        agent.link_pulses.speaking.lives_for(SILENT_AFTER + MAY_BE_LATE);
        match timeout(SILENT_AFTER, link.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return chain(&error),
            Err(_) => return format!("the control plane read nothing for {SILENT_AFTER_SECONDS} s"),
        }
    }
}

/// What the control plane was told last on this link; after one that was lost it may remember anything.
#[derive(Debug, Default)]
struct Told {
    waiting: Option<(u32, Option<String>)>,
    disk: Option<DiskTold>,
}

impl Told {
    /// What is to be told now, one thing at a time.
    fn news(&mut self, agent: &Agent) -> Option<AgentMessage> {
        let waiting = agent.sessions.waiting();
        if self.waiting.as_ref() != Some(&waiting) {
            let (recordings, reason) = waiting.clone();
            self.waiting = Some(waiting);
            return Some(AgentMessage::Waiting { recordings, reason });
        }
        let disk = agent.disk.to_tell()?;
        if self.disk.is_some_and(|told| !disk.is_news_after(&told)) {
            return None;
        }
        self.disk = Some(disk);
        Some(AgentMessage::SpoolDisk { state: disk.state, free_bytes: disk.free_bytes })
    }
}

fn text(message: &AgentMessage) -> Result<Message, String> {
    serde_json::to_string(message).map(Message::text).map_err(|error| error.to_string())
}

async fn tell(say: &mpsc::Sender<AgentMessage>, message: AgentMessage) -> Result<(), String> {
    say.send(message).await.map_err(|_| "the sender of messages has ended".to_owned())
}

/// Puts a configuration in force and reports it. One that is not accepted is logged and changes nothing.
async fn obey(
    agent: &Arc<Agent>,
    say: &mpsc::Sender<AgentMessage>,
    signed: SignedConfiguration,
) -> Result<(), String> {
    let applying = Arc::clone(agent);
    let applied =
        tokio::task::spawn_blocking(move || applying.configuration.apply(&applying.directory, &signed))
            .await
            .map_err(|error| error.to_string())?;
    match applied {
        Ok(revision) => {
            agent.configured.send_if_modified(|known| std::mem::replace(known, revision) != revision);
            tell(say, AgentMessage::ConfigurationApplied { revision }).await
        }
        Err(why) => {
            tracing::error!("a configuration is not obeyed: {why}");
            Ok(())
        }
    }
}
