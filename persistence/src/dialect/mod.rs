//! What differs between databases. Everything that does stands in this folder, or asks [`Dialect`] and answers for each
//! of them: no arm means "all others", so that another database does not compile before somebody has thought about it.
//!
//! Two rules keep statements the same on all of them:
//!
//! - How many rows an UPDATE or a DELETE names is how many its condition found, on every dialect: MariaDB's driver asks
//!   the server to count so. How many rows an INSERT names says nothing with MariaDB, where it counts a row that was
//!   there already: whether a row is new, [`insert_unless_taken`] says.
//! - `ON CONFLICT` has neither a condition nor "do nothing" with MariaDB, where the statement's builder leaves the first
//!   out without a word. `clippy.toml` keeps both inside this folder.

pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod sqlite;

use sea_orm::sea_query::{DeleteStatement, IntoCondition, LockType, OnConflict, Query, SimpleExpr};
use sea_orm::sqlx;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Insert, IsolationLevel,
    QueryFilter, QuerySelect, QueryTrait, RuntimeErr, SqlErr, TransactionOptions,
};

/// The kinds of database that this program runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Dialect {
    /// That of a connection.
    pub(crate) fn of(connection: &impl ConnectionTrait) -> Self {
        Self::of_backend(connection.get_database_backend())
    }

    /// That of a driver.
    pub(crate) fn of_backend(backend: DbBackend) -> Self {
        match backend {
            DbBackend::Sqlite => Self::Sqlite,
            DbBackend::Postgres => Self::Postgres,
            DbBackend::MySql => Self::MariaDb,
            // sea-orm keeps the list open; this program is built with three drivers, and `DatabaseUrl` opens no other.
            other => unreachable!("no driver for {other:?} is built in"),
        }
    }

    /// How a transaction begins that changes something. What it reads under a lock is what is committed at that moment.
    pub(crate) fn to_write(self) -> TransactionOptions {
        match self {
            Self::Sqlite => sqlite::to_write(),
            // READ COMMITTED: PostgreSQL's own default, and MariaDB's by what each of our connections sets.
            Self::Postgres | Self::MariaDb => TransactionOptions::default(),
        }
    }

    /// How a transaction begins whose statements all see one and the same moment.
    pub(crate) fn to_read_one_moment(self) -> TransactionOptions {
        match self {
            // A transaction of SQLite's sees nothing else.
            Self::Sqlite => TransactionOptions::default(),
            Self::Postgres | Self::MariaDb => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(sea_orm::AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
        }
    }

    /// The lock of a row by which transactions take turns, and which changes nothing that other rows refer to.
    pub(crate) fn turn_lock(self) -> LockType {
        match self {
            // SQLite has one writer at a time; its builder leaves the lock out.
            Self::Sqlite | Self::Postgres => LockType::NoKeyUpdate,
            // It knows no weaker one.
            Self::MariaDb => LockType::Update,
        }
    }

    /// What a whole number of 64 bits is called in a CAST.
    pub(crate) fn whole_number(self) -> &'static str {
        match self {
            Self::Sqlite | Self::Postgres => "bigint",
            Self::MariaDb => "SIGNED",
        }
    }

    /// A column such that its index is not taken. PostgreSQL and MariaDB choose by what they know of the rows.
    pub(crate) fn without_index(self, column: SimpleExpr) -> SimpleExpr {
        match self {
            Self::Sqlite => sqlite::without_index(column),
            Self::Postgres | Self::MariaDb => column,
        }
    }

    /// Whether the database undid a transaction for the sake of another one, so that it can only be begun anew, and will
    /// then probably succeed: a deadlock, or a wait for a lock that took too long.
    pub(crate) fn is_undone_for_another(self, error: &DbErr) -> bool {
        let Some(error) = driver_error(error) else { return false };
        match self {
            // Its one writer waits for no row; for another process it waits as long as BUSY_TIMEOUT says.
            Self::Sqlite => false,
            Self::Postgres => postgres::is_undone_for_another(error),
            Self::MariaDb => mysql::is_undone_for_another(error),
        }
    }
}

fn driver_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()
}

/// Inserts a row, unless there is one with this key; says whether it did. The transaction goes on either way.
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
            // One statement, and no error, which PostgreSQL would end the transaction for.
            let insert = insert.on_conflict(OnConflict::columns(key).do_nothing().to_owned());
            match insert.exec_without_returning(connection).await {
                Ok(rows) => Ok(rows > 0),
                Err(DbErr::RecordNotInserted) => Ok(false),
                Err(error) => Err(error),
            }
        }
        Dialect::MariaDb => match insert.exec_without_returning(connection).await {
            Ok(_) => Ok(true),
            // It undoes the statement and nothing else.
            Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// Deletes some of the rows that a condition finds; says how many.
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
            // Of a row that was changed meanwhile PostgreSQL asks the outer condition again, and the subquery not.
            let some = E::find().select_only().column(key).filter(condition).limit(most);
            delete.and_where(key.in_subquery(some.into_query()));
        }
        // It takes no LIMIT in a subquery, and one in the DELETE itself.
        Dialect::MariaDb => {
            delete.limit(most);
        }
    }
    Ok(connection.execute(&delete).await?.rows_affected())
}
