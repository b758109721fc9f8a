//! Replay tickets: short-lived, valid once, for one recording and one viewer. ViewInstanceRecords puts them into the
//! fragment of an address, so that they appear in no log and no Referer.

use aws_lc_rs::digest;
use domain::identity::{AccessKeyId, RoleId, RoleName, RoleSessionName, UserId, UserName};
use domain::principal::Principal;
use domain::recording_life::Recording;
use domain::{AccountId, InstanceId, TerminalSessionToken, Timestamp};
use openapi::error_codes::ErrorCode;
use serde::{Deserialize, Serialize};

use super::PAGE_PATH;
use crate::Hansard;
use crate::errors::ActionError;
use crate::signed_tokens::{self, Purpose};

/// How long a ticket is valid.
const TICKET_MILLIS: i64 = 300_000;

/// The address that a viewer opens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ReplayUrl {
    /// The page, with the ticket in its fragment: a credential until it is used or lapses.
    pub(crate) url: String,
    /// When the ticket lapses.
    pub(crate) expires_at: Timestamp,
}

/// The viewer and the recording, which tickets and sessions name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Viewer {
    pub(crate) recording: TerminalSessionToken,
    pub(crate) instance: InstanceId,
    account: AccountId,
    /// The key that asked for the ticket. When it is removed, the sessions that it opened end.
    access_key: String,
    /// The RAM user's id and name; absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<(String, String)>,
    /// The role's id and name, and the session's name; absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<(String, String, String)>,
}

impl Viewer {
    fn of(
        principal: &Principal,
        access_key: &AccessKeyId,
        recording: &Recording,
    ) -> Result<Self, ActionError> {
        let (user, role) = match principal {
            Principal::Account { .. } => (None, None),
            Principal::User { user_id, user_name, .. } => {
                (Some((user_id.to_string(), user_name.to_string())), None)
            }
            // The ticket names the key of the role's session: when that session ends, so does what it opened.
            Principal::AssumedRole { role_id, role_name, session_name, .. } => {
                (None, Some((role_id.to_string(), role_name.to_string(), session_name.to_string())))
            }
            Principal::Agent { .. } | Principal::System { .. } | Principal::Operator { .. } => {
                return Err(ErrorCode::ForbiddenRam.into());
            }
        };
        Ok(Self {
            recording: recording.token.clone(),
            instance: recording.instance.clone(),
            account: principal.account().clone(),
            access_key: access_key.as_str().to_owned(),
            user,
            role,
        })
    }

    /// The key that asked for the ticket.
    pub(crate) fn access_key(&self) -> Result<AccessKeyId, ActionError> {
        AccessKeyId::parse(&self.access_key)
            .map_err(|error| ActionError::unexpected("read the viewer of a replay token", error))
    }

    /// The caller to whom the ticket was given.
    pub(crate) fn principal(&self) -> Result<Principal, ActionError> {
        let account = self.account.clone();
        let unreadable = |error| ActionError::unexpected("read the viewer of a replay token", error);
        if let Some((id, name, session)) = &self.role {
            return Ok(Principal::AssumedRole {
                account,
                role_id: RoleId::parse(id).map_err(unreadable)?,
                role_name: RoleName::parse(name).map_err(unreadable)?,
                session_name: RoleSessionName::parse(session).map_err(unreadable)?,
                session_key: self.access_key()?,
            });
        }
        let Some((id, name)) = &self.user else { return Ok(Principal::Account { account }) };
        let user_id = UserId::parse(id).map_err(unreadable)?;
        let user_name = UserName::parse(name).map_err(unreadable)?;
        Ok(Principal::User { account, user_id, user_name })
    }
}

/// A ticket's claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    jti: String,
    pub(crate) viewer: Viewer,
}

impl Purpose for Ticket {
    const AUDIENCE: &'static str = "hansard-replay-ticket";
}

impl Ticket {
    /// The value by which its single use is remembered.
    pub(crate) fn nonce_hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(
            digest::digest(&digest::SHA256, format!("replay-ticket\0{}", self.jti).as_bytes()).as_ref(),
        );
        hash
    }

    /// Until when its single use is remembered: longer than any ticket made before `now` holds.
    pub(crate) fn remembered_until(now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis() + 2 * TICKET_MILLIS)
    }
}

/// A ticket for `principal` to see `recording`, in an address that can be opened in a browser. The caller has
/// been permitted to see it and it has not expired.
pub(crate) fn issue(
    hansard: &Hansard,
    principal: &Principal,
    access_key: &AccessKeyId,
    recording: &Recording,
) -> Result<ReplayUrl, ActionError> {
    let viewer = Viewer::of(principal, access_key, recording)?;
    let expires_at = Timestamp::from_millis(hansard.now().as_millis() + TICKET_MILLIS);
    let ticket = Ticket { jti: uuid::Uuid::new_v4().simple().to_string(), viewer };
    let signed = signed_tokens::issue(&hansard.keys, ticket, expires_at)
        .map_err(|error| ActionError::unexpected("sign a replay ticket", error))?;
    let page = hansard.settings.public_address(&format!("{PAGE_PATH}/{}", recording.token));
    Ok(ReplayUrl { url: format!("{page}#ticket={signed}"), expires_at })
}
