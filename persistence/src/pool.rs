//! A pool of connections to a database that may fall silent. When the network loses packets without a word, nothing says
//! that a connection is dead until TCP gives up, which takes a quarter of an hour; and the driver, which asks every
//! connection whether it is well before it keeps it, would wait as long with its place in the pool. So everything that is asked
//! of a database on a network has a limit of time. Beyond it the whole pool is given up: each of its connections is closed
//! when it comes back, without another question, and another pool takes its place.
//!
//! What was asked may still have happened. Whoever asked for a commit knows nothing about it, as after any lost connection.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::StoreError;
use crate::connecting::{ACQUIRE_TIMEOUT, connect};
use crate::turn::{Turn, Turns};

/// How long one statement may take: longer than any of ours does that is answered at all.
pub(crate) const STATEMENT_LIMIT: Duration = Duration::from_secs(30);

/// Connections to one database.
pub(crate) struct Pool {
    current: RwLock<Numbered>,
    /// How another pool is made; `None` for a file, which does not fall silent.
    again: Option<ConnectOptions>,
    /// What is asked on these connections takes its turn with other connections to the same file.
    turns: Option<Turns>,
    since: Instant,
    /// The last answer, in milliseconds after `since`.
    answered: AtomicU64,
}

#[derive(Clone)]
struct Numbered {
    number: u64,
    connections: DatabaseConnection,
    /// How many of them may be in transactions that change something. `None`: all.
    changing: Option<Arc<Semaphore>>,
}

impl Numbered {
    /// Changes of one account wait for one another, in the database and each with its connection. A quarter of them is left
    /// to those who read, and who would otherwise wait with them, whosever changes these are.
    fn new(number: u64, connections: DatabaseConnection, options: Option<&ConnectOptions>) -> Self {
        let most = options.and_then(ConnectOptions::get_max_connections).unwrap_or(0);
        let left = most / 4;
        let changing = (left > 0).then(|| Arc::new(Semaphore::new((most - left) as usize)));
        Self { number, connections, changing }
    }

    /// Waits for a place among those that change something, no longer than for a connection.
    async fn place(&self) -> Result<Option<OwnedSemaphorePermit>, DbErr> {
        let Some(changing) = &self.changing else { return Ok(None) };
        match tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(changing).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            Ok(Err(_)) | Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }
}

/// The error of something that was asked of a database.
pub(crate) trait Failure: Sized {
    /// What the driver says becomes this error.
    fn of_driver(error: DbErr) -> Self;
    /// What the driver said.
    fn driver(&self) -> Option<&DbErr>;
}

impl Failure for DbErr {
    fn of_driver(error: DbErr) -> Self {
        error
    }

    fn driver(&self) -> Option<&DbErr> {
        Some(self)
    }
}

impl Failure for StoreError {
    fn of_driver(error: DbErr) -> Self {
        Self::at("answer in time")(error)
    }

