//! The agents' calls: read the body and authenticate, then take the road of every call ([`crate::road`]).
//!
//! A handler takes an [`AgentCall`], which only authentication can make, and hands its work to [`AgentCall::run`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use agent_protocol::MAXIMUM_CALL_BYTES;
use domain::actions::{Action, CatalogueEntry};
use domain::agent::Agent;
use domain::audit::AuditEvent;
use domain::gate::{self, Granted, InstanceFacts, PrincipalPolicies, Resource};
use domain::{TerminalSessionToken, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller;
use super::proof::{self, NotProven};
use super::refusal::AgentRefusal;
use super::reply;
use crate::Hansard;
use crate::limits::in_flight::Held;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::road::{About, Arrival, Caller};

use crate::road::Done;

/// The largest body of a seal: a manifest of 8 MiB in base64, and the names around it.
const MAXIMUM_SEAL_BYTES: usize = 12 * 1024 * 1024;

/// An authenticated call of an agent.
pub(crate) struct AgentCall {
    pub(crate) hansard: Data<Hansard>,
    pub(crate) agent: Agent,
    pub(crate) body: Bytes,
    /// The room that the body takes.
    _held: Option<Held>,
    caller: Caller,
}

/// An authenticated call with room for a manifest: a session of days has tens of thousands of segments, and must be
/// sealed all the same.
pub(crate) struct SealCall(pub(crate) AgentCall);

/// An authenticated call whose body is not read: it becomes a WebSocket.
pub(crate) struct LinkCall(pub(crate) AgentCall);

impl AgentCall {
    /// The present moment of the call: when it arrived.
    pub(crate) fn now(&self) -> Timestamp {
        self.caller.now()
    }

    /// The call's id, as its reply carries it.
    pub(crate) fn request_id(&self) -> String {
        self.caller.arrival.id()
    }

    /// The body as the call's request.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, AgentRefusal> {
        super::body::parse(&self.body)
    }

    /// The final audit row of this call, when it succeeds.
    pub(crate) fn audit<A: Action>(
        &self,
        granted: &Granted<A>,
        recording: Option<&TerminalSessionToken>,
        how: &str,
    ) -> AuditEvent {
        self.caller.event_of_change(granted, recording.map(ToString::to_string), how)
    }

    /// Runs the work of action `A` on the agent's own instance: gate, work, audit, reply. It runs to its end even if
    /// the agent hangs up, so that no object is in the bucket without its row.
    pub(crate) async fn run<A: Action, R: Serialize + 'static>(
        self,
        recording: Option<TerminalSessionToken>,
        work: impl AsyncFnOnce(&Self, &Granted<A>) -> Result<Done<R>, AgentRefusal> + 'static,
    ) -> HttpResponse {
        match actix_web::rt::spawn(self.run_to_its_end(recording, work)).await {
            Ok(response) => response,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            // It ends otherwise only when the runtime stops, and then nobody reads this.
            Err(_) => HttpResponse::ServiceUnavailable().finish(),
        }
    }

    async fn run_to_its_end<A: Action, R: Serialize>(
        self,
        recording: Option<TerminalSessionToken>,
        work: impl AsyncFnOnce(&Self, &Granted<A>) -> Result<Done<R>, AgentRefusal>,
    ) -> HttpResponse {
        let (call, about) = (&self, self.about(recording.as_ref()));
        let steps = async move |about: &mut About| {
            let granted = call.grant::<A>(about)?;
            work(call, &granted).await
        };
        let reply = |reply: R| Ok(reply::ok(&call.caller.arrival, &reply));
        let outcome = call.caller.run_audited(&call.hansard.store, A::ENTRY.name, about, steps, reply).await;
        outcome.unwrap_or_else(|refusal: AgentRefusal| call.refused(&refusal))
    }

    /// What is known of the call before the gate is asked.
    pub(crate) fn about(&self, recording: Option<&TerminalSessionToken>) -> About {
        about(&self.agent, recording)
    }

    /// Asks the gate whether this agent may do `A` on its own instance.
    pub(crate) fn grant<A: Action>(&self, about: &mut About) -> Result<Granted<A>, gate::Denied> {
        self.caller.authorize(
            instance_of(&self.agent),
            &PrincipalPolicies::none(),
            &self.caller.facts(),
            about,
        )
    }

    /// Ends the call with a refusal, and its audit row.
    pub(crate) async fn refuse(
        &self,
        entry: &CatalogueEntry,
        about: &About,
        refusal: AgentRefusal,
    ) -> HttpResponse {
        self.refused(&self.caller.refuse(&self.hansard.store, entry.name, about, refusal).await)
    }

    /// The reply that tells this refusal.
    pub(crate) fn refused(&self, refusal: &AgentRefusal) -> HttpResponse {
        reply::refused(&self.hansard, &self.caller.arrival, refusal)
    }

    /// Gives a reply that is made elsewhere the id of this call.
    pub(crate) fn identify(&self, response: &mut HttpResponse) {
        reply::identify(&self.caller.arrival, response.headers_mut());
    }

    /// Authenticates a call and reads its body, of at most `most` bytes; nothing is read for a link.
    async fn of(request: HttpRequest, payload: Option<Payload>, most: usize) -> Result<Self, Refused> {
        let hansard =
            request.app_data::<Data<Hansard>>().expect("every app of this server carries Hansard").clone();
        let arrival = Arrival::of(&request);
        let sender = UnauthenticatedCaller::new(arrival.clone(), &hansard);
        let NotProven { refusal, signed_by, account } =
            match proof::prove(&hansard, &arrival, &request, payload, most).await {
                Ok((agent, body, held)) => {
                    sender.mark_authenticated();
                    let caller = caller::of(arrival, &agent);
                    return Ok(Self { hansard, agent, body, _held: held, caller });
                }
                Err(not_proven) => not_proven,
            };
        let (request_id, code) = (&arrival.request_id, refusal.code.code());
        tracing::info!(%request_id, code, "a call of an agent was not authenticated");
        let action = action_of(&request);
        let refusal = match signed_by {
            // It is counted already.
            Some(_) if refusal.throttled.is_some() => {
                sender.mark_authenticated();
                refusal
            }
            Some(agent) => {
                let token = request.match_info().get("token");
                let recording = token.and_then(|token| TerminalSessionToken::parse(token).ok());
                let (caller, about) =
                    (caller::of(arrival.clone(), &agent), about(&agent, recording.as_ref()));
                caller.refuse(&hansard.store, action, &about, refusal).await
            }
            None => {
                if refusal.code.status() < 500 {
                    sender.count_refusal(account.as_ref(), action, code);
                }
                refusal
            }
        };
        drop(sender);
        Err(Refused { hansard, arrival, refusal })
    }
}

