//! The PostgreSQL server of the test facts, for tests that wait for it synchronously; and a throwaway MariaDB whose
//! user has few rights.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use test_facts::postgres::{FAST, new_database};

use crate::until;

/// The address of a new, empty PostgreSQL database. Its server ends with this process.
#[must_use]
pub fn postgresql() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(new_database(FAST))
}

/// A separate MariaDB server with an empty database and a user who has the rights on it and no others. It is ended
/// when dropped.
#[derive(Debug)]
pub struct MariaDb {
    server: Child,
    folder: TempDir,
    port: u16,
}

impl MariaDb {
    /// Creates the server's own tables and starts it.
    #[must_use]
    pub fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("hansard-mariadb-").tempdir_in("/tmp").expect("a folder");
        let port = crate::deployment::free_port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let program = |name: &str| {
            let mut command = Command::new(name);
            command.arg("--no-defaults").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let as_server = |name: &str| {
            let mut command = program(name);
            command.arg(format!("--datadir={}", path("data")));
            if is_root() {
                command.arg("--user=root");
            }
            command
        };
        run(as_server("mariadb-install-db")
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"]));
        let server = as_server("/usr/sbin/mariadbd")
            .args([&format!("--socket={}", path("socket")), &format!("--port={port}")])
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-flush-method=nosync"])
            // Configured like a server that has replicas.
            .args([&format!("--log-bin={}", path("log-bin")), "--log-bin-trust-function-creators=1"])
            .spawn()
            .expect("mariadbd starts; tests/setup.sh installs it");
        let server = Self { server, folder, port };
        let statements = "CREATE DATABASE hansard CHARACTER SET latin1; \
                          CREATE USER hansard@'127.0.0.1' IDENTIFIED BY 'p@ss/word'; \
                          GRANT ALL ON hansard.* TO hansard@'127.0.0.1'";
        let socket = format!("--socket={}", server.folder.path().join("socket").display());
        let made = || {
            let mut client = program("mariadb");
            let made = client.args([&socket, "--user=root", "-e", statements]).status();
            made.expect("mariadb starts").success().then_some(())
        };
        until("the database is there", made);
        server
    }

    /// The address of the database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mariadb://hansard:p%40ss%2Fword@127.0.0.1:{}/hansard", self.port)
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
