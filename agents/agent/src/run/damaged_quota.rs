//! Limits how much unreadable data is kept. A damaged spool is kept after its session was delivered, in case somebody
//! can read it. But a user who can damage spools must not fill the disk with them, which would keep everybody else from
//! recorded work.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_protocol::local::{DamagedFiles, DamagedOfUser, DeliveryState, LocalSession, SessionState};
use recording::TerminalSessionToken;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::session::{DAMAGED_PREFIX, Note, Session, list};
use super::severed;
use super::subordinate_ids::Owners;
use crate::durable;
use crate::state_directory::PRIVATE_MODE;

/// How much is kept of all users together, and of one.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;
const MOST_BYTES_OF_A_USER: u64 = 128 * 1024 * 1024;

/// How long a measurement is used.
const MEASURE_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What was left out of a spool that is kept.
const CUT: &str = "not-kept.json";

/// `not-kept.json`, for people and for `status`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NotKept {
    bytes: u64,
    reason: String,
}

/// How much space each user's damaged spools take, including those of sessions that are not delivered yet.
#[derive(Debug)]
pub(super) struct DamagedQuota {
    spool: PathBuf,
    owners: Arc<Owners>,
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    at: Option<Instant>,
    by_user: BTreeMap<Option<u32>, u64>,
}

impl Measured {
    fn total(&self) -> u64 {
        self.by_user.values().sum()
    }

    fn of(&self, user_id: Option<u32>) -> u64 {
        self.by_user.get(&user_id).copied().unwrap_or_default()
    }

    /// Why no new session of this user begins, if that is so.
    fn refusal(&self, user_id: Option<u32>, spool: &Path) -> Option<String> {
        let (theirs, total) = (self.of(user_id), self.total());
        let what = if theirs >= MOST_BYTES_OF_A_USER {
            format!(
                "{theirs} bytes of damaged spools of this user are kept, of at most {MOST_BYTES_OF_A_USER}"
            )
        } else if theirs > 0 && total >= MOST_BYTES {
            format!(
                "{total} bytes of damaged spools are kept, this user's among them, of at most {MOST_BYTES}"
            )
        } else {
            return None;
        };
        Some(format!(
            "{what}: an administrator has to check {DAMAGED_PREFIX}* in {}, and remove them",
            spool.display()
        ))
    }
}

impl DamagedQuota {
    pub(super) fn new(spool: PathBuf, owners: Arc<Owners>) -> Self {
        DamagedQuota { spool, owners, measured: Mutex::default() }
    }

    /// Why no new session of this user begins, if that is so. `live` are the sessions that are not delivered yet.
    pub(super) fn refusal(&self, user_id: u32, live: impl Fn() -> Vec<(Option<u32>, u64)>) -> Option<String> {
        let person = Some(self.owners.owner(user_id));
        let believed = self.measure(MEASURE_AGAIN_AFTER, &live).refusal(person, &self.spool);
        // Somebody may have cleaned up since.
        believed.and_then(|_| self.measure(Duration::ZERO, &live).refusal(person, &self.spool))
    }

    /// For `status`: of one user, or of all.
    pub(super) fn describe(
        &self,
        only: Option<u32>,
        live: impl Fn() -> Vec<(Option<u32>, u64)>,
    ) -> Option<DamagedFiles> {
        let only = only.map(|user_id| self.owners.owner(user_id));
        let measured = self.measure(Duration::ZERO, &live);
        let users: Vec<DamagedOfUser> = measured
            .by_user
            .iter()
            .filter(|(user_id, _)| only.is_none() || **user_id == only)
            .map(|(user_id, bytes)| DamagedOfUser {
                user_id: *user_id,
                bytes: *bytes,
                most_bytes: MOST_BYTES_OF_A_USER,
                refused: measured.refusal(*user_id, &self.spool),
            })
            .collect();
        (!users.is_empty()).then(|| DamagedFiles { bytes: measured.total(), most_bytes: MOST_BYTES, users })
    }

    fn measure(
        &self,
        believed_for: Duration,
        live: &impl Fn() -> Vec<(Option<u32>, u64)>,
    ) -> MutexGuard<'_, Measured> {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if measured.at.is_none_or(|at| at.elapsed() >= believed_for) {
            let mut by_user = BTreeMap::new();
            let kept =
                list(&self.spool, DAMAGED_PREFIX).unwrap_or_default().into_iter().map(|(token, bytes)| {
                    (Note::find_user(&self.spool.join(format!("{DAMAGED_PREFIX}{token}"))), bytes)
                });
            for (user_id, bytes) in kept.chain(live()) {
                let person = user_id.map(|user_id| self.owners.owner(user_id));
                *by_user.entry(person).or_default() += bytes;
            }
            *measured = Measured { at: Some(Instant::now()), by_user };
        }
        measured
    }

    /// Keeps a delivered session whose spool was damaged, as far as there is room. What is kept is a copy: a recorder may live on and
    /// still hold the descriptor of what was its spool.
    pub(super) fn set_aside(&self, session: &Session, folder: &Path) -> io::Result<()> {
        let aside = self.spool.join(format!("{DAMAGED_PREFIX}{}", session.token()));
        let mut room = {
            let measured = self.measure(Duration::ZERO, &Vec::new);
            let person = session.note.user_id.map(|user_id| self.owners.owner(user_id));
            let theirs = MOST_BYTES_OF_A_USER.saturating_sub(measured.of(person));
            theirs.min(MOST_BYTES.saturating_sub(measured.total()))
        };
        let mut left_out = 0;
        for spool in &session.spools {
            left_out += copy_within(spool.path(), &mut room)?;
        }
        if left_out > 0 {
            let reason = format!(
                "of damaged spools at most {MOST_BYTES_OF_A_USER} bytes of a user are kept, {MOST_BYTES} of all"
            );
            tracing::warn!(session = %session.token(), "{left_out} bytes of the damaged spool are not kept: {reason}");
            durable::write_json(&folder.join(CUT), &NotKept { bytes: left_out, reason }, PRIVATE_MODE)?;
        }
        tracing::warn!(session = %session.token(), "the damaged spool is kept in {}", aside.display());
        fs::rename(folder, aside)?;
        durable::sync_folder(&self.spool)?;
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).at = None;
        Ok(())
    }
}

