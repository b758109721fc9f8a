//! The databases that tests run on.

use persistence::DatabaseUrl;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use tempfile::TempDir;

use crate::mariadb;
use crate::postgres::{FAST, new_database};

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A database of this process's PostgreSQL.
    Postgres,
    /// A database of this process's MariaDB.
    MariaDb,
}

impl Backend {
    /// The name of the text type in a CAST.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Sqlite | Self::Postgres => "TEXT",
            Self::MariaDb => "CHAR",
        }
    }
}

/// An empty database.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its address.
    pub url: String,
    /// Its kind.
    pub backend: Backend,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// Makes an empty database.
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let folder = TempDir::new().unwrap();
                let url = format!("sqlite:{}", folder.path().join("hansard.db").display());
                Self { url, backend, _folder: Some(folder) }
            }
            Backend::Postgres => Self { url: new_database(FAST).await, backend, _folder: None },
            Backend::MariaDb => {
                Self { url: mariadb::new_database(mariadb::FAST).await, backend, _folder: None }
            }
        }
    }

    pub(crate) fn of_server(backend: Backend, url: String) -> Self {
        Self { url, backend, _folder: None }
    }

    /// Its address, as the store takes it.
    #[must_use]
    pub fn parsed(&self) -> DatabaseUrl {
        DatabaseUrl::parse(&self.url).unwrap()
    }

    /// A connection that bypasses the store, to damage rows and to count them.
    pub async fn raw(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.unwrap()
    }

    /// The rows that a statement finds.
    pub async fn rows(&self, statement: &str) -> Vec<QueryResult> {
        let raw = self.raw().await;
        let statement = Statement::from_string(raw.get_database_backend(), statement);
        raw.query_all_raw(statement).await.unwrap()
    }

    /// Runs a statement, bypassing the store.
    pub async fn execute(&self, statement: &str) {
        self.raw().await.execute_unprepared(statement).await.unwrap();
    }
}

/// Makes one test for each function and database. Each function takes a [`World`](crate::World).
#[macro_export]
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$test($crate::World::new($crate::Backend::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$test($crate::World::new($crate::Backend::Postgres).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_mariadb() {
                super::$test($crate::World::new($crate::Backend::MariaDb).await).await;
            }
        }
    )+};
}
