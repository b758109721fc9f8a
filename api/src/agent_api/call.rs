//! The road of every call of an agent: read the body, authenticate, ask the gate, run, audit, reply.
//!
//! A handler takes an [`AgentCall`], which only authentication can make, and hands its work to
//! [`AgentCall::run`], which alone asks the gate and writes the audit row.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use agent_protocol::MAXIMUM_CALL_BYTES;
use domain::actions::{Action, CatalogueEntry};
use domain::agent::Agent;
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::{self, Granted, InstanceFacts, PrincipalPolicies, Resource};
use domain::principal::Principal;
use domain::{TerminalSessionToken, Timestamp};
use persistence::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::proof::{self, NotProven};
use super::refusal::AgentRefusal;
use super::reply::{self, Envelope};
use crate::Hansard;
use crate::stranger::Stranger;

/// The largest body of a seal: a manifest of 8 MiB in base64, and the names around it.
const MAXIMUM_SEAL_BYTES: usize = 12 * 1024 * 1024;

/// An authenticated call of an agent.
pub(crate) struct AgentCall {
    pub(crate) hansard: Data<Hansard>,
    pub(crate) envelope: Envelope,
    pub(crate) agent: Agent,
    pub(crate) body: Bytes,
    principal: Principal,
}

/// An authenticated call with room for a manifest: a session of days has tens of thousands of segments, and must be
/// sealed all the same.
pub(crate) struct SealCall(pub(crate) AgentCall);

/// An authenticated call whose body is not read: it becomes a WebSocket.
pub(crate) struct LinkCall(pub(crate) AgentCall);

/// What a handler gives back: the reply, and whether its audit row was already written with a change.
pub(crate) struct Answer<R> {
    reply: R,
    audited: bool,
}

impl<R> Answer<R> {
    /// A reply without a change; the road writes the audit row.
    pub(crate) fn read(reply: R) -> Self {
        Self { reply, audited: false }
    }

    /// A reply whose audit row is in the change's own transaction.
    pub(crate) fn changed(reply: R) -> Self {
        Self { reply, audited: true }
    }
}

impl AgentCall {
    /// The present moment of the call: when it arrived.
    pub(crate) fn now(&self) -> Timestamp {
        self.envelope.arrived_at
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
        let decision = AuditDecision::Allowed { by: granted.by().to_owned() };
        self.audit_event(&A::ENTRY, decision, "OK", recording, how)
    }

