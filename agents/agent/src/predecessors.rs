//! What an instance keeps of the agents before this one, for as long as sessions of theirs lie in the spool: the key that
//! sealed them, which proves to the control plane who has what they left, and their ledger, which goes on.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use recording::AgentId;
use serde::Deserialize;

use crate::durable::{self, TEMPORARY_PREFIX};
use crate::identity;
use crate::state_directory::{LEDGER, PRIVATE_FOLDER_MODE, PRIVATE_MODE, SEALING_KEY, StateDirectory};

const KEY_SUFFIX: &str = ".key";
const LEDGER_SUFFIX: &str = ".ledger.json";

/// What says whose a ledger is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LedgerOwner {
    agent_id: AgentId,
}

pub(crate) fn folder(directory: &StateDirectory) -> PathBuf {
    directory.file("predecessors")
}

/// The file of a predecessor's sealing key.
pub(crate) fn key_path(folder: &Path, agent_id: &AgentId) -> PathBuf {
    folder.join(format!("{agent_id}{KEY_SUFFIX}"))
}

/// The file of a predecessor's ledger.
pub(crate) fn ledger_path(folder: &Path, agent_id: &AgentId) -> PathBuf {
    folder.join(format!("{agent_id}{LEDGER_SUFFIX}"))
}

/// Keeps the key and the ledger of the agent that is enrolled, before another one takes its place. Nothing is taken away from it: until
/// the next identity is stored it remains what it was, and this can be done again.
pub(crate) fn keep(agent_id: &AgentId, directory: &StateDirectory) -> Result<(), String> {
    let cannot = |why: String| format!("the sealing key and the ledger of {agent_id} cannot be kept: {why}");
    let folder = folder(directory);
    let failed = |error: io::Error| cannot(error.to_string());
    // A key that nobody could use must not be found out when the right one is gone.
    let key_file = directory.file(SEALING_KEY);
    identity::read_sealing_key(&key_file).map_err(cannot)?;
    let key = fs::read(&key_file).map_err(failed)?;
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER_MODE).create(&folder).map_err(failed)?;
    durable::sync_folder(directory.path()).map_err(failed)?;
    // The ledger of an agent that has recorded nothing is still that of the one before, which is kept already and may have gone on.
    if let Some(ledger) = durable::find(&directory.file(LEDGER)).map_err(failed)? {
        let owner: LedgerOwner =
            serde_json::from_slice(&ledger).map_err(|error| cannot(format!("{LEDGER}: {error}")))?;
        if owner.agent_id == *agent_id {
            durable::write(&ledger_path(&folder, agent_id), &ledger, PRIVATE_MODE).map_err(failed)?;
        }
    }
    // Last: whoever finds the key finds the ledger, too.
    durable::write(&key_path(&folder, agent_id), &key, PRIVATE_MODE).map_err(failed)
}

/// The agents whose keys are kept.
pub(crate) fn kept(folder: &Path) -> io::Result<BTreeSet<AgentId>> {
    let names = names(folder)?;
    Ok(names.iter().filter_map(|name| AgentId::parse(name.strip_suffix(KEY_SUFFIX)?).ok()).collect())
}

/// Copies the keys that are kept into a folder, under the same names.
pub(crate) fn copy_keys(directory: &StateDirectory, to: &Path) -> io::Result<()> {
    let folder = folder(directory);
    for agent_id in kept(&folder)? {
        let key = fs::read(key_path(&folder, &agent_id))?;
        durable::write(&key_path(to, &agent_id), &key, PRIVATE_MODE)?;
    }
    Ok(())
}

/// Erases what is kept of all but these agents.
pub(crate) fn erase_others(folder: &Path, needed: &BTreeSet<AgentId>) -> io::Result<()> {
    let mut erased = false;
    // The key goes before the ledger, which is of no use without it.
    for suffix in [KEY_SUFFIX, LEDGER_SUFFIX] {
        for name in names(folder)? {
            let Some(whose) = name.strip_suffix(suffix) else { continue };
            if AgentId::parse(whose).is_ok_and(|agent_id| !needed.contains(&agent_id)) {
                durable::remove(&folder.join(&name))?;
                erased = true;
            }
        }
    }
    if erased { durable::sync_folder(folder) } else { Ok(()) }
}

/// Erases what was begun to be written and never was. Only for whoever writes nothing there now.
pub(crate) fn erase_half_written(folder: &Path) -> io::Result<()> {
    for name in names(folder)?.iter().filter(|name| name.starts_with(TEMPORARY_PREFIX)) {
        durable::remove(&folder.join(name))?;
    }
    Ok(())
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
