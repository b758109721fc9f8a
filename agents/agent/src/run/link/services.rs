//! What a channel can be connected to on this instance, by name.

use std::pin::Pin;

use agent_protocol::bus::{Channel, Reset, ServiceName};

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    name: &'static str,
    serve: fn(Channel) -> Serving,
}

/// A service at work on one channel.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

const SERVICES: &[Service] = &[Service { name: "echo", serve: |channel| Box::pin(echo(channel)) }];

impl Service {
    /// The service with this name.
    pub(super) fn find(name: &ServiceName) -> Option<&'static Self> {
        SERVICES.iter().find(|service| service.name == name.as_str())
    }

    /// The names of all services, for hello.
    pub(super) fn names() -> Vec<String> {
        SERVICES.iter().map(|service| service.name.to_owned()).collect()
    }

    /// Connects a channel to it.
    pub(super) fn serve(&self, channel: Channel) -> Serving {
        (self.serve)(channel)
    }
}

/// Gives back what it hears: for whoever asks whether and how fast the agent is reached.
async fn echo(channel: Channel) {
    let Channel { mut reader, mut writer } = channel;
    let echoed = async {
        while let Some(bytes) = reader.read().await? {
            writer.write(&bytes).await?;
        }
        writer.finish();
        Ok::<_, Reset>(())
    };
    if let Err(reset) = echoed.await {
        tracing::debug!(code = %reset.code, "an echo ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_their_names() {
        for name in Service::names() {
            let parsed = ServiceName::parse(&name).unwrap();
            assert_eq!(Service::find(&parsed).unwrap().name, name);
        }
        assert!(Service::find(&ServiceName::parse("nothing").unwrap()).is_none());
    }
}
