//! What a record configuration says about the sessions that it records: what happens when a recording cannot be kept, how
//! late it may be delivered, whose sessions are recorded, and what people are told.
//!
//! Each setting is its own: what is not set for an instance is taken from `*`, and what is not set there is the
//! deployment's default.

use std::fmt;
use std::str::FromStr;

use recording::sanitise::is_unsafe;
pub use recording::{DeliveryMode, FailurePolicy, InvalidPrincipalPattern, PrincipalPattern};

use crate::parameter::{NO_CONTROL_CHARACTERS, Parameter, Refused, Shape, TextShape, Word};
use crate::record_config::{InstanceSelector, RecordConfig};

impl Word for FailurePolicy {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for DeliveryMode {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// Whose sessions are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedPrincipals {
    /// Everybody's: `*`.
    Everybody,
    /// Of those whom one of these matches.
    Matching(PrincipalPatterns),
}

/// Patterns: at least one, and none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalPatterns(Vec<PrincipalPattern>);

/// Why a list is no [`RecordedPrincipals`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecordedPrincipals {
    /// It would record nobody, which `Enabled=false` is for.
    #[error("it must have at least one pattern; * records everybody")]
    Empty,
    /// It is too long.
    #[error("it has at most {MOST_PATTERNS} patterns")]
    TooMany,
    /// One of its items is no pattern.
    #[error(transparent)]
    Pattern(#[from] InvalidPrincipalPattern),
}

/// How many patterns a list may have.
pub const MOST_PATTERNS: usize = 100;

const EVERYBODY: &str = "*";

impl RecordedPrincipals {
    /// Reads patterns, or `*`. Beside `*` the others mean nothing more, and are dropped.
    ///
    /// # Errors
    /// [`InvalidRecordedPrincipals`].
    pub fn of_items<'i>(items: impl IntoIterator<Item = &'i str>) -> Result<Self, InvalidRecordedPrincipals> {
        let (mut patterns, mut everybody) = (Vec::new(), false);
        for (place, item) in items.into_iter().enumerate() {
            if place >= MOST_PATTERNS {
                return Err(InvalidRecordedPrincipals::TooMany);
            }
            if item == EVERYBODY {
                everybody = true;
                continue;
            }
            let pattern: PrincipalPattern = item.parse()?;
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        if everybody {
            return Ok(Self::Everybody);
        }
        if patterns.is_empty() {
            Err(InvalidRecordedPrincipals::Empty)
        } else {
            Ok(Self::Matching(PrincipalPatterns(patterns)))
        }
    }

    /// As a list of texts: `*` for everybody.
    #[must_use]
    pub fn to_items(&self) -> Vec<String> {
        match self {
            Self::Everybody => vec![EVERYBODY.to_owned()],
            Self::Matching(PrincipalPatterns(patterns)) => patterns.iter().map(ToString::to_string).collect(),
        }
    }

    /// The patterns, of which one must match; `None` records everybody.
    #[must_use]
    pub fn to_patterns(&self) -> Option<Vec<String>> {
        match self {
            Self::Everybody => None,
            Self::Matching(_) => Some(self.to_items()),
        }
    }
}

/// Parted by commas.
impl FromStr for RecordedPrincipals {
    type Err = InvalidRecordedPrincipals;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of_items(text.split(',').map(|item| item.trim_matches(' ')))
    }
}

impl fmt::Display for RecordedPrincipals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_items().join(","))
    }
}

/// What people are told before the first prompt of a recorded session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The agent's own text, which names the session's token.
    Default,
    /// Nothing.
    None,
    /// This text.
    Text(NoticeText),
}

impl Notice {
    /// The text as an agent is given it: `None` for its own one, and empty for none.
    #[must_use]
    pub fn to_agent_text(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::None => Some(String::new()),
            Self::Text(text) => Some(text.as_str().to_owned()),
        }
    }

    /// The kind of notice.
    #[must_use]
    pub fn kind(&self) -> NoticeKind {
        match self {
            Self::Default => NoticeKind::Default,
            Self::None => NoticeKind::None,
            Self::Text(_) => NoticeKind::Text,
        }
    }
}

/// Which notice there is, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// [`Notice::Default`].
    Default,
    /// [`Notice::None`].
    None,
    /// [`Notice::Text`].
    Text,
}

impl NoticeKind {
    /// The word, on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::None => "none",
            Self::Text => "text",
        }
    }
}

/// A notice that needs no text. It has a parameter of its own, because an empty text is one that was not given: a client that
/// leaves a field empty must not take the notice away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextlessNotice {
    /// [`Notice::Default`].
    Default,
    /// [`Notice::None`].
    None,
}

impl Word for TextlessNotice {
    const ALL: &'static [Self] = &[Self::Default, Self::None];

    fn word(self) -> &'static str {
        Notice::from(self).kind().as_str()
    }
}

impl From<TextlessNotice> for Notice {
    fn from(notice: TextlessNotice) -> Self {
        match notice {
            TextlessNotice::Default => Self::Default,
            TextlessNotice::None => Self::None,
        }
    }
}

/// One line of text for a person, without characters that control a terminal, turn the text round or hide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeText(String);

/// The text is not a [`NoticeText`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be one line of 1 to {} characters, of which at least one can be seen, without control characters and without \
     characters that hide or that change the direction of text",
    NoticeText::MAX_CHARACTERS
)]
pub struct InvalidNoticeText;

