//! Retrying a transaction that the database rolled back in favour of another one, or whose connection was lost before it
//! was committed. When the answer to a commit is lost, nothing is retried: it may have been done. One that could not be sent
//! was not.

use std::future::Future;
use std::time::{Duration, Instant};

use sea_orm::DbErr;

use crate::StoreError;
use crate::database::Connections;
use crate::dialect::Dialect;
use crate::error::COMMIT;
use crate::reconnecting;

/// The total number of attempts. Of two transactions that wait for each other the database rolls one back, so that the
/// other can continue; the same transaction is hit more than a few times only where very many change the same rows.
const ATTEMPTS: u32 = 8;
/// The time after which nothing is retried. A wait for a lock that took too long has already taken seconds, and the
/// caller is waiting.
const PATIENCE: Duration = Duration::from_secs(12);

/// Runs one transaction, or one statement that may be repeated, and runs it again when the database rolled it back in
/// favour of another one, when the connection was lost, or when the database could not do it for a reason that these
/// connections can take away. Nothing remains of a rolled-back attempt, so that the effect happens once.
pub(super) async fn begun_anew<T, F>(connections: &Connections, once: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    begun_anew_if(connections.dialect(), Some(connections), once).await
}

async fn is_mended(connections: Option<&Connections>, error: &DbErr) -> bool {
    match connections {
        Some(connections) => connections.mend(error).await,
        None => false,
    }
}

async fn begun_anew_if<T, F>(
    dialect: Dialect,
    connections: Option<&Connections>,
    once: impl Fn() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let (since, mut attempt, mut lost) = (Instant::now(), 1, 0);
    loop {
        let undone = match Box::pin(once()).await {
            Err(StoreError::Unavailable { step, source })
                if (step != COMMIT || dialect.could_not_send(&source))
                    && dialect.has_lost_connection(&source)
                    && since.elapsed() < reconnecting::PATIENCE =>
            {
                lost += 1;
                tracing::debug!(lost, %source, step, "a connection was lost in a transaction, which is begun anew");
                tokio::time::sleep(reconnecting::pause(lost)).await;
                continue;
            }
            Err(StoreError::Unavailable { step, source })
                if dialect.is_undone_for_another(&source) || is_mended(connections, &source).await =>
            {
                StoreError::Unavailable { step, source }
            }
            settled => return settled,
        };
        if attempt == ATTEMPTS || since.elapsed() > PATIENCE {
            return Err(undone);
        }
        tracing::debug!(attempt, %undone, "a transaction is begun anew, which the database undid for another one");
        // The other transaction has its locks by now, and needs a moment to finish.
        tokio::time::sleep(Duration::from_millis(1 << attempt)).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
    use sea_orm::{RuntimeErr, sqlx};

    use super::*;

    /// An error of PostgreSQL with this code.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str);

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
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

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn failed(code: &'static str) -> StoreError {
        let error = RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(Box::new(Said(code)))));
        StoreError::at("write a row")(DbErr::Exec(error))
    }

    /// How often the operation was run, and whether it succeeded in the end.
    async fn done(dialect: Dialect, code: &'static str, failures: u32) -> (u32, bool) {
        let times = AtomicU32::new(0);
        let once = || async {
            if times.fetch_add(1, Ordering::Relaxed) < failures { Err(failed(code)) } else { Ok(()) }
        };
        let settled = begun_anew_if(dialect, None, once).await;
        (times.load(Ordering::Relaxed), settled.is_ok())
    }

    fn lost(step: &'static str) -> StoreError {
        lost_by(step, std::io::ErrorKind::ConnectionReset)
    }

    fn lost_by(step: &'static str, kind: std::io::ErrorKind) -> StoreError {
        let error = std::io::Error::from(kind);
        StoreError::at(step)(DbErr::Exec(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(error)))))
    }

    /// A lost connection takes the transaction with it, unless it was being committed: then nobody knows.
    #[tokio::test]
    async fn what_was_lost_before_its_commit_is_done_anew() {
        let times = |step, failures: u32| async move {
            let times = AtomicU32::new(0);
            let once = || async {
                if times.fetch_add(1, Ordering::Relaxed) < failures { Err(lost(step)) } else { Ok(()) }
            };
            let settled = begun_anew_if(Dialect::Postgres, None, once).await;
            (times.load(Ordering::Relaxed), settled.is_ok())
        };
        assert_eq!(times("write a row", 20).await, (21, true), "a pool of lost connections");
        assert_eq!(times(COMMIT, 1).await, (1, false));
        let tried = AtomicU32::new(0);
        let once = || async {
            let unsent = lost_by(COMMIT, std::io::ErrorKind::BrokenPipe);
            if tried.fetch_add(1, Ordering::Relaxed) == 0 { Err(unsent) } else { Ok(()) }
        };
        begun_anew_if(Dialect::Postgres, None, once).await.unwrap();
        assert_eq!(done(Dialect::Postgres, "57P01", 3).await, (4, true));
        assert!(!times("write a row", u32::MAX).await.1);
    }

    #[tokio::test]
    async fn what_was_undone_for_another_is_done_anew_so_many_times_and_nothing_else_is() {
        for code in ["40001", "40P01", "55P03"] {
            assert_eq!(done(Dialect::Postgres, code, 2).await, (3, true), "{code}");
        }
        assert_eq!(done(Dialect::Postgres, "40P01", u32::MAX).await, (ATTEMPTS, false));
        assert_eq!(done(Dialect::Postgres, "23505", 1).await, (1, false), "a key that is taken stays so");
        assert_eq!(done(Dialect::Sqlite, "40001", 1).await, (1, false));
    }
}
