//! What the databases say of their plans.

use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};

use crate::dialect::Dialect;

/// How many rows may be sorted: a page has no more.
const MOST_SORTED: u64 = 100;

/// How a database reads what a statement asks for.
#[derive(Debug)]
pub(super) struct Plan {
    /// The statement.
    pub(super) statement: String,
    /// The plan in the database's own words.
    pub(super) words: Vec<String>,
    /// The tables that are read from one end to the other.
    pub(super) scanned: Vec<String>,
    /// What is sorted as a whole.
    pub(super) sorted: Vec<String>,
}

impl Plan {
    pub(super) async fn of(raw: &DatabaseConnection, dialect: Dialect, statement: &Statement) -> Self {
        let explain = match dialect {
            Dialect::Sqlite => "EXPLAIN QUERY PLAN",
            Dialect::Postgres => "EXPLAIN",
            Dialect::MariaDb => "EXPLAIN",
        };
        let explain = Statement { sql: format!("{explain} {}", statement.sql), ..statement.clone() };
        let rows = raw.query_all_raw(explain).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
        let mut plan = Self {
            statement: statement.to_string(),
            words: Vec::new(),
            scanned: Vec::new(),
            sorted: Vec::new(),
        };
        match dialect {
            Dialect::Sqlite => plan.sqlite(&rows),
            Dialect::Postgres => plan.postgres(&rows),
            Dialect::MariaDb => rows.iter().for_each(|row| plan.mariadb(row)),
        }
        plan
    }

    /// Nodes, each with that above it.
    fn sqlite(&mut self, rows: &[QueryResult]) {
        let nodes: Vec<(i32, String)> = rows
            .iter()
            .map(|row| (row.try_get("", "parent").unwrap(), row.try_get("", "detail").unwrap()))
            .collect();
        // Values that the statement brings along, and what a part of the statement found, are no tables.
        let table = |node: &str| {
            let name = node.strip_prefix("SCAN ").or(node.strip_prefix("SEARCH "))?.split(' ').next()?;
            let is_table = !["json_each", "CONSTANT", "part", "parts", "some_recordings"].contains(&name);
            (is_table && !name.starts_with('(')).then(|| name.to_owned())
        };
        for (above, node) in &nodes {
            self.words.push(node.clone());
            if node.starts_with("SCAN ") {
                self.scanned.extend(table(node));
            }
            // The last terms: only of rows that are equal in the first.
            let sorts = node.starts_with("USE TEMP B-TREE FOR") && !node.contains("LAST");
            if sorts && nodes.iter().any(|(also, beside)| also == above && table(beside).is_some()) {
                self.sorted.push(node.clone());
            }
        }
    }

    /// Lines, each indented more than that above it.
    fn postgres(&mut self, rows: &[QueryResult]) {
        self.words = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        let indent = |line: &str| line.len() - line.trim_start().len();
        let node = |line: &str| line.trim_start_matches([' ', '-', '>']).to_owned();
        for (number, line) in self.words.iter().enumerate() {
            let own = node(line);
            if let Some((_, scanned)) = own.split_once("Seq Scan on ") {
                self.scanned.push(scanned.split(' ').next().unwrap_or(scanned).to_owned());
            }
            // What is sorted below a limit is read before it.
            let mut below = self.words[number + 1..].iter().take_while(|next| indent(next) > indent(line));
            let first = below.find(|next| node(next).starts_with("Limit") || next.contains(" Scan "));
            let unlimited = first.is_some_and(|first| !node(first).starts_with("Limit"));
            let sorts = own.starts_with("Sort ") || own.starts_with("HashAggregate ");
            if sorts && unlimited && rows_of(&own) > MOST_SORTED {
                self.sorted.push(own);
            }
        }
    }

    fn mariadb(&mut self, row: &QueryResult) {
        let text = |name: &str| row.try_get::<Option<String>>("", name).unwrap().unwrap_or_default();
        let (table, kind, extra) = (text("table"), text("type"), text("Extra"));
        self.words.push(format!(
            "{} {table} {kind} key={} of [{}] rows={} {extra}",
            text("select_type"),
            text("key"),
            text("possible_keys"),
            text("rows")
        ));
        let derived = table.is_empty() || table.starts_with('<');
        // Of a table of few rows it reads all although an index would lead to them; then it names the index.
        let by_choice = !super::FILLED.contains(&table.as_str()) && !text("possible_keys").is_empty();
        if ["ALL", "index"].contains(&kind.as_str()) && !derived && !by_choice {
            self.scanned.push(table.clone());
        }
        let rows: Option<u64> = text("rows").parse().ok();
        if extra.contains("Using filesort") && !derived && rows.unwrap_or(0) > MOST_SORTED {
            self.sorted.push(format!("{table}: {extra}"));
        }
    }
}

/// How many rows PostgreSQL expects of a node.
fn rows_of(node: &str) -> u64 {
    let rows = node
        .split_once(" rows=")
        .and_then(|(_, rows)| rows.split(' ').next())
        .and_then(|rows| rows.parse().ok());
    rows.unwrap_or_else(|| panic!("a plan says how many rows a node has: {node}"))
}
