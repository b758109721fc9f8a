//! The road that every call takes, whichever door it comes through: it arrives ([`Arrival`]), its caller is
//! authenticated ([`Caller`]), the gate decides, the work is done, one final audit row is written, and only then the
//! reply is sent.
//!
//! A door defines only how its callers are authenticated, what its steps are, and how its replies and refusals look.

pub(crate) mod arrival;
pub(crate) mod caller;
pub(crate) mod single_use;
pub(crate) mod unauthenticated;

use std::any::Any;
use std::panic::AssertUnwindSafe;

use domain::audit::{AuditDecision, AuditEvent};
use futures_util::FutureExt as _;
use persistence::{Store, StoreError};

pub(crate) use arrival::Arrival;
pub(crate) use caller::Caller;
pub(crate) use single_use::SingleUse;

/// What is known of a call so far, for its audit row.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// An ARN or `*`; empty before it is located.
    pub(crate) resource: String,
    /// What the gate said.
    pub(crate) decision: AuditDecision,
    /// The recording concerned.
    pub(crate) recording: Option<String>,
    /// A short word about the call.
    pub(crate) how: String,
}

impl Default for About {
    /// Nothing is known about the call yet.
    fn default() -> Self {
        let (resource, how) = (String::new(), String::new());
        Self { resource, decision: AuditDecision::NotAsked, recording: None, how }
    }
}

/// What a call did.
pub(crate) struct Done<R> {
    reply: R,
    audited: bool,
    recording: Option<String>,
    how: &'static str,
}

impl<R> Done<R> {
    /// It changed nothing; the road writes the audit row.
    pub(crate) fn read(reply: R) -> Self {
        Self { reply, audited: false, recording: None, how: "" }
    }

    /// It changed something, and the audit row went with the change.
    pub(crate) fn changed(reply: R) -> Self {
        Self { audited: true, ..Self::read(reply) }
    }

    /// The audit row names the recording and how it was looked at.
    pub(crate) fn about(self, recording: impl ToString, how: &'static str) -> Self {
        Self { recording: Some(recording.to_string()), how, ..self }
    }
}

/// How calls through a door fail.
pub(crate) trait CallError: From<StoreError> {
    /// The code by which audit knows it.
    fn code(&self) -> String;

    /// The work panicked.
    fn panicked(panic: &(dyn Any + Send)) -> Self;

    /// Whether it only says that what the call was decided from was changed meanwhile. It is no outcome, and leaves no
    /// row: the call is decided again.
    fn is_outdated(&self) -> bool {
        false
    }
}

impl Caller {
    /// Runs the `steps`, each of which adds what it learns about the call, makes the reply, and writes the final audit
    /// row, unless a change has written it already. If the row cannot be written, the caller gets that error and
    /// nothing else.
    pub(crate) async fn run_audited<R, T, E: CallError>(
        &self,
        store: &Store,
        action: &str,
        about: About,
        steps: impl AsyncFnOnce(&mut About) -> Result<Done<R>, E>,
        reply: impl FnOnce(R) -> Result<T, E>,
    ) -> Result<T, E> {
        let write = async |event| Ok(store.record_audit(event).await?);
        self.run_and_write(write, action, about, steps, reply).await
    }

    /// As [`Caller::run_audited`], where `write` says how the row is written. Its error is the call's outcome too.
    pub(crate) async fn run_and_write<R, T, E: CallError>(
        &self,
        write: impl AsyncFnOnce(AuditEvent) -> Result<(), E>,
        action: &str,
        mut about: About,
        steps: impl AsyncFnOnce(&mut About) -> Result<Done<R>, E>,
        reply: impl FnOnce(R) -> Result<T, E>,
    ) -> Result<T, E> {
        // A panic is an outcome like any other, so that the audit row is still written.
        let done = AssertUnwindSafe(steps(&mut about)).catch_unwind().await;
        let (outcome, audited) = match done.unwrap_or_else(|panic| Err(E::panicked(&*panic))) {
            Ok(done) => {
                about.recording = done.recording.or(about.recording);
                if !done.how.is_empty() {
                    about.how = done.how.to_owned();
                }
                (reply(done.reply), done.audited)
            }
            Err(error) if error.is_outdated() => return Err(error),
            Err(error) => (Err(error), false),
        };
        // The row of a change is already written, and says that the change was made, whatever happens to the reply.
        if !audited {
            let result = outcome.as_ref().map_or_else(E::code, |_| "OK".to_owned());
            write(self.event(action, about, &result)).await?;
        }
        outcome
    }

