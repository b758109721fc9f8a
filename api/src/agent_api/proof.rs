//! Authentication of an agent's request (DECISIONS N2): the agent that `kid` names, its pinned key, the method, the path
//! as sent, the time, the body, and last the single use.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Bytes;
use agent_protocol::{AgentClaims, AgentErrorCode, ClaimsRefused, PublicKey};
use aws_lc_rs::digest;
use domain::agent::{Agent, Retired};
use domain::{AccountId, Timestamp};
use persistence::NonceClaim;

use super::body;
use super::caller;
use super::refusal::AgentRefusal;
use super::single_use::SingleUse;
use crate::Hansard;
use crate::http::body::{Length, follows};
use crate::http::request::Query;
use crate::limits::in_flight::Held;
use crate::road::Arrival;

/// How long a used `jti` is remembered after its token has expired. A token is looked at when its request arrives, and
/// its `jti` is claimed when the body is there; to that comes some margin for the clocks of replicas.
const NONCE_KEPT_FOR: Duration = body::OF_AN_AGENT.saturating_add(Duration::from_secs(60));
/// The longest `jti`.
const NONCE_LIMIT: usize = 128;
/// The longest token that is looked at.
const TOKEN_LIMIT: usize = 4_096;

/// A call that was refused.
pub(super) struct NotProven {
    pub(super) refusal: AgentRefusal,
    /// The agent, if its key had signed. The refusal then is an audit row, or counts as a throttled call.
    pub(super) signed_by: Option<Box<Agent>>,
    /// The account of the agent that the token names, whoever made the token. Refusals are counted for it.
    pub(super) account: Option<AccountId>,
}

impl<E: Into<AgentRefusal>> From<E> for NotProven {
    fn from(refusal: E) -> Self {
        Self { refusal: refusal.into(), signed_by: None, account: None }
    }
}

impl NotProven {
    fn of_account(refusal: impl Into<AgentRefusal>, agent: &Agent) -> Self {
        Self { account: Some(agent.account.clone()), ..refusal.into().into() }
    }

    fn signed_by(refusal: AgentRefusal, agent: Agent) -> Self {
        Self { refusal, account: None, signed_by: Some(Box::new(agent)) }
    }
}

/// When the single use of a call is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claiming {
    /// Before the call does anything.
    Before,
    /// In the commit of what it does.
    With,
}

/// A call whose caller is known.
pub(super) struct Proven {
    pub(super) agent: Agent,
    pub(super) body: Bytes,
    /// The room that the body takes.
    pub(super) held: Option<Held>,
    pub(super) single_use: SingleUse,
}

/// Authenticates the caller, and reads the body. It is read only for a caller that holds an agent's key: others cannot
/// make the server hold megabytes for them.
pub(super) async fn prove(
    hansard: &Hansard,
    arrival: &Arc<Arrival>,
    request: &HttpRequest,
    payload: Option<Payload>,
    most: usize,
    claiming: Claiming,
) -> Result<Proven, NotProven> {
    let now = arrival.at;
    let token = bearer_token(request)?;
    let agent_id = AgentClaims::agent_id(token)?;
    let agent = hansard.store.find_agent(&agent_id).await?.ok_or_else(unknown)?;
    let key = PublicKey::try_from(agent.authentication_key.as_slice()).map_err(AgentRefusal::internal)?;
    let path = Query::of(request).target(request.uri().path());
    let verify = |body: &[u8]| {
        AgentClaims::verify(token, &key, request.method().as_str(), &path, body, now.as_millis())
    };

    // The body is compared last, so that any other refusal needs no body.
    match verify(b"") {
        Ok(_) | Err(ClaimsRefused::OtherRequest { what: "body" }) => {}
        Err(refused) => return Err(NotProven::of_account(refused, &agent)),
    }
    if let Err(throttled) = caller::of(arrival.clone(), &agent).admit(hansard) {
        return Err(NotProven::signed_by(throttled.into(), agent));
    }
    // Only somebody who holds the key learns that the agent was replaced or removed.
    if let Some(how) = agent.retired {
        return Err(NotProven::signed_by(retired(how), agent));
    }
    let received = match payload {
        Some(mut payload) if follows(request) => {
            let room = hansard.limits.in_flight.room(agent.id.as_str());
            let length = Length::of(request, most);
            let received = body::read(&mut payload, length, body::OF_AN_AGENT, room).await;
            received.map(|(body, held)| (body, Some(held)))
        }
        Some(_) | None => Ok((Bytes::new(), None)),
    };
    let (body, held) = match received {
        Ok(received) => received,
        Err(refusal) => return Err(NotProven::signed_by(refusal, agent)),
    };
    // The body is not the signed one, so its sender is unknown.
    let claims = verify(&body).map_err(|refused| NotProven::of_account(refused, &agent))?;
    let single_use = match single_use(&agent, &claims, now) {
        Ok(single_use) => single_use,
        Err(refusal) => return Err(NotProven::signed_by(refusal, agent)),
    };
    let claimed = match claiming {
        Claiming::Before => single_use.claim(hansard).await,
        Claiming::With => single_use.refuse_known(hansard),
    };
    match claimed {
        Ok(()) => Ok(Proven { agent, body, held, single_use }),
        Err(refusal) => Err(NotProven::signed_by(refusal, agent)),
    }
}

/// A token is valid once, on whichever replica it is used.
fn single_use(agent: &Agent, claims: &AgentClaims, now: Timestamp) -> Result<SingleUse, AgentRefusal> {
    if !(1..=NONCE_LIMIT).contains(&claims.jti.len()) {
        let message = format!("jti must have 1 to {NONCE_LIMIT} characters");
        return Err(AgentRefusal::new(AgentErrorCode::InvalidAgentToken, message));
    }
    let expired_at = Timestamp::from_millis(claims.exp.saturating_mul(1_000));
    let hash = nonce_hash(agent, &claims.jti);
    Ok(SingleUse::new(NonceClaim { hash, expires_at: expired_at.plus(NONCE_KEPT_FOR), now }))
}

fn unknown() -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::AgentNotFound, "no such agent is enrolled here; enrol it again")
}

/// The refusal of an agent that is not the one of its instance any more.
pub(super) fn retired(how: Retired) -> AgentRefusal {
    let message = match how {
        Retired::Replaced { at } => {
            format!("another agent has replaced this one at its instance, at {}", at.to_rfc3339_seconds())
        }
        Retired::Removed { at } => format!(
            "this agent was removed at {}; enrol again with a new join token to record again",
            at.to_rfc3339_seconds()
        ),
    };
    AgentRefusal::new(AgentErrorCode::AgentNotFound, message)
}

/// The same when it was found out only while something was written.
pub(super) fn no_agent_any_more() -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::AgentNotFound, "this agent was replaced or removed meanwhile")
}

fn nonce_hash(agent: &Agent, jti: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
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
        .filter(|token| !token.is_empty() && token.len() <= TOKEN_LIMIT)
        .ok_or_else(|| {
            AgentRefusal::new(
                AgentErrorCode::InvalidAgentToken,
                "the header Authorization: Bearer <agent token> is missing",
            )
        })
}
