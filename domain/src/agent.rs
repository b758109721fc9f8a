//! Agents and the tokens with which they join.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use recording::{Enrolment, SealingPublicKey, TrustedKey};

use crate::parameter::{Parameter, Refused, Shape, TextShape, part, whole_number};
use crate::secret_hash::SecretHash;
use crate::{AccountId, AgentId, InstanceId, Region, Timestamp};

/// What an agent reports that it can capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// `terminal`, `enhanced`, `desktop`, `command`, or a kind that this control plane does not know yet.
    pub kind: String,
    /// The kind's own version.
    pub version: String,
}

/// How an agent ceased to be the agent of its instance. Its requests are refused from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// Another agent took over its instance.
    Replaced {
        /// When.
        at: Timestamp,
    },
    /// An administrator removed it.
    Removed {
        /// When.
        at: Timestamp,
    },
}

impl Retired {
    /// When it ceased to be that.
    #[must_use]
    pub fn at(self) -> Timestamp {
        match self {
            Self::Replaced { at } | Self::Removed { at } => at,
        }
    }
}

/// An agent that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its account.
    pub account: AccountId,
    /// Its instance.
    pub instance: InstanceId,
    /// The instance's region.
    pub region: Region,
    /// The raw Ed25519 public key that authenticates its requests (32 bytes).
    pub authentication_key: Vec<u8>,
    /// The raw Ed25519 public key that seals its recordings (32 bytes).
    pub sealing_key: Vec<u8>,
    /// The instance's host name, as the agent reports it.
    pub hostname: String,
    /// The agent's version, as it reports it.
    pub version: String,
    /// What it can capture.
    pub capabilities: Vec<Capability>,
    /// When it joined.
    pub enrolled_at: Timestamp,
    /// When it was last heard from.
    pub last_seen_at: Timestamp,
    /// Set when it is not the agent of its instance any more.
    pub retired: Option<Retired>,
}

impl Agent {
    /// Its sealing key, and the recordings that it is trusted for; `None` if it is not a valid key.
    #[must_use]
    pub fn trusted_key(&self) -> Option<TrustedKey> {
        let key = self.sealing_key.as_slice().try_into().ok()?;
        Some(TrustedKey {
            key: SealingPublicKey::from_bytes(key),
            enrolment: Some(Enrolment {
                agent: self.id.clone(),
                account: self.account.clone(),
                instance: self.instance.clone(),
                from: self.enrolled_at,
                until: self.retired.map(Retired::at),
            }),
        })
    }
}

/// The instance has no agent, or another one than was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the instance has no such agent")]
pub struct NoSuchAgent;

/// A decided removal of an instance's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRemoved {
    /// The agent, which is retired now.
    pub agent: Agent,
    /// Why its recordings end that are not sealed.
    pub reason: String,
    /// Why those of an earlier agent end that it had taken over.
    pub reason_in_place: String,
    /// When.
    pub at: Timestamp,
}

impl AgentRemoved {
    /// Decides the removal of the agent that the instance has at present. A caller that names an agent means only that
    /// one, and not another that has taken its place meanwhile.
    ///
    /// # Errors
    /// [`NoSuchAgent`].
    pub fn decide(
        present: Option<Agent>,
        named: Option<&AgentId>,
        at: Timestamp,
    ) -> Result<Self, NoSuchAgent> {
        let agent = present.ok_or(NoSuchAgent)?;
        if agent.retired.is_some() || named.is_some_and(|named| *named != agent.id) {
            return Err(NoSuchAgent);
        }
        let reason = format!("the agent {} was removed while it was recording", agent.id);
        let reason_in_place = format!(
            "the agent {} had taken the recording over, and was removed before it had delivered it",
            agent.id
        );
        let agent = Agent { retired: Some(Retired::Removed { at }), ..agent };
        Ok(Self { agent, reason, reason_in_place, at })
    }
}

/// Which instances a join token is for: an id, or a pattern with `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstancePattern(String);

/// A pattern that could never be an instance id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is 1 to 8 lower-case letters, a hyphen, and 1 to 60 letters or digits, such as i-web1, or a pattern of that with '*' and '?'"
)]
pub struct InvalidInstancePattern;

impl InstancePattern {
    const LENGTHS: RangeInclusive<usize> = 1..=72;

    /// Checks that it has only characters of instance ids and patterns.
    ///
    /// # Errors
    /// [`InvalidInstancePattern`] otherwise.
    pub fn parse(text: &str) -> Result<Self, InvalidInstancePattern> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'*' | b'?');
        let is_pattern = text.bytes().any(|b| matches!(b, b'*' | b'?'));
        let well_formed = Self::LENGTHS.contains(&text.len()) && text.bytes().all(allowed);
        if well_formed && (is_pattern || InstanceId::parse(text).is_ok()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidInstancePattern)
        }
    }

    /// Whether it stands for exactly one instance.
    #[must_use]
    pub fn as_instance(&self) -> Option<InstanceId> {
        InstanceId::parse(&self.0).ok()
    }

    /// Whether `instance` fits.
    #[must_use]
    pub fn matches(&self, instance: &InstanceId) -> bool {
        let (pattern, text) = (self.0.as_bytes(), instance.as_str().as_bytes());
        let (mut p, mut t, mut resume) = (0, 0, None);
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    resume = Some((p, t));
                    p += 1;
                }
                Some(&b) if b == b'?' || b == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((star, from)) = resume else { return false };
                    resume = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
            }
        }
        pattern[p..].iter().all(|b| *b == b'*')
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Parameter for InstancePattern {
    fn shape() -> Shape {
        let (instance, allowed) = (part(InstanceId::PATTERN), "A-Za-z0-9-");
        let pattern = format!("^({instance}|[{allowed}]*[*?][*?{allowed}]*)$");
        TextShape::fitting(pattern).with_length(Self::LENGTHS).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Self::parse(text).map_err(|error| Refused::value(error.to_string()))
    }
}

