//! The trusted sealing keys, and the recordings that each is trusted for.
//!
//! A file of trusted keys has one key a line; `#` begins a comment:
//!
//! ```text
//! KEY agent=agent-... account=1... instance=i-... from=2026-11-20T10:00:00.000Z until=2026-11-21T10:00:00.000Z
//! KEY control-plane
//! ```
//!
//! The first is trusted for recordings of just this agent, instance and account that started in between; without
//! `until` it is enrolled still. The second is trusted to give leave: for recordings that an agent's successor sealed. A
//! line with a key alone trusts it for any instance at any time. A comment behind a key may not hold what bounds it,
//! unless the same bound stands before it.

use std::fmt;
use std::time::Duration;

use crate::ids::{AccountId, AgentId, InstanceId, shown};
use crate::sealing::SealingPublicKey;
use crate::start::Start;
use crate::timestamp::Timestamp;

/// How far a recording's start may lie outside of the time for which its key was enrolled: an agent's idea of the time
/// comes from whole seconds that the control plane sent some time ago.
pub const ENROLMENT_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// The word that stands behind a key of a control plane.
const CONTROL_PLANE: &str = "control-plane";

/// What bounds a key, by name.
const BOUNDS: [&str; 6] = ["agent=", "account=", "instance=", "from=", "until=", CONTROL_PLANE];

/// The agent, the account, the instance and the time for which a key is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The agent that holds the key.
    pub agent: AgentId,
    /// Its account.
    pub account: AccountId,
    /// Its instance.
    pub instance: InstanceId,
    /// When it was enrolled.
    pub from: Timestamp,
    /// When it was replaced or removed; `None` while it is enrolled.
    pub until: Option<Timestamp>,
}

impl Enrolment {
    /// Why a recording with this start does not belong to this enrolment; `None` if it does.
    fn refusal(&self, start: &Start, as_of: Timestamp) -> Option<String> {
        let theirs = (&start.agent, &start.account, &start.instance);
        if theirs != (&self.agent, &self.account, &self.instance) {
            return Some(format!(
                "its key is trusted for agent {} of instance {}, account {} only",
                self.agent, self.instance, self.account
            ));
        }
        let earliest = self.from.minus(ENROLMENT_LEEWAY);
        // A recording that is read now cannot have begun later, whatever it says.
        let latest = self.until.map_or(as_of, |until| until.min(as_of)).plus(ENROLMENT_LEEWAY);
        if (earliest..=latest).contains(&start.started_at) {
            return None;
        }
        let until = self.until.map_or_else(|| "now".to_owned(), Timestamp::to_rfc3339_millis);
        Some(format!(
            "its key was enrolled from {} until {until}, and the recording says that it started at {}",
            self.from.to_rfc3339_millis(),
            start.started_at.to_rfc3339_millis()
        ))
    }
}

/// A key that is trusted. It prints as a line of a file of trusted keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: SealingPublicKey,
    /// What it is trusted for; `None` means everything.
    pub enrolment: Option<Enrolment>,
}

