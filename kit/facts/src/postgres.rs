//! A throwaway PostgreSQL, made from the server programs that are installed: one for each process that asks, one
//! database for each test.
//!
//! A small shell script runs it and reads its own standard input, which ends when this process ends, for whatever
//! reason. Then the script stops the server by its process id and removes the folder, so that nothing is left behind. Until
//! then it stops and starts the server when it is told so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait, Database};

use crate::supervisor::Supervisor;

/// What to do when the server programs are missing: the tests must not pass by not running.
const MISSING: &str = "these tests need PostgreSQL's server programs, which are not installed; \
                       on Debian: apt-get install postgresql";

const SCRIPT: &str = r#"
trap '' INT TERM HUP
folder=$(mktemp -d "${0}/hansard-postgres-XXXXXX") || exit 1
"$1/initdb" -D "$folder/data" -A trust -U postgres --locale=C.UTF-8 --no-sync > "$folder/initdb.log" 2>&1 || {
    cat "$folder/initdb.log" >&2; rm -rf "$folder"; exit 1; }
programs=$1 settings=$2
start() {
    "$programs/postgres" -D "$folder/data" -k "$folder" -c listen_addresses='' -c max_connections=300 $settings \
        < /dev/null >> "$folder/postgres.log" 2>&1 &
    server=$!
}
stop() { kill -QUIT $server 2> /dev/null; wait $server; }
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
pub const FAST: &str = "-F -c full_page_writes=off -c synchronous_commit=off";

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
            .execute_unprepared(&format!("CREATE DATABASE {name} STRATEGY FILE_COPY"))
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
    format!("postgres://postgres@localhost/{database}?host={}", folder.display())
}

pub(crate) fn start(settings: &str) -> Server {
    let programs = server_programs().expect(MISSING);
    // The server refuses to run as root; its account must be able to reach the folder.
    let is_root = output_of("id", &["-u"]).trim() == "0";
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let temporary = if is_root { PathBuf::from("/tmp") } else { std::env::temp_dir() };
    command.arg("-c").arg(SCRIPT).arg(&temporary).arg(&programs).arg(settings).current_dir("/");
    let mut supervisor = Supervisor::start(&mut command);
    let folder = supervisor.line();
    assert!(!folder.is_empty(), "PostgreSQL could not be started; what it said stands above");
    Server { folder: PathBuf::from(folder), databases: AtomicU32::new(0), supervisor }
}

async fn connect_when_ready(server: &Server) -> sea_orm::DatabaseConnection {
    let since = Instant::now();
    loop {
        let mut options = ConnectOptions::new(address(&server.folder, "postgres"));
        options.max_connections(1).sqlx_logging(false);
        match Database::connect(options).await {
            Ok(connection) => return connection,
            Err(error) => {
                let log = std::fs::read_to_string(server.folder.join("postgres.log")).unwrap_or_default();
                assert!(
                    since.elapsed() < Duration::from_secs(60),
                    "PostgreSQL does not answer: {error}\n{log}"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The folder of `initdb` and `postgres`, of the newest installed version.
fn server_programs() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .collect();
    folders.sort_by_key(version);
    let on_path = || {
        let found = output_of("sh", &["-c", "command -v initdb"]);
        Path::new(found.trim()).canonicalize().ok()?.parent().map(Path::to_owned)
    };
    folders.pop().or_else(on_path)
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("a usual program runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
