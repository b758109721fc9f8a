//! A database server of one test, which the test stops and starts again.

use crate::database::{Backend, TestDatabase};
use crate::{mariadb, postgres};

/// A server of PostgreSQL or MariaDB. What it has confirmed survives its end.
#[derive(Debug)]
pub struct RestartableServer(Kind);

#[derive(Debug)]
enum Kind {
    Postgres(postgres::Server),
    MariaDb(mariadb::Server),
}

impl RestartableServer {
    /// Starts a server. There is none for SQLite.
    #[must_use]
    pub fn start(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => panic!("SQLite has no server"),
            Backend::Postgres => Self(Kind::Postgres(postgres::start(""))),
            Backend::MariaDb => Self(Kind::MariaDb(mariadb::start("--skip-log-bin"))),
        }
    }

    /// A new, empty database.
    pub async fn database(&self) -> TestDatabase {
        match &self.0 {
            Kind::Postgres(server) => TestDatabase::of_server(Backend::Postgres, server.new_database().await),
            Kind::MariaDb(server) => TestDatabase::of_server(Backend::MariaDb, server.new_database().await),
        }
    }

    /// Ends the server at once, in the middle of what it does.
    pub fn stop(&mut self) {
        self.run("stop");
    }

    /// Starts it again, which takes a moment after it has returned.
    pub fn start_again(&mut self) {
        self.run("start");
    }

    fn run(&mut self, function: &str) {
        match &mut self.0 {
            Kind::Postgres(server) => server.supervisor().run(function),
            Kind::MariaDb(server) => server.supervisor().run(function),
        }
    }
}
