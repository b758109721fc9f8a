//! Checkpoints of a SQLite file: what the write-ahead log has is copied into the file. SQLite makes them in whichever commit
//! finds the log too long, and all calls wait for that one. Here the connections that write make none: another one does it
//! beside them.
//!
//! A log begins anew only when all of it was copied, and what is written during a checkpoint is not. So the last few pages are
//! copied in a turn of their own, during which nobody writes; otherwise the log of a server that is never idle would grow
//! without end. And it begins anew only when nobody reads from it: in that turn those who do are waited for, each of whom
//! reads for a moment, and whoever comes meanwhile finds everything in the file. As ever, what somebody still reads of an
//! earlier state cannot be overwritten: then the log grows, and the next checkpoint makes up for it.

use std::path::{Path, PathBuf};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::StoreError;
use crate::dialect::sqlite_direct::{Checkpoint, Direct, Log};
use crate::turn::Turns;

/// The length of the log, in pages of 4 KiB, at which it is copied. A page that changes often is copied once, however often
/// it is in the log.
const PAGES: i64 = 4_096;

/// Makes checkpoints until it is dropped.
pub(crate) struct Checkpoints(JoinHandle<()>);

impl Checkpoints {
    /// Of this file, by those who write to it in these turns.
    pub(crate) fn keep(file: PathBuf, turns: Turns) -> Self {
        Self(tokio::spawn(async move {
            let mut keeper = Keeper::every(PAGES);
            // Those who began and ended before much was written each left a little.
            if !is_long(&file).await {
                turns.much_was_written().await;
            }
            loop {
                if let Err(error) = keeper.look(&file, &turns).await {
                    // Nothing is lost; the log is longer, and is tried again.
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "SQLite's write-ahead log could not be copied into the file"
                    );
                }
                turns.much_was_written().await;
            }
        }))
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether the log's file has room for so much that it may be due.
async fn is_long(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let bytes = tokio::fs::metadata(log).await.map_or(0, |log| log.len());
    i64::try_from(bytes / 4_096).is_ok_and(|pages| pages >= PAGES)
}

struct Keeper {
    /// Opened when it is first needed.
    connection: Option<Direct>,
    every: i64,
    /// The length of the log at which it is copied next.
    due_at: i64,
}

impl Keeper {
    fn every(pages: i64) -> Self {
        Self { connection: None, every: pages, due_at: pages }
    }

    async fn look(&mut self, file: &Path, turns: &Turns) -> Result<(), StoreError> {
        if self.ask(file, Checkpoint::Look).await?.pages < self.due_at {
            return Ok(());
        }
        let before = self.ask(file, Checkpoint::BesideOthers).await?;
        let turn = turns.take().await;
        let mut log = self.ask(file, Checkpoint::BesideOthers).await?;
        // Whoever has been reading since before the first of the two may do so for long, and is not waited for.
        if log.copied >= log.pages.min(before.pages) {
            log = self.ask(file, Checkpoint::BeginAnew).await?;
        }
        drop(turn);
        let begins_anew = log.copied == log.pages && !log.blocked;
        self.due_at = if begins_anew { self.every } else { log.pages + self.every };
        Ok(())
    }

    /// On a thread where waiting for the disk blocks nothing else.
    async fn ask(&mut self, file: &Path, checkpoint: Checkpoint) -> Result<Log, StoreError> {
        let (connection, file) = (self.connection.take(), file.to_owned());
        let asked = spawn_blocking(move || {
            let connection = connection.map_or_else(|| Direct::open(&file), Ok)?;
            let log = connection.checkpoint(checkpoint)?;
            Ok::<_, StoreError>((connection, log))
        });
        let (connection, log) = asked.await.map_err(|_| StoreError::Stopping)??;
        self.connection = Some(connection);
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use sea_orm::{ConnectionTrait, TransactionTrait};
    use tokio::runtime::Handle;

    use super::*;
    use crate::dialect::sqlite;

    const EVERY: i64 = 64;

    /// Writes about a page at a time until it is told to stop, and says how often it did. Each time the log grows by more than
    /// that page: one that never began anew is longer than all that was written.
    fn write(file: PathBuf, turns: Turns, stop: Arc<AtomicBool>, runtime: Handle) -> i64 {
        let connection = Direct::open(&file).unwrap();
        let text = "x".repeat(4_000);
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            let turn = turns.take_blocking(&runtime);
            let transaction = connection.begin().unwrap();
            let mut insert = transaction.for_each_row("INSERT INTO t VALUES (?)").unwrap();
            insert.run(&[text.as_str().into()]).unwrap();
            drop(insert);
            transaction.commit().unwrap();
            drop(turn);
            written += 1;
        }
        written
    }