impl TrustedKey {
    /// Why a recording that begins so and is read at this moment cannot be sealed with this key by a trusted agent; `None`
    /// when it can.
    #[must_use]
    pub fn refusal(&self, start: &Start, as_of: Timestamp) -> Option<String> {
        if self.key != start.agent_sealing_key {
            return Some("its key is not a trusted one".to_owned());
        }
        self.enrolment.as_ref().and_then(|enrolment| enrolment.refusal(start, as_of))
    }

    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let key = SealingPublicKey::parse(words.next().unwrap_or_default()).map_err(|why| why.to_string())?;
        let (mut agent, mut account, mut instance, mut from, mut until) = (None, None, None, None, None);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let twice = match name {
                "agent" => agent.replace(AgentId::parse(value).map_err(|why| why.to_string())?).is_some(),
                "account" => {
                    account.replace(AccountId::parse(value).map_err(|why| why.to_string())?).is_some()
                }
                "instance" => {
                    instance.replace(InstanceId::parse(value).map_err(|why| why.to_string())?).is_some()
                }
                "from" => {
                    from.replace(Timestamp::parse_rfc3339(value).map_err(|why| why.to_string())?).is_some()
                }
                "until" => {
                    until.replace(Timestamp::parse_rfc3339(value).map_err(|why| why.to_string())?).is_some()
                }
                _ => {
                    return Err(format!(
                        "\"{}\" is none of agent=, account=, instance=, from=, until= and control-plane",
                        shown(word)
                    ));
                }
            };
            if twice {
                return Err(format!("{name}= stands there twice"));
            }
        }
        let enrolment = match (agent, account, instance, from) {
            (None, None, None, None) if until.is_none() => None,
            (Some(agent), Some(account), Some(instance), Some(from)) => {
                if until.is_some_and(|until| until < from) {
                    return Err("until= lies before from=".to_owned());
                }
                Some(Enrolment { agent, account, instance, from, until })
            }
            // Half of it would trust the key for more than was meant.
            _ => {
                return Err(
                    "a key has all of agent=, account=, instance= and from=, or none of them".to_owned()
                );
            }
        };
        Ok(Self { key, enrolment })
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.key)?;
        let Some(Enrolment { agent, account, instance, from, until }) = &self.enrolment else {
            return Ok(());
        };
        let from = from.to_rfc3339_millis();
        write!(formatter, " agent={agent} account={account} instance={instance} from={from}")?;
        match until {
            Some(until) => write!(formatter, " until={}", until.to_rfc3339_millis()),
            None => Ok(()),
        }
    }
}

/// A list of trusted keys. It prints as a file of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKeys {
    /// Those of agents.
    agents: Vec<TrustedKey>,
    /// Those of control planes, which give leave.
    control_planes: Vec<SealingPublicKey>,
}

/// The text is not a list of trusted keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrustedKeys {
    /// A line is malformed.
    #[error("line {line}: {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// There is no key in it.
    #[error("it holds no key")]
    Empty,
}

impl TrustedKeys {
    /// These keys of agents, and these of control planes.
    #[must_use]
    pub fn new(agents: Vec<TrustedKey>, control_planes: Vec<SealingPublicKey>) -> Self {
        Self { agents, control_planes }
    }

    /// Reads a file of trusted keys.
    ///
    /// # Errors
    /// A line is malformed, or there is no key.
    pub fn parse(text: &str) -> Result<Self, InvalidTrustedKeys> {
        let (mut agents, mut control_planes) = (Vec::new(), Vec::new());
        for (line, number) in text.lines().zip(1..) {
            let (stated, comment) = line.split_once('#').unwrap_or((line, ""));
            if !stated.trim().is_empty() {
                let refuse = |why| InvalidTrustedKeys::Line { line: number, why };
                let control_plane =
                    stated.trim().strip_suffix(CONTROL_PLANE).filter(|key| key.ends_with([' ', '\t']));
                match control_plane {
                    Some(key) => control_planes
                        .push(SealingPublicKey::parse(key.trim()).map_err(|why| refuse(why.to_string()))?),
                    None => agents.push(TrustedKey::parse(stated.trim()).map_err(refuse)?),
                }
                // It would be trusted for more than was meant.
                if BOUNDS.iter().any(|bound| comment.contains(*bound) && !stated.contains(*bound)) {
                    return Err(refuse("the bounds of this key stand in its comment".to_owned()));
                }
            }
        }
        if agents.is_empty() && control_planes.is_empty() {
            return Err(InvalidTrustedKeys::Empty);
        }
        Ok(Self { agents, control_planes })
    }

    /// Whether this is the key of a control plane whose leave is trusted.
    #[must_use]
    pub fn has_control_plane(&self, key: &SealingPublicKey) -> bool {
        self.control_planes.contains(key)
    }

    /// The trusted key for a recording with this start that is read at this moment.
    ///
    /// # Errors
    /// There is none; says why, of the key that comes nearest.
    pub fn find(&self, start: &Start, as_of: Timestamp) -> Result<&TrustedKey, String> {
        if let Some(trusted) = self.agents.iter().find(|trusted| trusted.refusal(start, as_of).is_none()) {
            return Ok(trusted);
        }
        Err(self
            .refusal_of_key(start, as_of)
            .unwrap_or_else(|| "its key is not among the trusted ones".to_owned()))
    }