/// The action that a resource stands for. Each resource of the agent API carries it, so that a call which is refused
/// before its handler has it in its audit row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActionOf(pub(crate) &'static CatalogueEntry);

/// The action that a request asks for by its resource.
fn action_of(request: &HttpRequest) -> &'static str {
    request.app_data::<ActionOf>().map_or("", |ActionOf(entry)| entry.name)
}

/// What an agent is asked about: its own instance.
pub(crate) fn instance_of(agent: &Agent) -> Resource {
    Resource::Instance(InstanceFacts::untagged(agent.region.clone(), agent.instance.clone()))
}

fn about(agent: &Agent, recording: Option<&TerminalSessionToken>) -> About {
    let (resource, recording) = (instance_of(agent).arn(&agent.account), recording.map(ToString::to_string));
    About { resource, recording, ..About::default() }
}

type Authenticating<T> = Pin<Box<dyn Future<Output = Result<T, Refused>>>>;

impl FromRequest for AgentCall {
    type Error = Refused;
    type Future = Authenticating<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Box::pin(Self::of(request.clone(), Some(payload.take()), MAXIMUM_CALL_BYTES))
    }
}

impl FromRequest for SealCall {
    type Error = Refused;
    type Future = Authenticating<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async { AgentCall::of(request, Some(payload), MAXIMUM_SEAL_BYTES).await.map(Self) })
    }
}

impl FromRequest for LinkCall {
    type Error = Refused;
    type Future = Authenticating<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async { AgentCall::of(request, None, 0).await.map(Self) })
    }
}

/// A reply that ends a call before its handler.
pub(crate) struct Refused {
    hansard: Data<Hansard>,
    arrival: Arc<Arrival>,
    refusal: AgentRefusal,
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.refusal, f)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.refusal, f)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        reply::refused(&self.hansard, &self.arrival, &self.refusal)
    }
}
