//! PostgreSQL: one pool of connections that reads and writes.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener};
use sea_orm::sqlx::{self, Executor as _, Postgres, pool::PoolOptions};
use sea_orm::{ConnectOptions, ConnectionTrait, DbBackend, DbErr, Statement};

use crate::StoreError;
use crate::connecting::{answers, connecting_failed, dial, quiet};
use crate::durability::LossySetting;
use crate::pool::Pool;

/// The number of connections of one replica, besides that of its writer.
const CONNECTIONS: u32 = 16;
/// The lock by which the migrations of replicas that start at the same time take turns.
const MIGRATION_LOCK: i64 = 0x4861_6e73_6172_6431;

/// What each connection begins with, whatever the server's defaults are: a commit is confirmed when it is on stable
/// storage. A stronger value, such as one that waits for a standby in another way, stays.
///
/// A transaction in which nothing happens is ended with its locks, and so is a connection whose other end is gone: a
/// replica that stands still, or that the network has lost, must not hold the others up.
pub(super) const SESSION: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'; \
     SET idle_in_transaction_session_timeout = '5s'; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

/// The settings under which a confirmed commit can be lost, or the pages that hold it torn.
const DURABILITY: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// Checks that an address is one of PostgreSQL, or returns what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<(), &'static str> {
    PgConnectOptions::from_str(text).map(drop).map_err(|_| "it is malformed")
}

pub(crate) async fn pool(url: &str) -> Result<Pool, StoreError> {
    dial(PgConnectOptions::from_str(url).map_err(connecting_failed)?).await?;
    Pool::of_server(quiet(options(url, CONNECTIONS))).await
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
        .map_sqlx_postgres_before_acquire(|connection, state| Box::pin(answers(connection, state.idle_for)))
        .set_application_name("hansard")
        .map_sqlx_postgres_pool_opts(|pool: PoolOptions<Postgres>| {
            pool.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            })
        });
    options
}

/// The settings of the server, as a connection of ours sees them, under which commits can be lost.
pub(crate) async fn lossy_settings(connection: &impl ConnectionTrait) -> Result<Vec<LossySetting>, DbErr> {
    let mut lossy = Vec::new();
    for name in DURABILITY {
        let asked =
            Statement::from_sql_and_values(DbBackend::Postgres, "SELECT current_setting($1)", [name.into()]);
        let row = connection.query_one_raw(asked).await?;
        let value: String = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
        if value == "off" {
            lossy.push(LossySetting { name, value, must_be: "on" });
        }
    }
    Ok(lossy)
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

/// Lets a transaction stand still for so long, until it ends.
pub(super) async fn let_idle(transaction: &impl ConnectionTrait, limit: Duration) -> Result<(), DbErr> {
    let set = format!("SET LOCAL idle_in_transaction_session_timeout = {}", limit.as_millis());
    transaction.execute_unprepared(&set).await.map(drop)
}

/// Has a transaction wait for each lock no longer than this, until it ends.
pub(super) async fn wait_for_locks(transaction: &impl ConnectionTrait, limit: Duration) -> Result<(), DbErr> {
    let set = format!("SET LOCAL lock_timeout = {}", limit.as_millis());
    transaction.execute_unprepared(&set).await.map(drop)
}

/// As long as the connection's transactions wait otherwise.
pub(super) async fn wait_for_locks_as_usual(transaction: &impl ConnectionTrait) -> Result<(), DbErr> {
    transaction.execute_unprepared("SET LOCAL lock_timeout TO DEFAULT").await.map(drop)
}

/// The channel of the notices that revisions have changed.
const REVISIONS: &str = "hansard_revisions";

/// How soon it is listened again, when the connection was lost and no other could be had.
const LISTENS_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Tells those who listen, when the transaction is committed.
pub(super) async fn tell_of_revision(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let notice =
        Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, '')", [REVISIONS.into()]);
    connection.execute_raw(notice).await.map(drop)
}

/// Calls `tell` whenever revisions may have changed, as far as the database tells.
pub(crate) async fn listen_for_revisions(url: String, tell: impl Fn()) {
    loop {
        if let Err(error) = listen(&url, &tell).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "changed revisions are not told of");
        }
        tokio::time::sleep(LISTENS_AGAIN_AFTER).await;
    }
}

async fn listen(url: &str, tell: &impl Fn()) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(REVISIONS).await?;
    loop {
        // What was changed before it listened, or while the connection was lost, is a change too.
        tell();
        listener.try_recv().await?;
    }
}

/// `serialization_failure`, `deadlock_detected` and `lock_not_available`.
pub(super) fn is_undone_for_another(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| ["40001", "40P01", "55P03"].contains(&code.as_ref()))
}

/// The values are one text, in which a comma, which no id of an instance contains, separates them.
pub(super) fn is_one_of<'a>(
    column: SimpleExpr,
    values: impl Iterator<Item = &'a str>,
    seeks: bool,
) -> SimpleExpr {
    let condition = if seeks {
        "$1 = ANY (string_to_array($2, ','))"
    } else {
        // A prepared statement's plan for any parameters would take the text above apart again for each row, and look through all of
        // it. A subquery becomes a hash table, once; and the comparison keeps it from becoming a join, which has no order.
        "($1 IN (SELECT unnest(string_to_array($2, ',')))) = TRUE"
    };
    Expr::cust_with_exprs(condition, [column, Expr::val(values.collect::<Vec<_>>().join(","))])
}

/// What a server says that ends a connection, or takes none: the class "connection exception", and `admin_shutdown`,
/// `crash_shutdown` and `cannot_connect_now`. And `read_only_sql_transaction`, which a server says that is no longer the
/// primary, or not yet.
pub(super) fn ends_connection(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| {
        code.starts_with("08") || ["57P01", "57P02", "57P03", "25006"].contains(&code.as_ref())
    })
}
