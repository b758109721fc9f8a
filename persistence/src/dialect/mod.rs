//! What differs between databases. All code that differs is in this folder, or asks for the [`Dialect`] and handles each
//! of them: no arm means "all others", so that the code does not compile with another database before somebody has
//! considered it.
//!
//! Two rules keep statements the same on all of them:
//!
//! - The number of rows that an UPDATE or a DELETE reports is the number that its condition found, on every dialect:
//!   MariaDB's driver asks the server to count in this way. The number that an INSERT reports means nothing with
//!   MariaDB, where it includes a row that already existed: [`insert_unless_taken`] tells whether a row is new.
//! - `ON CONFLICT` has neither a condition nor "do nothing" with MariaDB, where the statement builder silently omits the
//!   condition. `clippy.toml` confines both to this folder.

pub(crate) mod group_statement;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod sqlite_direct;

use std::future::Future;
use std::time::Duration;

use sea_orm::sea_query::{
    DeleteStatement, ExprTrait, IntoCondition, LockType, OnConflict, Query, SelectStatement, SimpleExpr,
};
use sea_orm::sqlx;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Insert, IsolationLevel,
    QueryFilter, QueryResult, QuerySelect, QueryTrait, RuntimeErr, SqlErr, Statement, TransactionOptions,
};