/// Puts a copy in the place of a spool, of no more of its data than there is room for, which becomes less by it; holes stay holes. Gives
/// how much data was left out.
fn copy_within(path: &Path, room: &mut u64) -> io::Result<u64> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let copy_path = folder.join(format!("{}kept", durable::TEMPORARY_PREFIX));
    let mut source = File::open(path)?;
    let mut copy =
        OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_MODE).open(&copy_path)?;
    let (mut at, mut left_out) = (0, 0);
    while let Some((data, end)) = next_extent(&source, at)? {
        let wanted = (end - data).min(*room);
        if wanted > 0 {
            source.seek(SeekFrom::Start(data))?;
            copy.seek(SeekFrom::Start(data))?;
            io::copy(&mut (&source).take(wanted), &mut copy)?;
        }
        *room -= wanted;
        left_out += end - data - wanted;
        at = end;
    }
    copy.sync_all()?;
    severed::replace(path, &copy_path)?;
    durable::sync_folder(folder)?;
    Ok(left_out)
}

/// The next piece of a file that is no hole.
fn next_extent(file: &File, from: u64) -> io::Result<Option<(u64, u64)>> {
    let length = file.metadata()?.len();
    if from >= length {
        return Ok(None);
    }
    let data = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
        Ok(data) => data,
        Err(Errno::NXIO) => return Ok(None),
        // This file system cannot tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((from, length))),
        Err(error) => return Err(error.into()),
    };
    let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(data))?;
    Ok(Some((data, hole)))
}

/// For `status`: what was delivered although some of its spool could not be read.
pub(super) fn list_kept(spool: &Path) -> Result<Vec<LocalSession>, String> {
    let sessions = list(spool, DAMAGED_PREFIX)?.into_iter().map(|(token, spool_bytes)| LocalSession {
        state: SessionState::Damaged,
        delivery: DeliveryState::Delivered,
        quarantined_since: None,
        reason: Some(why_kept(spool, &token)),
        terminal_session_token: token,
        agent_id: None,
        segments: 0,
        acknowledged: 0,
        spool_bytes,
    });
    Ok(sessions.collect())
}

fn why_kept(spool: &Path, token: &TerminalSessionToken) -> String {
    let name = format!("{DAMAGED_PREFIX}{token}");
    let kept = format!("delivered; what could not be read is kept in {name}");
    match durable::find_json::<NotKept>(&spool.join(name).join(CUT)) {
        Ok(Some(cut)) => format!("{kept}, without {} bytes of it: {}", cut.bytes, cut.reason),
        _ => kept,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn a_copy_keeps_what_there_is_room_for_and_no_descriptor_reaches_it() {
        const MIB: u64 = 1024 * 1024;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let held = File::create(&path).unwrap();
        held.write_all_at(&vec![1; 64 * 1024], 0).unwrap();
        held.write_all_at(&vec![2; 64 * 1024], 1024 * MIB).unwrap();
        // Space that is taken without a byte being written.
        rustix::fs::fallocate(&held, rustix::fs::FallocateFlags::empty(), 2048 * MIB, 8 * MIB).unwrap();
        assert_eq!(copy_within(&path, &mut (96 * 1024)).unwrap(), 32 * 1024);
        let kept = File::open(&path).unwrap();
        assert_eq!(kept.metadata().unwrap().len(), 1024 * MIB + 32 * 1024);
        assert!(kept.metadata().unwrap().blocks() * 512 <= 128 * 1024);
        let mut byte = [0];
        kept.read_exact_at(&mut byte, 1024 * MIB).unwrap();
        assert_eq!(byte, [2]);
        assert_eq!(held.metadata().unwrap().blocks(), 0, "what the old descriptor holds takes nothing");
        let _ = held.write_all_at(b"later", 0);
        kept.read_exact_at(&mut byte, 0).unwrap();
        assert_eq!(byte, [1]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_users_with_damaged_files_are_refused() {
        let measured = |users: &[(u32, u64)]| Measured {
            at: None,
            by_user: users.iter().map(|(user_id, bytes)| (Some(*user_id), *bytes)).collect(),
        };
        let refused = |measured: &Measured, user| measured.refusal(Some(user), Path::new("/spool")).is_some();
        let one = measured(&[(1, MOST_BYTES_OF_A_USER), (2, MOST_BYTES_OF_A_USER - 1)]);
        assert!(refused(&one, 1) && !refused(&one, 2) && !refused(&one, 3));
        let users: Vec<(u32, u64)> = (1..=9).map(|user| (user, MOST_BYTES / 9 + 1)).collect();
        let all = measured(&users);
        assert!((1..=9).all(|user| refused(&all, user)) && !refused(&all, 10));
    }
}
