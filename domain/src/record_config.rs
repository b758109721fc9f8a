//! The configuration of recording: what it means to switch it on or off.

use std::fmt;

use crate::actions::SetInstanceRecordConfig;
use crate::expiration::ExpirationDays;
use crate::gate::Granted;
use crate::parameter::{Parameter, Refused, Shape, TextShape, part, rule_of};
use crate::session_settings::{EffectiveSettings, SessionSettings};
use crate::storage_target::RecordStorageTarget;
use crate::{AccountId, InstanceId, Timestamp};

/// Which instances a configuration is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstanceSelector {
    /// `*`: every instance of the account, now and later, that has no configuration of its own.
    All,
    /// One instance, known or not.
    One(InstanceId),
}

impl InstanceSelector {
    /// Reads `*` or an instance id.
    ///
    /// # Errors
    /// The identifier's own error.
    pub fn parse(text: &str) -> Result<Self, crate::InvalidIdentifier> {
        if text == "*" { Ok(Self::All) } else { InstanceId::parse(text).map(Self::One) }
    }

    /// The wire's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::One(instance) => instance.as_str(),
        }
    }
}

impl Parameter for InstanceSelector {
    fn shape() -> Shape {
        TextShape::fitting(format!(r"^(\*|{})$", part(InstanceId::PATTERN))).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Self::parse(text).map_err(|error| Refused::value(format!("it is *, or {}", rule_of(&error))))
    }
}

impl fmt::Display for InstanceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The configuration of one selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    /// The account.
    pub account: AccountId,
    /// For which instances.
    pub selector: InstanceSelector,
    /// Whether sessions are recorded.
    pub enabled: bool,
    /// Where recordings go. Always there when enabled.
    pub target: Option<RecordStorageTarget>,
    /// How long they stay visible.
    pub expiration: ExpirationDays,
    /// What it says about the sessions that it records.
    pub settings: SessionSettings,
    /// Counts the changes of this selector, from 1; a change that read an older one is refused by the store.
    pub revision: i64,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// The request of a caller of SetInstanceRecordConfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredRecordConfig {
    /// For which instances.
    pub selector: InstanceSelector,
    /// On or off.
    pub enabled: bool,
    /// Where to; omitted keeps what the selector has, else the deployment's default.
    pub target: Option<RecordStorageTarget>,
    /// For how long; omitted means 7 days, on every Set.
    pub expiration: Option<ExpirationDays>,
    /// What is omitted stays as it is.
    pub settings: SessionSettings,
}

/// Recording cannot be switched on, because nothing says where recordings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("RecordStorageTarget is mandatory: {0} has no target yet and this deployment has no default one")]
pub struct NoStorageTarget(&'static str);

/// A decided change, for `persistence::Store::apply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfigChanged {
    /// The revision that the decision was made on; `None` when the selector had no configuration.
    pub expected_revision: Option<i64>,
    /// What stands afterwards.
    pub after: RecordConfig,
}

/// Decides what a Set means, from the present configuration.
///
/// # Errors
/// [`NoStorageTarget`] if recording would be on without a target.
pub fn change(
    granted: &Granted<SetInstanceRecordConfig>,
    current: Option<&RecordConfig>,
    desired: DesiredRecordConfig,
    default_target: Option<&RecordStorageTarget>,
    now: Timestamp,
) -> Result<RecordConfigChanged, NoStorageTarget> {
    let target = desired.target.or_else(|| current.and_then(|config| config.target.clone()));
    let target = if desired.enabled {
        Some(target.or_else(|| default_target.cloned()).ok_or(NoStorageTarget(match desired.selector {
            InstanceSelector::All => "'*'",
            InstanceSelector::One(_) => "the instance",
        }))?)
    } else {
        target
    };
    let expected_revision = current.map(|config| config.revision);
    let settings = desired.settings.or(current.map(|config| config.settings.clone()).unwrap_or_default());
    Ok(RecordConfigChanged {
        expected_revision,
        after: RecordConfig {
            account: granted.account().clone(),
            selector: desired.selector,
            enabled: desired.enabled,
            target,
            expiration: desired.expiration.unwrap_or(ExpirationDays::DEFAULT),
            settings,
            revision: expected_revision.unwrap_or(0) + 1,
            changed_at: now,
        },
    })
}

/// What applies to one instance: its own configuration, on or off, takes precedence over that of `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveRecordConfig {
    /// The configuration that applies; `None` if neither was ever set.
    pub config: Option<RecordConfig>,
    /// What holds for its sessions: each setting is taken from the instance's own configuration, from that of `*`, or is
    /// the default.
    pub settings: EffectiveSettings,
}

impl EffectiveRecordConfig {
    /// Picks between the instance's own configuration and that of `*`.
    #[must_use]
    pub fn of(own: Option<RecordConfig>, all: Option<RecordConfig>) -> Self {
        let configs: Vec<&RecordConfig> = own.iter().chain(&all).collect();
        let settings = EffectiveSettings::of(&configs);
        Self { config: own.or(all), settings }
    }

    /// Whether sessions are recorded.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.enabled)
    }

    /// Whether what holds was set for `*`. `asked` is the selector that the caller named.
    #[must_use]
    pub fn inherited(&self, asked: &InstanceSelector) -> bool {
        self.config.as_ref().is_some_and(|config| config.selector != *asked)
    }
}
