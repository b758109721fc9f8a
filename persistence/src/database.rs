//! Which database, and how it is connected to.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::audit::DEPLOYMENT_ACCOUNT;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, EntityTrait, IsolationLevel, RuntimeErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{MigratorTrait, SchemaManager, seaql_migrations};

use crate::StoreError;
use crate::migrations::Migrator;
use crate::rows::account_rows;

/// Connections that read, with SQLite.
const SQLITE_READERS: u32 = 4;
/// Connections of one replica, with PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a statement waits for a connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process (`hansard admin`) that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// What the migrations of concurrently starting replicas take turns by.
const MIGRATION_LOCK: i64 = 0x4861_6e73_6172_6431;

/// The address of a database: `sqlite:<file>` or `postgres://...`. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Address);

#[derive(Clone, PartialEq, Eq)]
enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

/// The address is of no database that this program can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database URL must be sqlite:<file> or postgres://<user>:<password>@<host>/<database>: {why}")]
pub struct InvalidDatabaseUrl {
    why: &'static str,
}

impl DatabaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl`]; it never repeats the address, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        let refuse = |why| InvalidDatabaseUrl { why };
        if text.starts_with("sqlite:") {
            if text.contains(":memory:") || text.contains("mode=memory") {
                return Err(refuse("a database in memory would lose recordings; name a file"));
            }
            if text.contains('?') {
                return Err(refuse("SQLite takes no parameters here"));
            }
            let options =
                SqliteConnectOptions::from_str(text).map_err(|_| refuse("the file's name is malformed"))?;
            let file = options.get_filename();
            if file.as_os_str().is_empty() {
                return Err(refuse("the file's name is missing"));
            }
            return Ok(Self::sqlite_file(file));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            PgConnectOptions::from_str(text).map_err(|_| refuse("it is malformed"))?;
            return Ok(Self(Address::Postgres(text.to_owned())));
        }
        Err(refuse("it names another kind of database"))
    }

    /// The SQLite database in this file.
    #[must_use]
    pub fn sqlite_file(path: &Path) -> Self {
        Self(Address::Sqlite(path.to_owned()))
    }

    /// Whether it is SQLite.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0, Address::Sqlite(_))
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        Self::parse(text)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Address::Postgres(url) => {
                // Everything before the host may be a credential, everything after '?' too.
                let place = url.split_once("://").map_or("", |(_, rest)| rest);
                let place = place.split('?').next().unwrap_or_default();
                let place = place.rsplit_once('@').map_or(place, |(_, host)| host);
                write!(f, "postgres://{place}")
            }
        }
    }
}

/// The connections to one database. SQLite has one that writes, so that writers queue here instead of colliding
/// there, and a few that read; with PostgreSQL one pool does both.
pub(crate) struct Connections {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
}

impl Connections {
    /// Makes the database when it is not there, and brings its tables up to date.
    pub(crate) async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let connections = match &url.0 {
            Address::Sqlite(file) => {
                make_private(file).map_err(StoreError::at("make the database file"))?;
                let writer = connect(sqlite(file, 1, |options| {
                    durable(options).create_if_missing(true).journal_mode(SqliteJournalMode::Wal)
                }))
                .await?;
                Self { writer, reader: sqlite_reader(file).await? }
            }
            Address::Postgres(url) => Self::postgres(url).await?,
        };
        connections.migrate().await?;
        Ok(connections)
    }

    /// Takes the database as it is: one that is not there is not made, and one of another version is not changed.
    pub(crate) async fn open_existing(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match &url.0 {
            Address::Sqlite(file) => {
                refuse_no_file(file)?;
                // It writes nothing, whosever file this is.
                let reader = sqlite_reader(file).await?;
                refuse_other_version(&reader).await?;
                Ok(Self { writer: connect(sqlite(file, 1, durable)).await?, reader })
            }
            Address::Postgres(url) => {
                let connections = Self::postgres(url).await?;
                refuse_other_version(connections.reader()).await?;
                Ok(connections)
            }
        }
    }

    async fn postgres(url: &str) -> Result<Self, StoreError> {
        dial(url).await?;
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(POSTGRES_CONNECTIONS)
            .test_before_acquire_if_idle_for(Duration::from_secs(10))
            .set_application_name("hansard");
        let pool = connect(quiet(options)).await?;
        Ok(Self { writer: pool.clone(), reader: pool })
    }

    /// Every migration that is missing, in one transaction; replicas that start together take turns.
    async fn migrate(&self) -> Result<(), StoreError> {
        let failed = || StoreError::at("bring its tables up to date");
        let transaction = self.begin_write().await?;
        if self.backend() == DbBackend::Postgres {
            let lock = Statement::from_sql_and_values(
                DbBackend::Postgres,
                "SELECT pg_advisory_xact_lock($1)",
                [MIGRATION_LOCK.into()],
            );
            transaction.execute_raw(lock).await.map_err(failed())?;
        }
        self.refuse_the_deployments_account(&transaction).await?;
        Migrator::up(&transaction, None).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// An earlier version took the id for anybody's. It is refused before anything is changed, so that the version before
    /// still starts.
    async fn refuse_the_deployments_account(
        &self,
        transaction: &DatabaseTransaction,
    ) -> Result<(), StoreError> {
        let tables = SchemaManager::new(transaction);
        if tables.has_table("accounts").await.map_err(StoreError::at("look at its tables"))?
            && account_rows::exists(transaction, &DEPLOYMENT_ACCOUNT).await?
        {
            let why = "1000000000000000 is kept for the deployment itself, and its owner would read what is written \
                       down about strangers; make another account with the version before, and delete this one's rows, \
                       last that of the table accounts";
            return Err(StoreError::Conflict { what: "account", why });
        }
        Ok(())
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.writer.get_database_backend()
    }

    /// For single statements that read.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For single statements that write, each a transaction of its own.
    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    pub(crate) async fn begin_write(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            // Locks at once: a transaction that first reads and then wants to write could lose to another process.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(options).await.map_err(StoreError::at("begin a transaction"))
    }

    /// Statements that see one and the same moment.
    pub(crate) async fn begin_snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = match self.backend() {
            DbBackend::Sqlite => TransactionOptions::default(),
            _ => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
        };
        self.reader.begin_with_options(options).await.map_err(StoreError::at("begin a transaction"))
    }
}

fn sqlite(
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
        .map_sqlx_sqlite_opts(move |options| {
            let options = options.filename(&file).create_if_missing(false);
            also(options.foreign_keys(true).busy_timeout(BUSY_TIMEOUT))
        });
    quiet(options)
}

async fn sqlite_reader(file: &Path) -> Result<DatabaseConnection, StoreError> {
    connect(sqlite(file, SQLITE_READERS, |options| options.pragma("query_only", "ON"))).await
}

/// What is committed is evidence: it must survive the loss of power.
fn durable(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.synchronous(SqliteSynchronous::Full)
}

fn refuse_no_file(file: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::UnfitDatabase {
            why: "there is no such file, and only `hansard serve` makes one; name another database, or put this one \
                  back from a copy",
        }),
        // The driver says what else is wrong with it.
        _ => Ok(()),
    }
}

/// What migrates is the server: a command beside it could change the tables under a server of another version.
async fn refuse_other_version(reader: &DatabaseConnection) -> Result<(), StoreError> {
    let failed = || StoreError::at("look at its tables");
    let mut applied = BTreeSet::new();
    if SchemaManager::new(reader).has_table("seaql_migrations").await.map_err(failed())? {
        let rows = seaql_migrations::Entity::find().all(reader).await.map_err(failed())?;
        applied.extend(rows.into_iter().map(|row| row.version));
    }
    let known: BTreeSet<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    let why = if applied.is_empty() {
        "it holds no tables of a control plane; name another database, or start `hansard serve` on this one once"
    } else if !applied.is_subset(&known) {
        "its tables are those of a later version; take the program of that version"
    } else if applied != known {
        "its tables are those of an earlier version; start `hansard serve` of this version once, which brings them \
         up to date, or take the program of that version"
    } else {
        return Ok(());
    };
    Err(StoreError::UnfitDatabase { why })
}

/// Statements may hold secrets, and belong in no log.
fn quiet(mut options: ConnectOptions) -> ConnectOptions {
    options.acquire_timeout(ACQUIRE_TIMEOUT).connect_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
    options.record_stmt_in_spans(false);
    options
}

/// One plain connection. A pool tries again and again until its time is up, and then says only that it is; this says at
/// once why a server cannot be reached or does not let us in. What passes by itself, such as a server that is still
/// starting, is left to the pool.
async fn dial(url: &str) -> Result<(), StoreError> {
    let failed = |error| StoreError::at("be connected to")(DbErr::Conn(error));
    let options =
        PgConnectOptions::from_str(url).map_err(|error| failed(RuntimeErr::SqlxError(Arc::new(error))))?;
    match tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => {
            // It has done its work; that it cannot be closed in order changes nothing.
            let _ = connection.close().await;
            Ok(())
        }
        Ok(Err(sqlx::Error::Database(error))) if error.is_transient_in_connect_phase() => Ok(()),
        Ok(Err(error)) => Err(failed(RuntimeErr::SqlxError(Arc::new(error)))),
        Err(_) => {
            let seconds = ACQUIRE_TIMEOUT.as_secs();
            Err(failed(RuntimeErr::Internal(format!("no answer within {seconds} s"))))
        }
    }
}

async fn connect(options: ConnectOptions) -> Result<DatabaseConnection, StoreError> {
    Database::connect(options).await.map_err(StoreError::at("be connected to"))
}

/// A new database file is for its owner alone; SQLite gives the files beside it the same mode.
fn make_private(file: &Path) -> Result<(), DbErr> {
    use std::os::unix::fs::OpenOptionsExt;

    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(DbErr::Conn(RuntimeErr::Internal(format!("{}: {error}", file.display())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused_and_show_no_password() {
        let file = DatabaseUrl::parse("sqlite:///var/lib/hansard/hansard.db").unwrap();
        assert_eq!(file, DatabaseUrl::sqlite_file(Path::new("/var/lib/hansard/hansard.db")));
        assert!(DatabaseUrl::parse("sqlite:hansard.db").unwrap().is_sqlite());
        let remote = DatabaseUrl::parse("postgres://me:pa%40ss@db.example:5433/hansard?options=x").unwrap();
        assert_eq!(format!("{remote:?}"), "postgres://db.example:5433/hansard");
        assert!(!remote.is_sqlite());
        for bad in [
            "",
            "hansard.db",
            "sqlite::memory:",
            "sqlite:",
            "sqlite:a?mode=ro",
            "mysql://h/d",
            "postgres://h:x/d",
        ] {
            let refused = DatabaseUrl::parse(bad).expect_err(bad).to_string();
            assert!(refused.contains("database URL"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_at_once_and_by_its_cause() {
        // Nothing listens on a port that was just given back.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = DatabaseUrl::parse(&format!("postgres://me:hunter2@{nobody}/hansard")).unwrap();
        let opened = tokio::time::timeout(ACQUIRE_TIMEOUT / 2, Connections::open(&url)).await;
        let refused = opened.expect("it is told at once").err().unwrap();
        let mut said = refused.to_string();
        let mut source = std::error::Error::source(&refused);
        while let Some(error) = source {
            said = format!("{said}: {error}");
            source = error.source();
        }
        assert!(said.contains("Connection refused"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