impl fmt::Display for InstancePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A join token's readable form, shown once: `hjt-` and 40 random letters and digits. Stored as a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinTokenSecret(String);

impl JoinTokenSecret {
    /// A fresh token.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("hjt-{}", crate::identity::random_alphanumeric(40)))
    }

    /// Takes a token that an agent presents.
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

impl fmt::Debug for JoinTokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinTokenSecret")
    }
}

/// The lifetime of a join token: 1 minute to 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinTokenLifetime(Duration);

/// The lifetime lies outside what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a join token is valid for 60 to 604800 seconds, not {0}")]
pub struct JoinTokenLifetimeRefused(pub i64);

impl JoinTokenLifetime {
    const SECONDS: RangeInclusive<i64> = 60..=604_800;

    /// Ten minutes.
    pub const DEFAULT: Self = Self(Duration::from_secs(600));

    /// Checks the range.
    ///
    /// # Errors
    /// [`JoinTokenLifetimeRefused`] outside 60 s to 7 days.
    pub fn from_seconds(seconds: i64) -> Result<Self, JoinTokenLifetimeRefused> {
        match u64::try_from(seconds) {
            Ok(whole) if Self::SECONDS.contains(&seconds) => Ok(Self(Duration::from_secs(whole))),
            _ => Err(JoinTokenLifetimeRefused(seconds)),
        }
    }

    /// The moment at which a token made `now` lapses.
    #[must_use]
    pub fn counted_from(self, now: Timestamp) -> Timestamp {
        let millis = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_add(millis))
    }
}

impl Parameter for JoinTokenLifetime {
    fn shape() -> Shape {
        Shape::whole_number(Self::SECONDS)
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let seconds = whole_number(text, Self::SECONDS, "")?;
        Self::from_seconds(seconds).map_err(|error| Refused::value(error.to_string()))
    }
}

/// A join token as it is stored. Single use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The hash of its readable form.
    pub hash: SecretHash,
    /// The account that an agent joins by it.
    pub account: AccountId,
    /// The region that the instance is taken to be in.
    pub region: Region,
    /// Which instances it is for.
    pub instances: InstancePattern,
    /// Whether it may take over an instance that has a live agent.
    pub permits_replace: bool,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// Why a join token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenRefused {
    /// Nobody made it, or it is mistyped.
    #[error("the join token is not known; create one with `hansard agents token create`")]
    NotFound,
    /// Its time is over.
    #[error("the join token has expired; create a new one")]
    Expired,
    /// It was used before.
    #[error("the join token was used already; a token is valid for one enrolment")]
    Used,
    /// It is for another instance.
    #[error("the join token is for another instance id")]
    InstanceMismatch,
    /// The instance has an agent, and the token does not permit replacing it.
    #[error(
        "the instance already has an agent; to take its place, enrol with --replace and a token of `hansard agents \
         token create --instance-id ID --replace`"
    )]
    AgentAlreadyEnrolled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_a_second_agent_names_the_command_that_permits_it() {
        let said = JoinTokenRefused::AgentAlreadyEnrolled.to_string();
        assert!(said.contains("`hansard agents token create --instance-id ID --replace`"), "{said}");
        assert!(said.contains("enrol with --replace"), "{said}");
    }

    #[test]
    fn only_the_named_agent_is_removed_and_only_while_the_instance_has_it() {
        let at = Timestamp::from_millis;
        let agent = Agent {
            id: AgentId::generate(),
            account: "1609982529000000".parse().unwrap(),
            instance: "i-web1".parse().unwrap(),
            region: "cn-hangzhou".parse().unwrap(),
            authentication_key: vec![1; 32],
            sealing_key: vec![2; 32],
            hostname: String::new(),
            version: String::new(),
            capabilities: Vec::new(),
            enrolled_at: at(1),
            last_seen_at: at(1),
            retired: None,
        };
        for named in [None, Some(&agent.id)] {
            let removed = AgentRemoved::decide(Some(agent.clone()), named, at(5)).unwrap();
            assert_eq!(removed.agent.retired, Some(Retired::Removed { at: at(5) }));
            assert!(removed.reason.contains(agent.id.as_str()), "{}", removed.reason);
            // What it sealed before stays trusted, and nothing that begins later.
            let until = removed.agent.trusted_key().unwrap().enrolment.unwrap().until;
            assert_eq!(until, Some(at(5)));
            assert_eq!(AgentRemoved::decide(Some(removed.agent), named, at(6)), Err(NoSuchAgent));
        }
        assert_eq!(AgentRemoved::decide(None, None, at(5)), Err(NoSuchAgent));
        assert_eq!(AgentRemoved::decide(Some(agent), Some(&AgentId::generate()), at(5)), Err(NoSuchAgent));
    }

    #[test]
    fn patterns_match_like_globs() {
        let fits =
            |pattern: &str, id: &str| InstancePattern::parse(pattern).unwrap().matches(&id.parse().unwrap());
        assert!(fits("i-web*", "i-web1"));
        assert!(fits("*", "i-web1"));
        assert!(fits("i-?eb1", "i-web1"));
        assert!(fits("i-*b*1", "i-webbbb21"));
        assert!(!fits("i-web", "i-web1"));
        assert!(!fits("i-web?", "i-web"));
        assert!(InstancePattern::parse("web 1").is_err());
        assert!(InstancePattern::parse("nodash").is_err());
        assert!(InstancePattern::parse("").is_err());
    }
}
