//! SQLite on the thread that uses it. The driver passes each statement to a thread of its own and waits for the answer,
//! which costs more than what SQLite does with it; who commits for all calls has a thread anyway.

use std::borrow::Cow;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql};
use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
use sea_orm::{DbErr, RuntimeErr, Value, sqlx};

use super::sqlite::BUSY_TIMEOUT;
use crate::StoreError;
use crate::error::COMMIT;

/// As durable as the driver's connection that writes (`sqlite::writer`).
const SETTINGS: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0";

/// A connection that writes.
pub(crate) struct Direct(Connection);

/// A transaction, which is rolled back unless it is committed.
pub(crate) struct DirectTransaction<'c>(&'c Connection);

/// A statement that is run once for each row.
pub(crate) struct ForEachRow<'c>(CachedStatement<'c>);

/// What is done with the write-ahead log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Checkpoint {
    /// Nothing.
    Look,
    /// As much of it is copied into the file as can be without waiting for anybody.
    BesideOthers,
    /// The same, and then those who read from it are waited for, but not for long: the next commit begins it anew.
    BeginAnew,
}

/// How long those who read from the log are waited for. Nobody writes meanwhile.
const READERS_LIMIT: Duration = Duration::from_millis(100);

/// The write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) pages: i64,
    /// How many of them have been copied into the file.
    pub(crate) copied: i64,
    /// Whether somebody stood in the way of what was to be done with it.
    pub(crate) blocked: bool,
}

/// A value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column<'v> {
    Text(&'v str),
    Bytes(&'v [u8]),
    Number(i64),
    /// A text that is not there.
    NoText,
}

impl Direct {
    /// Opens a file that exists.
    pub(crate) fn open(file: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(file, flags).and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.execute_batch(SETTINGS)?;
            Ok(Self(connection))
        });
        opened.map_err(of_driver).map_err(StoreError::at("be connected to"))
    }

    /// Lets the file grow no further by this connection, as when the disk is full.
    #[cfg(test)]
    pub(crate) fn permit_no_more_pages(&self) {
        self.0.query_row("PRAGMA max_page_count = 1", (), |_| Ok(())).unwrap();
    }

    /// Whether it is between transactions, so that another one can be begun.
    pub(crate) fn is_free(&self) -> bool {
        self.0.is_autocommit()
    }

    pub(crate) fn checkpoint(&self, checkpoint: Checkpoint) -> Result<Log, StoreError> {
        let pragma = match checkpoint {
            Checkpoint::Look => "PRAGMA wal_checkpoint = NOOP",
            Checkpoint::BesideOthers => "PRAGMA wal_checkpoint = PASSIVE",
            Checkpoint::BeginAnew => "PRAGMA wal_checkpoint = RESTART",
        };
        let limit = match checkpoint {
            Checkpoint::BeginAnew => READERS_LIMIT,
            Checkpoint::Look | Checkpoint::BesideOthers => BUSY_TIMEOUT,
        };
        let log = self.0.busy_timeout(limit).and_then(|()| {
            self.0.query_row(pragma, (), |row| {
                Ok(Log { blocked: row.get(0)?, pages: row.get(1)?, copied: row.get(2)? })
            })
        });
        log.map_err(of_driver).map_err(StoreError::at("copy its write-ahead log"))
    }

    /// Begins a transaction that writes.
    pub(crate) fn begin(&self) -> Result<DirectTransaction<'_>, StoreError> {
        // As for the driver's connection (`sqlite::to_write`).
        let begun = run(&self.0, "BEGIN IMMEDIATE").map_err(StoreError::at("begin a transaction"));
        begun.map(|()| DirectTransaction(&self.0))
    }
}

impl DirectTransaction<'_> {
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        run(self.0, "COMMIT").map_err(StoreError::at(COMMIT))
    }

    /// The first column of the first row; `None` where there is no row, or NULL.
    pub(crate) fn number(&self, text: &'static str, values: &[Column<'_>]) -> Result<Option<i64>, DbErr> {
        let ask = || {
            let mut statement = self.0.prepare_cached(text)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            rows.next()?.map_or(Ok(None), |row| row.get(0))
        };
        ask().map_err(of_driver)
    }

    /// The first two numbers of the first row.
    pub(crate) fn numbers(
        &self,
        text: &'static str,
        values: &[Column<'_>],
    ) -> Result<Option<[i64; 2]>, DbErr> {
        let ask = || {
            let mut statement = self.0.prepare_cached(text)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            rows.next()?.map(|row| Ok([row.get(0)?, row.get(1)?])).transpose()
        };
        ask().map_err(of_driver)
    }

    pub(crate) fn for_each_row(&self, text: &'static str) -> Result<ForEachRow<'_>, DbErr> {
        self.0.prepare_cached(text).map(ForEachRow).map_err(of_driver)
    }
}

impl Drop for DirectTransaction<'_> {
    fn drop(&mut self) {
        // SQLite itself undoes a whole transaction when the disk is full.
        if !self.0.is_autocommit()
            && let Err(error) = run(self.0, "ROLLBACK")
        {
            // Whoever has the connection opens another one.
            tracing::error!(error = &error as &dyn Error, "a transaction could not be rolled back");
        }
    }
}

