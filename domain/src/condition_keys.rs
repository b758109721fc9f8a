//! The condition keys of instances and recordings, and those of AssumeRole.
//!
//! | key                                 | value                                     | set when                          |
//! |-------------------------------------|-------------------------------------------|-----------------------------------|
//! | `ecs-workbench:InstanceTag/<key>`   | text: that tag of the instance            | the call names one instance       |
//! | `acs:ResourceTag/<key>`             | the same, by the name of every product    | the same                          |
//! | `ecs-workbench:SessionOwner`        | ARN of the owner; `self` too when it calls | a recording whose owner is proven |
//! | `ecs-workbench:RecordingAge`        | whole days since the session began        | a recording                       |
//! | `ecs-workbench:CaptureKind`         | `terminal`                                | a recording                       |
//!
//! In a list each row has its own values. The table of all keys, for the tools for policy authors, is in `vocabulary`.

use policies::keys::RESOURCE_TAG;
use policies::{Context, ContextValue};
use recording::CaptureKind;

use crate::instance_tags::InstanceTags;
use crate::principal::Principal;
use crate::{AccountId, TerminalSessionToken, Timestamp};

/// The beginning of a tag's key; the rest is the key of the tag.
pub const INSTANCE_TAG: &str = "ecs-workbench:InstanceTag/";
/// AssumeRole's ExternalId.
pub const EXTERNAL_ID: &str = "sts:ExternalId";
/// AssumeRole's SourceIdentity.
pub const SOURCE_IDENTITY: &str = "sts:SourceIdentity";
/// Who opened the recorded session.
pub const SESSION_OWNER: &str = "ecs-workbench:SessionOwner";
/// How long ago the recorded session began.
pub const RECORDING_AGE: &str = "ecs-workbench:RecordingAge";
/// What kind of session was recorded.
pub const CAPTURE_KIND: &str = "ecs-workbench:CaptureKind";

/// The second value of [`SESSION_OWNER`] if the caller is the owner.
pub const SELF: &str = "self";

/// A day, in milliseconds.
pub const DAY_MILLIS: i64 = 86_400_000;

/// Who opened a session, proven by a signed call (DECISIONS I6). An agent's claim does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionOwner {
    /// The ARN that the owner had then.
    pub arn: String,
    /// The owner's id, which is independent of the name: a name can be reused for somebody else, an id cannot.
    pub id: String,
}

impl SessionOwner {
    /// The caller as an owner; `None` for principals who open no sessions.
    #[must_use]
    pub fn of(principal: &Principal) -> Option<Self> {
        let id = match principal {
            Principal::Account { .. } => "root".to_owned(),
            Principal::User { user_id, .. } => format!("user/{user_id}"),
            // By its key: the caller who assumes the role chooses the session's name, and could choose somebody else's.
            Principal::AssumedRole { role_id, session_key, .. } => format!("role/{role_id}/{session_key}"),
            Principal::Agent { .. } | Principal::System { .. } | Principal::Operator { .. } => return None,
        };
        Some(Self { arn: principal.arn(), id })
    }

    /// The ARNs of the owners that people know by this name: a user, a session of a role as `role/session`, the account's
    /// owner as `root`.
    #[must_use]
    pub fn arns_of_name(account: &AccountId, name: &str) -> Vec<String> {
        let mut arns =
            vec![format!("acs:ram::{account}:user/{name}"), format!("acs:ram::{account}:role/{name}")];
        if name == "root" {
            arns.push(Principal::Account { account: account.clone() }.arn());
        }
        arns
    }
}

/// What policies can ask about one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFacts {
    /// Which one.
    pub token: TerminalSessionToken,
    /// When the session began.
    pub started_at: Timestamp,
    /// Who opened the session, where that is proven.
    pub owner: Option<SessionOwner>,
    /// The kind of capture.
    pub kind: CaptureKind,
}

/// How old a recording is, in whole days. One from an instance whose clock is ahead is new.
#[must_use]
pub fn age_days(started_at: Timestamp, now: Timestamp) -> i64 {
    now.as_millis().saturating_sub(started_at.as_millis()).max(0) / DAY_MILLIS
}

pub(crate) fn insert_tags(context: &mut Context, tags: &InstanceTags) {
    for (key, value) in tags.iter() {
        for name in [INSTANCE_TAG, RESOURCE_TAG] {
            context.insert(&format!("{name}{}", key.as_str()), value.as_str());
        }
    }
}

/// Whether a key is about a tag of the instance.
pub(crate) fn is_about_a_tag(key: &str) -> bool {
    [INSTANCE_TAG, RESOURCE_TAG]
        .iter()
        .any(|name| key.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

pub(crate) fn insert_owner(context: &mut Context, arn: &str, own: bool) {
    let values = [Some(arn), own.then_some(SELF)];
    context.insert_all(SESSION_OWNER, values.into_iter().flatten().map(ContextValue::from));
}

pub(crate) fn insert_age(context: &mut Context, days: i64) {
    context.insert(RECORDING_AGE, days);
}

pub(crate) fn insert_kind(context: &mut Context, kind: CaptureKind) {
    context.insert(CAPTURE_KIND, kind.as_str());
}

pub(crate) fn insert_recording(
    context: &mut Context,
    recording: &RecordingFacts,
    caller: &Principal,
    now: Timestamp,
) {
    if let Some(owner) = &recording.owner {
        let own = SessionOwner::of(caller).is_some_and(|caller| caller.id == owner.id);
        insert_owner(context, &owner.arn, own);
    }
    insert_age(context, age_days(recording.started_at, now));
    insert_kind(context, recording.kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_never_negative() {
        let at = Timestamp::from_millis;
        for (elapsed, days) in
            [(-DAY_MILLIS * 3, 0), (0, 0), (DAY_MILLIS - 1, 0), (DAY_MILLIS, 1), (DAY_MILLIS * 8 - 1, 7)]
        {
            assert_eq!(age_days(at(1_000), at(1_000 + elapsed)), days, "{elapsed}");
        }
    }

    #[test]
    fn somebody_who_reuses_a_name_is_not_the_owner() {
        let user = |id: &str, name: &str| Principal::User {
            account: "1609982529000000".parse().unwrap(),
            user_id: id.parse().unwrap(),
            user_name: name.parse().unwrap(),
        };
        let (first, second) = (user("200000000000000001", "ana"), user("200000000000000002", "ana"));
        let renamed = user("200000000000000001", "bob");
        let recording = RecordingFacts {
            token: TerminalSessionToken::generate(),
            started_at: Timestamp::from_millis(0),
            owner: SessionOwner::of(&first),
            kind: CaptureKind::Terminal,
        };
        let values = |caller: &Principal| {
            let mut context = Context::new();
            insert_recording(&mut context, &recording, caller, Timestamp::from_millis(5));
            let values = context.values(SESSION_OWNER).iter();
            values.map(|value| value.text().to_owned()).collect::<Vec<_>>()
        };
        let arn = first.arn();
        assert_eq!(values(&first), [arn.clone(), SELF.to_owned()]);
        assert_eq!(values(&renamed), [arn.clone(), SELF.to_owned()]);
        assert_eq!(values(&second), [arn]);
    }
}
