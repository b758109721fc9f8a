//! SQLite: a file on this machine, with one connection that writes and a few that read.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sea_orm::sea_query::{Expr, Func, Query, SelectStatement, SimpleExpr};
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode,
    Statement, TransactionOptions, TryGetable,
};

use crate::StoreError;
use crate::connecting::{connect, quiet};
use crate::durability::LossySetting;

/// The number of connections that read.
const READERS: u32 = 4;
/// How long it waits for another process (`hansard admin`) that is writing.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long is waited before it is tried again where SQLite does not wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The file of an address, or what is wrong with the address.
pub(crate) fn parse(text: &str) -> Result<PathBuf, &'static str> {
    if text.contains(":memory:") || text.contains("mode=memory") {
        return Err("a database in memory would lose recordings; name a file");
    }
    if text.contains('?') {
        return Err("SQLite takes no parameters here");
    }
    let options = SqliteConnectOptions::from_str(text).map_err(|_| "the file's name is malformed")?;
    let file = options.get_filename();
    if file.as_os_str().is_empty() { Err("the file's name is missing") } else { Ok(file.to_owned()) }
}

/// The connection that writes, to a database that is created when it does not exist.
pub(crate) async fn making_writer(file: &Path) -> Result<DatabaseConnection, StoreError> {
    make_private(file).map_err(StoreError::at("make the database file"))?;
    connect_in_turn(options(file, 1, |options| {
        durable(options).create_if_missing(true).journal_mode(SqliteJournalMode::Wal)
    }))
    .await
}

/// The connection that writes, to a database that exists.
pub(crate) async fn writer(file: &Path) -> Result<DatabaseConnection, StoreError> {
    connect_in_turn(options(file, 1, durable)).await
}

/// Connections that write nothing, whoever owns the file.
pub(crate) async fn readers(file: &Path) -> Result<DatabaseConnection, StoreError> {
    connect_in_turn(options(file, READERS, |options| options.pragma("query_only", "ON"))).await
}

