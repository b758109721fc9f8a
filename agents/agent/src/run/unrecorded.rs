//! Sessions that had to be recorded and went on unrecorded (`FailurePolicy=best_effort`): each is noted on the disk before its
//! command runs, and kept until the control plane has it in its audit trail.
//!
//! There is a limit to what is kept. Beyond it a report counts several sessions, so that none is lost.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_protocol::unrecorded::{UnrecordedSessionsReply, UnrecordedSessionsRequest};
use aws_lc_rs::rand;
use recording::{AccountId, InstanceId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::Agent;
use super::reserve::Reserve;
use crate::backoff::Backoff;
use crate::durable;
use crate::state_directory::{PRIVATE_MODE, StateDirectory};

const FILE: &str = "unrecorded-sessions.json";
/// How many reports are kept, of all users and of one.
const MOST: usize = 256;
const MOST_OF_A_USER: usize = 16;
const LONGEST_REASON: usize = 500;
const SEVERAL_USERS: &str = "several users";
/// How often a report that the control plane refuses is tried again without a notice: an earlier version does not know them.
const TRY_REFUSED_EVERY: Duration = Duration::from_secs(3600);
const LONGEST_ADVICE: Duration = Duration::from_secs(300);

/// A session that goes on unrecorded.
pub(super) struct UnrecordedSession {
    pub(super) kind: String,
    pub(super) user_id: u32,
    /// The user's name with the number.
    pub(super) user: String,
    pub(super) at: Timestamp,
    pub(super) reason: String,
    pub(super) configuration_revision: u64,
}

/// The reports that the control plane does not have yet.
pub(super) struct UnrecordedSessions {
    path: PathBuf,
    account: AccountId,
    instance: InstanceId,
    reports: Mutex<Vec<Report>>,
    /// Held while the file is written, so that it never falls back behind what is known.
    writing: Mutex<()>,
    noted: Notify,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    /// Another account must not be told of them, and not as another instance's.
    account_id: AccountId,
    instance_id: InstanceId,
    reports: Vec<Report>,
}

/// A report, the oldest of which is delivered first. It does not change any more once it is the oldest: it may have arrived
/// although nobody said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    /// `None` where it is about several users.
    user_id: Option<u32>,
    request: UnrecordedSessionsRequest,
}

impl UnrecordedSessions {
    /// What an earlier run of the agent left. A file that cannot be read is set aside, and kept.
    pub(super) fn load(directory: &StateDirectory, account: &AccountId, instance: &InstanceId) -> Self {
        let path = directory.file(FILE);
        let reports = match durable::find_json::<Stored>(&path) {
            Ok(None) => Vec::new(),
            Ok(Some(stored)) if stored.instance_id == *instance && stored.account_id == *account => {
                stored.reports
            }
            Ok(Some(Stored { account_id, instance_id, .. })) => {
                set_aside(&path, &format!("it is of instance {instance_id} of account {account_id}"));
                Vec::new()
            }
            Err(error) => {
                set_aside(&path, &error.to_string());
                Vec::new()
            }
        };
        Self {
            path,
            account: account.clone(),
            instance: instance.clone(),
            reports: Mutex::new(reports),
            writing: Mutex::new(()),
            noted: Notify::new(),
        }
    }

    fn reports(&self) -> MutexGuard<'_, Vec<Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a session. If the disk takes nothing at all, not even in the space that is set aside, the report is kept in
    /// memory, and written with the next one: nobody is locked out of a machine for that.
    pub(super) fn note(&self, session: UnrecordedSession, reserve: &Reserve) {
        add(&mut self.reports(), session);
        let written = self.write().or_else(|error| {
            if error.kind() == io::ErrorKind::StorageFull {
                reserve.release();
                return self.write();
            }
            Err(error)
        });
        if let Err(error) = written {
            tracing::error!("that a session goes on unrecorded is kept in memory only: {error}");
        }
        self.noted.notify_one();
    }

    fn write(&self) -> io::Result<()> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = self.reports().clone();
        if reports.is_empty() {
            return durable::remove(&self.path);
        }
        let (account_id, instance_id) = (self.account.clone(), self.instance.clone());
        durable::write_json(&self.path, &Stored { account_id, instance_id, reports }, PRIVATE_MODE)
    }

    /// What is delivered next.
    fn oldest(&self) -> Option<UnrecordedSessionsRequest> {
        self.reports().first().map(|report| report.request.clone())
    }

    /// The control plane has it.
    fn delivered(&self, report_id: &str, reserve: &Reserve) {
        self.reports().retain(|report| report.request.report_id != report_id);
        if let Err(error) = self.write() {
            tracing::warn!("a report that is delivered may be delivered again: {error}");
        }
        // It may have been used to note this.
        reserve.hold();
    }
}

fn set_aside(path: &std::path::Path, why: &str) {
    let kept = path.with_extension("json.set-aside");
    tracing::error!("{} is not used, and kept as {}: {why}", path.display(), kept.display());
    if let Err(error) = std::fs::rename(path, &kept) {
        tracing::error!("{} cannot be renamed: {error}", path.display());
    }
}

