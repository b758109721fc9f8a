//! Roles and their sessions: their duration, their tokens, and who may start them.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::identity::{RoleId, RoleName};
use crate::parameter::{Parameter, Refused, Shape, TextShape, part, whole_number};
use crate::secret_hash::SecretHash;
use crate::{AccountId, Timestamp};

/// The longest session of a role: 1 to 12 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxSessionDuration(u32);

/// How long one session of a role lasts: 15 minutes to the role's longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionDuration(u32);

/// How long the caller of AssumeRole wants a session to last, in seconds. The role can allow less than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedSessionDuration(i64);

/// A length of sessions outside what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be a whole number of seconds from {least} to {most}")]
pub struct DurationRefused {
    /// The shortest.
    pub least: u32,
    /// The longest.
    pub most: u32,
}

impl MaxSessionDuration {
    const LEAST: u32 = 3_600;
    const MOST: u32 = 43_200;

    /// The default of a role: an hour.
    pub const DEFAULT: Self = Self(3_600);

    /// Checks the range.
    ///
    /// # Errors
    /// [`DurationRefused`] outside 3,600..=43,200.
    pub fn from_seconds(seconds: i64) -> Result<Self, DurationRefused> {
        between(seconds, Self::LEAST, Self::MOST).map(Self)
    }

    /// The number of seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The longest session that a session of a role may start: an hour, so that a chain of them does not outlast what
    /// began it by much.
    #[must_use]
    pub fn of_a_chain(self) -> Self {
        self.min(Self::DEFAULT)
    }
}

impl Parameter for MaxSessionDuration {
    fn shape() -> Shape {
        Shape::whole_number(seconds(Self::LEAST, Self::MOST))
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let seconds = whole_number(text, seconds(Self::LEAST, Self::MOST), " of seconds")?;
        Self::from_seconds(seconds).map_err(|error| Refused::value(error.to_string()))
    }
}

impl WantedSessionDuration {
    /// The number of seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl Parameter for WantedSessionDuration {
    fn shape() -> Shape {
        Shape::whole_number(seconds(SessionDuration::LEAST, MaxSessionDuration::MOST))
    }

    fn read(text: &str) -> Result<Self, Refused> {
        whole_number(text, seconds(SessionDuration::LEAST, MaxSessionDuration::MOST), " of seconds").map(Self)
    }
}

fn seconds(least: u32, most: u32) -> RangeInclusive<i64> {
    least.into()..=most.into()
}

impl SessionDuration {
    const LEAST: u32 = 900;

    /// Checks the range; omitted, it is an hour.
    ///
    /// # Errors
    /// [`DurationRefused`] below 900 and above `longest`.
    pub fn from_seconds(seconds: Option<i64>, longest: MaxSessionDuration) -> Result<Self, DurationRefused> {
        between(seconds.unwrap_or(3_600), Self::LEAST, longest.seconds()).map(Self)
    }

    /// The moment at which a session that starts `now` ends.
    #[must_use]
    pub fn counted_from(self, now: Timestamp) -> Timestamp {
        now.plus(Duration::from_secs(self.0.into()))
    }
}

fn between(seconds: i64, least: u32, most: u32) -> Result<u32, DurationRefused> {
    let whole = u32::try_from(seconds).ok();
    whole.filter(|seconds| (least..=most).contains(seconds)).ok_or(DurationRefused { least, most })
}

/// The token that a session sends with every call, in addition to its key. It is readable once; only its hash is
/// stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SecurityToken(String);

impl SecurityToken {
    /// A fresh token: `CAIS`, as the vendor's begin, and 60 random letters and digits (357 bits).
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("CAIS{}", crate::identity::random_alphanumeric(60)))
    }

    /// Takes a token that a call presents.
    #[must_use]
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The readable moment.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for SecurityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecurityToken")
    }
}

/// What a session's key needs in addition to its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionValidity {
    /// [`SecurityToken::hash`] of the session's token.
    pub token_hash: SecretHash,
    /// When the session ends.
    pub expires_at: Timestamp,
}