    /// Why the key that a recording's start names is not trusted for it, although there are lines with that key; `None` if one
    /// of them trusts it, and if nothing is known of the key.
    pub(crate) fn refusal_of_key(&self, start: &Start, as_of: Timestamp) -> Option<String> {
        let same_key = || self.agents.iter().filter(|trusted| trusted.key == start.agent_sealing_key);
        if same_key().any(|trusted| trusted.refusal(start, as_of).is_none()) {
            return None;
        }
        same_key().next_back()?.refusal(start, as_of)
    }
}

impl From<TrustedKey> for TrustedKeys {
    fn from(agent: TrustedKey) -> Self {
        Self::new(vec![agent], vec![])
    }
}

impl fmt::Display for TrustedKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.agents.iter().try_for_each(|key| writeln!(formatter, "{key}"))?;
        self.control_planes.iter().try_for_each(|key| writeln!(formatter, "{key} {CONTROL_PLANE}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::SealingKey;

    fn enrolled() -> TrustedKey {
        TrustedKey {
            key: SealingKey::from_seed(&[1; 32]).public_key(),
            enrolment: Some(Enrolment {
                agent: AgentId::parse("agent-00112233445566778899aabbccddeeff").unwrap(),
                account: AccountId::parse("1234567890123456").unwrap(),
                instance: InstanceId::parse("i-example").unwrap(),
                from: Timestamp::from_millis(1_700_000_000_123),
                until: Some(Timestamp::from_millis(1_700_000_100_456)),
            }),
        }
    }

    #[test]
    fn a_key_prints_as_the_line_that_is_read() {
        let mut key = enrolled();
        for until in [key.enrolment.as_ref().unwrap().until, None] {
            key.enrolment.as_mut().unwrap().until = until;
            assert_eq!(
                TrustedKeys::parse(&key.to_string()).unwrap(),
                TrustedKeys::new(vec![key.clone()], vec![])
            );
        }
        let alone = TrustedKey { enrolment: None, ..key };
        let text = format!("# the agents\n\n  {alone}  # web1\n");
        assert_eq!(TrustedKeys::parse(&text).unwrap(), TrustedKeys::new(vec![alone.clone()], vec![]));
        let both = TrustedKeys::new(vec![alone], vec![SealingKey::from_seed(&[2; 32]).public_key()]);
        assert_eq!(TrustedKeys::parse(&both.to_string()).unwrap(), both);
        // A comment takes nothing of bounds that stand before it.
        assert!(TrustedKeys::parse(&format!("{} # agent=web1\n# {}\n", enrolled(), enrolled())).is_ok());
        let by_hand = format!("{}\n", enrolled()).replace(".123Z", "Z").replace(".456Z", "Z");
        assert!(TrustedKeys::parse(&by_hand).is_ok());
    }

    #[test]
    fn a_line_that_would_trust_more_than_was_meant_is_refused() {
        let whole = enrolled().to_string();
        for (line, why) in [
            ("nonsense".to_owned(), "\"nonsense\" is not a sealing public key"),
            (whole.replace("agent=", "agnt="), "is none of agent=, account="),
            (whole.replace(" account=1234567890123456", ""), "has all of agent=, account="),
            (whole.replace("until=", "from="), "from= stands there twice"),
            (whole.replace("i-example", "*"), "\"*\" is not an instance id"),
            (whole.replace("until=2023", "until=2022"), "until= lies before from="),
            (whole.replace("until=2023", "until=soon2023"), "soon2023"),
            (format!("{} until=2023-11-14T22:15:00Z", enrolled().key), "has all of agent=, account="),
            (whole.replacen(" agent=", " # agent=", 1), "the bounds of this key stand in its comment"),
            (whole.replacen(" agent=", "#web1, agent=", 1), "the bounds of this key stand in its comment"),
            (format!("{} # until=2023-11-14T22:15:00Z", enrolled().key), "stand in its comment"),
            (format!("{} # control-plane", enrolled().key), "stand in its comment"),
            (format!("{whole} control-plane"), "is not a sealing public key"),
            (whole.replacen(" until=", " # until=", 1), "the bounds of this key stand in its comment"),
            (whole.replacen(" until=", " # until=", 1).replacen(" agent=", " # agent=", 1), "in its comment"),
        ] {
            let error = TrustedKeys::parse(&format!("\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(why), "{line}: {error}");
        }
        assert_eq!(TrustedKeys::parse("# nothing\n").unwrap_err(), InvalidTrustedKeys::Empty);
    }
}
