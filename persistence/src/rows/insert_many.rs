//! Inserting many rows of one table with statements whose texts are made once. A builder of queries would make the same few
//! texts anew for every group of calls, which costs more than what the database does with them.

use std::sync::OnceLock;

use sea_orm::sea_query::Values;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use super::{MOST_OF_A_STATEMENT, in_few_sizes};
use crate::dialect::sqlite_direct::{DirectTransaction, ForEachRow};

/// The sizes of [`in_few_sizes`]: the powers of two up to the most rows of one statement.
const SIZES: usize = MOST_OF_A_STATEMENT.ilog2() as usize + 1;

/// The insertion of rows into one table.
pub(crate) struct InsertMany<const COLUMNS: usize> {
    table: &'static str,
    columns: [&'static str; COLUMNS],
    /// One program uses one database, or a few of one kind.
    texts: [[OnceLock<String>; SIZES]; 3],
}

impl<const COLUMNS: usize> InsertMany<COLUMNS> {
    /// Values are given in the order of these columns.
    pub(crate) const fn new(table: &'static str, columns: [&'static str; COLUMNS]) -> Self {
        Self { table, columns, texts: [const { [const { OnceLock::new() }; SIZES] }; 3] }
    }

    /// Inserts these rows.
    ///
    /// # Errors
    /// The driver's.
    pub(crate) async fn insert<T>(
        &self,
        connection: &impl ConnectionTrait,
        rows: &[T],
        values: impl Fn(&T) -> [Value; COLUMNS],
    ) -> Result<(), DbErr> {
        let backend = connection.get_database_backend();
        for part in in_few_sizes(rows) {
            let values = Values(part.iter().flat_map(&values).collect());
            let statement = Statement {
                sql: self.text(backend, part.len()).to_owned(),
                values: Some(values),
                db_backend: backend,
            };
            connection.execute_raw(statement).await?;
        }
        Ok(())
    }

    /// The insertion of one row after another on the thread that has the connection, where a statement for many saves
    /// nothing.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn one_by_one<'t>(
        &'static self,
        transaction: &'t DirectTransaction<'_>,
    ) -> Result<ForEachRow<'t>, DbErr> {
        transaction.for_each_row(self.text(DbBackend::Sqlite, 1))
    }

    /// `rows` is a power of two.
    fn text(&self, backend: DbBackend, rows: usize) -> &str {
        let kind = match backend {
            DbBackend::Postgres => 1,
            DbBackend::MySql => 2,
            _ => 0,
        };
        self.texts[kind][rows.ilog2() as usize].get_or_init(|| self.made(backend, rows))
    }

    fn made(&self, backend: DbBackend, rows: usize) -> String {
        let quote = if backend == DbBackend::MySql { '`' } else { '"' };
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("{quote}{column}{quote}")).collect();
        let place = |number: usize| match backend {
            DbBackend::Postgres => format!("${number}"),
            _ => "?".to_owned(),
        };
        let row = |row: usize| {
            let places: Vec<String> = (1..=COLUMNS).map(|column| place(row * COLUMNS + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        format!(
            "INSERT INTO {quote}{}{quote} ({}) VALUES {}",
            self.table,
            columns.join(", "),
            rows.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_own_text() {
        let insert = InsertMany::new("t", ["a", "b"]);
        assert_eq!(insert.text(DbBackend::Sqlite, 1), r#"INSERT INTO "t" ("a", "b") VALUES (?, ?)"#);
        assert_eq!(
            insert.text(DbBackend::Postgres, 2),
            r#"INSERT INTO "t" ("a", "b") VALUES ($1, $2), ($3, $4)"#
        );
        assert_eq!(insert.text(DbBackend::MySql, 1), "INSERT INTO `t` (`a`, `b`) VALUES (?, ?)");
        assert_eq!(insert.text(DbBackend::Sqlite, MOST_OF_A_STATEMENT).matches('?').count(), 128);
    }
}
