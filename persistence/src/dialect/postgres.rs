//! PostgreSQL: one pool of connections that reads and writes.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use crate::StoreError;
use crate::connecting::{connect, connecting_failed, dial, quiet};

/// The number of connections of one replica, besides that of its writer.
const CONNECTIONS: u32 = 16;
/// The lock by which the migrations of replicas that start at the same time take turns.
const MIGRATION_LOCK: i64 = 0x4861_6e73_6172_6431;

/// Checks that an address is one of PostgreSQL, or returns what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<(), &'static str> {
    PgConnectOptions::from_str(text).map(drop).map_err(|_| "it is malformed")
}

pub(crate) async fn pool(url: &str) -> Result<DatabaseConnection, StoreError> {
    dial(PgConnectOptions::from_str(url).map_err(connecting_failed)?).await?;
    connect(quiet(options(url, CONNECTIONS))).await
}

/// One connection, which is made when it is first needed.
pub(crate) async fn one(url: &str) -> Result<DatabaseConnection, StoreError> {
    let mut options = options(url, 1);
    options.connect_lazy(true);
    connect(quiet(options)).await
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .test_before_acquire_if_idle_for(Duration::from_secs(10))
        .set_application_name("hansard");
    options
}

/// Lets one replica migrate at a time, until its transaction ends.
pub(crate) async fn lock_migrations(transaction: &impl ConnectionTrait) -> Result<(), DbErr> {
    let lock = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT pg_advisory_xact_lock($1)",
        [MIGRATION_LOCK.into()],
    );
    transaction.execute_raw(lock).await.map(drop)
}

/// `serialization_failure`, `deadlock_detected` and `lock_not_available`.
pub(super) fn is_undone_for_another(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| ["40001", "40P01", "55P03"].contains(&code.as_ref()))
}
