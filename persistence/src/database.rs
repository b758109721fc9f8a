//! The database and the connections to it. What is particular to each kind is in [`crate::dialect`].

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::audit::DEPLOYMENT_ACCOUNT;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, TransactionTrait,
};
use sea_orm_migration::{IntoSchemaManagerConnection, SchemaManager, seaql_migrations};
use tokio::task::JoinHandle;

use crate::checkpoints::Checkpoints;
use crate::dialect::group_statement::{Group, GroupStatement, Written};
use crate::dialect::{Dialect, mysql, postgres, sqlite};
use crate::durability::Durability;
use crate::exclusive_use::ExclusiveUse;
use crate::nonces::Nonces;
use crate::pool::{Pool, Reading};
use crate::reconnecting::Reader;
use crate::rows::account_rows;
use crate::turn::{Turn, Turns};
use crate::{StoreError, migrations};

/// How long a group of calls may take, from its beginning to its commit. All calls of this replica wait for it.
const GROUP_LIMIT: Duration = Duration::from_secs(10);
/// How long a change may take. Only its own caller waits for it.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// The step of migrating, in errors.
const MIGRATE: &str = "bring its tables up to date";

/// The address of a database: `sqlite:<file>`, `postgres://...` or `mariadb://...`. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Address);

#[derive(Clone, PartialEq, Eq)]
enum Address {
    Sqlite(PathBuf),
    Postgres(String),
    MariaDb(String),
}

/// The address is not that of a database that this program can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database URL must be sqlite:<file>, postgres://<user>:<password>@<host>/<database> or \
     mariadb://<user>:<password>@<host>/<database>: {why}"
)]
pub struct InvalidDatabaseUrl {
    why: &'static str,
}

