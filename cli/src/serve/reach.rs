//! Whether the other users of this machine can record through the local agent.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const OTHERS_MAY_ENTER: u32 = 0o001;
const OTHERS_MAY_RUN: u32 = 0o005;

/// What keeps other users from recording, in lines of 80 columns; `None` if nothing does. `state_dir` is where the
/// agent's socket will be, and need not exist yet.
pub(super) fn closed_to_others(state_dir: &Path, program: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        // An agent of a user can open no session of another one: it could not deliver what it may not read.
        return Some("Sessions of other users are recorded by an agent that root runs.".to_owned());
    }
    if let Some(closed) = first_without(state_dir, OTHERS_MAY_ENTER) {
        return Some(format!(
            "Other users cannot record through this agent: they may not enter\n{}.\nA --data-dir that they can reach, such as \
             /srv/hansard, lets them.",
            closed.display()
        ));
    }
    first_without(program.parent()?, OTHERS_MAY_ENTER)
        .or_else(|| lacks(program, OTHERS_MAY_RUN).then(|| program.to_owned()))
        .map(|closed| {
            format!(
                "Other users can record once they have the program; they may not use\n{}. Copy it: install -m 755 {} \
                 /usr/local/bin/",
                closed.display(),
                program.display()
            )
        })
}

/// The first folder on the way to `path`, itself included, whose mode lacks these bits for others. Folders that are not
/// there yet will have them.
fn first_without(path: &Path, bits: u32) -> Option<PathBuf> {
    let way: Vec<_> = path.ancestors().collect();
    way.into_iter().rev().find(|folder| lacks(folder, bits)).map(Path::to_owned)
}

fn lacks(path: &Path, bits: u32) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bits != bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_closed_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(folder.path(), 0o711);
        set(&folder.path().join("a"), 0o711);
        set(&inner, 0o700);
        assert_eq!(first_without(&inner.join("not there yet"), OTHERS_MAY_ENTER), Some(inner.clone()));
        set(&folder.path().join("a"), 0o750);
        assert_eq!(first_without(&inner, OTHERS_MAY_ENTER), Some(folder.path().join("a")));
        set(&inner, 0o755);
        set(&folder.path().join("a"), 0o711);
        assert_eq!(first_without(&inner, OTHERS_MAY_ENTER), None);
    }
}
