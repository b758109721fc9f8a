//! MariaDB, through the driver for MySQL: one pool of connections that reads and writes.
//!
//! MySQL itself is refused. Interrupted migrations continue by means of `IF NOT EXISTS`, which MySQL does not support
//! for columns, indexes and triggers, and the collation of all texts exists only in MariaDB.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError};
use sea_orm::sqlx::{Executor as _, MySql, pool::PoolOptions};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sea_orm_migration::SchemaManager;

use crate::StoreError;
use crate::connecting::{answers, connect, connecting_failed, dial, quiet};
use crate::durability::LossySetting;
use crate::pool::Pool;

/// The number of connections of one replica.
const CONNECTIONS: u32 = 16;
/// How many seconds a replica waits for another one that migrates.
const MIGRATION_SECONDS: u32 = 3_600;

/// How long a statement waits for a lock, as [`SESSION`] says it.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The settings that each connection begins with, whatever the server's defaults are.
///
/// Strict: a value that a column cannot hold is an error, and is never truncated. READ COMMITTED: a read under a lock
/// sees what is committed, and locks are on rows and not on the gaps between them. A wait for a lock ends before callers
/// give up.
///
/// A transaction in which nothing happens is ended with its locks: a replica that stands still, or that the network has
/// lost, must not hold the others up. (MySQL has nothing of the kind.)
const SESSION: &str = "SET SESSION sql_mode = \
     'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT', \
     innodb_lock_wait_timeout = 5, idle_transaction_timeout = 5, autocommit = 1; \
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Texts are compared byte by byte, as in the other databases. `utf8mb4_bin` would treat `a` and `a` followed by a space
/// as the same key.
const COLLATION: &str = "utf8mb4_nopad_bin";

/// Settings, the values under which commits can be lost, and what must be there instead.
const LOSSY: [(&str, &[&str], &str); 3] = [
    ("innodb_flush_log_at_trx_commit", &["0", "2"], "1"),
    ("innodb_flush_method", &["nosync", "littlesync"], "fsync or O_DIRECT"),
    ("innodb_doublewrite", &["OFF"], "ON"),
];

/// Checks that an address is one of MariaDB, or returns what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<String, &'static str> {
    let rest = ["mysql://", "mariadb://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    // The driver knows only one of the two schemes.
    let url = format!("mysql://{}", rest.unwrap_or_default());
    let options = MySqlConnectOptions::from_str(&url).map_err(|_| "it is malformed")?;
    match options.get_database() {
        Some(_) => Ok(url),
        None => Err("the database's name is missing"),
    }
}

pub(crate) async fn pool(url: &str) -> Result<Pool, StoreError> {
    dial(ours(MySqlConnectOptions::from_str(url).map_err(connecting_failed)?)).await?;
    let pool = Pool::of_server(quiet(options(url, CONNECTIONS))).await?;
    refuse_mysql(&pool).await?;
    Ok(pool)
}

/// One connection, which is made when it is first needed.
pub(crate) async fn one(url: &str) -> Result<Pool, StoreError> {
    let mut options = options(url, 1);
    options.connect_lazy(true);
    Pool::of_server(quiet(options)).await
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .test_before_acquire(false)
        .map_sqlx_mysql_before_acquire(|connection, state| Box::pin(answers(connection, state.idle_for)))
        .map_sqlx_mysql_opts(ours)
        .map_sqlx_mysql_pool_opts(|pool: PoolOptions<MySql>| {
            pool.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            })
        });
    options
}

fn ours(options: MySqlConnectOptions) -> MySqlConnectOptions {
    options.charset("utf8mb4").collation(COLLATION)
}

/// The server's settings under which a confirmed commit can be lost, or the pages that hold it torn.
pub(crate) async fn lossy_settings(connection: &impl ConnectionTrait) -> Result<Vec<LossySetting>, DbErr> {
    let mut lossy = Vec::new();
    for (name, values, must_be) in LOSSY {
        if let Some(value) = variable(connection, name).await?.filter(|value| values.contains(&&**value)) {
            lossy.push(LossySetting { name, value, must_be });
        }
    }
    // A server that writes a binary log takes back at its next start what is not in that log, so that the log counts too.
    if variable(connection, "log_bin").await?.as_deref() == Some("ON") {
        const BINARY_LOG: &str = "sync_binlog";
        let value = variable(connection, BINARY_LOG).await?.unwrap_or_default();
        if value != "1" {
            lossy.push(LossySetting { name: BINARY_LOG, value, must_be: "1" });
        }
    }
    Ok(lossy)
}

/// A variable of the server; `None` where its version has none of this name.
async fn variable(connection: &impl ConnectionTrait, name: &str) -> Result<Option<String>, DbErr> {
    let asked = Statement::from_sql_and_values(
        DbBackend::MySql,
        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = ?",
        [name.into()],
    );
    connection.query_one_raw(asked).await?.map(|row| row.try_get_by_index(0)).transpose()
}

async fn refuse_mysql(connection: &impl ConnectionTrait) -> Result<(), StoreError> {
    let version: Option<String> = text(connection, "SELECT VERSION()").await?;
    if version.is_some_and(|version| version.contains("MariaDB")) {
        return Ok(());
    }
    Err(StoreError::UnfitDatabase {
        why: "the server is MySQL and not MariaDB, which it resembles; name one of MariaDB, PostgreSQL or SQLite",
    })
}