    /// Writes the audit row of a call that goes no further, and returns its refusal. If the row cannot be written, the
    /// caller gets that error: a refusal that is not recorded must not look like a final answer.
    pub(crate) async fn refuse<E: CallError>(
        &self,
        store: &Store,
        action: &str,
        about: &About,
        error: E,
    ) -> E {
        match store.record_audit(self.event(action, about.clone(), &error.code())).await {
            Ok(()) => error,
            Err(lost) => lost.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::Timestamp;
    use domain::actions::AdministerIdentity;
    use domain::audit::AuditEvent;
    use domain::gate::{self, PrincipalPolicies, RequestFacts, Resource};
    use domain::principal::Principal;
    use domain::server_keys::ServerKeys;
    use openapi::error_codes::ErrorCode;
    use persistence::DatabaseUrl;
    use tempfile::TempDir;

    use super::*;
    use crate::errors::ActionError;
    use crate::http::request::RequestId;

    struct Road {
        _folder: TempDir,
        store: Store,
        caller: Caller,
    }

    impl Road {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = DatabaseUrl::sqlite_file(&folder.path().join("hansard.db"));
            let store = Store::connect(database, Arc::new(ServerKeys::generate().unwrap())).await.unwrap();
            let arrival = Arc::new(Arrival {
                request_id: RequestId::generate(),
                at: Timestamp::from_millis(1_000),
                source_address: None,
                secure_transport: false,
                user_agent: "a test".to_owned(),
            });
            let principal = Principal::Account { account: "1609982529000000".parse().unwrap() };
            Self { _folder: folder, store, caller: Caller { arrival, principal, access_key: None } }
        }

        async fn run_audited(
            &self,
            steps: impl AsyncFnOnce(&mut About) -> Result<Done<&'static str>, ActionError>,
            reply: impl FnOnce(&'static str) -> Result<&'static str, ActionError>,
        ) -> Result<&'static str, String> {
            let outcome = self.caller.run_audited(&self.store, "Look", About::default(), steps, reply).await;
            outcome.map_err(|error| error.code())
        }

        /// The result, the resource and the `how` of each row.
        async fn rows(&self) -> Vec<(String, String, String)> {
            let operator = Principal::Operator { account: self.caller.principal.account().clone() };
            let facts = RequestFacts::at(self.caller.now());
            let granted = gate::authorize::<AdministerIdentity>(
                &operator,
                Resource::Everything,
                &PrincipalPolicies::none(),
                &facts,
            );
            let rows = self.store.latest_audit_events(&granted.unwrap(), 10).await.unwrap();
            let told = |row: AuditEvent| (row.result, row.resource, row.how);
            rows.into_iter().map(told).collect()
        }
    }

    fn row(result: &str, resource: &str, how: &str) -> (String, String, String) {
        (result.to_owned(), resource.to_owned(), how.to_owned())
    }

    #[tokio::test]
    async fn every_outcome_of_a_call_is_one_row_with_what_was_known_by_then() {
        let failed = |code: ErrorCode| move |_: &str| Err(ActionError::from(code));
        let located = |about: &mut About| about.resource = "*".to_owned();

        let road = Road::new().await;
        let done = road.run_audited(async |_| Ok(Done::read("it").about("t-1", "ticket")), Ok).await;
        assert_eq!((done, road.rows().await), (Ok("it"), vec![row("OK", "", "ticket")]));

        let road = Road::new().await;
        let refused = async |about: &mut About| {
            located(about);
            Err(ErrorCode::RecordingNotFound.into())
        };
        assert_eq!(road.run_audited(refused, Ok).await.unwrap_err(), ErrorCode::RecordingNotFound.row().code);
        assert_eq!(road.rows().await, [row(ErrorCode::RecordingNotFound.row().code, "*", "")]);

        let road = Road::new().await;
        let panics = async |about: &mut About| {
            located(about);
            panic!("in the middle")
        };
        assert_eq!(road.run_audited(panics, Ok).await, Err("InternalError".to_owned()));
        assert_eq!(road.rows().await, [row("InternalError", "*", "")]);

        let road = Road::new().await;
        let unwritten =
            road.run_audited(async |_| Ok(Done::read("it")), failed(ErrorCode::InternalError)).await;
        assert_eq!((unwritten.is_err(), road.rows().await), (true, vec![row("InternalError", "", "")]));
    }

    #[tokio::test]
    async fn a_change_that_wrote_its_row_gets_no_second_one_whatever_happens_to_its_reply() {
        let road = Road::new().await;
        assert_eq!(road.run_audited(async |_| Ok(Done::changed("it")), Ok).await, Ok("it"));
        let reply = |_: &str| Err(ActionError::from(ErrorCode::InternalError));
        assert!(road.run_audited(async |_| Ok(Done::changed("it")), reply).await.is_err());
        assert_eq!(road.rows().await, []);
    }
}
