//! `GET /agent/v1/link`: the WebSocket that carries configurations and channels to the agent.

mod end;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Session};
use agent_protocol::EffectiveConfiguration;
use agent_protocol::link::{AgentMessage, ServerMessage};
use domain::actions::{Action as _, ReadAgentConfiguration};
use domain::agent::Agent;
use domain::gate::Granted;
use futures_util::StreamExt as _;
use persistence::LinkNoted;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::call::LinkCall;
use super::configuration;
use super::refusal::AgentRefusal;
use super::reports::Reports;
use crate::Hansard;
use crate::errors::chain_of;
use crate::limits::connections::Slot;
use crate::links::relay::{Relay, Violation};
use crate::links::{Lease, LinkClosed, LinkEvent, OpenLink};
use crate::readiness::NotReady;
use crate::state::LinkTiming;
use end::{End, Step, closing, taken, unreadable};

/// The largest message that an agent may send.
const MESSAGE_LIMIT_BYTES: usize = 256 * 1024;
/// How soon a push that failed is tried again.
const PUSH_AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(crate) async fn get(LinkCall(call): LinkCall, request: HttpRequest, payload: Payload) -> HttpResponse {
    let mut about = call.about(None);
    // A browser always names its origin on a WebSocket, and no browser is an agent (DECISIONS P3).
    if request.headers().contains_key(header::ORIGIN) {
        let refusal = AgentRefusal::invalid_request("the link is for agents, not for browsers");
        return call.refuse(&ReadAgentConfiguration::ENTRY, &about, refusal).await;
    }
    let granted = match call.grant::<ReadAgentConfiguration>(&mut about) {
        Ok(granted) => granted,
        Err(denied) => return call.refuse(&ReadAgentConfiguration::ENTRY, &about, denied.into()).await,
    };
    let (mut response, session, messages) = match actix_ws::handle(&request, payload) {
        Ok(opened) => opened,
        Err(error) => {
            let refusal =
                AgentRefusal::invalid_request(format!("this is not a WebSocket handshake: {error}"));
            return call.refuse(&ReadAgentConfiguration::ENTRY, &about, refusal).await;
        }
    };
    if let Err(error) = call.hansard.store.record_audit(call.audit(&granted, None, "link")).await {
        return call.refused(&error.into());
    }
    let messages = messages
        .max_frame_size(MESSAGE_LIMIT_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MESSAGE_LIMIT_BYTES);
    call.identify(&mut response);
    // It lasts as long as the agent runs, and each agent has one.
    let connection = request.conn_data::<Arc<Slot>>().cloned();
    if let Some(connection) = &connection {
        connection.becomes_link();
    }
    let hansard = call.hansard.clone();
    let agent = call.agent;
    actix_web::rt::spawn(async move {
        let open = hansard.links.here.open(&agent);
        let link = Link {
            hansard: &hansard,
            granted: &granted,
            agent: agent.clone(),
            session,
            pushed: None,
            reports: Reports::default(),
            lease: Lease::default(),
            knows_channels: false,
        };
        link.run(open, messages).await;
        // An agent that reads nothing would keep the connection, which does not count against any limit now.
        if let Some(connection) = connection {
            connection.ends_within(hansard.settings.link_patience).await;
        }
    });
    response
}

/// One open link.
struct Link<'a> {
    hansard: &'a Data<Hansard>,
    granted: &'a Granted<ReadAgentConfiguration>,
    agent: Agent,
    session: Session,
    /// What was pushed last; nothing before the agent said hello.
    pushed: Option<EffectiveConfiguration>,
    /// What the agent says of its spool, for people.
    reports: Reports,
    lease: Lease,
    /// Whether the agent has said that it has services.
    knows_channels: bool,
}

