//! What lists are filtered by and no column holds as such: short texts that are derived from columns, with an index on each.
//!
//! The texts of these expressions are those of the indexes: a planner recognizes an index on an expression by it. A change here needs a
//! migration.

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};

use crate::dialect::Dialect;

/// How long a key is at most: a key of an index must be short, and some of these texts come from outside.
const LENGTH: usize = 128;

/// A derived text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKey {
    /// The status of a recording, as `Recording::status` derives it; the tests compare the two.
    Status,
    /// The beginning of the user whom an agent claims, up to the number in `ana (uid 1000)`.
    ClaimedUser,
    /// The beginning of an audit event's action.
    Action,
    /// The beginning of an audit event's resource.
    Resource,
}

/// All of them.
pub(crate) const ALL: [ListKey; 4] =
    [ListKey::Status, ListKey::ClaimedUser, ListKey::Action, ListKey::Resource];

/// What follows the name in a claimed user.
pub(super) const BEFORE_UID: &str = " (uid ";

impl ListKey {
    /// The column by which MariaDB has it.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Status => "status_key",
            Self::ClaimedUser => "claimed_key",
            Self::Action => "action_key",
            Self::Resource => "resource_key",
        }
    }

    /// The expression that derives it.
    pub(crate) fn derived(self, dialect: Dialect) -> String {
        match (self, dialect) {
            (Self::Status, _) => "CASE WHEN state = 'open' THEN 'running' WHEN segments = 0 THEN 'failed' \
                                  WHEN state <> 'abandoned' AND end_kind = 'exited' THEN 'finished' \
                                  ELSE 'interrupted' END"
                .to_owned(),
            (Self::ClaimedUser, Dialect::Sqlite) => format!(
                "substr(CASE WHEN instr(claimed_owner, '{BEFORE_UID}') = 0 THEN claimed_owner \
                 ELSE substr(claimed_owner, 1, instr(claimed_owner, '{BEFORE_UID}') - 1) END, 1, {LENGTH})"
            ),
            (Self::ClaimedUser, Dialect::Postgres) => {
                format!("substr(split_part(claimed_owner, '{BEFORE_UID}', 1), 1, {LENGTH})")
            }
            (Self::ClaimedUser, Dialect::MariaDb) => {
                format!("substr(substring_index(claimed_owner, '{BEFORE_UID}', 1), 1, {LENGTH})")
            }
            (Self::Action, _) => format!("substr(action, 1, {LENGTH})"),
            (Self::Resource, _) => format!("substr(resource, 1, {LENGTH})"),
        }
    }

    /// Whether no other text has the value of this one. Long texts with the same beginning have the same.
    pub(super) fn tells_apart(text: &str) -> bool {
        text.chars().count() < LENGTH
    }

    /// That its value is that of this text.
    pub(super) fn is_that_of(self, text: &str, dialect: Dialect) -> SimpleExpr {
        let text = match self {
            Self::ClaimedUser => text.split(BEFORE_UID).next().unwrap_or(text),
            Self::Status | Self::Action | Self::Resource => text,
        };
        let value: String = text.chars().take(LENGTH).collect();
        let key = match dialect {
            Dialect::Sqlite | Dialect::Postgres => Expr::cust(self.derived(dialect)),
            Dialect::MariaDb => Expr::col(self.column()),
        };
        key.eq(value)
    }
}
