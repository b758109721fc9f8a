//! Files that only their owner may read: keys, and what they protect.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// An existing file stays, and the call fails.
    Refuse,
    /// An existing file is replaced.
    Replace,
}

/// Writes a file of mode 0600, completely or not at all. It is on stable storage when this returns.
///
/// # Errors
/// It cannot be written, or it exists and may not be replaced.
pub(crate) fn write(path: &Path, text: &str, existing: Existing) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::failed(format!("{} exists already", path.display())),
        _ => Failure::failed(format!("{} cannot be written: {error}", path.display())),
    };
    let name = path.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", path.display())))?;
    let folder = folder_of(path);
    let mut partial = name.to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = folder.join(partial);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        if existing == Existing::Replace {
            keep_owner(&file, path)?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match existing {
            // A link, unlike a rename, does not replace.
            Existing::Refuse => fs::hard_link(&partial, path).and_then(|()| fs::remove_file(&partial))?,
            Existing::Replace => fs::rename(&partial, path)?,
        }
        File::open(&folder)?.sync_all()
    })();
    if written.is_err() {
        // The leftover does not matter; the error above does.
        let _ = fs::remove_file(&partial);
    }
    written.map_err(failed)
}

/// Gives a file the owner of the one that it replaces, where that one owns the folder, too: root may administer a server
/// that runs as another user, which has to read it afterwards. Elsewhere the file is of whoever writes it: one in a folder
/// of others would otherwise stay within the reach of its owner.
fn keep_owner(file: &File, replaced: &Path) -> io::Result<()> {
    let Ok(before) = fs::symlink_metadata(replaced) else { return Ok(()) };
    let folder = fs::metadata(folder_of(replaced))?;
    if !rustix::process::geteuid().is_root() || before.uid() != folder.uid() || before.uid() == 0 {
        return Ok(());
    }
    fchown(file, Some(before.uid()), Some(before.gid()))
}

/// Reads a file; `None` when there is none. `what` names it in messages.
///
/// # Errors
/// It cannot be read, or others than its owner and group can read or change it.
pub(crate) fn find(path: &Path, what: &str) -> Result<Option<String>, Failure> {
    let failed =
        |error: io::Error| Failure::usage(format!("the {what} {} cannot be read: {error}", path.display()));
    let permissions = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if permissions.mode() & 0o027 != 0 {
        return Err(Failure::usage(format!(
            "the {what} {} may be read or changed by others (mode {:04o}); run: chmod 600 {}",
            path.display(),
            permissions.mode() & 0o7777,
            path.display()
        )));
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

/// The mode of a folder that is nobody else's.
pub(crate) const PRIVATE: u32 = 0o700;
/// The mode of a folder through which others can reach what they know the name of, and may open.
pub(crate) const PASSED_THROUGH: u32 = 0o711;

/// Creates a folder of this mode, with the folders above it. An existing one stays as it is.
///
/// # Errors
/// It cannot be created, or something else has its name.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::usage(format!("the folder {} cannot be made: {error}", path.display()));
    if path.is_dir() {
        return Ok(());
    }
    refuse_other_than_folder(path)?;
    fs::create_dir_all(folder_of(path)).map_err(failed)?;
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Refuses a name that exists and is not a folder.
///
/// # Errors
/// It exists, and is not a folder.
pub(crate) fn refuse_other_than_folder(path: &Path) -> Result<(), Failure> {
    if path.exists() && !path.is_dir() {
        return Err(Failure::usage(format!("{} is no folder", path.display())));
    }
    Ok(())
}

/// Whether others than the owner may make and remove files in a folder.
pub(crate) fn others_may_write(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o022 != 0)
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_written_is_private_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        assert_eq!(find(&file, "key").unwrap(), None);
        write(&file, "one", Existing::Refuse).unwrap();
        assert_eq!((mode(&file), find(&file, "key").unwrap().as_deref()), (0o600, Some("one")));
        let refused = write(&file, "two", Existing::Refuse).unwrap_err();
        assert!(refused.message().ends_with("key exists already"), "{refused}");
        write(&file, "two", Existing::Replace).unwrap();
        assert_eq!((mode(&file), find(&file, "key").unwrap().as_deref()), (0o600, Some("two")));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no pieces are left");
    }

    #[test]
    fn a_replaced_file_keeps_the_owner_of_its_folder() {
        if !rustix::process::geteuid().is_root() {
            let left_out = std::env::vars_os().any(|(name, _)| name == "HANSARD_TEST_WITHOUT_ROOT");
            assert!(
                left_out,
                "only root can give files away: run as root, or set HANSARD_TEST_WITHOUT_ROOT=1"
            );
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        write(&file, "one", Existing::Refuse).unwrap();
        let owner = || fs::metadata(&file).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
        let give = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
        give(&file);
        write(&file, "two", Existing::Replace).unwrap();
        assert_eq!(owner(), (0, 0), "in root's folder it is root's");
        give(&file);
        give(folder.path());
        write(&file, "three", Existing::Replace).unwrap();
        assert_eq!((owner(), mode(&file)), ((65_534, 65_534), 0o600));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        write(&file, "one", Existing::Refuse).unwrap();
        for (bits, accepted) in [(0o644, false), (0o660, false), (0o602, false), (0o640, true), (0o400, true)]
        {
            fs::set_permissions(&file, Permissions::from_mode(bits)).unwrap();
            assert_eq!(find(&file, "key").is_ok(), accepted, "{bits:o}");
        }
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let message = find(&file, "server keys").unwrap_err().message().to_owned();
        assert!(message.contains("(mode 0644); run: chmod 600"), "{message}");
    }

    #[test]
    fn folders_are_made_private_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("a/b");
        make_folder(&made, PRIVATE).unwrap();
        assert_eq!(mode(&made), 0o700);
        fs::set_permissions(&made, Permissions::from_mode(0o750)).unwrap();
        make_folder(&made, PRIVATE).unwrap();
        assert_eq!(mode(&made), 0o750);
        fs::write(folder.path().join("file"), "").unwrap();
        let refused = make_folder(&folder.path().join("file"), PRIVATE).unwrap_err();
        assert!(refused.message().ends_with("/file is no folder"), "{refused}");
    }
}