    /// The length of the log, whose file keeps the greatest length that it has had.
    fn log_bytes(file: &Path) -> u64 {
        std::fs::metadata(file.with_extension("db-wal")).unwrap().len()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_that_is_always_written_to_stays_short_and_grows_only_while_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hansard.db");
        let made = sqlite::making_writer(&file).await.unwrap();
        made.execute_unprepared("CREATE TABLE t (text TEXT)").await.unwrap();
        let (turns, stop) = (Turns::new(), Arc::new(AtomicBool::new(false)));
        let (to, by, until) = (file.clone(), turns.clone(), Arc::clone(&stop));
        let runtime = Handle::current();
        let writing = spawn_blocking(move || write(to, by, until, runtime));

        let mut keeper = Keeper::every(EVERY);
        let mut checkpoints = 0;
        while checkpoints < 50 {
            let due = keeper.ask(&file, Checkpoint::Look).await.unwrap().pages >= keeper.due_at;
            keeper.look(&file, &turns).await.unwrap();
            checkpoints += u32::from(due);
            assert_eq!(keeper.due_at, EVERY, "all of it was copied, and nobody reads");
        }
        let short = log_bytes(&file);

        // What a reader still sees cannot be overwritten.
        let readers = sqlite::readers(&file).await.unwrap();
        let reading = readers.begin().await.unwrap();
        let seen = reading.query_one_raw(count()).await.unwrap().unwrap();
        while keeper.due_at == EVERY {
            keeper.look(&file, &turns).await.unwrap();
        }
        let again = reading.query_one_raw(count()).await.unwrap().unwrap();
        assert_eq!(number(&again), number(&seen));
        reading.rollback().await.unwrap();
        while keeper.due_at != EVERY {
            keeper.look(&file, &turns).await.unwrap();
        }

        stop.store(true, Ordering::Relaxed);
        let written = writing.await.unwrap();
        assert!(
            written as u64 * 4_096 > short,
            "{written} pages were written, and the log had {short} bytes"
        );
        let rows = made.query_one_raw(count()).await.unwrap().unwrap();
        assert_eq!(number(&rows), written);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_log_that_others_left_is_copied_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hansard.db");
        let made = sqlite::making_writer(&file).await.unwrap();
        let many = format!("CREATE TABLE t AS SELECT zeroblob({}) AS x", (PAGES + 10) * 4_096);
        made.execute_unprepared(&many).await.unwrap();
        let look = Direct::open(&file).unwrap();
        let left = look.checkpoint(Checkpoint::Look).unwrap();
        assert!(left.pages > PAGES && left.copied == 0, "{left:?}");
        let _keeping = Checkpoints::keep(file, Turns::new());
        let all = Log { copied: left.pages, ..left };
        while look.checkpoint(Checkpoint::Look).unwrap() != all {
            tokio::task::yield_now().await;
        }
    }

    /// Reads again and again for a moment, so that there is always somebody who reads.
    fn keep_reading(file: &Path, stop: Arc<AtomicBool>) {
        let connection = rusqlite::Connection::open(file).unwrap();
        let text = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000) \
                    SELECT (SELECT COUNT(*) FROM c) + (SELECT COUNT(*) FROM (SELECT 1 FROM t LIMIT 1))";
        while !stop.load(Ordering::Relaxed) {
            connection.query_row(text, (), |row| row.get::<_, i64>(0)).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_stays_short_where_there_is_always_somebody_who_reads_for_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hansard.db");
        let made = sqlite::making_writer(&file).await.unwrap();
        made.execute_unprepared("CREATE TABLE t (text TEXT)").await.unwrap();
        let (turns, stop) = (Turns::new(), Arc::new(AtomicBool::new(false)));
        let reading = (0..4).map(|_| {
            let (file, until) = (file.clone(), Arc::clone(&stop));
            spawn_blocking(move || keep_reading(&file, until))
        });
        let reading: Vec<_> = reading.collect();
        let (to, by, until) = (file.clone(), turns.clone(), Arc::clone(&stop));
        let runtime = Handle::current();
        let writing = spawn_blocking(move || write(to, by, until, runtime));
        let (mut keeper, mut checkpoints) = (Keeper::every(EVERY), 0);
        while checkpoints < 60 {
            checkpoints +=
                u32::from(keeper.ask(&file, Checkpoint::Look).await.unwrap().pages >= keeper.due_at);
            keeper.look(&file, &turns).await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let written = writing.await.unwrap();
        for reading in reading {
            reading.await.unwrap();
        }
        let long = log_bytes(&file);
        assert!(written as u64 * 4_096 > long, "{written} pages were written, and the log had {long} bytes");
    }

    fn count() -> sea_orm::Statement {
        sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT COUNT(*) FROM t")
    }

    fn number(row: &sea_orm::QueryResult) -> i64 {
        row.try_get_by_index(0).unwrap()
    }
}
