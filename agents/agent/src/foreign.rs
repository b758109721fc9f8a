//! Checks whether something is beyond a person's reach. A program that a person is made to run asks an agent. If that
//! agent, its directory, or anything on the path to it belonged to the person, so would the recording.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::fs::Access;

pub(crate) const ROOT: u32 = 0;
pub(crate) const OTHERS_MAY_WRITE: u32 = GROUP_MAY_WRITE | EVERYBODY_MAY_WRITE;
const GROUP_MAY_WRITE: u32 = 0o020;
const EVERYBODY_MAY_WRITE: u32 = 0o002;
/// In a folder with this bit, nobody can rename or remove what belongs to others.
const STICKY: u32 = 0o1000;
/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// Why something is not known to be beyond a person's reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It is within it.
    WithinReach(String),
    /// That cannot be found out.
    Unseen(String),
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Doubt::WithinReach(why) | Doubt::Unseen(why)) = self;
        f.write_str(why)
    }
}

fn unseen(path: &Path) -> impl Fn(std::io::Error) -> Doubt {
    move |error| Doubt::Unseen(format!("{} cannot be checked: {error}", path.display()))
}

/// A user of this instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(u32);

impl Caller {
    /// Who started this process.
    pub(crate) fn of_this_process() -> Self {
        Caller(rustix::process::getuid().as_raw())
    }

    pub(crate) fn user_id(self) -> u32 {
        self.0
    }

    /// Says why the caller controls the directory, if so: it belongs to them, or they can change it or replace it. Root
    /// controls everything anyway.
    pub(crate) fn check_directory(self, directory: &Path) -> Result<(), Doubt> {
        if self.0 == ROOT {
            return Ok(());
        }
        let may_write_to = |path: &Path| {
            Doubt::WithinReach(format!("user {}, who asks, may write to {}", self.0, path.display()))
        };
        let directory = std::path::absolute(directory).map_err(unseen(directory))?;
        let mut last = None;
        walk(&directory, |path, metadata| {
            if metadata.uid() == self.0 {
                let why = format!("{} belongs to user {}, who asks", path.display(), self.0);
                return Err(Doubt::WithinReach(why));
            }
            let writable = metadata.is_dir() && may_write(path)?;
            if writable && metadata.mode() & STICKY == 0 {
                return Err(may_write_to(path));
            }
            last = Some((path.to_owned(), writable));
            Ok(())
        })?;
        match last {
            // Files of others cannot be removed there, but files can be added.
            Some((path, true)) => Err(may_write_to(&path)),
            _ => Ok(()),
        }
    }

    /// Says why the caller could put another program in the place of this one, if so.
    pub(crate) fn check_program(self, program: &Path) -> Result<(), Doubt> {
        if self.0 == ROOT {
            return Ok(());
        }
        let program = std::path::absolute(program).map_err(unseen(program))?;
        walk(&program, |path, metadata| {
            let within = |why: &str| {
                Err(Doubt::WithinReach(format!("{} {why} user {}, who asks", path.display(), self.0)))
            };
            if metadata.uid() == self.0 {
                return within("belongs to");
            }
            if !is_guarded(metadata) && may_write(path)? { within("may be written by") } else { Ok(()) }
        })
    }

    /// Says whether the process at the other end is the caller's own.
    pub(crate) fn check_process(self, stream: &UnixStream) -> Result<(), Doubt> {
        if self.0 == ROOT {
            return Ok(());
        }
        let peer = getsockopt(stream, PeerCredentials).map_err(|error| {
            Doubt::Unseen(format!("the kernel does not say whose process the agent is: {error}"))
        })?;
        if peer.uid() == self.0 {
            return Err(Doubt::WithinReach(format!("it is a process of user {}, who asks", self.0)));
        }
        Ok(())
    }
}

/// Whether nobody but root can have written the file: it and everything on the way to it is root's, and others may not write there.
pub(crate) fn check_only_root_can_change(file: &Path) -> Result<(), String> {
    let looked = walk(file, |path, metadata| {
        let why = if metadata.uid() != ROOT {
            format!("{} belongs to user {}; `chown root` it", path.display(), metadata.uid())
        } else if !metadata.is_symlink() && metadata.mode() & OTHERS_MAY_WRITE != 0 {
            // A link has no mode of its own.
            format!("others than root may write to {}; `chmod go-w` it", path.display())
        } else {
            return Ok(());
        };
        Err(Doubt::WithinReach(why))
    });
    looked.map_err(|doubt| format!("{} is not trusted: {doubt}", file.display()))
}

