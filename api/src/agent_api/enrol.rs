//! `POST /agent/v1/enrol`: the bearer of a join token becomes an agent. The only call without an agent's token.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use agent_protocol::MAXIMUM_CALL_BYTES;
use agent_protocol::enrol::{EnrolReply, EnrolRequest};
use domain::actions::{Action as _, EnrolAgent};
use domain::agent::{Agent, JoinToken, JoinTokenRefused, JoinTokenSecret};
use domain::gate::{Granted, PrincipalPolicies};
use domain::{AccountId, AgentId};
use persistence::{AgentEnrolled, StoreError};

use super::refusal::AgentRefusal;
use super::reply;
use super::{body, call, caller, configuration};
use crate::Hansard;
use crate::errors::chain_of;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::road::{About, Arrival};

/// The longest host name, version or capability that is stored.
const TEXT_LIMIT: usize = 255;
/// The most capabilities that an agent may announce.
const CAPABILITY_LIMIT: usize = 32;

pub(crate) async fn post(
    request: HttpRequest,
    payload: web::Payload,
    hansard: Data<Hansard>,
) -> HttpResponse {
    let arrival = Arrival::of(&request);
    let sender = UnauthenticatedCaller::new(arrival.clone(), &hansard);
    let mut payload = payload.into_inner();
    let mut account = None;
    match enrol(&hansard, &arrival, &request, &mut payload, &mut account).await {
        Ok(enrolled) => {
            sender.mark_authenticated();
            reply::ok(&arrival, &enrolled)
        }
        Err(refusal) => {
            tracing::info!(request_id = %arrival.request_id, code = refusal.code.code(), "an enrolment was refused");
            // A used token authenticates nobody, and must not fill the audit trail.
            if refusal.code.status() < 500 {
                sender.count_refusal(account.as_ref(), EnrolAgent::ENTRY.name, refusal.code.code());
            }
            reply::refused(&hansard, &arrival, &refusal)
        }
    }
}

async fn enrol(
    hansard: &Hansard,
    arrival: &Arc<Arrival>,
    request: &HttpRequest,
    payload: &mut Payload,
    account: &mut Option<AccountId>,
) -> Result<EnrolReply, AgentRefusal> {
    let (body, held) =
        hansard.limits.unproven.receive(arrival.source_address, request, payload, MAXIMUM_CALL_BYTES).await?;
    let asked: EnrolRequest = body::parse(&body)?;
    drop((body, held));
    check_shape(&asked)?;

    let presented = JoinTokenSecret::presented(&asked.join_token);
    let token = hansard.store.find_join_token(&presented).await?.ok_or(JoinTokenRefused::NotFound)?;
    // The token names an account, which the refusal is counted for.
    *account = Some(token.account.clone());
    let now = arrival.at;
    let agent = Agent {
        id: AgentId::generate(),
        account: token.account.clone(),
        instance: asked.instance_id,
        region: token.region.clone(),
        authentication_key: asked.authentication_public_key.as_bytes().to_vec(),
        sealing_key: asked.sealing_public_key.as_bytes().to_vec(),
        hostname: asked.hostname,
        version: asked.agent_version,
        capabilities: configuration::announced(asked.capabilities),
        enrolled_at: now,
        last_seen_at: now,
        retired: None,
    };

    let caller = caller::of(arrival.clone(), &agent);
    let granted = caller.authorize::<EnrolAgent>(
        call::instance_of(&agent),
        &PrincipalPolicies::none(),
        &caller.facts(),
        &mut About::default(),
    )?;
    let how = if asked.replace { "replace" } else { "" };

    let change = AgentEnrolled { agent: agent.clone(), token_hash: presented.hash(), replace: asked.replace };
    let agent = match hansard.store.apply(&granted, change, caller.event_of_change(&granted, None, how)).await
    {
        Ok(()) => {
            close_replaced(hansard, &granted, &agent).await;
            tracing::info!(request_id = %arrival.request_id, agent = %agent.id, instance = %agent.instance, "an agent was enrolled");
            agent
        }
        Err(StoreError::JoinTokenRefused(refused)) => {
            match enrolled_before(hansard, &granted, &presented, &token, &agent, refused).await? {
                Some(enrolled) => {
                    let caller = caller::of(arrival.clone(), &enrolled);
                    let row = caller.event_of_change(&granted, None, "again");
                    hansard.store.record_audit(row).await?;
                    enrolled
                }
                None => return Err(refused.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let in_force = configuration::effective(hansard, &granted, &agent).await?;
    Ok(EnrolReply {
        request_id: arrival.id(),
        agent_id: agent.id.clone(),
        account_id: agent.account.clone(),
        instance_id: agent.instance.clone(),
        region: agent.region.clone(),
        server_keys: configuration::server_keys(hansard),
        configuration: configuration::sign(hansard, &in_force)?,
    })
}

/// Closes the links of the agents that this one has replaced.
async fn close_replaced(hansard: &Hansard, granted: &Granted<EnrolAgent>, newcomer: &Agent) {
    hansard.links.here.close_replaced(newcomer);
    let elsewhere = match hansard.store.links_replaced_by(granted, newcomer, hansard.now()).await {
        Ok(links) => links,
        Err(error) => {
            tracing::warn!(chain = %chain_of(&error), "who holds the links of replaced agents could not be read");
            return;
        }
    };
    for link in elsewhere {
        hansard.links.close_retired(&link).await;
    }
}

/// The agent that the same call enrolled before, if its reply was lost: the same token, while it is valid, for the same
/// instance with the same keys. With other keys the token counts as used.
async fn enrolled_before(
    hansard: &Hansard,
    granted: &Granted<EnrolAgent>,
    presented: &JoinTokenSecret,
    token: &JoinToken,
    asking: &Agent,
    refused: JoinTokenRefused,
) -> Result<Option<Agent>, AgentRefusal> {
    if refused != JoinTokenRefused::Used || token.expires_at <= asking.enrolled_at {
        return Ok(None);
    }
    let enrolled = hansard.store.find_agent_enrolled_with(granted, presented).await?;
    Ok(enrolled.filter(|enrolled| {
        enrolled.retired.is_none()
            && enrolled.instance == asking.instance
            && enrolled.authentication_key == asking.authentication_key
            && enrolled.sealing_key == asking.sealing_key
    }))
}

fn check_shape(asked: &EnrolRequest) -> Result<(), AgentRefusal> {
    let invalid = |what: &str| Err(AgentRefusal::invalid_request(what));
    if asked.authentication_public_key.as_bytes() == asked.sealing_public_key.as_bytes() {
        return invalid("AuthenticationPublicKey and SealingPublicKey must be two different keys");
    }
    if asked.join_token.is_empty() || asked.join_token.len() > TEXT_LIMIT {
        return invalid("JoinToken must be the token that CreateAgentJoinToken printed");
    }
    let text_fits = |text: &str| text.len() <= TEXT_LIMIT && !text.chars().any(char::is_control);
    if !text_fits(&asked.hostname) || !text_fits(&asked.agent_version) {
        return invalid("Hostname and AgentVersion have at most 255 bytes and no control characters");
    }
    if asked.capabilities.len() > CAPABILITY_LIMIT {
        return invalid("Capabilities has at most 32 entries");
    }
    let named = |text: &str| !text.is_empty() && text_fits(text);
    if !asked.capabilities.iter().all(|capability| named(&capability.kind) && named(&capability.version)) {
        return invalid(
            "each of Capabilities needs a Kind and a Version of 1 to 255 bytes without control characters",
        );
    }
    Ok(())
}
