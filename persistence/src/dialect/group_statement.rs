//! PostgreSQL: a group of calls as one statement, which is a transaction by itself. However many calls there are, they cost one
//! round trip and one commit.
//!
//! The statement is sent on a connection that nothing else uses, so that neither a pool is asked for it nor the connection is
//! asked whether it is well before each group and after it.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::AccountId;
use domain::decided_under::Under;
use sea_orm::sqlx::postgres::{
    PgArguments, PgBindIterExt, PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity,
};
use sea_orm::sqlx::query::QueryScalar;
use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _, Executor as _, Postgres};
use sea_orm::{DbErr, RuntimeErr};
use tokio::sync::Mutex;

use super::postgres;
use crate::audit::chain::Link;
use crate::audit::event::WrittenEvent;
use crate::error::COMMIT;
use crate::rows::column_number;
use crate::{NonceClaim, StoreError};

/// What the connection begins with, after what each connection of ours begins with.
///
/// Whoever sends the statement has the turn of the chain, and all changes wait for it. So it does not wait for what another
/// replica holds, be it a nonce or a table: the group is then written by several statements, which wait without the turn.
///
/// The plan for any parameters is the best one, because they are always taken apart and looked up; it is made once.
const SESSION: &str =
    "SET lock_timeout = '100ms'; SET statement_timeout = '1s'; SET plan_cache_mode = force_generic_plan";

/// A connection that was idle for so long is asked whether it still is one. What is lost without a word while the statement is
/// under way may have happened, and its calls fail; what is lost before it costs them nothing.
const IDLE: Duration = Duration::from_millis(50);
/// How long the connection has to say so.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// All statements of a WITH see the moment at which it began: a plain read of the revisions, without a lock, and writes
/// that happen only where it found those that are expected. A nonce that has a row is an error, also where it has lapsed,
/// and nothing remains.
const STATEMENT: &str = "\
    WITH standing AS MATERIALIZED (\
        SELECT NOT EXISTS (\
            SELECT FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS decided (account_id, revision, instances) \
            LEFT JOIN revisions ON revisions.account_id = decided.account_id \
            WHERE COALESCE(revisions.revision, 0) <> decided.revision \
            OR COALESCE(revisions.instances, 0) <> decided.instances\
        ) AS stand\
    ), claimed AS (\
        INSERT INTO nonces (hash, expires_at) \
        SELECT claims.hash, claims.expires_at FROM unnest($4::bytea[], $5::bigint[]) AS claims (hash, expires_at) \
        WHERE (SELECT stand FROM standing)\
    ), written AS (\
        INSERT INTO audit_events (\
            writer_id, sequence, chain, request_id, at, account_id, principal, access_key_id, action, resource, \
            decision, decided_by, result, source_address, user_agent, recording, how, instance_id\
        ) \
        SELECT $6::text, events.* FROM unnest(\
            $7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], \
            $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], \
            $23::text[]\
        ) AS events \
        WHERE (SELECT stand FROM standing)\
    ) \
    SELECT stand FROM standing";

/// What a group leaves behind.
pub(crate) struct Group<'g> {
    /// The revisions under which its calls were decided.
    pub(crate) decided_under: &'g BTreeMap<&'g AccountId, Under>,
    /// In the order of their hashes, so that replicas wait for one another, and never in a circle.
    pub(crate) claims: &'g BTreeMap<[u8; 32], &'g NonceClaim>,
    pub(crate) writer_id: &'g str,
    pub(crate) rows: &'g [(Link, &'g Arc<WrittenEvent>)],
}

/// What became of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Committed,
    /// A revision is another one. Nothing was written.
    Outdated,
    /// The database refused it, and undid what it had begun: a nonce was used before, a row is not as it must be, somebody else
    /// holds a lock, or the connection was ended.
    Undone,
    /// There is no connection. Nothing was sent.
    Unreachable,
}

/// The connection on which groups are written.
pub(crate) struct GroupStatement {
    options: PgConnectOptions,
    /// It is taken out while a statement is under way: one that was given up or failed is not used again.
    idle: Mutex<Option<Used>>,
}

struct Used {
    connection: PgConnection,
    last: Instant,
}

impl GroupStatement {
    /// Connects when it is first used.
    pub(crate) fn on(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(crate::connecting::connecting_failed)?;
        let options = options.application_name("hansard").disable_statement_logging();
        Ok(Self { options, idle: Mutex::new(None) })
    }