impl SessionValidity {
    /// Whether the token is the session's. Hashes are compared, whose difference tells nothing about the token.
    #[must_use]
    pub fn has_token(&self, presented: &SecurityToken) -> bool {
        self.token_hash == presented.hash()
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

/// A role by its ARN: `acs:ram::<account>:role/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoleArn {
    /// The account that the role belongs to.
    pub account: AccountId,
    /// Its name.
    pub name: RoleName,
}

/// The text is not the ARN of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be written acs:ram::<account id>:role/<role name>")]
pub struct InvalidRoleArn;

impl RoleArn {
    /// Reads the text.
    ///
    /// # Errors
    /// [`InvalidRoleArn`].
    pub fn parse(text: &str) -> Result<Self, InvalidRoleArn> {
        let rest = text.strip_prefix("acs:ram::").ok_or(InvalidRoleArn)?;
        let (account, name) = rest.split_once(":role/").ok_or(InvalidRoleArn)?;
        Ok(Self {
            account: account.parse().map_err(|_| InvalidRoleArn)?,
            name: RoleName::parse(name).map_err(|_| InvalidRoleArn)?,
        })
    }
}

impl Parameter for RoleArn {
    fn shape() -> Shape {
        let (account, name) = (part(AccountId::PATTERN), RoleName::pattern());
        TextShape::fitting(format!("^acs:ram::{account}:role/{}$", part(&name))).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Self::parse(text).map_err(|error| Refused::value(error.to_string()))
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acs:ram::{}:role/{}", self.account, self.name)
    }
}

/// A role that may be assumed, as far as it is known before anybody was asked whether it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumableRole {
    /// The role, of the caller's account or of another of this deployment.
    pub arn: RoleArn,
    /// Its id; `None` when there is no such role.
    pub id: Option<RoleId>,
    /// When it was changed last before it was asked whether it may be assumed; `None` when there is no such role.
    pub changed_at: Option<Timestamp>,
    /// How long its sessions last at most.
    pub max_session_duration: MaxSessionDuration,
    /// `sts:ExternalId`, where the caller names one.
    pub external_id: Option<crate::identity::ExternalId>,
    /// `sts:SourceIdentity`: what the caller says, or what its own session was started with.
    pub source_identity: Option<crate::identity::SourceIdentity>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_their_ranges() {
        let longest = |seconds| MaxSessionDuration::from_seconds(seconds);
        assert!(longest(3_599).is_err() && longest(43_201).is_err() && longest(-1).is_err());
        let two_hours = longest(7_200).unwrap();
        let session = |seconds| SessionDuration::from_seconds(seconds, two_hours);
        assert!(session(Some(899)).is_err() && session(Some(900)).is_ok() && session(Some(7_200)).is_ok());
        assert_eq!(session(Some(7_201)), Err(DurationRefused { least: 900, most: 7_200 }));
        let now = Timestamp::from_millis(5);
        assert_eq!(session(None).unwrap().counted_from(now).as_millis(), 3_600_005);
        assert_eq!(two_hours.of_a_chain(), MaxSessionDuration::DEFAULT);
    }

    #[test]
    fn a_role_is_named_in_one_way_only() {
        let arn = "acs:ram::1609982529000000:role/deploy";
        assert_eq!(RoleArn::parse(arn).unwrap().to_string(), arn);
        for bad in [
            "",
            "deploy",
            "acs:ram::1609982529000000:user/deploy",
            "acs:ram::1609982529000000:role/",
            "acs:ram::1609982529000000:role/a/b",
            "acs:ram::1609982529000000:role/a_b",
            "acs:ram:cn-hangzhou:1609982529000000:role/deploy",
            "acs:ram::*:role/deploy",
            "acs:sts::1609982529000000:role/deploy",
        ] {
            assert!(RoleArn::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_session_accepts_only_its_own_token() {
        let token = SecurityToken::generate();
        let session = SessionValidity { token_hash: token.hash(), expires_at: Timestamp::from_millis(1_000) };
        assert!(session.has_token(&SecurityToken::presented(token.reveal())));
        assert!(!session.has_token(&SecurityToken::generate()));
        assert!(
            !session.expired(Timestamp::from_millis(999)) && session.expired(Timestamp::from_millis(1_000))
        );
        assert_eq!(format!("{token:?}"), "SecurityToken");
    }
}
