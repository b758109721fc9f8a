//! One server at a time on a SQLite database. Replicas share PostgreSQL and MariaDB; on a file each would keep the others
//! waiting, and each trusts what it has in memory.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use sea_orm::{DbErr, RuntimeErr};

use crate::StoreError;

/// Keeps other servers from a database for as long as it lives. Commands beside the server go on without it.
#[derive(Debug)]
pub struct ExclusiveUse {
    /// `None` where replicas share the database.
    _locked: Option<File>,
}

impl ExclusiveUse {
    /// Of a database that replicas share.
    pub(crate) fn not_needed() -> Self {
        Self { _locked: None }
    }

    /// Of a file, whichever of its names it is given by. What is locked lies beside it: closing any descriptor of the
    /// database itself would take SQLite's own locks away.
    pub(crate) fn of_file(file: &Path) -> Result<Self, StoreError> {
        use std::os::unix::fs::OpenOptionsExt;

        let failed = |path: &Path, error: std::io::Error| {
            let why = format!("{}: {error}", path.display());
            StoreError::at("be locked")(DbErr::Conn(RuntimeErr::Internal(why)))
        };
        let file = match file.canonicalize() {
            Ok(file) => file,
            // It is made by whoever has locked it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => file.to_owned(),
            Err(error) => return Err(failed(file, error)),
        };
        let mut path = file.into_os_string();
        path.push(".lock");
        let path = Path::new(&path);
        let options = File::options().create(true).append(true).mode(0o600).open(path);
        let lock = options.map_err(|error| failed(path, error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _locked: Some(lock) }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::UnfitDatabase {
                why: "another `hansard serve` uses this file; stop that one, or name another database. Several servers \
                      together need PostgreSQL or MariaDB",
            }),
            Err(error) => Err(failed(path, error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_server_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hansard.db");
        let first = ExclusiveUse::of_file(&file).unwrap();
        File::create(&file).unwrap();
        let link = folder.path().join("other.db");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for name in [&file, &link] {
            let refused = ExclusiveUse::of_file(name).unwrap_err();
            assert!(refused.to_string().contains("another `hansard serve` uses this file"), "{refused}");
        }
        drop(first);
        let again = ExclusiveUse::of_file(&link).unwrap();
        assert!(ExclusiveUse::of_file(&file).is_err());
        drop(again);
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = ExclusiveUse::of_file(&folder.path().join("missing/hansard.db")).unwrap_err();
        let said = std::error::Error::source(&refused).unwrap().to_string();
        assert!(said.contains("missing/hansard.db.lock"), "{said}");
    }
}
