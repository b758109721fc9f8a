//! AssumeRole: a session of a role. The caller's own policies and the role's trust policy must both allow it.

use domain::actions::AssumeRole;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::{BrokenRule, ExternalId, NewRoleSession, RoleSessionName, SourceIdentity};
use domain::parameter::Refused;
use domain::principal::Principal;
use domain::role::{AssumableRole, MaxSessionDuration, RoleArn, SessionDuration, WantedSessionDuration};
use openapi::error_codes::{ErrorCode, WireError};
use openapi::sts::{AssumeRoleReply, AssumedRoleUser, Credentials};
use policies::{DocumentKind, PolicySet};

use crate::actions::wire_time;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for AssumeRole {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let role = request.role_arn?;
        let session_name = request.role_session_name?;
        if let Some(document) = &request.policy {
            document.meaning().map_err(bad_policy)?;
        }
        Ok(Input {
            role,
            session_name,
            policy: request.policy.map(String::from),
            external_id: request.external_id.transpose()?,
            source_identity: request.source_identity.transpose()?,
            duration: request.duration_seconds.transpose(),
        })
    }

    /// The role, in its own account. Only callers who are permitted to assume it learn whether it exists.
    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        let arn = input.role.clone();
        let found = call.deciding.find_assumable_role(&arn).await?;
        let source_identity = source_identity(call, input.source_identity.clone()).await?;
        let (found, trust) = found.unzip();
        // For another account, a missing role looks the same as one that trusts somebody else.
        let foreign = arn.account != *call.principal().account();
        let trust = trust.or_else(|| foreign.then(PolicySet::default));
        let longest = found.as_ref().map(|role| role.max_session_duration);
        let role = AssumableRole {
            arn,
            changed_at: found.as_ref().map(|role| role.changed_at),
            max_session_duration: longest.unwrap_or(MaxSessionDuration::DEFAULT),
            id: found.map(|role| role.id),
            external_id: input.external_id.clone(),
            source_identity,
        };
        let resource = Resource::Identity(vec![IdentityResource::AssumableRole(role)]);
        Ok(Located { resource, trust })
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let role = granted.resource().assumable_role().cloned();
        let role = role.ok_or_else(|| ActionError::unexpected("assume a role", "the grant names none"))?;
        let longest = match granted.principal() {
            Principal::AssumedRole { .. } => role.max_session_duration.of_a_chain(),
            _ => role.max_session_duration,
        };
        let wanted = input.duration?.map(WantedSessionDuration::seconds);
        let duration = SessionDuration::from_seconds(wanted, longest)
            .map_err(|rule| WireError::invalid("DurationSeconds", rule))?;
        let expires_at = duration.counted_from(call.now());
        let given = input.policy.as_deref();
        let findings = policy_findings::about_given(call.hansard, given, DocumentKind::Session).await?;
        let session_name = input.session_name;
        let new = NewRoleSession { name: session_name.clone(), policy: input.policy, expires_at };
        let audit = call.audit_of_change(&granted, "");
        let started = call.store.start_role_session(&granted, new, call.now(), audit).await?;
        Ok(Done::changed(AssumeRoleReply {
            request_id: call.request_id().to_string(),
            assumed_role_user: AssumedRoleUser {
                arn: format!("{}/{session_name}", role.arn),
                assumed_role_id: format!("{}:{session_name}", started.role),
            },
            credentials: Credentials {
                access_key_id: started.key.to_string(),
                access_key_secret: started.secret.reveal().to_owned(),
                security_token: started.token.reveal().to_owned(),
                expiration: wire_time(expires_at),
            },
            source_identity: role.source_identity.map(|who| who.to_string()),
            findings,
        }))
    }
}

/// The session that is wanted.
pub(crate) struct Input {
    role: RoleArn,
    session_name: RoleSessionName,
    /// Well-formed, as text, which is how it is stored with the session.
    policy: Option<String>,
    external_id: Option<ExternalId>,
    source_identity: Option<SourceIdentity>,
    /// The role limits the duration, so that only a permitted caller learns about it.
    duration: Deferred<Option<WantedSessionDuration>>,
}

/// The person behind the session, as the caller names it. Once set, it stays the same along a chain of sessions.
async fn source_identity(
    call: &Call<'_>,
    asked: Option<SourceIdentity>,
) -> Result<Option<SourceIdentity>, ActionError> {
    let given = call.store.find_source_identity(call.principal()).await?;
    match (given, asked) {
        (Some(given), Some(asked)) if given != asked => {
            Err(WireError::invalid("SourceIdentity", "it is fixed by the session that calls; leave it out")
                .into())
        }
        (given, asked) => Ok(given.or(asked)),
    }
}

fn bad_policy(why: Refused) -> WireError {
    let what = if why.broken == BrokenRule::Length { "PolicySize" } else { "PolicyGrammar" };
    WireError::about(ErrorCode::InvalidRamParameter, what, format!("{why}."))
}
