//! Going on after connections were lost. A database that was restarted, or whose place another server took, ends all
//! connections, and the pool learns of each only when it is used. What has promised nothing yet, a statement that reads or
//! the beginning of a transaction, is tried on another one.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use crate::StoreError;
use crate::dialect::Dialect;
use crate::pool::{Pool, Reading};

/// For how long it is tried. The vendor's SDKs give up after three seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long is waited before an attempt: first hardly, because a pool may have many connections that were lost, and then
/// longer, because the server has to start.
pub(crate) fn pause(attempt: u32) -> Duration {
    Duration::from_millis(attempt.into()).min(LONGEST_PAUSE)
}

/// Does something that has no effect when it fails, on another connection where that was lost.
pub(crate) async fn on_some_connection<T, F>(dialect: Dialect, once: impl Fn() -> F) -> Result<T, DbErr>
where
    F: Future<Output = Result<T, DbErr>>,
{
    let (since, mut attempt) = (Instant::now(), 0);
    loop {
        let done = once().await;
        match &done {
            Err(error) if dialect.has_lost_connection(error) && since.elapsed() < PATIENCE => {
                attempt += 1;
                tracing::debug!(attempt, %error, "a connection was lost; another one is tried");
                tokio::time::sleep(pause(attempt)).await;
            }
            _ => return done,
        }
    }
}

/// Connections for single statements that read, each on whichever connection is alive.
pub(crate) struct Reader {
    pub(crate) dialect: Dialect,
    pub(crate) pool: Arc<Pool>,
}

impl Reader {
    /// Begins a transaction whose statements all see the same moment.
    pub(crate) async fn begin_snapshot(&self) -> Result<Reading<'_>, StoreError> {
        let begin = || self.pool.begin_reading(self.dialect.to_read_one_moment());
        // Boxed, because every read of more than one statement contains it.
        let begun = Box::pin(on_some_connection(self.dialect, begin)).await;
        begun.map_err(StoreError::at("begin a transaction"))
    }
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        on_some_connection(self.dialect, || self.pool.execute_raw(statement.clone())).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        on_some_connection(self.dialect, || self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        on_some_connection(self.dialect, || self.pool.query_one_raw(statement.clone())).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        on_some_connection(self.dialect, || self.pool.query_all_raw(statement.clone())).await
    }
}
