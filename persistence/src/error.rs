//! What can go wrong with the database.

use std::fmt;

use domain::agent::{JoinTokenRefused, NoSuchAgent};
use domain::identity::{ChangeRefused, IdentityRefused};
use domain::succession::SuccessionRefused;
use domain::unclaimed::AgentLimitReached;
use sea_orm::{DbErr, SqlErr};

use crate::durability::LossySettings;

/// The step of a commit. When its answer is lost, nobody here knows whether it happened.
pub(crate) const COMMIT: &str = "commit";

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not exist, or lies outside the grant: the two are never told apart.
    #[error("there is no such {what}")]
    NotFound {
        /// What was looked for, in one word: `user`, `policy`, `recording`.
        what: &'static str,
    },
    /// Something else came first: another change of the same configuration, or a name that is taken.
    #[error("{what}: {why}")]
    Conflict {
        /// What the conflict is about, in one word.
        what: &'static str,
        /// The cause of the conflict.
        why: &'static str,
    },
    /// The change names another account or instance than the grant does; a bug in the program.
    #[error("the {what} lies outside what was granted")]
    OutsideGrant {
        /// What lies outside.
        what: &'static str,
    },
    /// The NextToken was not issued for this list.
    #[error(
        "NextToken was not issued for this list; take it from the reply before and repeat its other parameters"
    )]
    InvalidPageToken,
    /// The Marker was not issued for this list.
    #[error(
        "Marker was not issued for this list; take it from the reply before and repeat its other parameters"
    )]
    InvalidMarker,
    /// A rule of the identity store refuses the change.
    #[error(transparent)]
    Identity(#[from] IdentityRefused),
    /// The join token does not permit this enrolment.
    #[error(transparent)]
    JoinTokenRefused(#[from] JoinTokenRefused),
    /// The agent was replaced or removed; nothing can be written for it any more.
    #[error("the agent was replaced or removed")]
    AgentRetired,
    /// The recording cannot be taken over.
    #[error(transparent)]
    SuccessionRefused(#[from] SuccessionRefused),
    /// The instance has no such agent.
    #[error(transparent)]
    NoSuchAgent(#[from] NoSuchAgent),
    /// An agent has as many unclaimed bytes or open recordings as it may have.
    #[error(transparent)]
    AgentLimit(#[from] AgentLimitReached),
    /// A policy document is not valid.
    #[error("the policy document is not valid")]
    InvalidPolicy(#[source] policies::InvalidPolicy),
    /// A stored row cannot be read back.
    #[error("a stored row cannot be read back")]
    CorruptRow(#[from] CorruptRow),
    /// The database cannot be reached or does not answer as it should.
    #[error("the database could not {step}")]
    Unavailable {
        /// What was being done.
        step: &'static str,
        /// The driver's own error.
        #[source]
        source: DbErr,
    },
    /// The deployment's keys could not seal or unseal a secret.
    #[error("a secret of {what} could not be sealed or unsealed with the server keys")]
    Keys {
        /// The owner of the secret.
        what: String,
        /// Why.
        #[source]
        source: domain::server_keys::SealedRefused,
    },
    /// The database cannot be used as it is, and the caller did not permit to create or change it.
    #[error("{why}")]
    UnfitDatabase {
        /// What is wrong with it, and what to do about it.
        why: &'static str,
    },
    /// The database confirms commits that do not survive a failure of its machine, and the caller asked for durable ones.
    #[error("its commits can be lost when its machine fails: {0}")]
    CommitsCanBeLost(LossySettings),
    /// The one writer of the audit trail has not come to this call, or cannot. Its row may still be committed later.
    #[error("the writer of the audit trail {why}")]
    WriterBehind {
        /// What it could not do.
        why: &'static str,
    },
    /// What a change was decided from was changed before it was made. Nothing was changed: it must be decided again.
    #[error("what this was decided from was changed meanwhile")]
    Outdated,
    /// The task that did the work was cancelled before it finished, because the program is stopping.
    #[error("the program is stopping; nothing is known about the change")]
    Stopping,
}

/// A stored row that this program cannot have written: it was damaged, edited by hand, or comes from a newer
/// version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptRow {
    /// The table.
    pub table: &'static str,
    /// The column whose value does not make sense.
    pub column: &'static str,
    /// The row's key.
    pub id: String,
    /// What is wrong with the value.
    pub why: String,
}

impl fmt::Display for CorruptRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}, column {}, row {}: {}", self.table, self.column, self.id, self.why)
    }
}

impl std::error::Error for CorruptRow {}

impl From<ChangeRefused> for StoreError {
    fn from(refused: ChangeRefused) -> Self {
        match refused {
            ChangeRefused::Identity(refused) => refused.into(),
            ChangeRefused::ChangedMeanwhile { what, why } => Self::Conflict { what, why },
        }
    }
}

impl StoreError {
    /// The same error for another call of the group that failed with it.
    pub(crate) fn for_another(&self) -> Self {
        match self {
            Self::Unavailable { step, source } => Self::Unavailable { step, source: source.clone() },
            Self::CorruptRow(row) => Self::CorruptRow(row.clone()),
            other => Self::Unavailable { step: "commit", source: DbErr::Custom(other.to_string()) },
        }
    }

    /// Wraps the driver's error, with the step that failed.
    pub(crate) fn at(step: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |source| Self::Unavailable { step, source }
    }

    /// As [`StoreError::at`], but a violated uniqueness rule is a conflict about `what`.
    pub(crate) fn unique(
        what: &'static str,
        why: &'static str,
        step: &'static str,
    ) -> impl FnOnce(DbErr) -> Self {
        move |source| match source.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Conflict { what, why },
            _ => Self::Unavailable { step, source },
        }
    }

    /// As [`StoreError::at`], but a violated uniqueness rule is the error that `refused` returns.
    pub(crate) fn taken(
        refused: impl FnOnce() -> IdentityRefused,
        step: &'static str,
    ) -> impl FnOnce(DbErr) -> Self {
        move |source| match source.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => refused().into(),
            _ => Self::Unavailable { step, source },
        }
    }

    /// As [`StoreError::at`], but deleting a row that something refers to is a conflict about `what`.
    pub(crate) fn referenced(
        what: &'static str,
        why: &'static str,
        step: &'static str,
    ) -> impl FnOnce(DbErr) -> Self {
        move |source| match source.sql_err() {
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => Self::Conflict { what, why },
            _ => Self::Unavailable { step, source },
        }
    }
}
