//! AssumeRole: a session of a role. The caller's own policies and the role's trust policy must both allow it.

use domain::actions::AssumeRole;
use domain::gate::{Granted, IdentityResource, PrincipalPolicies, Resource};
use domain::identity::{RoleSessionName, SourceIdentity};
use domain::principal::Principal;
use domain::role::{AssumableRole, MaxSessionDuration, RoleArn, SessionDuration};
use openapi::error_codes::{ErrorCode, WireError};
use openapi::sts::{AssumeRoleReply, AssumeRoleRequest, AssumedRoleUser, Credentials};
use persistence::NewRoleSession;
use policies::{DocumentKind, InvalidPolicy, PolicyDocument, PolicySet, Reason};

use crate::actions::ram::{invalid, name};
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for AssumeRole {
    type Request = AssumeRoleRequest;
    type Reply = AssumeRoleReply;

    /// The role, in its own account. Whether it is there is told only to those who are permitted to assume it.
    async fn locate(call: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        let arn = RoleArn::parse(&asked.role_arn).map_err(|rule| invalid("RoleArn", rule))?;
        let _: RoleSessionName = name("RoleSessionName", &asked.role_session_name)?;
        if let Some(document) = &asked.policy {
            PolicyDocument::parse(document.as_bytes(), DocumentKind::Session).map_err(bad_policy)?;
        }
        let external_id = asked.external_id.as_deref().map(|text| name("ExternalId", text)).transpose()?;
        let found = call.hansard.store.find_assumable_role(&arn).await?;
        let source_identity = source_identity(call, asked.source_identity.as_deref()).await?;
        let max_session_duration = found.as_ref().map(|(role, _)| role.max_session_duration);
        let changed_at = found.as_ref().map(|(role, _)| role.changed_at);
        let role = AssumableRole {
            arn,
            id: found.map(|(role, _)| role.id),
            changed_at,
            max_session_duration: max_session_duration.unwrap_or(MaxSessionDuration::DEFAULT),
            external_id,
            source_identity,
        };
        Ok(Resource::Identity(vec![IdentityResource::AssumableRole(role)]))
    }

    async fn policies(call: &Call<'_>, resource: &Resource) -> Result<PrincipalPolicies, ActionError> {
        let policies = call.hansard.store.policies_of(call.principal()).await?;
        let Some(role) = resource.assumable_role() else { return Ok(policies) };
        Ok(match call.hansard.store.find_assumable_role(&role.arn).await? {
            Some((_, trust)) => policies.with_trust(trust),
            // Of another account it is not told whether a role is missing or trusts somebody else.
            None if role.arn.account != *call.principal().account() => {
                policies.with_trust(PolicySet::default())
            }
            None => policies,
        })
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let role = granted.resource().assumable_role().cloned();
        let role = role.ok_or_else(|| ActionError::unexpected("assume a role", "the grant names none"))?;
        let session_name: RoleSessionName = name("RoleSessionName", &asked.role_session_name)?;
        let longest = match granted.principal() {
            Principal::AssumedRole { .. } => role.max_session_duration.of_a_chain(),
            _ => role.max_session_duration,
        };
        let duration = SessionDuration::from_seconds(asked.duration_seconds, longest)
            .map_err(|rule| invalid("DurationSeconds", rule))?;
        let expires_at = duration.counted_from(call.now());
        let given = asked.policy.as_deref();
        let findings = policy_findings::about_given(call.hansard, given, DocumentKind::Session).await?;
        let new = NewRoleSession { name: session_name.clone(), policy: asked.policy, expires_at };
        let audit = call.audit_of_change(&granted, "");
        let started = call.hansard.store.start_role_session(&granted, new, call.now(), audit).await?;
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

/// Who stands behind the session: as the caller says, but once said it stays the same along a chain of sessions.
async fn source_identity(
    call: &Call<'_>,
    asked: Option<&str>,
) -> Result<Option<SourceIdentity>, ActionError> {
    let asked: Option<SourceIdentity> = asked.map(|text| name("SourceIdentity", text)).transpose()?;
    let given = call.hansard.store.source_identity_of(call.principal()).await?;
    match (given, asked) {
        (Some(given), Some(asked)) if given != asked => {
            Err(invalid("SourceIdentity", "it is fixed by the session that calls; leave it out").into())
        }
        (given, asked) => Ok(given.or(asked)),
    }
}

fn bad_policy(why: InvalidPolicy) -> WireError {
    let what = if why.reason == Reason::TooLong { "PolicySize" } else { "PolicyGrammar" };
    WireError::about(ErrorCode::InvalidRamParameter, what, format!("{why}."))
}