impl Link<'_> {
    async fn run(mut self, mut open: OpenLink<'_>, mut messages: actix_ws::AggregatedMessageStream) {
        tracing::info!(agent = %self.agent.id, instance = %self.agent.instance, "an agent's link is open");
        let frames = write_frames(open.relay().clone(), self.session.clone(), self.patience());
        let conversing = async {
            loop {
                if let Err(end) = self.converse(&mut open, &mut messages).await {
                    break end;
                }
            }
        };
        // Reading the link never waits for the reader of a channel, and neither do other writes to it.
        let end = tokio::select! {
            end = conversing => end,
            end = frames => end,
        };
        // It leaves the registry before the agent can notice the end and dial again.
        drop(open);
        match end {
            End::Gone => tracing::info!(agent = %self.agent.id, "an agent's link is gone"),
            End::Close(code, why) => {
                tracing::info!(agent = %self.agent.id, why, "an agent's link is closed");
                let reason = CloseReason { code, description: Some(why.to_owned()) };
                // The agent may be gone already.
                let _ = taken(self.hansard.settings.link_patience, self.session.close(Some(reason))).await;
            }
        }
        let (links, store) = (&self.hansard.links, &self.hansard.store);
        if let Err(error) = Box::pin(self.lease.give_back(links, store, self.granted, &self.agent)).await {
            tracing::warn!(agent = %self.agent.id, chain = %chain_of(&error), "the lease on an agent's link could not be given back; it lapses");
        }
    }

    async fn converse(
        &mut self,
        open: &mut OpenLink<'_>,
        messages: &mut actix_ws::AggregatedMessageStream,
    ) -> Step {
        let mut revisions = self.hansard.store.subscribe_revisions();
        let LinkTiming { hello_within, ping_every, silent_after } = self.hansard.settings.link_timing;
        let mut pings = interval_at(Instant::now() + ping_every, ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let opened = Instant::now();
        let mut heard = opened;
        let mut push_at: Option<Instant> = None;
        // What is done now and then is boxed: its future is many times as large as what a link keeps while nothing happens.
        loop {
            let dead_at = heard + silent_after;
            let push_due = push_at.unwrap_or(dead_at);
            tokio::select! {
                message = messages.next() => {
                    heard = Instant::now();
                    if Box::pin(self.receive(message, open)).await? {
                        push_at = Some(heard);
                    }
                }
                changed = revisions.changed() => {
                    // The sender lives as long as the store does.
                    if changed.is_ok() && self.pushed.is_some() {
                        push_at = Some(Instant::now());
                    }
                }
                () = sleep_until(push_due), if push_at.is_some() => {
                    let lost = self.hansard.reach.lost();
                    let pushing = async {
                        tokio::select! {
                            biased;
                            pushed = self.push() => pushed,
                            () = lost => Err(PushFailed::Later(NotReady::NoDatabase.into())),
                        }
                    };
                    let (pushed, waited) = timed(Box::pin(pushing)).await;
                    heard += waited;
                    push_at = match pushed {
                        Ok(()) => None,
                        Err(PushFailed::Ended(end)) => return Err(end),
                        Err(PushFailed::Later(refusal)) => {
                            tracing::warn!(agent = %self.agent.id, chain = %chain_of(&refusal), "a configuration could not be pushed; it is tried again");
                            Some(Instant::now() + PUSH_AGAIN_AFTER)
                        }
                    };
                }
                _ = pings.tick() => {
                    let (pinged, waited) = timed(Box::pin(self.ping(heard, open))).await;
                    pinged?;
                    heard += waited;
                }
                () = sleep_until(self.reports.due_at().unwrap_or(dead_at)), if self.reports_are_due() => {
                    let lost = self.hansard.reach.lost();
                    tokio::select! {
                        biased;
                        () = Box::pin(self.reports.write(self.hansard, self.granted, &self.agent)) => {}
                        () = lost => {}
                    }
                }
                event = open.event() => match event {
                    LinkEvent::Say(message) => self.say(&message).await?,
                    LinkEvent::Close(why) => return Err(closing(why)),
                },
                () = sleep_until(dead_at) => return Err(End::Close(CloseCode::Away, "nothing was heard for too long")),
                () = sleep_until(opened + hello_within), if self.pushed.is_none() && push_at.is_none() => {
                    return Err(End::Close(CloseCode::Policy, "the first message must be hello, and come soon"));
                }
            }
        }
    }

    /// Takes one message; `true` when the configuration is to be pushed.
    async fn receive(
        &mut self,
        message: Option<Result<AggregatedMessage, actix_ws::ProtocolError>>,
        open: &OpenLink<'_>,
    ) -> Result<bool, End> {
        match message {
            None | Some(Ok(AggregatedMessage::Close(_))) => Err(End::Gone),
            Some(Err(error)) => {
                tracing::debug!(agent = %self.agent.id, %error, "an agent's link cannot be read any further");
                Err(unreadable(&error))
            }
            Some(Ok(AggregatedMessage::Ping(bytes))) => {
                taken(self.patience(), self.session.pong(&bytes)).await?;
                Ok(false)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(false),
            Some(Ok(AggregatedMessage::Binary(frame))) if self.knows_channels => {
                match open.relay().pass_on(&frame) {
                    Ok(()) => Ok(false),
                    Err(Violation) => {
                        Err(End::Close(CloseCode::Policy, "a frame of a channel breaks the rules"))
                    }
                }
            }
            Some(Ok(AggregatedMessage::Binary(_))) => Err(End::Close(
                CloseCode::Unsupported,
                "frames of channels come from agents that have said hello with Services",
            )),
            Some(Ok(AggregatedMessage::Text(text))) => self.understand(&text, open).await,
        }
    }

    async fn understand(&mut self, text: &str, open: &OpenLink<'_>) -> Result<bool, End> {
        match serde_json::from_str::<AgentMessage>(text) {
            Ok(AgentMessage::Hello { agent_version, capabilities, sessions, services }) => {
                tracing::debug!(agent = %self.agent.id, sessions = sessions.len(), "an agent says hello");
                self.agent.capabilities = configuration::announced(capabilities);
                let (store, now) = (&self.hansard.store, self.hansard.now());
                let described = store
                    .describe_agent(
                        self.granted,
                        &self.agent.id,
                        &agent_version,
                        &self.agent.capabilities,
                        now,
                    )
                    .await;
                if let Err(error) = described {
                    // The row is only for display; the link works without it.
                    tracing::warn!(agent = %self.agent.id, chain = %chain_of(&error), "an agent's description of itself could not be stored");
                }
                self.take_lease(open, services.is_some()).await;
                Ok(true)
            }
            Ok(AgentMessage::ConfigurationApplied { revision }) => {
                tracing::debug!(agent = %self.agent.id, revision, "an agent applied a configuration");
                Ok(false)
            }
            Ok(AgentMessage::Waiting { recordings, reason }) => {
                self.reports.say_waiting(recordings, reason);
                Ok(false)
            }
            Ok(AgentMessage::SpoolDisk { state, free_bytes }) => {
                self.reports.say_disk(state, free_bytes);
                Ok(false)
            }
            // A newer agent may send types that are not understood here. Only a JSON object with a Type is a message.
            Err(_) if has_type(text) => Ok(false),
            Err(_) => Err(End::Close(CloseCode::Invalid, "a message must be a JSON object with a Type")),
        }
    }

    /// From now on this replica holds the agent's link, and no other.
    async fn take_lease(&mut self, open: &OpenLink<'_>, knows_channels: bool) {
        self.knows_channels = knows_channels;
        let (links, store) = (&self.hansard.links, &self.hansard.store);
        let taken = self.lease.take(links, store, self.granted, &self.agent, open, knows_channels).await;
        if let Err(error) = taken {
            // The link works. Other replicas cannot reach the agent until the next ping tries again.
            tracing::warn!(agent = %self.agent.id, chain = %chain_of(&error), "the lease on an agent's link could not be taken");
        }
    }

    /// Sends a message to the agent.
    async fn say(&mut self, message: &ServerMessage) -> Step {
        match serde_json::to_string(message) {
            Ok(text) => taken(self.patience(), self.session.text(text)).await,
            Err(error) => {
                tracing::error!(agent = %self.agent.id, %error, "a message to an agent cannot be written");
                Ok(())
            }
        }
    }

    /// Pushes the configuration unless the agent was told the same already.
    async fn push(&mut self) -> Result<(), PushFailed> {
        let in_force = self.hansard.store.in_force(self.granted, &self.agent);
        let in_force = in_force.await.map_err(|error| PushFailed::Later(error.into()))?;
        if in_force.is_retired {
            return Err(PushFailed::Ended(closing(LinkClosed::Retired)));
        }
        let in_force =
            configuration::of_agent(self.hansard, &self.agent, in_force.revision, &in_force.config);
        if self.pushed.as_ref().is_some_and(|pushed| configuration::ask_for_the_same(pushed, &in_force)) {
            return Ok(());
        }
        let configuration = configuration::sign(self.hansard, &in_force).map_err(PushFailed::Later)?;
        let message = serde_json::to_string(&ServerMessage::Configuration { configuration })
            .map_err(|error| PushFailed::Later(AgentRefusal::internal(error)))?;
        taken(self.patience(), self.session.text(message)).await.map_err(PushFailed::Ended)?;
        self.pushed = Some(in_force);
        Ok(())
    }

    /// Pings, and notes that the agent was heard.
    async fn ping(&mut self, heard: Instant, open: &OpenLink<'_>) -> Step {
        taken(self.patience(), self.session.ping(b"")).await?;
        // An agent that answers was last heard just after the previous ping, about one interval ago.
        if heard.elapsed() > 2 * self.hansard.settings.link_timing.ping_every {
            return Ok(());
        }
        // The link goes on without the database, and its lease lapses, or is taken by another replica that has one.
        let lost = self.hansard.reach.lost();
        if self.pushed.is_some() && self.lease.goes_on(&self.hansard.links).is_none() {
            // That failed before.
            self.take_lease(open, self.knows_channels).await;
        }
        let (store, lease) = (&self.hansard.store, self.lease.goes_on(&self.hansard.links));
        let noted = store.note_link(self.granted, &self.agent, self.hansard.now(), lease);
        let noted = tokio::select! {
            biased;
            noted = noted => noted,
            () = lost => return Ok(()),
        };
        match noted {
            Ok(LinkNoted::GoesOn) => Ok(()),
            Ok(LinkNoted::Superseded) => Err(closing(LinkClosed::Superseded)),
            Ok(LinkNoted::Retired) => Err(closing(LinkClosed::Retired)),
            Err(error) => {
                tracing::warn!(agent = %self.agent.id, chain = %chain_of(&error), "the time at which an agent was last heard could not be stored");
                Ok(())
            }
        }
    }

    /// Whether the agent has reported something, and there is a database to note it in.
    fn reports_are_due(&self) -> bool {
        self.reports.due_at().is_some() && !self.hansard.reach.is_gone()
    }

    fn patience(&self) -> Duration {
        self.hansard.settings.link_patience
    }
}

/// Writes the frames of channels, a frame of each in turn, until the agent takes them no more.
async fn write_frames(relay: Arc<Relay>, mut session: Session, patience: Duration) -> End {
    loop {
        let frame = relay.next_for_agent().await;
        if let Err(end) = taken(patience, session.binary(frame)).await {
            return end;
        }
    }
}

/// Also returns how long it took. The link is not read meanwhile, which must not count as the agent's silence: the
/// database may be slow.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let done = work.await;
    (done, began.elapsed())
}

enum PushFailed {
    Ended(End),
    Later(AgentRefusal),
}

fn has_type(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Typed {
        #[serde(rename = "Type")]
        kind: String,
    }
    serde_json::from_str::<Typed>(text).is_ok_and(|typed| {
        !matches!(typed.kind.as_str(), "hello" | "configuration-applied" | "waiting" | "spool-disk")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_an_unknown_type_is_ignored_and_a_malformed_one_is_refused() {
        assert!(has_type(r#"{"Type":"from-the-future","A":1}"#));
        assert!(!has_type(r#"{"Type":"hello"}"#));
        assert!(!has_type("[]"));
        assert!(!has_type("hello"));
    }
}
