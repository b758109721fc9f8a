//! Rows by the thousand and the million, for tests of plans and for measurements. The database itself makes them: writing them as
//! the control plane does would take hours.

use std::ops::Range;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};

use crate::database::Backend;
use crate::names::DAY;

/// How many rows one statement makes.
const PIECE: u64 = 100_000;

/// A database that is being filled, with rows of one account.
#[derive(Debug)]
pub struct Filling {
    /// The account, which exists.
    pub account: &'static str,
    /// How many instances it has: `i-0`, `i-1`, and so on.
    pub instances: u64,
    /// How many users open its recordings and make its calls: `u0`, `u1`, and so on.
    pub users: u64,
    /// The moment at which the newest row was made, in milliseconds.
    pub now: i64,
    raw: DatabaseConnection,
    backend: Backend,
}

impl Filling {
    /// Opens a database that a store has made.
    pub async fn open(url: &str, backend: Backend, account: &'static str, instances: u64) -> Self {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let raw = Database::connect(options).await.unwrap();
        let filling = Self { account, instances, users: 2 * instances, now: 1_800_000_000_000, raw, backend };
        // No foreign keys: the rows fit.
        let settings: &[&str] = match backend {
            Backend::Sqlite => {
                &["PRAGMA foreign_keys = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -200000"]
            }
            Backend::Postgres => &["SET session_replication_role = replica"],
            Backend::MariaDb => {
                &["SET SESSION sql_mode = 'PIPES_AS_CONCAT'", "SET SESSION foreign_key_checks = 0"]
            }
        };
        for setting in settings {
            filling.run(setting).await;
        }
        filling
    }

    /// Whether the table has no rows.
    pub async fn is_empty(&self, table: &str) -> bool {
        let any = format!("SELECT 1 FROM {table} LIMIT 1");
        let any = Statement::from_string(self.raw.get_database_backend(), any);
        self.raw.query_one_raw(any).await.unwrap().is_none()
    }

    /// The instances, each with a tag and an agent.
    pub async fn instances(&self) {
        let (account, instances, agent) = (self.account, self.instances, self.agent("i"));
        for rows in [
            format!(
                "INSERT INTO instances (account_id, instance_id, region, created_at) \
                 SELECT '{account}', 'i-' || i, 'cn-hangzhou', 0"
            ),
            format!(
                "INSERT INTO instance_tags (account_id, instance_id, tag_key, tag_value) \
                 SELECT '{account}', 'i-' || i, 'env', CASE WHEN i % 10 = 0 THEN 'prod' ELSE 'test' END"
            ),
            format!(
                "INSERT INTO agents (agent_id, account_id, instance_id, region, authentication_key, sealing_key, \
                 hostname, version, enrolled_at, last_seen_at, agent_of) \
                 SELECT {agent}, '{account}', 'i-' || i, 'cn-hangzhou', {key}, {key}, 'host', '1', i, 0, \
                 'i-' || i",
                key = match self.backend {
                    Backend::Sqlite => "zeroblob(32)",
                    Backend::Postgres => "decode(repeat('00', 32), 'hex')",
                    Backend::MariaDb => "unhex(repeat('00', 32))",
                },
            ),
        ] {
            self.run(&self.numbered(0..instances, &rows)).await;
        }
    }

    /// Recordings of all instances in turn, one every 20 s, with their counters. The newest run; one in a hundred has failed, and
    /// a few were interrupted. Of the oldest, one in a thousand of all, all have expired, and the counters still contain half.
    pub async fn recordings(&self, count: u64) {
        let (account, instances, users, now) = (self.account, self.instances, self.users, self.now);
        let (yes, no) = if self.backend == Backend::Sqlite { ("1", "0") } else { ("true", "false") };
        let agent = self.agent(&format!("(i % {instances})"));
        let (at, zeros) = (format!("({now} - 20000 * i)"), "0".repeat(64));
        let (running, expired) = (count / 2_000, count - count / 1_000);
        self.pieces(
            "recordings",
            count,
            &format!(
                "INSERT INTO recordings (token, account_id, instance_id, agent_id, kind, target, folder, start_sha256, \
                 started_at, listed_at, opened_at, last_heard_at, expiration_days, state, ended_at, end_kind, end_reason, \
                 manifest_sha256, segments, stored_bytes, last_at_micros, expires_at, counted, session_owner, \
                 session_owner_id, claimed_owner) \
                 SELECT {token}, '{account}', 'i-' || (i % {instances}), {agent}, 'terminal', \
                 'acs:oss:cn-hangzhou:{account}:workbench-record-{account}-x/record', 'record/2026/11/30/i-1/x', '{zeros}', \
                 {at}, {at}, {at}, {at}, 30, CASE WHEN i < {running} THEN 'open' ELSE 'delivered' END, \
                 CASE WHEN i < {running} THEN NULL ELSE {at} END, \
                 CASE WHEN i < {running} THEN NULL WHEN i % 5000 = 7 THEN 'interrupted' ELSE 'exited' END, \
                 CASE WHEN i >= {running} AND i % 5000 = 7 THEN 'cut off' ELSE NULL END, \
                 '{zeros}', CASE WHEN i % 100 = 99 THEN 0 ELSE 3 END, 4096, 1000000, \
                 CASE WHEN i < {running} THEN NULL WHEN i >= {expired} THEN {now} - 1000 ELSE {now} + {DAY} END, \
                 CASE WHEN i >= {expired} AND i % 2 = 0 THEN {no} ELSE {yes} END, \
                 'acs:ram::{account}:user/u' || (i % {users}), 'user/' || (200000000000000000 + i % {users}), \
                 'u' || (i % {users}) || ' (uid 1000)'",
                token = self.random(),
            ),
        )
        .await;
        for (of, by) in [("instance_id", ", instance_id"), ("'*'", "")] {
            self.run(&format!(
                "INSERT INTO recording_counters (account_id, instance_id, visible, total) \
                 SELECT account_id, {of}, SUM(CASE WHEN counted THEN 1 ELSE 0 END), COUNT(*) FROM recordings \
                 GROUP BY account_id{by}"
            ))
            .await;
        }
    }

