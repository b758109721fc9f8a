//! A throwaway MariaDB, made from the server programs that are installed: one for each process that asks, one database
//! for each test. As in `postgres.rs`, a small shell script runs it and stops it when this process ends, for whatever
//! reason.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait, Database};

use crate::supervisor::Supervisor;

/// The default collation of its databases differs from that of our
/// tables, as may happen in any deployment.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
PATH=$PATH:/usr/sbin
folder=$(mktemp -d "${0}/hansard-mariadb-XXXXXX") || exit 1
user=--user=$(id -un)
command -v mariadbd > "$folder/log" 2>&1 && mariadb-install-db --no-defaults "$user" --datadir="$folder/data" \
    --auth-root-authentication-method=normal --skip-test-db > "$folder/log" 2>&1 || {
    cat "$folder/log" >&2; rm -rf "$folder"
    echo "these tests need MariaDB's server programs; on Debian: apt-get install mariadb-server" >&2; exit 1; }
settings=$1
start() { mariadbd --no-defaults "$user" --datadir="$folder/data" --socket="$folder/socket" --skip-networking \
    --character-set-server=latin1 --sql-mode= --max-connections=400 --max-recursive-iterations=100000 --skip-name-resolve \
    --innodb-file-per-table=0 --innodb-buffer-pool-size=64M --performance-schema=0 $settings < /dev/null >> "$folder/log" 2>&1 &
    server=$!
}
stop() { kill -KILL $server 2> /dev/null; wait $server 2> /dev/null; }
start
echo "$folder"
while read -r command; do "$command"; echo "$command"; done
stop
rm -rf "$folder"
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    databases: AtomicU32,
    supervisor: Supervisor,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// Settings of a server whose data may be lost.
pub const FAST: &str = "--skip-log-bin --innodb-flush-log-at-trx-commit=0 --skip-innodb-doublewrite \
    --innodb-flush-method=nosync";

/// The address of a new, empty database. The settings of the first call apply to the server.
pub async fn new_database(settings: &str) -> String {
    SERVER.get_or_init(|| start(settings)).new_database().await
}

impl Server {
    /// The address of a new, empty database.
    pub(crate) async fn new_database(&self) -> String {
        let server = self;
        let name = format!("test_{}", server.databases.fetch_add(1, Ordering::Relaxed));
        let administration = connect_when_ready(server).await;
        administration
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .expect("a database can be made");
        administration.close().await.expect("the connection closes");
        address(&server.folder, &name)
    }

    pub(crate) fn supervisor(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }
}

fn address(folder: &Path, database: &str) -> String {
    format!("mysql://root@localhost/{database}?socket={}/socket", folder.display())
}

pub(crate) fn start(settings: &str) -> Server {
    // The folder must not be deep, because the path of a socket is limited in length.
    let mut supervisor =
        Supervisor::start(Command::new("sh").args(["-c", SCRIPT, "/tmp", settings]).current_dir("/"));
    let folder = supervisor.line();
    assert!(!folder.is_empty(), "MariaDB could not be started; what it said stands above");
    Server { folder: PathBuf::from(folder), databases: AtomicU32::new(0), supervisor }
}

async fn connect_when_ready(server: &Server) -> sea_orm::DatabaseConnection {
    let since = Instant::now();
    loop {
        let mut options = ConnectOptions::new(address(&server.folder, "mysql"));
        options.max_connections(1).sqlx_logging(false);
        match Database::connect(options).await {
            Ok(connection) => return connection,
            Err(error) => {
                let log = std::fs::read_to_string(server.folder.join("log")).unwrap_or_default();
                assert!(since.elapsed() < Duration::from_secs(60), "MariaDB does not answer: {error}\n{log}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
