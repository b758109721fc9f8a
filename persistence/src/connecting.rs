//! Connecting to a database, whichever it is.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::{self, Connection as _};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};

use crate::StoreError;

/// How long a statement waits for a connection before the database counts as unavailable.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that was idle for longer may have been forgotten by something on its way.
const LONG_IDLE: Duration = Duration::from_secs(10);
/// How long such a connection has to say that it was not.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Whether an idle connection can be used. One that says nothing is closed, and another takes its place.
pub(crate) async fn answers<C: sqlx::Connection>(
    connection: &mut C,
    idle_for: Duration,
) -> Result<bool, sqlx::Error> {
    if idle_for < LONG_IDLE {
        return Ok(true);
    }
    match tokio::time::timeout(ANSWER_LIMIT, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(silent) => Err(sqlx::Error::Io(silent.into())),
    }
}

/// Statements may hold secrets, and belong in no log.
pub(crate) fn quiet(mut options: ConnectOptions) -> ConnectOptions {
    options.acquire_timeout(ACQUIRE_TIMEOUT).connect_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
    options.record_stmt_in_spans(false);
    options
}

/// One plain connection. A pool tries again and again until its time is up, and then says only that it is; this says at
/// once why a server cannot be reached or does not let us in. What passes by itself, such as a server that is still
/// starting, is left to the pool.
pub(crate) async fn dial<O>(options: O) -> Result<(), StoreError>
where
    O: sqlx::ConnectOptions<Connection: Sized>,
{
    match tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => {
            // It has done its work; that it cannot be closed in order changes nothing.
            let _ = connection.close().await;
            Ok(())
        }
        Ok(Err(sqlx::Error::Database(error))) if error.is_transient_in_connect_phase() => Ok(()),
        Ok(Err(error)) => Err(connecting_failed(error)),
        Err(_) => {
            let seconds = ACQUIRE_TIMEOUT.as_secs();
            let why = RuntimeErr::Internal(format!("no answer within {seconds} s"));
            Err(StoreError::at("be connected to")(DbErr::Conn(why)))
        }
    }
}

pub(crate) fn connecting_failed(error: sqlx::Error) -> StoreError {
    StoreError::at("be connected to")(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}

pub(crate) async fn connect(options: ConnectOptions) -> Result<DatabaseConnection, StoreError> {
    Database::connect(options).await.map_err(StoreError::at("be connected to"))
}