/// SQLite does not wait by itself for whoever is about to begin the write-ahead log, or to put it away as the last one.
async fn connect_in_turn(options: ConnectOptions) -> Result<DatabaseConnection, StoreError> {
    let since = Instant::now();
    loop {
        match connect(options.clone()).await {
            Err(StoreError::Unavailable { source, .. })
                if is_busy(&source) && since.elapsed() < BUSY_TIMEOUT =>
            {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

/// `SQLITE_BUSY`, whatever the rest of an extended code says.
fn is_busy(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

fn options(
    file: &Path,
    connections: u32,
    also: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let file = file.to_owned();
    let mut options = ConnectOptions::new("sqlite:");
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        // SQLite undoes a whole transaction by itself, as when the disk is full. The driver then finds nothing to roll
        // back, and goes on counting it: the next transaction would become a part of that one, and nobody would commit
        // it. Such a connection is closed, and another takes its place.
        .map_sqlx_sqlite_before_acquire(|connection, _| {
            let between_transactions = !connection.is_in_transaction();
            Box::pin(async move { Ok(between_transactions) })
        })
        .map_sqlx_sqlite_opts(move |options| {
            let options = options.filename(&file).create_if_missing(false);
            also(options.foreign_keys(true).busy_timeout(BUSY_TIMEOUT))
        });
    quiet(options)
}

/// What is committed is evidence: it must survive a loss of power. Checkpoints are made beside those who commit
/// (`crate::checkpoints`).
fn durable(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.synchronous(SqliteSynchronous::Full).pragma("wal_autocheckpoint", "0")
}

/// The settings of a connection under which its commits can be lost. Each begins with durable ones, but SQLite may be built
/// to ignore them, and does not say so when they are set.
pub(crate) async fn lossy_settings(writer: &impl ConnectionTrait) -> Result<Vec<LossySetting>, DbErr> {
    let mut lossy = Vec::new();
    let synchronous: i64 = pragma(writer, "synchronous").await?;
    // OFF and NORMAL; with NORMAL the write-ahead log is not synced at a commit.
    if synchronous < 2 {
        let value = if synchronous == 1 { "NORMAL" } else { "OFF" };
        lossy.push(LossySetting { name: "synchronous", value: value.to_owned(), must_be: "FULL" });
    }
    let journal_mode: String = pragma(writer, "journal_mode").await?;
    if ["off", "memory"].contains(&journal_mode.as_str()) {
        lossy.push(LossySetting { name: "journal_mode", value: journal_mode, must_be: "wal" });
    }
    Ok(lossy)
}

async fn pragma<T: TryGetable>(connection: &impl ConnectionTrait, name: &str) -> Result<T, DbErr> {
    let statement = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {name}"));
    let row = connection.query_one_raw(statement).await?;
    row.ok_or_else(|| DbErr::Custom(format!("SQLite knows no {name}")))?.try_get_by_index(0)
}

/// Refuses a file that does not exist.
pub(crate) fn refuse_no_file(file: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::UnfitDatabase {
            why: "there is no such file, and only `hansard serve` makes one; name another database, or put this one \
                  back from a copy",
        }),
        // The driver reports whatever else is wrong with it.
        _ => Ok(()),
    }
}

/// Only the owner has access to a new database file; SQLite gives the files beside it the same mode.
fn make_private(file: &Path) -> Result<(), DbErr> {
    use std::os::unix::fs::OpenOptionsExt;

    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(DbErr::Conn(RuntimeErr::Internal(format!("{}: {error}", file.display())))),
    }
}

pub(super) fn to_write() -> TransactionOptions {
    TransactionOptions {
        // Takes the lock at once: a transaction that first reads and then wants to write could lose to another process.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// `SQLITE_TOOBIG`, `SQLITE_CONSTRAINT` and `SQLITE_MISMATCH`; the rest of an extended code says more.
pub(super) fn blames_a_row(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18..=20))
}

/// The values are one text of JSON.
pub(super) fn is_one_of<'a>(column: SimpleExpr, values: impl Iterator<Item = &'a str>) -> SimpleExpr {
    let values = serde_json::Value::from_iter(values).to_string();
    Expr::cust_with_exprs("? IN (SELECT value FROM json_each(?))", [column, Expr::val(values)])
}

/// All rows as one text of JSON, in their order.
pub(super) async fn text_rows<const COLUMNS: usize>(
    connection: &impl ConnectionTrait,
    columns: [&'static str; COLUMNS],
    select: SelectStatement,
) -> Result<Vec<[String; COLUMNS]>, DbErr> {
    let one = Func::cust("json_array").args(columns.map(Expr::col));
    let all = Query::select()
        .expr_as(Func::cust("json_group_array").arg(one), "texts")
        .from_subquery(select, "part")
        .to_owned();
    let row = connection.query_one(&all).await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let texts: String = row.try_get("", "texts")?;
    let rows: Vec<Vec<String>> =
        serde_json::from_str(&texts).map_err(|error| DbErr::Json(error.to_string()))?;
    let whole = |row: Vec<String>| {
        row.try_into().map_err(|_| DbErr::Json(format!("SQLite gave a row without {COLUMNS} texts")))
    };
    rows.into_iter().map(whole).collect()
}

/// The unary sign only keeps SQLite from using an index for the column.
pub(super) fn without_index(column: SimpleExpr) -> SimpleExpr {
    Expr::cust_with_expr("+?", column)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when another control plane, or `hansard admin`, is being started on the same file.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_comes_while_the_log_cannot_be_begun_waits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hansard.db");
        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch("CREATE TABLE t (n); BEGIN IMMEDIATE").unwrap();
        let mut connecting = tokio::spawn(async move { making_writer(&file).await });
        let waits = tokio::time::timeout(20 * BUSY_PAUSE, &mut connecting).await;
        assert!(waits.is_err(), "{:?}", waits.unwrap().unwrap());
        other.execute_batch("COMMIT").unwrap();
        connecting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_can_lose_a_commit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hansard.db");
        assert_eq!(lossy_settings(&making_writer(&file).await.unwrap()).await.unwrap(), []);
        assert_eq!(lossy_settings(&writer(&file).await.unwrap()).await.unwrap(), []);
        let lossy = async |synchronous, journal_mode| {
            let file = folder.path().join(format!("{synchronous:?}{journal_mode:?}"));
            let connection = connect(options(&file, 1, move |options| {
                options.create_if_missing(true).synchronous(synchronous).journal_mode(journal_mode)
            }));
            let found = lossy_settings(&connection.await.unwrap()).await.unwrap();
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let synchronous = |is: &str| format!("synchronous is {is} and must be FULL");
        let wal = SqliteJournalMode::Wal;
        assert_eq!(lossy(SqliteSynchronous::Normal, wal).await, [synchronous("NORMAL")]);
        assert_eq!(lossy(SqliteSynchronous::Off, wal).await, [synchronous("OFF")]);
        assert_eq!(lossy(SqliteSynchronous::Extra, SqliteJournalMode::Delete).await, [""; 0]);
        let memory = "journal_mode is memory and must be wal".to_owned();
        assert_eq!(lossy(SqliteSynchronous::Full, SqliteJournalMode::Memory).await, [memory]);
    }
}
