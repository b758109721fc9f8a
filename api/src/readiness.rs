//! Whether this replica is to be given work, which `/readyz` tells balancers. `/healthz` tells people how the replica is, also
//! while it ends.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use agent_protocol::AGENT_API_PREFIX;
use serde_json::json;

use crate::agent_api;
use crate::clocks::Clocks;
use crate::ending::Step;
use crate::errors::{ActionError, chain_of};
use crate::state::Hansard;

/// Where it is asked.
pub(crate) const READY: &str = "/readyz";
/// What watches the service must hear of it in any state, and nothing can be guessed there.
pub(crate) const WATCHED: [&str; 2] = ["/healthz", READY];

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why this replica is to be given no work now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReady {
    /// It ends.
    #[error("this replica is ending; others take its work")]
    Ends,
    /// The database does not answer.
    #[error("the database does not answer")]
    NoDatabase,
    /// Nothing can be answered, because no audit row can be written.
    #[error("the writer of the audit trail stands still")]
    WriterStandsStill,
    /// Nothing can be decided by time.
    #[error("the clocks of this replica and of the database are too far apart")]
    ClocksApart,
}

impl NotReady {
    /// When to call again: another replica may answer at once.
    pub(crate) const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
}

/// Registers `/readyz`.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(web::resource(READY).route(web::get().to(readyz)));
}

/// 200 while this replica takes work, and 503 with the reason.
async fn readyz(hansard: Data<Hansard>) -> Result<HttpResponse, ActionError> {
    hansard.readiness().await?;
    let ready = json!({ "Status": "ready" });
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(ready))
}

impl Hansard {
    /// Announces that this replica ends: `/readyz` says so from now on, and everything else goes on until the server is
    /// told to stop.
    pub fn announce_end(&self) {
        self.ending.goes_on_to(Step::Announced);
    }

    /// Whether the database answers, asked now.
    pub(crate) async fn database_answers(&self) -> bool {
        !self.reach.is_gone() && matches!(tokio::time::timeout(PATIENCE, self.store.ping()).await, Ok(Ok(())))
    }

    async fn readiness(&self) -> Result<(), NotReady> {
        if self.ending.step() > Step::Serves {
            return Err(NotReady::Ends);
        }
        if self.compared_clocks.last() == Clocks::TooFarApart {
            return Err(NotReady::ClocksApart);
        }
        if self.reach.is_gone() {
            return Err(NotReady::NoDatabase);
        }
        if self.store.writer_stands_still() {
            return Err(NotReady::WriterStandsStill);
        }
        match tokio::time::timeout(PATIENCE, self.store.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(chain = chain_of(&error), "the database does not answer");
                Err(NotReady::NoDatabase)
            }
            Err(_) => {
                tracing::warn!("the database has not answered for {PATIENCE:?}");
                Err(NotReady::NoDatabase)
            }
        }
    }

    /// Whether replies close their connections, so that callers come again elsewhere.
    pub(crate) fn sends_callers_away(&self) -> bool {
        self.ending.step() > Step::Serves
    }
}

/// The refusal of new work by a replica that ends, or of calls by one whose database is gone or whose clock is wrong, in the
/// words of the door that they came to.
pub(crate) fn refuse(request: &HttpRequest) -> Option<HttpResponse> {
    let hansard = request.app_data::<Data<Hansard>>()?;
    let path = request.path();
    let refused = if hansard.ending.step() >= Step::Refuses && !WATCHED.contains(&path) {
        NotReady::Ends
    } else if !needs_rows(path) {
        return None;
    } else if hansard.reach.is_gone() {
        NotReady::NoDatabase
    } else if hansard.compared_clocks.last() == Clocks::TooFarApart {
        NotReady::ClocksApart
    } else {
        return None;
    };
    if is_agent(path) {
        return Some(agent_api::refuse_as(request, hansard, refused));
    }
    Some(ActionError::from(refused).error_response())
}

/// Whether a path leads to calls that read or write rows. Links are opened by such a call; once open they go on.
fn needs_rows(path: &str) -> bool {
    path == "/" || is_agent(path)
}

fn is_agent(path: &str) -> bool {
    path.strip_prefix(AGENT_API_PREFIX).is_some_and(|rest| rest.starts_with('/'))
}