/// Adds a session: as a report of its own while there is room, and otherwise to one that was certainly never sent.
fn add(reports: &mut Vec<Report>, session: UnrecordedSession) {
    let is_theirs = |report: &Report| report.user_id == Some(session.user_id);
    let has_room =
        reports.len() < MOST && reports.iter().filter(|report| is_theirs(report)).count() < MOST_OF_A_USER;
    let unsent = reports.get_mut(1..).unwrap_or_default();
    let place = unsent.iter().rposition(is_theirs).or_else(|| unsent.len().checked_sub(1));
    let time = session.at.to_rfc3339_millis();
    let Some(report) = place.filter(|_| !has_room).and_then(|place| unsent.get_mut(place)) else {
        let request = UnrecordedSessionsRequest {
            report_id: report_id(),
            kind: session.kind,
            claimed_user: session.user,
            sessions: 1,
            first_time: time.clone(),
            last_time: time,
            reason: session.reason.chars().take(LONGEST_REASON).collect(),
            configuration_revision: session.configuration_revision,
        };
        reports.push(Report { user_id: Some(session.user_id), request });
        return;
    };
    if report.user_id != Some(session.user_id) {
        report.user_id = None;
        report.request.claimed_user = SEVERAL_USERS.to_owned();
    }
    report.request.sessions = report.request.sessions.saturating_add(1);
    report.request.last_time = time;
}

fn report_id() -> String {
    let mut random = [0; 16];
    // Without randomness two reports may have the same name, which costs only the reader of the trail.
    let _ = rand::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Delivers reports for as long as the agent runs.
pub(super) async fn deliver(agent: Arc<Agent>) {
    let mut backoff = Backoff::new();
    let mut link_opened = agent.link_opened.subscribe();
    loop {
        let Some(report) = agent.unrecorded.oldest() else {
            agent.unrecorded.noted.notified().await;
            continue;
        };
        let reply: Result<UnrecordedSessionsReply, _> =
            agent.control_plane.post("/unrecorded-sessions", &report).await;
        let wait = match reply {
            Ok(_) => {
                let agent = Arc::clone(&agent);
                let noting = move || agent.unrecorded.delivered(&report.report_id, &agent.reserve);
                if let Err(error) = tokio::task::spawn_blocking(noting).await {
                    tracing::error!("a report was not noted as delivered: {error}");
                }
                backoff.reset();
                continue;
            }
            Err(error) if error.is_final() => {
                tracing::error!("the control plane does not take the report of unrecorded sessions: {error}");
                TRY_REFUSED_EVERY
            }
            Err(error) => {
                let advice = error.retry_after().unwrap_or_default().min(LONGEST_ADVICE);
                tracing::debug!("a report of unrecorded sessions waits: {error}");
                backoff.next().max(advice)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = link_opened.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(user_id: u32, second: i64) -> UnrecordedSession {
        UnrecordedSession {
            kind: "terminal".to_owned(),
            user_id,
            user: format!("uid {user_id}"),
            at: Timestamp::from_millis(second * 1000),
            reason: "r".repeat(LONGEST_REASON + 1),
            configuration_revision: 3,
        }
    }

    struct Bench {
        _folder: tempfile::TempDir,
        directory: StateDirectory,
        account: AccountId,
        instance: InstanceId,
        reserve: Reserve,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
        let reserve = Reserve::new(&directory, 0);
        let account = AccountId::parse("1000000000000001").unwrap();
        Bench { _folder: folder, directory, account, instance: InstanceId::parse("i-one").unwrap(), reserve }
    }

    #[test]
    fn what_is_noted_survives_a_restart_until_it_is_delivered() {
        let bench = bench();
        let load = || UnrecordedSessions::load(&bench.directory, &bench.account, &bench.instance);
        load().note(session(1000, 1), &bench.reserve);
        load().note(session(1000, 2), &bench.reserve);
        let again = load();
        let first = again.oldest().unwrap();
        assert_eq!((first.first_time.as_str(), first.sessions), ("1970-01-01T00:00:01.000Z", 1));
        assert_eq!((first.reason.len(), first.report_id.len()), (LONGEST_REASON, 32));
        again.delivered(&first.report_id, &bench.reserve);
        let second = load().oldest().unwrap();
        assert_eq!(second.first_time, "1970-01-01T00:00:02.000Z");
        again.delivered(&second.report_id, &bench.reserve);
        assert_eq!(load().oldest(), None);
        assert!(!bench.directory.file(FILE).exists());
    }

    #[test]
    fn no_session_is_lost_beyond_the_limits_and_what_may_have_arrived_does_not_change() {
        let mut reports = Vec::new();
        add(&mut reports, session(1, 0));
        let oldest = reports.clone();
        for second in 1..100 {
            add(&mut reports, session(1, second));
        }
        assert_eq!(reports.len(), MOST_OF_A_USER);
        for user_id in 2..1000 {
            add(&mut reports, session(user_id, 100));
        }
        assert_eq!(reports.len(), MOST);
        let sessions: u32 = reports.iter().map(|report| report.request.sessions).sum();
        assert_eq!(sessions, 100 + 998);
        assert_eq!(reports[..1], oldest);
        let last = reports.last().unwrap();
        assert_eq!((last.user_id, last.request.claimed_user.as_str()), (None, SEVERAL_USERS));
        let of_one = &reports[MOST_OF_A_USER - 1];
        assert_eq!((of_one.user_id, of_one.request.sessions), (Some(1), 100 - 15));
        assert_eq!(of_one.request.last_time, "1970-01-01T00:01:39.000Z");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_kept() {
        let bench = bench();
        let path = bench.directory.file(FILE);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(
            UnrecordedSessions::load(&bench.directory, &bench.account, &bench.instance).oldest(),
            None
        );
        assert_eq!(std::fs::read(path.with_extension("json.set-aside")).unwrap(), b"{");
        let other = InstanceId::parse("i-two").unwrap();
        UnrecordedSessions::load(&bench.directory, &bench.account, &bench.instance)
            .note(session(1, 1), &bench.reserve);
        assert_eq!(UnrecordedSessions::load(&bench.directory, &bench.account, &other).oldest(), None);
        assert!(!path.exists());
    }
}
