//! One file for each table. An entity is private to its file, so that the functions there are the only access to the
//! table; reads and writes for an account use functions that take the account.

// sea-orm's derives make public items, which cannot be reached from outside these private modules.
#![allow(unreachable_pub)]

pub(crate) mod access_key_rows;
pub(crate) mod account_rows;
pub(crate) mod account_setting_rows;
pub(crate) mod agent_link_rows;
pub(crate) mod agent_rows;
pub(crate) mod appended_nonce_rows;
pub(crate) mod attachment_list_rows;
pub(crate) mod attachment_rows;
pub(crate) mod audit_anchor_rows;
pub(crate) mod audit_export_rows;
pub(crate) mod audit_list_rows;
pub(crate) mod audit_pruned_rows;
pub(crate) mod audit_recording_rows;
pub(crate) mod audit_rows;
pub(crate) mod audit_writer_rows;
pub(crate) mod control_policy_rows;
pub(crate) mod counter_rows;
pub(crate) mod group_member_rows;
pub(crate) mod group_rows;
pub(crate) mod identity_tag_rows;
mod insert_many;
pub(crate) mod instance_rows;
pub(crate) mod instance_tag_rows;
pub(crate) mod join_token_rows;
pub(crate) mod list_keys;
pub(crate) mod login_profile_rows;
pub(crate) mod missing_recording_rows;
pub(crate) mod named;
pub(crate) mod nonce_rows;
pub(crate) mod policy_bearer_rows;
pub(crate) mod policy_rows;
pub(crate) mod record_config_rows;
mod recording_filter;
pub(crate) mod recording_link_rows;
pub(crate) mod recording_list_rows;
pub(crate) mod recording_rows;
pub(crate) mod recording_scope;
pub(crate) mod replica_rows;
pub(crate) mod revision_rows;
pub(crate) mod role_rows;
pub(crate) mod role_session_rows;
pub(crate) mod segment_rows;
pub(crate) mod spool_disk_rows;
pub(crate) mod stream_rows;
pub(crate) mod unclaimed_rows;
pub(crate) mod user_rows;
pub(crate) mod waiting_rows;

use std::fmt::Display;
use std::str::FromStr;

use crate::CorruptRow;

/// Reads the values of one row, and names the row when a value makes no sense.
struct Reading<'a> {
    table: &'static str,
    id: &'a str,
}

impl Reading<'_> {
    fn corrupt(&self, column: &'static str, why: impl Display) -> CorruptRow {
        CorruptRow { table: self.table, column, id: self.id.to_owned(), why: why.to_string() }
    }

    fn text<T: FromStr<Err: Display>>(&self, column: &'static str, value: &str) -> Result<T, CorruptRow> {
        value.parse().map_err(|why| self.corrupt(column, why))
    }

    /// As [`Self::text`], for a column that may be NULL.
    fn optional_text<T: FromStr<Err: Display>>(
        &self,
        column: &'static str,
        value: Option<&str>,
    ) -> Result<Option<T>, CorruptRow> {
        value.map(|value| self.text(column, value)).transpose()
    }

    fn number<T: TryFrom<i64, Error: Display>>(
        &self,
        column: &'static str,
        value: i64,
    ) -> Result<T, CorruptRow> {
        T::try_from(value).map_err(|why| self.corrupt(column, why))
    }
}

/// Converts a count for a column of a signed type; none of our sizes or numbers comes near the limit.
pub(crate) fn column_number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The most rows of one statement.
const MOST_OF_A_STATEMENT: usize = 64;

/// Parts of a slice, each as long as a power of two. There are few of those, so that the database, which keeps prepared
/// statements by their text, prepares none of them often.
fn in_few_sizes<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = MOST_OF_A_STATEMENT.min(1 << rows.len().checked_ilog2()?);
        let (part, rest) = rows.split_at(length);
        rows = rest;
        Some(part)
    })
}

/// Text from outside, as a column can hold it: PostgreSQL keeps every character but NUL.
pub(crate) fn column_text(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