/// Whether nobody but root and one other user can change or replace a file or a folder. What a group may write, nobody may if
/// nobody is in it.
pub(crate) fn check_others_cannot_change(
    path: &Path,
    owner: u32,
    has_members: impl Fn(u32) -> bool,
) -> Result<(), Doubt> {
    let path = std::path::absolute(path).map_err(unseen(path))?;
    walk(&path, |place, metadata| {
        let why = if ![ROOT, owner].contains(&metadata.uid()) {
            format!("{} belongs to user {}, who can change it", place.display(), metadata.uid())
        } else if is_guarded(metadata)
            || metadata.mode() & EVERYBODY_MAY_WRITE == 0
                && (metadata.mode() & GROUP_MAY_WRITE == 0 || !has_members(metadata.gid()))
        {
            return Ok(());
        } else {
            format!("others may write to {}", place.display())
        };
        Err(Doubt::WithinReach(why))
    })
}

/// Whether its mode lets nobody change what others have put there: a link has no mode of its own, and nobody can move what belongs
/// to others out of a sticky folder.
fn is_guarded(metadata: &Metadata) -> bool {
    metadata.is_symlink() || metadata.is_dir() && metadata.mode() & STICKY != 0
}

/// By the user and groups that started this process, lists of access rights included.
fn may_write(folder: &Path) -> Result<bool, Doubt> {
    match rustix::fs::access(folder, Access::WRITE_OK) {
        Ok(()) | Err(rustix::io::Errno::TXTBSY) => Ok(true),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => Ok(false),
        Err(error) => Err(unseen(folder)(error.into())),
    }
}

/// Looks at everything that an absolute path goes through, links and what they lead through included, in the kernel's order.
fn walk(path: &Path, mut look: impl FnMut(&Path, &Metadata) -> Result<(), Doubt>) -> Result<(), Doubt> {
    let mut look_at = |place: &Path| {
        let metadata = fs::symlink_metadata(place).map_err(unseen(place))?;
        look(place, &metadata)?;
        Ok(metadata)
    };
    let mut place = PathBuf::from("/");
    look_at(&place)?;
    let mut links = 0;
    // The rest of the way, the next step last.
    let mut rest = steps(path);
    while let Some(step) = rest.pop() {
        if step == Path::new("..") {
            place.pop();
            continue;
        }
        let next = place.join(&step);
        if !look_at(&next)?.is_symlink() {
            place = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Doubt::Unseen(format!("{} leads through too many links", path.display())));
        }
        let target = fs::read_link(&next).map_err(unseen(&next))?;
        if target.is_absolute() {
            place = PathBuf::from("/");
        }
        rest.extend(steps(&target));
    }
    Ok(())
}

fn steps(path: &Path) -> Vec<PathBuf> {
    let mut steps: Vec<PathBuf> = path
        .components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| PathBuf::from(component.as_os_str()))
        .collect();
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn walked(path: &Path) -> Vec<PathBuf> {
        let mut seen = Vec::new();
        walk(path, |place, _| {
            seen.push(place.to_owned());
            Ok(())
        })
        .unwrap();
        seen
    }

    #[test]
    fn links_are_walked_as_the_kernel_does() {
        let folder = tempfile::tempdir().unwrap();
        let at = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(at.join("real/inner")).unwrap();
        fs::create_dir(at.join("other")).unwrap();
        symlink("../real", at.join("other/link")).unwrap();
        let seen = walked(&at.join("other/link/inner"));
        let tail = |path: &Path| path.strip_prefix(&at).ok().map(Path::to_owned);
        let seen: Vec<PathBuf> = seen.iter().filter_map(|path| tail(path)).collect();
        assert_eq!(seen, ["", "other", "other/link", "real", "real/inner"].map(PathBuf::from));

        symlink("loop", at.join("loop")).unwrap();
        assert!(walk(&at.join("loop"), |_, _| Ok(())).unwrap_err().to_string().contains("too many links"));
        assert!(walk(&at.join("none"), |_, _| Ok(())).is_err());
    }

    #[test]
    fn a_file_that_others_may_write_is_not_roots_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(check_only_root_can_change(&file).is_err());
    }

    #[test]
    fn a_user_controls_their_own_directory() {
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).unwrap().uid();
        let refused = Caller(owner).check_directory(folder.path());
        assert_eq!(refused.is_err(), owner != ROOT, "{refused:?}");
        assert!(Caller(ROOT).check_directory(folder.path()).is_ok());
    }
}
