//! Requests and replies of STS 2015-04-01, as they stand on the wire. Results stand beside RequestId; there is no
//! envelope.

use std::fmt;

use domain::identity::{ExternalId, RoleSessionName, SourceIdentity};
use domain::role::{RoleArn, WantedSessionDuration};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::operations;
use crate::parameter_types::Written;
use crate::parameters::{Deferred, Parameters};
use crate::ram::SessionDocument;
use crate::workbench::PolicyFinding;

operations! {
    AssumeRole: AssumeRoleRequest => AssumeRoleReply, [EntityNotExist, InvalidRamParameter];
    GetCallerIdentity: GetCallerIdentityRequest => GetCallerIdentityReply;
}

/// Starts a session of a role.
#[derive(Clone, PartialEq, Eq, Parameters)]
pub struct AssumeRoleRequest {
    /// The role, of this account or of another of this deployment.
    #[parameter(example = "acs:ram::1609982529000000:role/auditor")]
    pub role_arn: Deferred<RoleArn>,
    /// The name of the session, which is part of its ARN.
    #[parameter(example = "ana")]
    pub role_session_name: Deferred<RoleSessionName>,
    /// How many seconds the session lasts: from 900 to the role's maximum. Omitted: 3600.
    #[parameter(default = 3600)]
    pub duration_seconds: Option<Deferred<WantedSessionDuration>>,
    /// A policy that narrows this session: the session may do only what the role's policies and this policy both allow. 2,048 characters.
    pub policy: Option<Written<SessionDocument>>,
    /// A value that the role's trust policy can require as `sts:ExternalId`.
    pub external_id: Option<Deferred<ExternalId>>,
    /// The person behind the session, `sts:SourceIdentity`. Every session that is started from this one keeps it.
    pub source_identity: Option<Deferred<SourceIdentity>>,
}

/// A session has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AssumeRoleReply {
    /// The call's id.
    pub request_id: String,
    /// The caller that these credentials stand for.
    pub assumed_role_user: AssumedRoleUser,
    /// The credentials that sign its calls.
    pub credentials: Credentials,
    /// The person behind the session; absent when the call did not name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub source_identity: Option<String>,
    /// Findings about the session policy, as ValidatePolicy reports them; absent when the call gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub findings: Option<Vec<PolicyFinding>>,
}

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AssumedRoleUser {
    /// Its ARN.
    #[schema(example = "acs:ram::1609982529000000:role/auditor/ana")]
    pub arn: String,
    /// The role's id and the session's name.
    #[schema(example = "300000000000000001:ana")]
    pub assumed_role_id: String,
}

/// Credentials of a session. They are shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    /// The key's id.
    #[schema(example = "STS.0123456789abcdefghijABCD")]
    pub access_key_id: String,
    /// The key's secret.
    pub access_key_secret: String,
    /// The token that every call must carry.
    pub security_token: String,
    /// When the session ends.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub expiration: String,
}

// By hand, because ExternalId is a word that two parties share.
impl fmt::Debug for AssumeRoleRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRoleRequest")
            .field("role_arn", &self.role_arn)
            .field("role_session_name", &self.role_session_name)
            .field("duration_seconds", &self.duration_seconds)
            .field("source_identity", &self.source_identity)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

/// Asks who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetCallerIdentityRequest {}

/// Who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetCallerIdentityReply {
    /// The call's id.
    pub request_id: String,
    /// `Account`, `RAMUser` or `AssumedRoleUser`.
    #[schema(example = "RAMUser")]
    pub identity_type: String,
    /// The account.
    #[schema(example = "1609982529000000")]
    pub account_id: String,
    /// The caller's ARN; of a session, with its name.
    pub arn: String,
    /// The account's or the user's id; of a session `<role id>:<session name>`.
    pub principal_id: String,
    /// The account's or the user's id; absent for sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user_id: Option<String>,
    /// The role's id; only for sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub role_id: Option<String>,
}
