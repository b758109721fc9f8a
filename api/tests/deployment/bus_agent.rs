//! An agent with channels. It dials a replica, and connects channels to its own services, which tests need. The real
//! agent's services, and its behaviour on its own, are tested with the agent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_protocol::bus::{
    self, Channel, ChannelId, End, Frame, FrameBody, Port, Reset, ResetCode, ServiceName,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::link::DialledLink;
use crate::recording_agent::TestAgent;
use test_server::Running;

/// An agent with channels.
pub(crate) struct BusAgent {
    pub(crate) agent: TestAgent,
    shared: Arc<Shared>,
    link: Option<JoinHandle<()>>,
    /// How the service `watched` ended, each time.
    pub(crate) watched: mpsc::UnboundedReceiver<Result<Vec<u8>, Reset>>,
}

struct Shared {
    ports: Mutex<HashMap<ChannelId, Port>>,
    wake: Arc<Notify>,
    watched: mpsc::UnboundedSender<Result<Vec<u8>, Reset>>,
}

impl BusAgent {
    /// An agent that is enrolled and linked.
    pub(crate) async fn linked(running: &Running, instance: &str) -> Self {
        let (tell, watched) = mpsc::unbounded_channel();
        let shared = Shared { ports: Mutex::default(), wake: Arc::default(), watched: tell };
        let agent = TestAgent::enrol(running, instance).await;
        let mut agent = Self { agent, shared: Arc::new(shared), link: None, watched };
        agent.dial(running).await;
        agent
    }

    /// Dials a replica; an existing link is cut.
    pub(crate) async fn dial(&mut self, running: &Running) {
        self.cut_off().await;
        let mut link = DialledLink::dial(running, &self.agent).await;
        let hello = json!({
            "Type": "hello", "AgentVersion": "0.2.0", "Capabilities": [], "Sessions": [], "Services": ["echo"],
        });
        link.say(hello).await;
        let (configured, is_configured) = oneshot::channel();
        self.link = Some(tokio::spawn(hold(Arc::clone(&self.shared), link, configured)));
        // The configuration arrives after this replica has taken the link's lease.
        timeout(Duration::from_secs(20), is_configured).await.expect("a configuration").unwrap();
    }

    /// The network fails: no side closes the connection.
    pub(crate) async fn cut_off(&mut self) {
        let Some(link) = self.link.take() else { return };
        link.abort();
        let _ = link.await;
        for port in self.shared.ports.lock().unwrap().values() {
            port.detach();
        }
    }
}

async fn hold(shared: Arc<Shared>, link: DialledLink, configured: oneshot::Sender<()>) {
    let mut configured = Some(configured);
    let (mut sink, mut stream) = link.socket.split();
    loop {
        let frames: Vec<_> = {
            let ports = shared.ports.lock().unwrap();
            ports.values().flat_map(|port| std::iter::from_fn(|| port.next_frame())).collect()
        };
        for frame in frames {
            sink.send(Message::binary(frame)).await.unwrap();
        }
        let message = tokio::select! {
            message = stream.next() => message,
            () = shared.wake.notified() => continue,
        };
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                if let Some(refusal) = receive(&shared, &bytes) {
                    sink.send(Message::binary(refusal)).await.unwrap();
                }
            }
            Some(Ok(Message::Text(_))) => {
                if let Some(configured) = configured.take() {
                    let _ = configured.send(());
                }
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

fn receive(shared: &Arc<Shared>, bytes: &[u8]) -> Option<Vec<u8>> {
    let Frame { channel, body } = Frame::decode(bytes).unwrap();
    let known = shared.ports.lock().unwrap().get(&channel).cloned();
    let refusal = match (known, body) {
        (Some(port), body) => {
            port.receive(&body);
            return None;
        }
        (None, FrameBody::Open { window, service }) => {
            let end = End::acceptor(channel, service.clone(), window).unwrap();
            let wake = Arc::clone(&shared.wake);
            let (ours, port) = bus::share(end, move || wake.notify_one());
            match serve(shared, &service, ours) {
                Ok(()) => {
                    shared.ports.lock().unwrap().insert(channel, port);
                    return None;
                }
                Err(reset) => reset,
            }
        }
        (None, FrameBody::Resume { .. }) => Reset::new(ResetCode::UnknownChannel, "unknown"),
        (None, _) => return None,
    };
    Some(Frame { channel, body: FrameBody::Reset(refusal) }.encode())
}

fn serve(shared: &Arc<Shared>, service: &ServiceName, channel: Channel) -> Result<(), Reset> {
    let Channel { mut reader, mut writer } = channel;
    match service.as_str() {
        "echo" => {
            tokio::spawn(async move {
                while let Some(bytes) = reader.read().await? {
                    writer.write(&bytes).await?;
                }
                writer.finish();
                Ok::<_, Reset>(())
            });
            Ok(())
        }
        // Nothing ever reads it.
        "stalled" => {
            tokio::spawn(async move {
                let _kept = (reader, writer);
                std::future::pending::<()>().await;
            });
            Ok(())
        }
        // Sends nothing, and reports how it ended.
        "watched" => {
            let watched = shared.watched.clone();
            tokio::spawn(async move {
                let mut heard = Vec::new();
                let ended = loop {
                    match reader.read().await {
                        Ok(Some(bytes)) => heard.extend(bytes),
                        Ok(None) => break Ok(heard),
                        Err(reset) => break Err(reset),
                    }
                };
                writer.finish();
                let _ = watched.send(ended);
            });
            Ok(())
        }
        "fails" => {
            tokio::spawn(async move {
                let _ = reader.read().await;
                Channel { reader, writer }.reset(ResetCode::Failed, "not today");
            });
            Ok(())
        }
        other => {
            writer.finish();
            Err(Reset::new(ResetCode::NoSuchService, format!("no {other}")))
        }
    }
}
