//! The accounts of the instance: who can log in, and who can change their login shell or what it does before a session.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, Mode, OFlags};

use super::finding::{Finding, Findings};
use super::logins::{How, Recorded};
use crate::foreign::OTHERS_MAY_WRITE;
use crate::login_shell;

pub(crate) use crate::account::Entry as Account;

/// Programs that stand for a login shell and let nobody in.
const LET_NOBODY_IN: [&str; 5] = ["nologin", "false", "sync", "shutdown", "halt"];
const SHELLS: &str = "/etc/shells";
const CHANGE_SHELL: [&str; 2] = ["/usr/bin/chsh", "/bin/chsh"];
const SET_USER_ID: u32 = 0o4000;
const STICKY: u32 = 0o1000;
/// Shells that read no file of the person's before a command that they are given (`-c`).
const SILENT: [&str; 6] = ["sh", "dash", "ash", "busybox", "mksh", "ksh"];

impl Account {
    /// `None` if its shell lets nobody in.
    pub(crate) fn that_can_log_in(self) -> Option<Account> {
        (!LET_NOBODY_IN.contains(&name_of(&self.shell).as_str())).then_some(self)
    }

    /// The file below its home that its shell reads before a forced command, if the person could have written it.
    pub(crate) fn own_start_up_file(&self) -> Option<StartUp> {
        let shell = name_of(&self.shell);
        let files: &[&str] = match shell.as_str() {
            silent if SILENT.contains(&silent) => return None,
            "bash" | "rbash" => &[".bashrc"],
            "zsh" => &[".zshenv"],
            "csh" | "tcsh" => &[".tcshrc", ".cshrc"],
            "fish" => &[".config/fish/config.fish"],
            _ => return Some(StartUp::UnknownShell),
        };
        let mut files = files.iter().map(|file| self.home.join(file));
        files.find(|file| could_have_written(self.user_id, file)).map(StartUp::File)
    }
}

/// What a shell does before a forced command.
pub(crate) enum StartUp {
    File(PathBuf),
    /// Nobody knows what it reads.
    UnknownShell,
}

fn name_of(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a user can make this file be what they like: write to it, create it, or replace it or a folder on the way to it.
fn could_have_written(user_id: u32, file: &Path) -> bool {
    let owns_or_may_write =
        |metadata: &fs::Metadata| metadata.uid() == user_id || metadata.mode() & OTHERS_MAY_WRITE != 0;
    let found = fs::metadata(file);
    let is_immutable = is_immutable(file);
    if found.as_ref().is_ok_and(owns_or_may_write) && !is_immutable {
        return true;
    }
    let mut is_missing = found.is_err();
    // Nobody can replace an immutable file, whatever its folder permits.
    let folders = file.ancestors().skip(1 + usize::from(is_immutable));
    for metadata in folders.map(fs::metadata) {
        let Ok(metadata) = metadata else {
            is_missing = true;
            continue;
        };
        // What is there cannot be moved out of a sticky folder by those to whom neither belongs; what is missing can be made.
        let is_sticky = metadata.mode() & STICKY != 0 && metadata.uid() != user_id && !is_missing;
        if owns_or_may_write(&metadata) && !is_sticky {
            return true;
        }
        is_missing = false;
    }
    false
}

fn is_immutable(file: &Path) -> bool {
    // It lies in a person's home: nothing but a file is opened, however it is exchanged meanwhile.
    if !fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let Ok(file) = rustix::fs::open(file, flags, Mode::empty()) else { return false };
    rustix::fs::ioctl_getflags(&file).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE))
}

/// Whether people can give themselves another login shell.
pub(crate) fn look_at_changing_shells(recorded: &[Recorded], findings: &mut Findings) {
    let is_set_user_id = |path: &str| {
        fs::metadata(path).is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & SET_USER_ID != 0)
    };
    let Some(program) = CHANGE_SHELL.into_iter().find(|path| is_set_user_id(path)) else { return };
    let text = fs::read_to_string(SHELLS).unwrap_or_default();
    let listed: Vec<(usize, &Path)> = (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| line.starts_with('/'))
        .map(|(number, line)| (number, Path::new(line)))
        .collect();
    for one in recorded {
        match one.how {
            How::LoginShell => {
                let ours = listed.iter().find(|(_, shell)| login_shell::is_this_program(shell));
                let Some((number, shell)) = ours else { continue };
                let place = format!("{SHELLS}:{number}: {}", shell.display());
                findings.about(
                    &one.account.name,
                    Finding::way_round(
                        "shell-listed",
                        &place,
                        "the recorded login shell is among those that people may leave",
                        "chsh gives another login shell to everybody whose own one is listed there",
                        &format!("remove the line {} from {SHELLS}", shell.display()),
                    ),
                );
            }
            How::ForceCommand if listed.iter().any(|(_, shell)| *shell == one.account.shell) => {
                findings.about(
                    &one.account.name,
                    Finding::way_round(
                        "chsh",
                        &format!("{program}, {SHELLS}"),
                        "people can choose the shell that runs the ForceCommand",
                        "some shells run the person's own files before a command, unrecorded",
                        &format!(
                            "usermod --shell /usr/local/bin/{} NAME, or chmod u-s {program}",
                            login_shell::NAME
                        ),
                    ),
                );
            }
            How::ForceCommand | How::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_its_writers_or_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let ours = fs::metadata(folder.path()).unwrap().uid();
        let other = ours + 4711;
        let file = folder.path().join(".bashrc");
        assert!(could_have_written(ours, &file), "they can create it");
        assert!(could_have_written(ours, &folder.path().join(".config/fish/config.fish")));
        assert!(!could_have_written(other, &file));
        fs::write(&file, "").unwrap();
        assert!(!could_have_written(other, &file));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(could_have_written(other, &file));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(could_have_written(other, &file), "they can replace it");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(!could_have_written(other, &file), "nobody can move it");
        assert!(could_have_written(other, &folder.path().join(".zshenv")), "they can create it");
        // The folder on the way may be moved by whoever owns the one above it.
        let inner = folder.path().join("home/.config");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("config.fish"), "").unwrap();
        assert!(!could_have_written(other, &inner.join("config.fish")));
        fs::set_permissions(folder.path().join("home"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(could_have_written(other, &inner.join("config.fish")));
    }

    #[test]
    fn shells_differ_in_what_they_read() {
        let home = tempfile::tempdir().unwrap();
        let user_id = fs::metadata(home.path()).unwrap().uid();
        let reads = |shell: &str| {
            let account = Account {
                name: "ana".to_owned(),
                user_id,
                group_id: 0,
                home: home.path().to_owned(),
                shell: shell.into(),
            };
            account.own_start_up_file().map(|start_up| match start_up {
                StartUp::File(file) => name_of(&file),
                StartUp::UnknownShell => "?".to_owned(),
            })
        };
        assert_eq!(reads("/bin/sh"), None);
        assert_eq!(reads("/bin/bash").as_deref(), Some(".bashrc"));
        assert_eq!(reads("/usr/bin/zsh").as_deref(), Some(".zshenv"));
        assert_eq!(reads("/usr/bin/tmux").as_deref(), Some("?"));
    }
}