/// The kinds of database that this program runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Dialect {
    /// The dialect of a connection.
    pub(crate) fn of(connection: &impl ConnectionTrait) -> Self {
        Self::of_backend(connection.get_database_backend())
    }

    /// The dialect of a driver.
    pub(crate) fn of_backend(backend: DbBackend) -> Self {
        match backend {
            DbBackend::Sqlite => Self::Sqlite,
            DbBackend::Postgres => Self::Postgres,
            DbBackend::MySql => Self::MariaDb,
            // sea-orm's enum is non-exhaustive; this program is built with three drivers, and `DatabaseUrl` opens no
            // other.
            other => unreachable!("no driver for {other:?} is built in"),
        }
    }

    /// The options of a transaction that changes something. A read under a lock sees what is committed at that moment.
    pub(crate) fn to_write(self) -> TransactionOptions {
        match self {
            Self::Sqlite => sqlite::to_write(),
            // READ COMMITTED: PostgreSQL's default, and for MariaDB set on each of our connections.
            Self::Postgres | Self::MariaDb => TransactionOptions::default(),
        }
    }

    /// The options of a transaction whose statements all see the same moment.
    pub(crate) fn to_read_one_moment(self) -> TransactionOptions {
        match self {
            // A SQLite transaction always does.
            Self::Sqlite => TransactionOptions::default(),
            Self::Postgres | Self::MariaDb => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(sea_orm::AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
        }
    }

    /// The row lock by which transactions take turns when they change nothing that other rows refer to.
    pub(crate) fn turn_lock(self) -> LockType {
        match self {
            // SQLite has one writer at a time; the statement builder omits the lock.
            Self::Sqlite | Self::Postgres => LockType::NoKeyUpdate,
            // MariaDB has no weaker one.
            Self::MariaDb => LockType::Update,
        }
    }

    /// The expression for what the database's own clock says, in milliseconds since 1970; in SQLite that is this machine's.
    pub(crate) fn moment(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER)",
            Self::Postgres => "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS bigint)",
            // In UTC, because local time has an hour twice a year.
            Self::MariaDb => "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) DIV 1000)",
        }
    }

    /// The question what the database's own clock says, as [`Dialect::moment`]; `None` where that is this machine's.
    pub(crate) fn clock(self) -> Option<Statement> {
        let backend = match self {
            Self::Sqlite => return None,
            Self::Postgres => DbBackend::Postgres,
            Self::MariaDb => DbBackend::MySql,
        };
        Some(Statement::from_string(backend, format!("SELECT {}", self.moment())))
    }

    /// The name of the 64-bit integer type in a CAST.
    pub(crate) fn whole_number(self) -> &'static str {
        match self {
            Self::Sqlite | Self::Postgres => "bigint",
            Self::MariaDb => "SIGNED",
        }
    }

    /// A column expression that keeps the database from using its index. PostgreSQL and MariaDB choose by their
    /// statistics.
    pub(crate) fn without_index(self, column: SimpleExpr) -> SimpleExpr {
        match self {
            Self::Sqlite => sqlite::without_index(column),
            Self::Postgres | Self::MariaDb => column,
        }
    }

    /// Whether a column holds one of these instances. There may be thousands of them: as one parameter they cost neither a statement
    /// of their own to prepare nor thousands of values to bind, where the database can take such a parameter apart.
    ///
    /// `seeks` says that an index leads to the rows; otherwise the rows are read in another order, and each is looked up among the
    /// instances.
    pub(crate) fn is_one_of<'a>(
        self,
        column: SimpleExpr,
        instances: impl IntoIterator<Item = &'a str>,
        seeks: bool,
    ) -> SimpleExpr {
        let instances = instances.into_iter();
        match self {
            Self::Sqlite => {
                sqlite::is_one_of(if seeks { column } else { sqlite::without_index(column) }, instances)
            }
            Self::Postgres => postgres::is_one_of(column, instances, seeks),
            Self::MariaDb => column.is_in(instances),
        }
    }

    /// Whether the database refused a statement, or a commit, for what a row holds: other rows are not concerned, and
    /// nothing of the transaction remains.
    pub(crate) fn blames_a_row(self, error: &DbErr) -> bool {
        let Some(code) = driver_error(error).and_then(|error| error.code()) else { return false };
        match self {
            Self::Sqlite => sqlite::blames_a_row(&code),
            // The classes "data exception" and "integrity constraint violation" of SQLSTATE.
            Self::Postgres | Self::MariaDb => code.starts_with("22") || code.starts_with("23"),
        }
    }

    /// Whether the database rolled a transaction back in favour of another one, so that it must be started again and
    /// will then probably succeed: a deadlock, or a wait for a lock that took too long.
    pub(crate) fn is_undone_for_another(self, error: &DbErr) -> bool {
        let Some(error) = driver_error(error) else { return false };
        match self {
            // SQLite's one writer waits for no row; it waits for another process as long as BUSY_TIMEOUT says.
            Self::Sqlite => false,
            Self::Postgres => postgres::is_undone_for_another(error),
            Self::MariaDb => mysql::is_undone_for_another(error),
        }
    }

    /// Whether the connection was lost, or none could be made: the database was restarted, or another server takes over.
    /// Nothing of a transaction remains that was not being committed.
    pub(crate) fn has_lost_connection(self, error: &DbErr) -> bool {
        match self {
            // A file is not away for a moment.
            Self::Sqlite => false,
            Self::Postgres | Self::MariaDb => {
                if let DbErr::ConnectionAcquire(_) = error {
                    return true;
                }
                let Some(failed) = sqlx_error(error) else { return false };
                match (failed, self) {
                    (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, _) => true,
                    (sqlx::Error::Database(said), Self::Postgres) => postgres::ends_connection(&**said),
                    (sqlx::Error::Database(said), Self::MariaDb) => mysql::ends_connection(&**said),
                    _ => false,
                }
            }
        }
    }

    /// Whether the statement was not sent, or not as a whole, so that it has certainly not happened.
    pub(crate) fn could_not_send(self, error: &DbErr) -> bool {
        match (self, sqlx_error(error)) {
            (Self::Sqlite, _) => false,
            // Only who writes is told so.
            (_, Some(sqlx::Error::Io(error))) => error.kind() == std::io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Tells those who listen, once the transaction is committed, that revisions have changed.
pub(crate) async fn tell_of_revision(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    match Dialect::of(connection) {
        Dialect::Postgres => postgres::tell_of_revision(connection).await,
        // They have no such notices.
        Dialect::Sqlite | Dialect::MariaDb => Ok(()),
    }
}

fn driver_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    sqlx_error(error)?.as_database_error()
}

/// How long a transaction may stand still before the database ends it, with its locks.
const IDLE_LIMIT: Duration = Duration::from_secs(5);

/// Does something in a transaction that stands still meanwhile, because it waits for something other than the database.
pub(crate) async fn standing_still<T>(
    transaction: &impl ConnectionTrait,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, DbErr> {
    match Dialect::of(transaction) {
        Dialect::Sqlite => Ok(work.await),
        Dialect::Postgres => {
            postgres::let_idle(transaction, limit).await?;
            Ok(work.await)
        }
        Dialect::MariaDb => {
            mysql::let_idle(transaction, limit).await?;
            let done = work.await;
            // There it belongs to the connection, which others use after this transaction.
            mysql::let_idle(transaction, IDLE_LIMIT).await?;
            Ok(done)
        }
    }
}

/// Has the statements of a transaction that follow wait for a lock no longer than this. MariaDB, which counts seconds, does not
/// wait at all then.
pub(crate) async fn wait_briefly_for_locks(
    transaction: &impl ConnectionTrait,
    limit: Duration,
) -> Result<(), DbErr> {
    match Dialect::of(transaction) {
        // Its one writer waits for no row.
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => postgres::wait_for_locks(transaction, limit).await,
        Dialect::MariaDb => mysql::wait_for_locks(transaction, limit).await,
    }
}

/// Takes back what [`wait_briefly_for_locks`] has set.
pub(crate) async fn wait_for_locks_as_usual(transaction: &impl ConnectionTrait) -> Result<(), DbErr> {
    match Dialect::of(transaction) {
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => postgres::wait_for_locks_as_usual(transaction).await,
        Dialect::MariaDb => mysql::wait_for_locks(transaction, mysql::LOCK_WAIT).await,
    }
}

/// Inserts a row, unless there is one with this key; returns whether it did. The transaction continues in both cases.
#[allow(clippy::disallowed_methods, reason = "this is where MariaDB goes another way")]
pub(crate) async fn insert_unless_taken<A>(
    connection: &impl ConnectionTrait,
    insert: Insert<A>,
    key: impl IntoIterator<Item = <A::Entity as EntityTrait>::Column>,
) -> Result<bool, DbErr>
where
    A: ActiveModelTrait,
{
    match Dialect::of(connection) {
        Dialect::Sqlite | Dialect::Postgres => {
            // A single statement without an error: an error would abort the transaction in PostgreSQL.
            let insert = insert.on_conflict(OnConflict::columns(key).do_nothing().to_owned());
            match insert.exec_without_returning(connection).await {
                Ok(rows) => Ok(rows > 0),
                Err(DbErr::RecordNotInserted) => Ok(false),
                Err(error) => Err(error),
            }
        }
        Dialect::MariaDb => match insert.exec_without_returning(connection).await {
            Ok(_) => Ok(true),
            // MariaDB rolls back only the statement.
            Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// The rows of a query whose columns are texts, which may be thousands. SQLite's driver passes each row from one thread to another,
/// which costs more than all else; so there they come as one.
pub(crate) async fn text_rows<const COLUMNS: usize>(
    connection: &impl ConnectionTrait,
    columns: [&'static str; COLUMNS],
    select: SelectStatement,
) -> Result<Vec<[String; COLUMNS]>, DbErr> {
    match Dialect::of(connection) {
        Dialect::Sqlite => sqlite::text_rows(connection, columns, select).await,
        Dialect::Postgres | Dialect::MariaDb => {
            let rows = connection.query_all(&select).await?;
            let texts = |row: &QueryResult| {
                let mut texts = [const { String::new() }; COLUMNS];
                for (index, text) in texts.iter_mut().enumerate() {
                    *text = row.try_get_by_index(index)?;
                }
                Ok(texts)
            };
            rows.iter().map(texts).collect()
        }
    }
}

/// Deletes some of the rows that match a condition; returns how many.
pub(crate) async fn delete_some<E: EntityTrait>(
    connection: &impl ConnectionTrait,
    key: E::Column,
    condition: impl IntoCondition,
    most: u64,
) -> Result<u64, DbErr> {
    let condition = condition.into_condition();
    let mut delete: DeleteStatement =
        Query::delete().from_table(E::default()).cond_where(condition.clone()).to_owned();
    match Dialect::of(connection) {
        Dialect::Sqlite | Dialect::Postgres => {
            // When a row was changed meanwhile, PostgreSQL evaluates the outer condition again, but not the subquery.
            let some = E::find().select_only().column(key).filter(condition).limit(most);
            delete.and_where(key.in_subquery(some.into_query()));
        }
        // MariaDB accepts no LIMIT in such a subquery, but one in the DELETE itself.
        Dialect::MariaDb => {
            delete.limit(most);
        }
    }
    Ok(connection.execute(&delete).await?.rows_affected())
}
