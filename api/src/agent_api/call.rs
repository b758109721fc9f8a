//! The road of every call of an agent: read the body, authenticate, ask the gate, run, audit, reply.
//!
//! A handler takes an [`AgentCall`], which only authentication can make, and hands its work to
//! [`AgentCall::run`], which alone asks the gate and writes the audit row.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use agent_protocol::{AgentClaims, AgentErrorCode, MAXIMUM_CALL_BYTES, PublicKey};
use domain::actions::{Action, CatalogueEntry};
use domain::agent::Agent;
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::{self, Granted, PrincipalPolicies, Resource};
use domain::principal::Principal;
use domain::{TerminalSessionToken, Timestamp};
use persistence::NonceClaim;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::refusal::AgentRefusal;
use super::reply::{self, Envelope};
use crate::Hansard;

/// How long a used `jti` is remembered beyond its token's end: the leeway that tokens from a fast clock get, and
/// some room for the clocks of replicas.
const NONCE_MARGIN_MILLIS: i64 = 60_000;

/// An authenticated call of an agent.
pub(crate) struct AgentCall {
    pub(crate) hansard: Data<Hansard>,
    pub(crate) envelope: Envelope,
    pub(crate) agent: Agent,
    pub(crate) body: Bytes,
    principal: Principal,
}

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

    /// Runs the work of action `A` on the agent's own instance: gate, work, audit, reply.
    pub(crate) async fn run<A: Action, R: Serialize>(
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
        let resource =
            Resource::Instance { region: self.agent.region.clone(), instance: self.agent.instance.clone() };
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
        let resource =
            Resource::Instance { region: self.agent.region.clone(), instance: self.agent.instance.clone() };
        self.envelope.audit_event(&self.principal, entry.name, &resource, decision, result, recording, how)
    }

    /// Authenticates a call whose body is read; `method` and path count as they were sent.
    async fn of(request: HttpRequest, mut payload: Payload) -> Result<Self, Refused> {
        let (hansard, envelope) = arrive(&request)?;
        let most = MAXIMUM_CALL_BYTES.min(hansard.settings.call_limit_bytes);
        let body = super::body::read(&mut payload, most)
            .await
            .map_err(|refusal| Refused::before(&envelope, refusal))?;
        Self::authenticate(hansard, envelope, &request, body).await
    }

    /// Authenticates what arrived (DECISIONS N2): the agent that `kid` names, its pinned key, the method, the path
    /// as sent, the body's hash, the time, and last the single use.
    async fn authenticate(
        hansard: Data<Hansard>,
        envelope: Envelope,
        request: &HttpRequest,
        body: Bytes,
    ) -> Result<Self, Refused> {
        match Self::check(&hansard, &envelope, request, &body).await {
            Ok(agent) => {
                let principal = principal_of(&agent);
                Ok(Self { hansard, envelope, agent, body, principal })
            }
            Err(refusal) => Err(Refused::before(&envelope, refusal)),
        }
    }

    async fn check(
        hansard: &Hansard,
        envelope: &Envelope,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<Agent, AgentRefusal> {
        let token = bearer_token(request)?;
        let agent_id = AgentClaims::agent_id(token)?;
        let unknown = || {
            AgentRefusal::new(
                AgentErrorCode::AgentNotFound,
                "the agent is not enrolled here, or was replaced; enrol it again",
            )
        };
        let agent = hansard.store.find_agent(&agent_id).await?.ok_or_else(unknown)?;
        let key = PublicKey::try_from(agent.authentication_key.as_slice()).map_err(AgentRefusal::internal)?;
        let now = envelope.arrived_at;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let claims =
            AgentClaims::verify(token, &key, request.method().as_str(), path, body, now.as_millis())?;
        // Only somebody who holds the key learns that the agent was replaced.
        if agent.replaced_at.is_some() {
            return Err(unknown());
        }
        if claims.jti.is_empty() || claims.jti.len() > 128 {
            return Err(AgentRefusal::new(
                AgentErrorCode::InvalidAgentToken,
                "jti must have 1 to 128 characters",
            ));
        }
        let expires_at =
            Timestamp::from_millis(claims.exp.saturating_mul(1_000).saturating_add(NONCE_MARGIN_MILLIS));
        let claim = NonceClaim { hash: nonce_hash(&agent, &claims.jti), expires_at, now };
        if !hansard.store.claim_nonce(claim).await? {
            return Err(AgentRefusal::new(
                AgentErrorCode::AgentTokenReplayed,
                "the agent token was used before; sign each request anew",
            ));
        }
        Ok(agent)
    }
}

/// Who an agent is to the gate.
pub(crate) fn principal_of(agent: &Agent) -> Principal {
    Principal::Agent {
        account: agent.account.clone(),
        agent: agent.id.clone(),
        instance: agent.instance.clone(),
    }
}

fn nonce_hash(agent: &Agent, jti: &str) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in ["agent-jti", "\0", agent.id.as_str(), "\0", jti] {
        context.update(part.as_bytes());
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn bearer_token(request: &HttpRequest) -> Result<&str, AgentRefusal> {
    request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim)
        .filter(|token| !token.is_empty() && token.len() <= 4_096)
        .ok_or_else(|| {
            AgentRefusal::new(
                AgentErrorCode::InvalidAgentToken,
                "the header Authorization: Bearer <agent token> is missing",
            )
        })
}

fn arrive(request: &HttpRequest) -> Result<(Data<Hansard>, Envelope), Refused> {
    let hansard =
        request.app_data::<Data<Hansard>>().expect("every app of this server carries Hansard").clone();
    let envelope = Envelope::of(request, &hansard);
    Ok((hansard, envelope))
}

impl FromRequest for AgentCall {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Box::pin(Self::of(request.clone(), payload.take()))
    }
}

impl FromRequest for LinkCall {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (hansard, envelope) = arrive(&request)?;
            AgentCall::authenticate(hansard, envelope, &request, Bytes::new()).await.map(Self)
        })
    }
}

/// A reply that ends a call before its handler.
pub(crate) struct Refused {
    envelope: Envelope,
    refusal: AgentRefusal,
}

impl Refused {
    fn before(envelope: &Envelope, refusal: AgentRefusal) -> Self {
        tracing::info!(request_id = %envelope.request_id, code = refusal.code.code(), "a call of an agent was refused before it was authenticated");
        Self { envelope: envelope.clone(), refusal }
    }
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