async fn text(connection: &impl ConnectionTrait, statement: &str) -> Result<Option<String>, StoreError> {
    let failed = || StoreError::at("be asked what it is");
    let row = connection.query_one_raw(Statement::from_string(DbBackend::MySql, statement));
    let row = row.await.map_err(failed())?;
    row.map(|row| row.try_get_by_index(0)).transpose().map_err(failed())
}

/// A separate connection for migrations, with their lock. The lock belongs to the connection and ends with it, however
/// this program ends.
pub(crate) struct Migrating(DatabaseConnection);

impl Migrating {
    /// Waits until no other replica migrates.
    pub(crate) async fn begin(url: &str) -> Result<Self, StoreError> {
        let failed = || StoreError::at("be locked for its migrations");
        let mut options = options(url, 1);
        // A replacement connection would not hold the lock.
        options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>).test_before_acquire(false);
        let own = Self(connect(quiet(options)).await?);
        // Lock names are shared by the whole server, and have 64 characters at most.
        let lock = format!("SELECT GET_LOCK(CONCAT('hansard ', MD5(DATABASE())), {MIGRATION_SECONDS})");
        let row = own.0.query_one_raw(Statement::from_string(DbBackend::MySql, lock));
        let row = row.await.map_err(failed())?;
        let locked: Option<i32> = row.map(|row| row.try_get_by_index(0)).transpose().map_err(failed())?;
        if locked == Some(1) {
            return Ok(own);
        }
        let why = format!("another replica has been migrating for {MIGRATION_SECONDS} s");
        Err(failed()(DbErr::Custom(why)))
    }

    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.0
    }

    pub(crate) async fn end(self) -> Result<(), StoreError> {
        self.0.close().await.map_err(StoreError::at("be unlocked after its migrations"))
    }
}

/// Migrations continue with tables that exist, and must not continue with those of another program.
pub(crate) async fn refuse_tables_of_others(connection: &DatabaseConnection) -> Result<(), StoreError> {
    let tables = SchemaManager::new(connection);
    let has = async |table| tables.has_table(table).await.map_err(StoreError::at("look at its tables"));
    if has("accounts").await? && !has("seaql_migrations").await? {
        return Err(StoreError::UnfitDatabase {
            why: "it holds tables of another program, which are called like ours; name another database",
        });
    }
    Ok(())
}

/// The tables that have triggers (`m20261130_020100_mariadb_append_only`).
const TABLES_WITH_TRIGGERS: [&str; 2] = ["audit_events", "audit_anchors"];

/// `ER_PARSE_ERROR`, which the server says of a trigger too.
const PARSE_ERROR: u16 = 1064;

/// When the server ends a connection (`KILL`) while that opens a table, it can keep the table opened with a trigger that it has not
/// read to its end, and refuse every change of the table from then on, to everybody. A table that was altered is opened
/// anew. Returns whether this was such an error and that was done.
pub(crate) async fn mend_triggers(connection: &impl ConnectionTrait, error: &DbErr) -> bool {
    let Some(said) = super::driver_error(error) else { return false };
    let number = said.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    if number != Some(PARSE_ERROR) || !said.message().starts_with("Unknown trigger has an error in its body")
    {
        return false;
    }
    tracing::warn!(
        "the database has read a trigger in part, and refuses changes: its tables are opened anew"
    );
    for table in TABLES_WITH_TRIGGERS {
        let opening = format!("SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE {table} COMMENT = ''");
        if let Err(error) = connection.execute_unprepared(&opening).await {
            tracing::error!(
                table,
                error = &error as &dyn std::error::Error,
                "a table could not be opened anew"
            );
            return false;
        }
    }
    true
}

/// Lets the connection's transactions stand still for so long.
pub(super) async fn let_idle(connection: &impl ConnectionTrait, limit: Duration) -> Result<(), DbErr> {
    let set = format!("SET SESSION idle_transaction_timeout = {}", limit.as_secs());
    connection.execute_unprepared(&set).await.map(drop)
}

/// Has the connection's transactions wait for each lock no longer than so many whole seconds; not at all for less than one.
pub(super) async fn wait_for_locks(connection: &impl ConnectionTrait, limit: Duration) -> Result<(), DbErr> {
    let set = format!("SET SESSION innodb_lock_wait_timeout = {}", limit.as_secs());
    connection.execute_unprepared(&set).await.map(drop)
}

/// `ER_LOCK_DEADLOCK` and `ER_LOCK_WAIT_TIMEOUT`.
pub(super) fn is_undone_for_another(error: &dyn DatabaseError) -> bool {
    let number = error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    matches!(number, Some(1213 | 1205))
}

/// What a server says that ends a connection: `ER_SERVER_SHUTDOWN`, `ER_CONNECTION_KILLED`. And
/// `ER_OPTION_PREVENTS_STATEMENT`, which a server says that only reads, because it is no longer the primary, or not yet.
pub(super) fn ends_connection(error: &dyn DatabaseError) -> bool {
    let number = error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    matches!(number, Some(1053 | 1927 | 1290))
}