    /// Audit events, two in a second: every fourth is a list, one in a thousand is denied, and one in ten thousand is a change.
    pub async fn audit_events(&self, count: u64) {
        let (account, instances, users, now) = (self.account, self.instances, self.users, self.now);
        self.pieces(
            "audit_events",
            count,
            &format!(
                "INSERT INTO audit_events (writer_id, sequence, chain, request_id, at, account_id, principal, action, \
                 resource, decision, decided_by, result, user_agent, how, instance_id) \
                 SELECT '{writer}', i + 1, '{zeros}', {request}, {now} - 500 * ({count} - i), '{account}', \
                 'acs:ram::{account}:user/u' || (i % {users}), \
                 CASE WHEN i % 10000 = 17 THEN 'ecs-workbench:SetInstanceRecordConfig' \
                 WHEN i % 4 = 0 THEN 'ecs-workbench:ListInstanceRecords' ELSE 'ecs-workbench:GetInstanceRecordConfig' END, \
                 'acs:ecs-workbench:cn-hangzhou:{account}:workbench/i-' || (i % {instances}), \
                 CASE WHEN i % 1000 = 7 THEN 'denied' WHEN i % 1000 = 8 THEN 'not-asked' ELSE 'allowed' END, \
                 CASE WHEN i % 1000 IN (7, 8) THEN NULL ELSE 'policy' END, 'OK', 'bench', 'gateway', \
                 'i-' || (i % {instances})",
                writer = "a".repeat(32),
                zeros = "0".repeat(64),
                request = self.random(),
            ),
        )
        .await;
    }

    /// Brings the statistics up to date, as the database does by itself after a while. SQLite's planner has none.
    pub async fn settle(&self) {
        match self.backend {
            Backend::Sqlite => self.run("PRAGMA wal_checkpoint(TRUNCATE)").await,
            Backend::Postgres => self.run("VACUUM ANALYZE").await,
            Backend::MariaDb => {
                for table in ["recordings", "audit_events", "agents", "instances", "recording_counters"] {
                    self.run(&format!("ANALYZE TABLE {table}")).await;
                }
            }
        }
    }

    /// Fills a table without its indexes, which are made again when it is full.
    async fn pieces(&self, table: &str, count: u64, rows: &str) {
        let indexes = match self.backend {
            Backend::Sqlite => format!(
                "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}' AND sql IS NOT NULL"
            ),
            Backend::Postgres => format!(
                "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename = '{table}' AND indexname NOT LIKE '%pkey'"
            ),
            // A statement here takes as long as its rows, with all indexes.
            Backend::MariaDb => "SELECT '', '' FROM accounts WHERE account_id IS NULL".to_owned(),
        };
        let indexes = Statement::from_string(self.raw.get_database_backend(), indexes);
        let indexes = self.raw.query_all_raw(indexes).await.unwrap();
        let indexes: Vec<(String, String)> = indexes
            .iter()
            .map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
            .collect();
        for (name, _) in &indexes {
            self.run(&format!("DROP INDEX {name}")).await;
        }
        let mut first = 0;
        while first < count {
            let end = count.min(first + PIECE);
            self.run(&self.numbered(first..end, rows)).await;
            first = end;
        }
        for (_, definition) in &indexes {
            self.run(definition).await;
        }
    }

    /// An INSERT of rows that are made from numbers `i`.
    fn numbered(&self, Range { start, end }: Range<u64>, rows: &str) -> String {
        let last = end - 1;
        match self.backend {
            Backend::Sqlite => format!(
                "WITH RECURSIVE n(i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) {rows} FROM n"
            ),
            Backend::Postgres => {
                format!("{rows} FROM generate_series({start}::bigint, {last}::bigint) AS n(i)")
            }
            Backend::MariaDb => {
                format!("{rows} FROM (SELECT seq AS i FROM seq_{start}_to_{last}) n")
            }
        }
    }

    /// 32 digits that say nothing of the order.
    fn random(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => "lower(hex(randomblob(16)))",
            Backend::Postgres => "md5(i::text)",
            Backend::MariaDb => "md5(i)",
        }
    }

    /// The id of the agent of the instance with this number.
    fn agent(&self, number: &str) -> String {
        let number = match self.backend {
            Backend::Sqlite => format!("printf('%016d', {number})"),
            Backend::Postgres => format!("lpad({number}::text, 16, '0')"),
            Backend::MariaDb => format!("lpad({number}, 16, '0')"),
        };
        format!("'agent-{}' || {number}", self.account)
    }

    async fn run(&self, statement: &str) {
        self.raw.execute_unprepared(statement).await.unwrap();
    }
}
