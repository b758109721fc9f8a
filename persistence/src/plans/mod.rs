//! The plan of every statement with which a list is read is a test, on each database.
//!
//! The tests call the store and explain what it asked the database, so that no statement is forgotten. No table that grows may be read
//! from one end to the other, and nothing may be sorted but a page, or parts of a list that are no longer than one.

mod lists;
mod words;

use std::sync::{Arc, Mutex};

use domain::server_keys::ServerKeys;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use test_facts::{Backend, TestDatabase};

use crate::database::Connections;
use crate::dialect::Dialect;
use crate::durability::Durability;
use crate::{DatabaseUrl, Store};
use words::Plan;

/// A store whose statements are kept.
struct Observed {
    store: Store,
    asked: Arc<Mutex<Vec<Statement>>>,
    raw: DatabaseConnection,
    dialect: Dialect,
    database: TestDatabase,
}

impl Observed {
    async fn on(backend: Backend) -> Self {
        let database = TestDatabase::new(backend).await;
        let url = DatabaseUrl::parse(&database.url).unwrap();
        let connections = Connections::open(&url, Durability::NotAsked).await.unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        connections.observe_reads(move |info| kept.lock().unwrap().push(info.statement.clone()));
        let dialect = connections.dialect();
        let keys = Arc::new(ServerKeys::generate().unwrap());
        let store = Store::on(connections, url.nonces(), keys).await.unwrap();
        let mut options = ConnectOptions::new(&database.url);
        options.max_connections(1).sqlx_logging(false);
        let raw = Database::connect(options).await.unwrap();
        Self { store, asked, raw, dialect, database }
    }

    /// The plans of what was asked since the last time.
    async fn plans(&self) -> Vec<Plan> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let mut plans = Vec::new();
        for statement in asked {
            // The store looks by itself whether another replica has changed something.
            if statement.sql.contains("SELECT") && !statement.sql.contains("revisions") {
                plans.push(self.plan(statement).await);
            }
        }
        plans
    }

    async fn plan(&self, statement: Statement) -> Plan {
        let plan = Plan::of(&self.raw, self.dialect, &statement).await;
        // PostgreSQL reads a table of few rows from one end to the other although an index would lead to them, because that is
        // quicker, as it is where half of all rows are counted. Whether an index would is seen when it may not. That does not
        // hold for pages of the tables that were filled: there it chooses as with millions.
        let counts = statement.sql.contains("COUNT(*)");
        let chooses = |table: &String| FILLED.contains(&table.as_str()) && !counts;
        if self.dialect != Dialect::Postgres || plan.scanned.is_empty() || plan.scanned.iter().any(chooses) {
            return plan;
        }
        self.raw.execute_unprepared("SET enable_seqscan = off").await.unwrap();
        let plan = Plan::of(&self.raw, self.dialect, &statement).await;
        self.raw.execute_unprepared("SET enable_seqscan = on").await.unwrap();
        plan
    }
}

/// The tables that are filled with so many rows that the planner chooses as it does with millions.
const FILLED: [&str; 2] = ["recordings", "audit_events"];