    /// Runs the work of action `A` on the agent's own instance: gate, work, audit, reply. It goes on to its end though
    /// the agent hangs up, so that no object stands in the bucket without its row.
    pub(crate) async fn run<A: Action, R: Serialize + 'static>(
        self,
        recording: Option<TerminalSessionToken>,
        work: impl AsyncFnOnce(&Self, &Granted<A>) -> Result<Answer<R>, AgentRefusal> + 'static,
    ) -> HttpResponse {
        match actix_web::rt::spawn(self.run_to_its_end(recording, work)).await {
            Ok(response) => response,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            // Only the runtime that stops ends it otherwise, and then nobody is there to read this.
            Err(_) => HttpResponse::ServiceUnavailable().finish(),
        }
    }

    async fn run_to_its_end<A: Action, R: Serialize>(
        self,
        recording: Option<TerminalSessionToken>,
        work: impl AsyncFnOnce(&Self, &Granted<A>) -> Result<Answer<R>, AgentRefusal>,
    ) -> HttpResponse {
        let granted = match self.grant::<A>() {
            Ok(granted) => granted,
            Err(denied) => {
                let decision = AuditDecision::Denied { by: denied.by.clone() };
                return self.refuse(&A::ENTRY, decision, recording.as_ref(), denied.into()).await;
            }
        };
        let decision = AuditDecision::Allowed { by: granted.by().to_owned() };
        match work(&self, &granted).await {
            Ok(answer) => {
                if !answer.audited {
                    let row = self.audit_event(&A::ENTRY, decision, "OK", recording.as_ref(), "");
                    if let Err(error) = self.hansard.store.record_audit(row).await {
                        return reply::refused(&self.envelope, &error.into());
                    }
                }
                reply::ok(&self.envelope, &answer.reply)
            }
            Err(refusal) => self.refuse(&A::ENTRY, decision, recording.as_ref(), refusal).await,
        }
    }

    /// Asks the gate whether this agent may do `A` on its own instance.
    pub(crate) fn grant<A: Action>(&self) -> Result<Granted<A>, gate::Denied> {
        let resource = Resource::Instance(InstanceFacts::untagged(
            self.agent.region.clone(),
            self.agent.instance.clone(),
        ));
        gate::authorize::<A>(&self.principal, resource, &PrincipalPolicies::none(), &self.envelope.facts())
    }

    pub(crate) async fn refuse(
        &self,
        entry: &CatalogueEntry,
        decision: AuditDecision,
        recording: Option<&TerminalSessionToken>,
        refusal: AgentRefusal,
    ) -> HttpResponse {
        let row = self.audit_event(entry, decision, refusal.code.code(), recording, "");
        // A refusal that cannot be written down must not look like a final answer.
        if let Err(error) = self.hansard.store.record_audit(row).await {
            return reply::refused(&self.envelope, &error.into());
        }
        reply::refused(&self.envelope, &refusal)
    }

    fn audit_event(
        &self,
        entry: &CatalogueEntry,
        decision: AuditDecision,
        result: &str,
        recording: Option<&TerminalSessionToken>,
        how: &str,
    ) -> AuditEvent {
        let resource = Resource::Instance(InstanceFacts::untagged(
            self.agent.region.clone(),
            self.agent.instance.clone(),
        ));
        self.envelope.audit_event(&self.principal, entry.name, &resource, decision, result, recording, how)
    }

    /// Authenticates a call and reads its body, of at most `most` bytes; nothing is read for a link.
    async fn of(request: HttpRequest, payload: Option<Payload>, most: usize) -> Result<Self, Refused> {
        let hansard =
            request.app_data::<Data<Hansard>>().expect("every app of this server carries Hansard").clone();
        let envelope = Envelope::of(&request, &hansard);
        match proof::prove(&hansard, envelope.arrived_at, &request, payload, most).await {
            Ok((agent, body)) => {
                let principal = principal_of(&agent);
                Ok(Self { hansard, envelope, agent, body, principal })
            }
            Err(NotProven { refusal, signed_by, account }) => {
                let (request_id, code) = (&envelope.request_id, refusal.code.code());
                tracing::info!(%request_id, code, "a call of an agent was not authenticated");
                let written = match signed_by {
                    Some(agent) => record_refusal(&hansard, &envelope, &request, &agent, code).await,
                    None if refusal.code.status() < 500 => {
                        let action = action_of(&request);
                        Stranger::of(&request, &hansard).count_refusal(account.as_ref(), action, code);
                        Ok(())
                    }
                    None => Ok(()),
                };
                // A refusal that cannot be written down must not look like a final answer.
                let refusal = written.map_or_else(AgentRefusal::from, |()| refusal);
                Err(Refused { envelope, refusal })
            }
        }
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

/// The audit row of a call that the agent's key had signed and that was refused all the same.
async fn record_refusal(
    hansard: &Hansard,
    envelope: &Envelope,
    request: &HttpRequest,
    agent: &Agent,
    result: &str,
) -> Result<(), StoreError> {
    let action = action_of(request);
    let recording =
        request.match_info().get("token").and_then(|token| TerminalSessionToken::parse(token).ok());
    let resource = Resource::Instance(InstanceFacts::untagged(agent.region.clone(), agent.instance.clone()));
    let (principal, decision) = (principal_of(agent), AuditDecision::NotAsked);
    let row = envelope.audit_event(&principal, action, &resource, decision, result, recording.as_ref(), "");
    hansard.store.record_audit(row).await
}

/// Who an agent is to the gate.
pub(crate) fn principal_of(agent: &Agent) -> Principal {
    Principal::Agent {
        account: agent.account.clone(),
        agent: agent.id.clone(),
        instance: agent.instance.clone(),
    }
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
    envelope: Envelope,
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
        reply::refused(&self.envelope, &self.refusal)
    }
}
