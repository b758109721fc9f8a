//! How a request arrived: what every door needs to know about it, found out once.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest};
use domain::Timestamp;
use domain::gate::RequestFacts;

use crate::http::request::RequestId;
use crate::state::Hansard;

/// A request that has arrived: its id, its time and its source. Its sender is not authenticated yet.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Its id.
    pub(crate) request_id: RequestId,
    /// When it arrived: its one present moment.
    pub(crate) at: Timestamp,
    /// Its source: the peer's address, or what trusted proxies say.
    pub(crate) source_address: Option<IpAddr>,
    /// Whether it came over TLS, to us or to trusted proxies.
    pub(crate) secure_transport: bool,
    /// The caller's program, as it names itself, cut at 256 characters; control characters are spaces.
    pub(crate) user_agent: String,
}

impl Arrival {
    /// Notes, before any door sees it, how a request came.
    pub(crate) fn note(request: &HttpRequest, hansard: &Hansard, request_id: RequestId) {
        let peer = request.peer_addr().map(|address| address.ip());
        let proxies = &hansard.settings.trusted_proxies;
        let source = proxies.source(peer, request.app_config().secure(), request.headers());
        let arrival = Self {
            request_id,
            at: hansard.now(),
            source_address: source.address,
            secure_transport: source.secure_transport,
            user_agent: user_agent(request),
        };
        request.extensions_mut().insert(Arc::new(arrival));
    }

    /// How this request came.
    pub(crate) fn of(request: &HttpRequest) -> Arc<Self> {
        let arrival = request.extensions().get::<Arc<Self>>().cloned();
        arrival.expect("the outermost layer notes how each request came")
    }

    /// The id as replies carry it.
    pub(crate) fn id(&self) -> String {
        self.request_id.as_str().to_owned()
    }

    /// The facts for the gate that do not depend on the sender.
    pub(super) fn facts(&self) -> RequestFacts {
        RequestFacts {
            source_address: self.source_address,
            secure_transport: self.secure_transport,
            // A caller that names no program has no such condition key.
            user_agent: (!self.user_agent.is_empty()).then(|| self.user_agent.clone()),
            ..RequestFacts::at(self.at)
        }
    }
}

fn user_agent(request: &HttpRequest) -> String {
    let text =
        request.headers().get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    text.unwrap_or_default().chars().take(256).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
