//! What is said on an open link.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::configuration::{ConfigurationReply, SignedConfiguration};
use agent_protocol::link::{AgentMessage, PING_EVERY_SECONDS, SILENT_AFTER_SECONDS, ServerMessage};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Upgraded;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::run::Agent;
use crate::{AGENT_VERSION, chain, enrol};

/// How often it is looked whether the control plane is to be told of other recordings that wait.
const LOOK_AT_WAITING_EVERY: Duration = Duration::from_secs(5);

/// Talks until the link ends.
pub(super) async fn talk(agent: &Arc<Agent>, mut link: WebSocketStream<Upgraded>) -> Result<(), String> {
    let hello = AgentMessage::Hello {
        agent_version: AGENT_VERSION.to_owned(),
        capabilities: enrol::capabilities(),
        sessions: agent.sessions.open_tokens(),
    };
    say(&mut link, &hello).await?;
    // What changed while the link was down.
    let reply: ConfigurationReply =
        agent.control_plane.get("/configuration").await.map_err(|error| error.to_string())?;
    obey(agent, &mut link, reply.configuration).await?;

    let mut ping = interval(Duration::from_secs(PING_EVERY_SECONDS));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = interval(LOOK_AT_WAITING_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What the control plane was told last; after a link that was lost it may remember anything.
    let mut told = None;
    let silent = Duration::from_secs(SILENT_AFTER_SECONDS);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            message = link.next() => {
                heard = Instant::now();
                match message {
                    None | Some(Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(text.as_str()) {
                        Ok(ServerMessage::Configuration { configuration }) => obey(agent, &mut link, configuration).await?,
                        // A newer control plane may say more than this agent knows.
                        Err(error) => tracing::warn!("a message on the link is not understood: {error}"),
                    },
                    // Pings are answered by the library.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(chain(&error)),
                }
            }
            _ = look.tick() => {
                let waiting = agent.sessions.waiting();
                if told.as_ref() != Some(&waiting) {
                    let (recordings, reason) = waiting.clone();
                    say(&mut link, &AgentMessage::Waiting { recordings, reason }).await?;
                    told = Some(waiting);
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() > silent {
                    return Err(format!("the control plane was silent for {} s", silent.as_secs()));
                }
                link.send(Message::Ping(Bytes::new())).await.map_err(|error| chain(&error))?;
            }
        }
    }
}

async fn say(link: &mut WebSocketStream<Upgraded>, message: &AgentMessage) -> Result<(), String> {
    let text = serde_json::to_string(message).map_err(|error| error.to_string())?;
    link.send(Message::text(text)).await.map_err(|error| chain(&error))
}

/// Puts a configuration in force and says so. One that is not believed is logged and changes nothing.
async fn obey(
    agent: &Arc<Agent>,
    link: &mut WebSocketStream<Upgraded>,
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
            say(link, &AgentMessage::ConfigurationApplied { revision }).await
        }
        Err(why) => {
            tracing::error!("a configuration is not obeyed: {why}");
            Ok(())
        }
    }
}