impl NoticeText {
    /// How many characters it may have.
    pub const MAX_CHARACTERS: usize = 500;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NoticeText {
    type Err = InvalidNoticeText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.chars().count() <= Self::MAX_CHARACTERS
            && !text.contains(is_unsafe)
            && !text.chars().all(char::is_whitespace);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidNoticeText) }
    }
}

impl Parameter for NoticeText {
    fn shape() -> Shape {
        TextShape::fitting(NO_CONTROL_CHARACTERS).with_length(1..=Self::MAX_CHARACTERS).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        text.parse().map_err(|why: InvalidNoticeText| Refused::value(why.to_string()))
    }
}

/// The settings as they were set for one selector; `None` where one never was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionSettings {
    /// What happens to a session whose recording cannot be kept.
    pub failure_policy: Option<FailurePolicy>,
    /// How far delivery may be behind what is shown.
    pub delivery_mode: Option<DeliveryMode>,
    /// Whose sessions are recorded.
    pub recorded_principals: Option<RecordedPrincipals>,
    /// What people are told.
    pub notice: Option<Notice>,
}

impl SessionSettings {
    /// The same, with `earlier` for what is not set.
    #[must_use]
    pub fn or(self, earlier: Self) -> Self {
        Self {
            failure_policy: self.failure_policy.or(earlier.failure_policy),
            delivery_mode: self.delivery_mode.or(earlier.delivery_mode),
            recorded_principals: self.recorded_principals.or(earlier.recorded_principals),
            notice: self.notice.or(earlier.notice),
        }
    }
}

/// What a setting was set for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingSource {
    /// This selector: an instance, or `*`.
    Selector(InstanceSelector),
    /// Nothing: it is the deployment's default.
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selector(selector) => selector.fmt(f),
            // No instance has this id: an id has a dash.
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting in force, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective<T> {
    /// The setting.
    pub value: T,
    /// What it was set for.
    pub source: SettingSource,
}

/// The settings in force for a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSettings {
    /// What happens to a session whose recording cannot be kept.
    pub failure_policy: Effective<FailurePolicy>,
    /// How far delivery may be behind what is shown.
    pub delivery_mode: Effective<DeliveryMode>,
    /// Whose sessions are recorded.
    pub recorded_principals: Effective<RecordedPrincipals>,
    /// What people are told.
    pub notice: Effective<Notice>,
}

impl EffectiveSettings {
    /// From the configurations that apply, the one that takes precedence first.
    #[must_use]
    pub fn of(configs: &[&RecordConfig]) -> Self {
        Self {
            failure_policy: pick(configs, FailurePolicy::default(), |settings| settings.failure_policy),
            delivery_mode: pick(configs, DeliveryMode::default(), |settings| settings.delivery_mode),
            recorded_principals: pick(configs, RecordedPrincipals::Everybody, |settings| {
                settings.recorded_principals.clone()
            }),
            notice: pick(configs, Notice::Default, |settings| settings.notice.clone()),
        }
    }
}

fn pick<T>(
    configs: &[&RecordConfig],
    default: T,
    setting: fn(&SessionSettings) -> Option<T>,
) -> Effective<T> {
    let set = configs.iter().find_map(|config| {
        let source = SettingSource::Selector(config.selector.clone());
        setting(&config.settings).map(|value| Effective { value, source })
    });
    set.unwrap_or(Effective { value: default, source: SettingSource::Default })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_patterns_is_read_and_printed_back() {
        let read = |text: &str| text.parse::<RecordedPrincipals>();
        assert_eq!(read("user:ana, group:ops-*").unwrap().to_string(), "user:ana,group:ops-*");
        assert_eq!(read("user:ana,user:ana").unwrap().to_items(), ["user:ana"]);
        assert_eq!(read("*"), Ok(RecordedPrincipals::Everybody));
        assert_eq!(read("user:ana,*"), Ok(RecordedPrincipals::Everybody));
        assert_eq!(read("*").unwrap().to_string(), "*");
        assert_eq!(
            (read("*").unwrap().to_patterns(), read("role:a").unwrap().to_patterns()),
            (None, Some(vec!["role:a".to_owned()]))
        );
        assert_eq!(RecordedPrincipals::of_items([]), Err(InvalidRecordedPrincipals::Empty));
        for bad in ["", "ana", "user:ana,", "user:ana;user:bo", "*,ana", "**"] {
            assert_eq!(
                read(bad),
                Err(InvalidRecordedPrincipals::Pattern(InvalidPrincipalPattern)),
                "{bad:?}"
            );
        }
        let many: Vec<String> = (0..=MOST_PATTERNS).map(|number| format!("user:u{number}")).collect();
        assert!(read(&many[1..].join(",")).is_ok());
        assert_eq!(read(&many.join(",")), Err(InvalidRecordedPrincipals::TooMany));
    }

    #[test]
    fn a_notice_is_one_line_that_can_be_seen() {
        let reads = |text: &str| text.parse::<NoticeText>().is_ok();
        assert!(reads("x") && reads(&"ä".repeat(NoticeText::MAX_CHARACTERS)));
        for bad in ["", " ", "\u{3000}", "a\nb", "a\u{1b}[2J", "a\u{9b}1m", "a\u{202e}b", "a\u{200b}b", "\t"]
        {
            assert!(!reads(bad), "{bad:?}");
        }
        assert!(!reads(&"a".repeat(NoticeText::MAX_CHARACTERS + 1)));
    }
}