impl DatabaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl`], which never repeats the address, because it may hold a password.
    pub fn parse(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        let begins = |schemes: &[&str]| schemes.iter().any(|scheme| text.starts_with(scheme));
        let address = if begins(&["sqlite:"]) {
            sqlite::parse(text).map(Address::Sqlite)
        } else if begins(&["postgres://", "postgresql://"]) {
            postgres::parse(text).map(|()| Address::Postgres(text.to_owned()))
        } else if begins(&["mariadb://", "mysql://"]) {
            mysql::parse(text).map(Address::MariaDb)
        } else {
            Err("it names another kind of database")
        };
        address.map(Self).map_err(|why| InvalidDatabaseUrl { why })
    }

    /// The SQLite database in this file.
    #[must_use]
    pub fn sqlite_file(path: &Path) -> Self {
        Self(Address::Sqlite(path.to_owned()))
    }

    /// Keeps other servers from this database, where they could not share it. To be called before a server connects.
    ///
    /// # Errors
    /// [`StoreError::UnfitDatabase`] when another server uses it; [`StoreError::Unavailable`].
    pub fn use_exclusively(&self) -> Result<ExclusiveUse, StoreError> {
        match &self.0 {
            Address::Sqlite(file) => ExclusiveUse::of_file(file),
            Address::Postgres(_) | Address::MariaDb(_) => Ok(ExclusiveUse::not_needed()),
        }
    }

    /// What claims nonces in it.
    pub(crate) fn nonces(&self) -> Nonces {
        match &self.0 {
            Address::Sqlite(file) => {
                let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
                Nonces::appended(folder.unwrap_or(Path::new(".")).to_owned())
            }
            Address::Postgres(_) | Address::MariaDb(_) => Nonces::shared(),
        }
    }

    /// Whether it is SQLite.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        match self.0 {
            Address::Sqlite(_) => true,
            Address::Postgres(_) | Address::MariaDb(_) => false,
        }
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
            Address::Postgres(url) => write!(f, "postgres://{}", place(url)),
            Address::MariaDb(url) => write!(f, "mariadb://{}", place(url)),
        }
    }
}

/// Host and database of an address. Everything before the host may be a credential, and so may everything after '?'.
fn place(url: &str) -> &str {
    let place = url.split_once("://").map_or("", |(_, rest)| rest);
    let place = place.split('?').next().unwrap_or_default();
    place.rsplit_once('@').map_or(place, |(_, host)| host)
}

/// The connections to one database. SQLite has one connection that writes, so that writers queue here instead of
/// colliding in the database, and a few that read; with the other databases one pool does both, and groups of calls have
/// a connection of their own, so that the writer of all calls does not queue behind each of them.
///
/// What is done on them is boxed, because the futures of whatever uses the store contain it, and the compiler bounds how
/// deep they may be.
pub(crate) struct Connections {
    dialect: Dialect,
    writer: Arc<Pool>,
    groups: Arc<Pool>,
    /// Where a group can be one statement.
    statement: Option<GroupStatement>,
    reader: Reader,
    /// Where it is a file.
    file: Option<WrittenFile>,
    url: DatabaseUrl,
}

/// A file that is written to without a driver, too.
struct WrittenFile {
    path: PathBuf,
    turns: Turns,
    _checkpoints: Checkpoints,
}

impl Connections {
    /// Takes away the reason why the database could not do something, if it is one that can be taken away from here; whether
    /// that was done.
    pub(crate) async fn mend(&self, error: &DbErr) -> bool {
        match self.dialect {
            Dialect::Sqlite | Dialect::Postgres => false,
            Dialect::MariaDb => mysql::mend_triggers(&*self.writer, error).await,
        }
    }

    /// Creates the database when it does not exist, and brings its tables up to date; not where it is not as durable as
    /// is demanded.
    pub(crate) async fn open(url: &DatabaseUrl, durability: Durability) -> Result<Self, StoreError> {
        match &url.0 {
            Address::Sqlite(file) => {
                let writer = sqlite::making_writer(file).await?;
                durability.ask_of(&writer).await?;
                // This transaction holds SQLite's only writing connection.
                let transaction = begin_migrating(&writer).await?;
                migrate(&transaction).await?;
                transaction.commit().await.map_err(StoreError::at(MIGRATE))?;
                Ok(Self::of_file(url, file, writer, sqlite::readers(file).await?))
            }
            Address::Postgres(address) => {
                let pool = postgres::pool(address).await?;
                durability.ask_of(&pool).await?;
                // Without a limit of time: it waits for another replica's migrations, and its own may take long.
                let transaction = begin_migrating(&pool.connections()).await?;
                postgres::lock_migrations(&transaction).await.map_err(StoreError::at(MIGRATE))?;
                migrate(&transaction).await?;
                transaction.commit().await.map_err(StoreError::at(MIGRATE))?;
                Self::of_postgres(url, address, pool).await
            }
            Address::MariaDb(address) => {
                let pool = mysql::pool(address).await?;
                durability.ask_of(&pool).await?;
                let connections = Self::pooled(url, Dialect::MariaDb, pool, mysql::one(address).await?);
                let migrating = mysql::Migrating::begin(address).await?;
                mysql::refuse_tables_of_others(migrating.connection()).await?;
                migrate(migrating.connection()).await?;
                migrating.end().await?;
                Ok(connections)
            }
        }
    }

    /// Opens the database as it is: it neither creates one nor changes one of another version.
    pub(crate) async fn open_existing(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match &url.0 {
            Address::Sqlite(file) => {
                sqlite::refuse_no_file(file)?;
                let reader = sqlite::readers(file).await?;
                refuse_other_version(&reader).await?;
                Ok(Self::of_file(url, file, sqlite::writer(file).await?, reader))
            }
            Address::Postgres(address) => {
                let pool = postgres::pool(address).await?;
                refuse_other_version(&pool.connections()).await?;
                Self::of_postgres(url, address, pool).await
            }
            Address::MariaDb(address) => {
                let pool = mysql::pool(address).await?;
                refuse_other_version(&pool.connections()).await?;
                Ok(Self::pooled(url, Dialect::MariaDb, pool, mysql::one(address).await?))
            }
        }
    }

    fn of_file(
        url: &DatabaseUrl,
        file: &Path,
        writer: DatabaseConnection,
        reader: DatabaseConnection,
    ) -> Self {
        let turns = Turns::new();
        let writer = Arc::new(Pool::writing_file(writer, turns.clone()));
        let (dialect, groups) = (Dialect::Sqlite, Arc::clone(&writer));
        Self {
            dialect,
            groups,
            statement: None,
            writer,
            reader: Reader { dialect, pool: Arc::new(Pool::reading_file(reader)) },
            file: Some(WrittenFile {
                path: file.to_owned(),
                _checkpoints: Checkpoints::keep(file.to_owned(), turns.clone()),
                turns,
            }),
            url: url.clone(),
        }
    }

    async fn of_postgres(url: &DatabaseUrl, address: &str, pool: Pool) -> Result<Self, StoreError> {
        let statement = Some(GroupStatement::on(address)?);
        let groups = postgres::one(address).await?;
        Ok(Self { statement, ..Self::pooled(url, Dialect::Postgres, pool, groups) })
    }

    fn pooled(url: &DatabaseUrl, dialect: Dialect, pool: Pool, groups: Pool) -> Self {
        let pool = Arc::new(pool);
        Self {
            dialect,
            writer: Arc::clone(&pool),
            groups: Arc::new(groups),
            statement: None,
            reader: Reader { dialect, pool },
            file: None,
            url: url.clone(),
        }
    }

    /// Tells a test what is asked of the database by those who read.
    #[cfg(test)]
    pub(crate) fn observe_reads(&self, asked: impl Fn(&sea_orm::metric::Info<'_>) + Send + Sync + 'static) {
        self.reader.pool.observe(asked);
    }

    /// Tells of changed revisions, where the database can, until the task that does it is aborted. A notice can be lost:
    /// it is a hint, and the rows are the truth.
    pub(crate) fn tell_of_revisions(
        &self,
        tell: impl Fn() + Send + Sync + 'static,
    ) -> Option<JoinHandle<()>> {
        match &self.url.0 {
            Address::Postgres(url) => Some(tokio::spawn(postgres::listen_for_revisions(url.clone(), tell))),
            // SQLite has no such notices, but also no other replicas; MariaDB has none.
            Address::Sqlite(_) | Address::MariaDb(_) => None,
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The file, and the turns to write to it, where it is one: a thread of this process may write to it without the driver.
    pub(crate) fn file(&self) -> Option<(&Path, &Turns)> {
        self.file.as_ref().map(|file| (file.path.as_path(), &file.turns))
    }

    /// For single statements that read.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// For single statements that write, each in a transaction of its own.
    pub(crate) fn writer(&self) -> &Pool {
        &self.writer
    }

    /// For what must not wait for a connection behind those who read or change: it shares that of groups of calls.
    pub(crate) fn without_waiting(&self) -> &Pool {
        &self.groups
    }

    /// Does something in a transaction, which it commits itself.
    pub(crate) async fn write<T, F>(
        &self,
        work: impl FnOnce(DatabaseTransaction) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        Box::pin(self.writer.transact(WRITE_LIMIT, self.dialect.to_write(), work)).await
    }

    /// As [`Connections::write`], for work that hands the transaction on to somebody else, and with it the turn to write.
    pub(crate) async fn write_in_turn<T, F>(
        &self,
        work: impl FnOnce(DatabaseTransaction, Option<Turn>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        Box::pin(self.writer.transact_in_turn(WRITE_LIMIT, self.dialect.to_write(), work)).await
    }

    /// As [`Connections::write`], in a transaction of that which was begun before.
    pub(crate) async fn write_begun<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.writer.within(WRITE_LIMIT, |_| work).await
    }

    /// As [`Connections::write`], for what other calls wait for.
    pub(crate) async fn write_shortly<T, F>(
        &self,
        work: impl FnOnce(DatabaseTransaction) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        Box::pin(self.writer.transact(GROUP_LIMIT, self.dialect.to_write(), work)).await
    }

    /// Does something in the transaction of a group of calls, which it commits itself.
    pub(crate) async fn write_group<T, F>(
        &self,
        work: impl FnOnce(DatabaseTransaction) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        Box::pin(self.groups.transact(GROUP_LIMIT, self.dialect.to_write(), work)).await
    }

    /// Whether [`Connections::write_group_at_once`] can do it.
    pub(crate) fn has_group_statement(&self) -> bool {
        self.statement.is_some()
    }

    /// Writes a group of calls by one statement, within the same limit as [`Connections::write_group`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then nobody here knows whether it happened.
    pub(crate) async fn write_group_at_once(&self, group: &Group<'_>) -> Result<Written, StoreError> {
        let Some(statement) = &self.statement else { return Ok(Written::Unreachable) };
        self.groups.within(GROUP_LIMIT, |_| statement.write(group)).await
    }

    /// Does the last part of a transaction of [`Connections::write`], for which other calls wait.
    pub(crate) async fn write_last<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        Box::pin(self.writer.within(GROUP_LIMIT, |_| work)).await
    }

    /// Begins a transaction whose statements all see the same moment.
    pub(crate) async fn begin_snapshot(&self) -> Result<Reading<'_>, StoreError> {
        self.reader.begin_snapshot().await
    }
}

async fn begin_migrating(connection: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    let options = Dialect::of(connection).to_write();
    connection.begin_with_options(options).await.map_err(StoreError::at("begin a transaction"))
}

/// Runs every migration that is missing. The caller has made replicas that start at the same time take turns.
async fn migrate<'c, C>(connection: &'c C) -> Result<(), StoreError>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    refuse_later_version(connection).await?;
    refuse_the_deployments_account(connection).await?;
    migrations::up(Dialect::of(connection), connection).await.map_err(StoreError::at(MIGRATE))
}

/// An earlier version allowed this id for any account. It is refused before anything is changed, so that the previous
/// version still starts.
async fn refuse_the_deployments_account<'c, C>(connection: &'c C) -> Result<(), StoreError>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let tables = SchemaManager::new(connection);
    if tables.has_table("accounts").await.map_err(StoreError::at("look at its tables"))?
        && account_rows::exists(connection, &DEPLOYMENT_ACCOUNT).await?
    {
        let why = "1000000000000000 is kept for the deployment itself, and its owner would read what is written \
                   down about strangers; make another account with the version before, and delete this one's rows, \
                   last that of the table accounts";
        return Err(StoreError::Conflict { what: "account", why });
    }
    Ok(())
}

/// What a program of an earlier version is told.
const LATER: &str = "its tables are those of a later version; take the program of that version";

/// The migrations that a database has been through.
async fn applied<'c, C>(connection: &'c C) -> Result<BTreeSet<String>, StoreError>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let failed = || StoreError::at("look at its tables");
    if !SchemaManager::new(connection).has_table("seaql_migrations").await.map_err(failed())? {
        return Ok(BTreeSet::new());
    }
    let rows = seaql_migrations::Entity::find().all(connection).await.map_err(failed())?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

/// A replica of an earlier version, which would start beside those that have migrated, does not know what the tables mean
/// by now.
async fn refuse_later_version<'c, C>(connection: &'c C) -> Result<(), StoreError>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let known = migrations::names(Dialect::of(connection));
    if applied(connection).await?.is_subset(&known) {
        return Ok(());
    }
    Err(StoreError::UnfitDatabase { why: LATER })
}

/// Only the server migrates: a command that runs beside it could change the tables under a server of another version.
async fn refuse_other_version(reader: &DatabaseConnection) -> Result<(), StoreError> {
    let (applied, known) = (applied(reader).await?, migrations::names(Dialect::of(reader)));
    let why = if applied.is_empty() {
        "it holds no tables of a control plane; name another database, or start `hansard serve` on this one once"
    } else if !applied.is_subset(&known) {
        LATER
    } else if applied != known {
        "its tables are those of an earlier version; start `hansard serve` of this version once, which brings them \
         up to date, or take the program of that version"
    } else {
        return Ok(());
    };
    Err(StoreError::UnfitDatabase { why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connecting::ACQUIRE_TIMEOUT;

    #[test]
    fn addresses_are_read_or_refused_and_show_no_password() {
        let file = DatabaseUrl::parse("sqlite:///var/lib/hansard/hansard.db").unwrap();
        assert_eq!(file, DatabaseUrl::sqlite_file(Path::new("/var/lib/hansard/hansard.db")));
        assert!(DatabaseUrl::parse("sqlite:hansard.db").unwrap().is_sqlite());
        let remote = DatabaseUrl::parse("postgres://me:pa%40ss@db.example:5433/hansard?options=x").unwrap();
        assert_eq!(format!("{remote:?}"), "postgres://db.example:5433/hansard");
        assert!(!remote.is_sqlite());
        for scheme in ["mariadb", "mysql"] {
            let remote = format!("{scheme}://me:pa%40ss@db.example:3307/hansard?ssl-key=x");
            let remote = DatabaseUrl::parse(&remote).unwrap();
            assert_eq!(format!("{remote:?}"), "mariadb://db.example:3307/hansard");
            assert!(!remote.is_sqlite());
        }
        for bad in [
            "",
            "hansard.db",
            "sqlite::memory:",
            "sqlite:",
            "sqlite:a?mode=ro",
            "oracle://h/d",
            "postgres://h:x/d",
            "mysql://h:x/d",
            "mariadb://me:hunter2@h",
        ] {
            let refused = DatabaseUrl::parse(bad).expect_err(bad).to_string();
            assert!(refused.contains("database URL") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_at_once_and_by_its_cause() {
        // Nothing listens on a port that was just released.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for scheme in ["postgres", "mariadb"] {
            let url = DatabaseUrl::parse(&format!("{scheme}://me:hunter2@{nobody}/hansard")).unwrap();
            let opened =
                tokio::time::timeout(ACQUIRE_TIMEOUT / 2, Connections::open(&url, Durability::Demanded))
                    .await;
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
}