    /// Writes a group down, and commits it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] at the commit: the answer was lost, and nobody here knows whether it happened.
    pub(crate) async fn write(&self, group: &Group<'_>) -> Result<Written, StoreError> {
        let mut idle = self.idle.lock().await;
        let Some(mut connection) = self.connection(&mut idle).await else { return Ok(Written::Unreachable) };
        let (written, usable) = match statement(group).fetch_one(&mut connection).await {
            Ok(true) => (Written::Committed, true),
            Ok(false) => (Written::Outdated, true),
            Err(error) => {
                let Some(usable) = refused(&error) else { return Err(StoreError::at(COMMIT)(failed(error))) };
                tracing::debug!(%error, "a group is written by several statements");
                (Written::Undone, usable)
            }
        };
        if usable {
            *idle = Some(Used { connection, last: Instant::now() });
        }
        Ok(written)
    }

    /// A connection that can be used.
    async fn connection(&self, idle: &mut Option<Used>) -> Option<PgConnection> {
        if let Some(Used { mut connection, last }) = idle.take() {
            if last.elapsed() < IDLE {
                return Some(connection);
            }
            if let Ok(Ok(())) = tokio::time::timeout(ANSWER_LIMIT, connection.ping()).await {
                return Some(connection);
            }
        }
        match self.connect().await {
            Ok(connection) => Some(connection),
            Err(error) => {
                tracing::debug!(%error, "there is no connection to write a group on");
                None
            }
        }
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        connection.execute(postgres::SESSION).await?;
        connection.execute(SESSION).await?;
        Ok(connection)
    }
}

fn statement<'g>(group: &Group<'g>) -> QueryScalar<'g, Postgres, bool, PgArguments> {
    let Group { decided_under, claims, writer_id, rows } = *group;
    let events = || rows.iter().map(|(_, event)| event.as_ref());
    sqlx::query_scalar(STATEMENT)
        .bind(decided_under.keys().map(|account| account.as_str()).bind_iter())
        .bind(decided_under.values().map(|under| under.account).bind_iter())
        .bind(decided_under.values().map(|under| under.instances).bind_iter())
        .bind(claims.keys().map(<[u8; 32]>::as_slice).bind_iter())
        .bind(claims.values().map(|claim| claim.expires_at.as_millis()).bind_iter())
        .bind(writer_id)
        .bind(rows.iter().map(|(link, _)| column_number(link.sequence)).bind_iter())
        .bind(rows.iter().map(|(link, _)| hex::encode(link.chain)).bind_iter())
        .bind(events().map(|event| event.request_id.as_str()).bind_iter())
        .bind(events().map(|event| event.at).bind_iter())
        .bind(events().map(|event| event.account_id.as_str()).bind_iter())
        .bind(events().map(|event| event.principal.as_str()).bind_iter())
        .bind(events().map(|event| event.access_key_id.as_deref()).bind_iter())
        .bind(events().map(|event| event.action.as_str()).bind_iter())
        .bind(events().map(|event| event.resource.as_str()).bind_iter())
        .bind(events().map(|event| event.decision.as_str()).bind_iter())
        .bind(events().map(|event| event.decided_by.as_deref()).bind_iter())
        .bind(events().map(|event| event.result.as_str()).bind_iter())
        .bind(events().map(|event| event.source_address.as_deref()).bind_iter())
        .bind(events().map(|event| event.user_agent.as_str()).bind_iter())
        .bind(events().map(|event| event.recording.as_deref()).bind_iter())
        .bind(events().map(|event| event.how.as_str()).bind_iter())
        .bind(events().map(|event| event.instance_id.as_deref()).bind_iter())
}

/// Whether the statement has certainly not happened, and then whether the connection can still be used. An error says so, also
/// one that ends the connection: what happened is told first, and nothing else can come before that. So does a statement that could
/// not be sent. Were it otherwise, the group would find its own nonces and rows, and be refused.
fn refused(error: &sqlx::Error) -> Option<bool> {
    match error {
        sqlx::Error::Database(said) => {
            let said = said.try_downcast_ref::<PgDatabaseError>()?;
            Some(said.severity() == PgSeverity::Error)
        }
        // Only who writes is told so.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Some(false),
        _ => None,
    }
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}
