//! A throwaway PostgreSQL and a throwaway MariaDB, started from the installed server binaries.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::until;

/// A PostgreSQL server of its own with an empty database, ended when dropped.
#[derive(Debug)]
pub struct PostgreSql {
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
}

impl PostgreSql {
    /// Makes a cluster and starts it.
    #[must_use]
    pub fn start() -> Self {
        let binaries = installed_binaries();
        // Not below the user's own temporary folder: the server's user must be able to reach it.
        let folder =
            tempfile::Builder::new().prefix("hansard-postgresql-").tempdir_in("/tmp").expect("a folder");
        let port = crate::deployment::free_port();
        let server = Self { folder, binaries, port };
        let cluster = server.cluster();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        run(server.as_server_user("initdb").arg("-D").arg(&cluster).args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
        ]));
        // Nothing here outlives the test, so nothing needs to reach the disk.
        let options = format!(
            "-F -k {} -p {port} -h 127.0.0.1 -c full_page_writes=off",
            server.folder.path().display()
        );
        let log = server.folder.path().join("log");
        run(server
            .as_server_user("pg_ctl")
            .arg("start")
            .arg("-w")
            .arg("-D")
            .arg(&cluster)
            .arg("-l")
            .arg(log)
            .args(["-o", &options]));
        let created = || {
            let mut command = Command::new(server.binaries.join("createdb"));
            command
                .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "hansard"])
                .stderr(Stdio::null());
            command.status().expect("createdb starts").success().then_some(())
        };
        until("the database is there", created);
        server
    }

    /// The address of the database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/hansard", self.port)
    }

    fn cluster(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// PostgreSQL refuses to run as root.
    fn as_server_user(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        let _ = self
            .as_server_user("pg_ctl")
            .args(["stop", "-m", "immediate", "-D"])
            .arg(self.cluster())
            .status();
    }
}

/// A MariaDB server of its own with an empty database and a user who has the rights on it and no others, ended when
/// dropped.
#[derive(Debug)]
pub struct MariaDb {
    server: Child,
    folder: TempDir,
    port: u16,
}

impl MariaDb {
    /// Makes the server's own tables and starts it.
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
            // As a server is that others follow.
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

fn installed_binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> =
        versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    found.pop().expect("PostgreSQL is not installed; run tests/setup.sh first (make test does)")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