    fn driver(&self) -> Option<&DbErr> {
        match self {
            Self::Unavailable { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Pool {
    /// Connections that read a file: it takes as long as it takes.
    pub(crate) fn reading_file(connections: DatabaseConnection) -> Self {
        Self::holding(connections, None, None)
    }

    /// The connection that writes to a file, in its turn.
    pub(crate) fn writing_file(connection: DatabaseConnection, turns: Turns) -> Self {
        Self::holding(connection, None, Some(turns))
    }

    /// Connects to a server.
    pub(crate) async fn of_server(options: ConnectOptions) -> Result<Self, StoreError> {
        let mut again = options.clone();
        again.connect_lazy(true);
        Ok(Self::holding(connect(options).await?, Some(again), None))
    }

    fn holding(connections: DatabaseConnection, again: Option<ConnectOptions>, turns: Option<Turns>) -> Self {
        let current = RwLock::new(Numbered::new(0, connections, again.as_ref()));
        Self { current, again, turns, since: Instant::now(), answered: AtomicU64::new(0) }
    }

    /// Waits for the turn, no longer than for a connection.
    async fn turn(&self) -> Result<Option<Turn>, DbErr> {
        let Some(turns) = &self.turns else { return Ok(None) };
        let turn = tokio::time::timeout(ACQUIRE_TIMEOUT, turns.take()).await;
        turn.map(Some).map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
    }

    /// The connections themselves, for what has no limit.
    pub(crate) fn connections(&self) -> DatabaseConnection {
        self.current().connections
    }

    /// Tells a test what is asked on these connections.
    #[cfg(test)]
    pub(crate) fn observe(&self, asked: impl Fn(&sea_orm::metric::Info<'_>) + Send + Sync + 'static) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.connections.set_metric_callback(asked);
    }

    fn current(&self) -> Numbered {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does something on these connections within a limit, after which they are given up.
    pub(crate) async fn within<T, E, F>(
        &self,
        limit: Duration,
        work: impl FnOnce(DatabaseConnection) -> F,
    ) -> Result<T, E>
    where
        E: Failure,
        F: Future<Output = Result<T, E>>,
    {
        let used = self.current();
        let Some(again) = &self.again else { return work(used.connections).await };
        let mut work = Box::pin(work(used.connections.clone()));
        let Ok(done) = tokio::time::timeout(limit, work.as_mut()).await else {
            // Before the work is dropped, and gives its connection back.
            self.give_up(&used, again).await;
            drop(work);
            let why = format!("no answer within {} s", limit.as_secs());
            return Err(E::of_driver(DbErr::Conn(RuntimeErr::Internal(why))));
        };
        match &done {
            Ok(_) => self.answered.store(self.elapsed(), Ordering::Relaxed),
            // No connection came free. Unless it answers somebody all the time, they are all silent.
            Err(error) if matches!(error.driver(), Some(DbErr::ConnectionAcquire(_))) => {
                let silent = self.elapsed().saturating_sub(self.answered.load(Ordering::Relaxed));
                if u128::from(silent) >= ACQUIRE_TIMEOUT.as_millis() {
                    self.give_up(&used, again).await;
                }
            }
            Err(_) => {}
        }
        done
    }

    /// Begins a transaction, does something in it, and leaves it to that to commit, all within a limit.
    pub(crate) async fn transact<T, F>(
        &self,
        limit: Duration,
        options: TransactionOptions,
        work: impl FnOnce(DatabaseTransaction) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let in_turn = |transaction, turn: Option<Turn>| async move {
            let done = work(transaction).await;
            drop(turn);
            done
        };
        self.transact_in_turn(limit, options, in_turn).await
    }

    /// As [`Pool::transact`], for work that hands the transaction on to somebody else, and with it the turn to write.
    pub(crate) async fn transact_in_turn<T, F>(
        &self,
        limit: Duration,
        options: TransactionOptions,
        work: impl FnOnce(DatabaseTransaction, Option<Turn>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let turn = self.turn().await.map_err(StoreError::at("begin a transaction"))?;
        let used = self.current();
        self.within(limit, |connections| async move {
            let failed = || StoreError::at("begin a transaction");
            let _place = used.place().await.map_err(failed())?;
            work(self.begin(connections, options).await.map_err(failed())?, turn).await
        })
        .await
    }

    /// Begins a transaction that reads.
    pub(crate) async fn begin_reading(&self, options: TransactionOptions) -> Result<Reading<'_>, DbErr> {
        let begun = self.within(STATEMENT_LIMIT, |connections| self.begin(connections, options)).await;
        Ok(Reading { transaction: begun?, pool: self })
    }

    /// To its end, also when the caller is cancelled: a connection whose BEGIN was not answered would go back to the pool,
    /// and what others then do on it would be part of that transaction.
    async fn begin(
        &self,
        connections: DatabaseConnection,
        options: TransactionOptions,
    ) -> Result<DatabaseTransaction, DbErr> {
        if self.again.is_none() {
            return connections.begin_with_options(options).await;
        }
        let begun = tokio::spawn(async move { connections.begin_with_options(options).await });
        match begun.await {
            Ok(begun) => begun,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => Err(DbErr::Conn(RuntimeErr::Internal("the program is stopping".to_owned()))),
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Puts another pool into the place of the one that was used, unless somebody else has done so.
    async fn give_up(&self, used: &Numbered, again: &ConnectOptions) {
        // It connects when it is first used: there is nothing to wait for.
        let connections = match Database::connect(again.clone()).await {
            Ok(connections) => connections,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the connections to a silent database could not be replaced");
                return;
            }
        };
        {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            if current.number != used.number {
                return;
            }
            *current = Numbered::new(used.number + 1, connections, Some(again));
        }
        tracing::warn!("the database does not answer; its connections are closed, and others are made");
        // The first step of it marks the pool as closed. The rest waits for connections that may never come back.
        let _ = tokio::time::timeout(Duration::ZERO, used.connections.close_by_ref()).await;
    }
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.current().connections.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let _turn = self.turn().await?;
        self.within(STATEMENT_LIMIT, |on| async move { on.execute_raw(statement).await }).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let _turn = self.turn().await?;
        self.within(STATEMENT_LIMIT, |on| async move { on.execute_unprepared(sql).await }).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let _turn = self.turn().await?;
        self.within(STATEMENT_LIMIT, |on| async move { on.query_one_raw(statement).await }).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let _turn = self.turn().await?;
        self.within(STATEMENT_LIMIT, |on| async move { on.query_all_raw(statement).await }).await
    }
}

/// A transaction that reads, each of whose statements has a limit.
pub(crate) struct Reading<'p> {
    transaction: DatabaseTransaction,
    pool: &'p Pool,
}

impl Reading<'_> {
    /// Ends it.
    pub(crate) async fn end(self) -> Result<(), StoreError> {
        let Self { transaction, pool } = self;
        let ended = pool.within(STATEMENT_LIMIT, |_| transaction.commit()).await;
        ended.map_err(StoreError::at("end a read"))
    }
}

#[async_trait]
impl ConnectionTrait for Reading<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.transaction.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.pool.within(STATEMENT_LIMIT, |_| self.transaction.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.pool.within(STATEMENT_LIMIT, |_| self.transaction.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.pool.within(STATEMENT_LIMIT, |_| self.transaction.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.pool.within(STATEMENT_LIMIT, |_| self.transaction.query_all_raw(statement)).await
    }
}
