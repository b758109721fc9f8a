//! The agents' calls: read the body and authenticate, then take the road of every call ([`crate::road`]).
//!
//! A handler takes an [`AgentCall`], which only authentication can make, and hands its work to [`AgentCall::run`].

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use agent_protocol::MAXIMUM_CALL_BYTES;
use domain::actions::{Action, CatalogueEntry, WritesAgent};
use domain::agent::Agent;
use domain::audit::AuditEvent;
use domain::gate::{self, Granted, InstanceFacts, PrincipalPolicies, Resource};
use domain::{TerminalSessionToken, Timestamp};
use persistence::{Change, Heard, OfAgent, Once, Permits, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller;
use super::proof::{self, Claiming, NotProven, Proven};
use super::refusal::AgentRefusal;
use super::reply;
use super::single_use::SingleUse;
use crate::Hansard;
use crate::limits::in_flight::Held;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::road::{About, Arrival, CallError as _, Caller, Done};

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
    single_use: SingleUse,
    /// Whether it is noted that the agent was heard.
    heard: Cell<bool>,
}

/// An authenticated call that is claimed in the commit of the change that it makes, and otherwise in that of its audit row.
/// Until then it changes nothing.
pub(crate) struct UnclaimedCall(pub(crate) AgentCall);

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
        let write = async |event| call.settle(event).await;
        let outcome = call.caller.run_and_write(write, A::ENTRY.name, about, steps, reply).await;
        outcome.unwrap_or_else(|refusal: AgentRefusal| call.refused(&refusal))
    }

    /// Makes a change, in one commit with its audit rows, and with the claim of the call's single use if that is still to be
    /// made. The outer error says that the call must not be answered otherwise.
    pub(crate) async fn apply<A: Permits<C>, C: Change>(
        &self,
        granted: &Granted<A>,
        change: C,
        audit: Vec<AuditEvent>,
    ) -> Result<Result<(), StoreError>, AgentRefusal> {
        self.with_its_use(async |of_agent| {
            self.hansard.store.apply_once(granted, of_agent, change, audit).await
        })
        .await
    }

    /// As [`AgentCall::apply`], for what the store does in its own way.
    pub(crate) async fn with_its_use<T>(
        &self,
        change: impl AsyncFnOnce(OfAgent) -> Result<Once<T>, StoreError>,
    ) -> Result<Result<T, StoreError>, AgentRefusal> {
        let heard = (!self.heard.get()).then(|| self.heard_now());
        let claim = self.single_use.take();
        let was_to_be_claimed = claim.is_some();
        let once = change(OfAgent { claim, heard }).await?;
        if was_to_be_claimed {
            self.single_use.settle(&self.hansard, matches!(once, Once::First(_)))?;
        }
        match once {
            Once::First(outcome) => {
                self.heard.set(self.heard.get() || outcome.is_ok());
                Ok(outcome)
            }
            Once::Used => Err(AgentRefusal::internal("what was claimed before was to be claimed")),
        }
    }

    /// Claims the call's single use, if it is not claimed yet: before something is changed that no commit takes back.
    pub(crate) async fn claim(&self) -> Result<(), AgentRefusal> {
        self.single_use.claim(&self.hansard).await
    }

    /// Notes that the agent was heard, unless it was noted with a change.
    pub(crate) async fn note_heard<A: WritesAgent>(&self, granted: &Granted<A>) -> Result<(), AgentRefusal> {
        if self.heard.replace(true) || !self.heard_now().is_due() {
            return Ok(());
        }
        self.claim().await?;
        if self.single_use.is_claimed() {
            self.hansard.store.mark_agent_seen(granted, &self.agent.id, self.now()).await?;
        }
        Ok(())
    }

    fn heard_now(&self) -> Heard {
        Heard { at: self.now(), before: self.agent.last_seen_at }
    }

    /// Writes the final audit row of a call that changed nothing, and claims it if it is not claimed yet.
    async fn settle(&self, event: AuditEvent) -> Result<(), AgentRefusal> {
        let store = &self.hansard.store;
        let Some(claim) = self.single_use.take() else { return Ok(store.record_audit(event).await?) };
        let is_first = store.record_audit_once(claim, event.clone()).await?;
        let settled = self.single_use.settle(&self.hansard, is_first);
        if let Err(replayed) = &settled {
            store.record_audit(AuditEvent { result: replayed.code(), ..event }).await?;
        }
        settled
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
    async fn of(
        request: HttpRequest,
        payload: Option<Payload>,
        most: usize,
        claiming: Claiming,
    ) -> Result<Self, Refused> {
        let hansard =
            request.app_data::<Data<Hansard>>().expect("every app of this server carries Hansard").clone();
        let arrival = Arrival::of(&request);
        let sender = UnauthenticatedCaller::new(arrival.clone(), &hansard);
        let NotProven { refusal, signed_by, account } =
            match proof::prove(&hansard, &arrival, &request, payload, most, claiming).await {
                Ok(Proven { agent, body, held, single_use }) => {
                    sender.mark_authenticated();
                    let (caller, heard) = (caller::of(arrival, &agent), Cell::new(false));
                    return Ok(Self { hansard, agent, body, _held: held, caller, single_use, heard });
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
        Box::pin(Self::of(request.clone(), Some(payload.take()), MAXIMUM_CALL_BYTES, Claiming::Before))
    }
}

impl FromRequest for UnclaimedCall {
    type Error = Refused;
    type Future = Authenticating<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async {
            AgentCall::of(request, Some(payload), MAXIMUM_CALL_BYTES, Claiming::With).await.map(Self)
        })
    }
}

impl FromRequest for SealCall {
    type Error = Refused;
    type Future = Authenticating<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async {
            AgentCall::of(request, Some(payload), MAXIMUM_SEAL_BYTES, Claiming::Before).await.map(Self)
        })
    }
}

impl FromRequest for LinkCall {
    type Error = Refused;
    type Future = Authenticating<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async { AgentCall::of(request, None, 0, Claiming::Before).await.map(Self) })
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
