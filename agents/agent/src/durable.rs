//! Files that survive a power cut: written under a temporary name, synced, renamed, and the folder synced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::faults::may_fail;

/// What temporary names begin with.
pub(crate) const TEMPORARY_PREFIX: &str = ".new-";

/// Writes a file completely or not at all. The folder must belong to this process alone.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file needs a folder and a name"));
    };
    let temporary = folder.join(format!("{TEMPORARY_PREFIX}{}", name.to_string_lossy()));
    may_fail()?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    // Whatever mask the process has: some files must be read by everybody who records.
    let written = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| may_fail())
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| may_fail())
        .and_then(|()| file.sync_all())
        .and_then(|()| may_fail());
    drop(file);
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder)
}

/// Writes a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize, mode: u32) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    write(path, &bytes, mode)
}

/// Reads a file; `None` when there is none.
pub(crate) fn find(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a JSON file; `None` when there is none.
pub(crate) fn find_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let Some(bytes) = find(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Removes a file; it is not an error if there is none.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    may_fail()?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Syncs a folder's entries to stable storage.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    may_fail()?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value.json");
        assert_eq!(find_json::<u32>(&path).unwrap(), None);
        write_json(&path, &1, 0o600).unwrap();
        write_json(&path, &2, 0o600).unwrap();
        assert_eq!(find_json::<u32>(&path).unwrap(), Some(2));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