impl ForEachRow<'_> {
    pub(crate) fn run(&mut self, values: &[Column<'_>]) -> Result<(), DbErr> {
        let mut run = || {
            for (place, value) in (1..).zip(values) {
                self.0.raw_bind_parameter(place, value)?;
            }
            self.0.raw_execute()
        };
        run().map(drop).map_err(of_driver)
    }
}

fn run(connection: &Connection, text: &'static str) -> Result<(), DbErr> {
    let run = || connection.prepare_cached(text)?.execute(());
    run().map(drop).map_err(of_driver)
}

impl ToSql for Column<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Number(number) => ValueRef::Integer(number),
            Self::NoText => ValueRef::Null,
        }))
    }
}

impl<'v> From<&'v str> for Column<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<Option<&'v str>> for Column<'v> {
    fn from(text: Option<&'v str>) -> Self {
        text.map_or(Self::NoText, Self::Text)
    }
}

impl From<i64> for Column<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Column<'_>> for Value {
    fn from(column: Column<'_>) -> Self {
        match column {
            Column::Text(text) => text.into(),
            Column::Bytes(bytes) => bytes.to_vec().into(),
            Column::Number(number) => number.into(),
            Column::NoText => None::<&str>.into(),
        }
    }
}

/// What SQLite said, in the form in which the driver tells it: whatever is read from an error is read in one way.
#[derive(Debug, thiserror::Error)]
#[error("(code: {code}) {message}")]
struct Said {
    /// The extended code.
    code: i32,
    message: String,
}

fn of_driver(error: rusqlite::Error) -> DbErr {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let message = message.unwrap_or_else(|| failure.to_string());
            let said = Said { code: failure.extended_code, message };
            DbErr::Exec(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(Box::new(said)))))
        }
        other => DbErr::Exec(RuntimeErr::Internal(other.to_string())),
    }
}

impl DatabaseError for Said {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    // Nothing that is done here asks for it.
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, sqlite};
    use super::*;

    /// A file with a table `t`, and a connection to it.
    async fn made(folder: &Path) -> Direct {
        let file = folder.join("hansard.db");
        let writer = sqlite::making_writer(&file).await.unwrap();
        let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, CHECK (text <> 'refused'))";
        sea_orm::ConnectionTrait::execute_unprepared(&writer, table).await.unwrap();
        Direct::open(&file).unwrap()
    }

    fn insert(transaction: &DirectTransaction<'_>, rows: &[(i64, &str)]) -> Result<(), DbErr> {
        let mut insert = transaction.for_each_row("INSERT INTO t VALUES (?, ?)")?;
        rows.iter().try_for_each(|(id, text)| insert.run(&[(*id).into(), (*text).into()]))
    }

    fn count(direct: &Direct) -> Option<i64> {
        direct.begin().unwrap().number("SELECT COUNT(*) FROM t", &[]).unwrap()
    }

    #[tokio::test]
    async fn its_commits_are_as_durable_as_the_drivers() {
        let folder = tempfile::tempdir().unwrap();
        let direct = made(folder.path()).await;
        for (pragma, value) in
            [("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000), ("wal_autocheckpoint", 0)]
        {
            let is: i64 = direct.0.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
            assert_eq!(is, value, "{pragma}");
        }
        let mode: String = direct.0.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }

    #[tokio::test]
    async fn what_is_not_committed_is_rolled_back_and_a_refused_row_is_blamed() {
        let folder = tempfile::tempdir().unwrap();
        let direct = made(folder.path()).await;
        let transaction = direct.begin().unwrap();
        insert(&transaction, &[(1, "one"), (2, "two")]).unwrap();
        assert!(!direct.is_free());
        drop(transaction);
        assert!(direct.is_free());
        assert_eq!(count(&direct), Some(0));
        let transaction = direct.begin().unwrap();
        let refused = insert(&transaction, &[(1, "one"), (2, "refused")]).unwrap_err();
        assert!(Dialect::Sqlite.blames_a_row(&refused), "{refused:?}");
        drop(transaction);
        let transaction = direct.begin().unwrap();
        insert(&transaction, &[(3, "three")]).unwrap();
        transaction.commit().unwrap();
        assert_eq!(count(&direct), Some(1));
        let transaction = direct.begin().unwrap();
        let missing = transaction.number("SELECT id FROM t WHERE text = ?", &["one".into()]);
        assert_eq!(missing.unwrap(), None);
        let unknown = transaction.number("SELECT id FROM u", &[]).unwrap_err();
        assert!(!Dialect::Sqlite.blames_a_row(&unknown) && unknown.to_string().contains("no such table"));
    }
}
