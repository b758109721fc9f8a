//! Which shell people really get who are made to run this program instead of it: as `hansard-shell`, which passwd names
//! as their login shell, or as `hansard-agent shell`, which sshd's ForceCommand names.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::account::{self, Account};
use crate::foreign::Caller;
use crate::settings::{Arguments, SessionEnvironment, Settled, ShellOptions};
use crate::system_settings::Shells;

/// The name under which this program is a login shell.
pub(crate) const NAME: &str = "hansard-shell";
const THIS_PROGRAM: &str = "/proc/self/exe";
/// What an account gets for which the settings name no shell: the first of these that is there.
const DEFAULT_SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];
const DELETED: &[u8] = b" (deleted)";

/// What a person is about to run, and where the agent is that records it.
pub(crate) struct Entered {
    pub(crate) state_dir: PathBuf,
    pub(crate) wait_for_agent: Duration,
    pub(crate) command: Vec<OsString>,
    pub(crate) is_login_shell: bool,
    pub(crate) environment: SessionEnvironment,
}

/// How a login shell was started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// Its name began with a hyphen, or it was given nothing to do.
    is_login_shell: bool,
    /// What the real shell gets, whatever it means there: `-c COMMAND` from sshd, `su` and `sudo`, `-l` from terminals.
    arguments: Vec<OsString>,
}

impl Started {
    /// `None` if this program was not started as a login shell.
    pub(crate) fn read(given: &[OsString]) -> Option<Started> {
        let (name, arguments) = given.split_first()?;
        // What starts a login shell puts a hyphen before the last part of its path.
        let name = Path::new(name).file_name()?.as_bytes();
        let with_hyphen = name.strip_prefix(b"-");
        if with_hyphen.unwrap_or(name) != NAME.as_bytes() {
            return None;
        }
        let is_login_shell = with_hyphen.is_some() || arguments.is_empty();
        Some(Started { is_login_shell, arguments: arguments.to_vec() })
    }
}

/// Enters the shell of an account whose login shell is this program.
///
/// # Errors
/// Nothing may run; the text says why.
pub(crate) fn of_passwd(started: Started, given: &[OsString]) -> Result<Entered, String> {
    let (settled, options) = Arguments::settle_login_shell()?;
    let account = account_of_this_process()?;
    check_reach(&account)?;
    let shell = chosen(&settled.shells, &account.name)
        .or_else(|| settled.shells.default.clone())
        .unwrap_or_else(default_shell);
    let command = std::iter::once(shell.into()).chain(started.arguments).collect();
    enter(settled, &options, command, started.is_login_shell, given)
}

/// Enters the shell for which a ForceCommand stands: as a login shell, or with what was asked of sshd.
///
/// # Errors
/// Nothing may run; the text says why.
pub(crate) fn of_forced_command(
    settled: Result<Settled, String>,
    options: &ShellOptions,
    given: &[OsString],
) -> Result<Entered, String> {
    let settled = settled?;
    let account = account_of_this_process()?;
    check_reach(&account)?;
    let shell = chosen(&settled.shells, &account.name).unwrap_or_else(|| {
        let of_passwd = account.shell;
        if is_this_program(&of_passwd) {
            settled.shells.default.clone().unwrap_or_else(default_shell)
        } else {
            of_passwd
        }
    });
    let mut command = vec![shell.into()];
    let original = SessionEnvironment::of_this_process().original_command;
    // As in sshd: without a command, a login shell is started.
    let is_login_shell = original.is_none();
    command.extend(original.into_iter().flat_map(|original| ["-c".into(), original]));
    enter(settled, options, command, is_login_shell, given)
}

fn enter(
    settled: Settled,
    options: &ShellOptions,
    command: Vec<OsString>,
    is_login_shell: bool,
    given: &[OsString],
) -> Result<Entered, String> {
    let shell = command.first().cloned().unwrap_or_default();
    if is_this_program(Path::new(&shell)) {
        return Err(format!(
            "refused: the shell to run is {}, this program itself, which would start itself for ever; name another one \
             in [shell] of the settings file",
            Path::new(&shell).display()
        ));
    }
    let environment = SessionEnvironment::of_this_process();
    if environment.shell.as_ref() != Some(&shell) {
        return Err(start_again(given, &shell));
    }
    Ok(Entered {
        state_dir: settled.state_dir,
        wait_for_agent: options.wait_for_agent,
        command,
        is_login_shell,
        environment,
    })
}

/// Becomes this same program with SHELL as the recorded programs will have it: sshd and `su` set it to what passwd names, and an
/// editor or `tmux` that started this program from within a recorded session would record a part of it again. Returns only
/// if that fails.
fn start_again(given: &[OsString], shell: &OsStr) -> String {
    let (name, arguments) =
        given.split_first().map_or((OsStr::new(NAME), &[][..]), |(name, rest)| (name.as_os_str(), rest));
    let error = Command::new(THIS_PROGRAM).arg0(name).args(arguments).env("SHELL", shell).exec();
    format!("refused: SHELL cannot be set to {}: {error}", Path::new(shell).display())
}

/// Passwd names the account, because a person chooses what the environment says.
fn account_of_this_process() -> Result<Account, String> {
    let user_id = Caller::of_this_process().user_id();
    account::of(user_id)
        .ok_or_else(|| format!("refused: user {user_id} has no account, and so no shell to run"))
}

/// Refuses where the person could put another program in the place of this one: what looks like a recorded login would be none.
fn check_reach(account: &Account) -> Result<(), String> {
    let caller = Caller::of_this_process();
    let running = running_program().ok_or("refused: where this program lies cannot be read")?;
    let of_passwd = Some(&account.shell).filter(|shell| is_this_program(shell));
    for program in of_passwd.into_iter().chain([&running]) {
        caller.check_program(program).map_err(|doubt| {
            format!("refused: this program may be replaced by the recorded person: {doubt}")
        })?;
    }
    Ok(())
}

/// Where this program lies.
pub(crate) fn running_program() -> Option<PathBuf> {
    let path = fs::read_link(THIS_PROGRAM).ok()?;
    let path = path.as_os_str().as_bytes();
    // It may have been replaced by a newer one since it was started.
    Some(OsStr::from_bytes(path.strip_suffix(DELETED).unwrap_or(path)).into())
}

fn chosen(shells: &Shells, account: &str) -> Option<PathBuf> {
    shells.users.get(account).cloned()
}

fn default_shell() -> PathBuf {
    let found = DEFAULT_SHELLS.into_iter().find(|shell| Path::new(shell).exists());
    found.unwrap_or(DEFAULT_SHELLS[DEFAULT_SHELLS.len() - 1]).into()
}

/// Whether a path leads to this program, be it through a link, or to a copy of it that is a login shell.
pub(crate) fn is_this_program(path: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let ours = identity(Path::new(THIS_PROGRAM));
    path.file_name() == Some(OsStr::new(NAME)) || ours.is_some() && identity(path) == ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(words: &[&str]) -> Option<Started> {
        Started::read(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_login_shell_passes_on_what_it_is_given() {
        for (words, is_login_shell) in [
            (&["/usr/local/bin/hansard-shell"][..], true),
            (&["-hansard-shell"], true),
            (&["-hansard-shell", "-c", "ls -l"], true),
            (&["hansard-shell", "-c", "ls -l"], false),
            (&["/opt/hansard-shell", "-l"], false),
            (&["hansard-shell", "--version"], false),
        ] {
            let arguments = words[1..].iter().map(OsString::from).collect();
            assert_eq!(started(words), Some(Started { is_login_shell, arguments }), "{words:?}");
        }
        for other in [&["hansard-agent", "shell"][..], &["--hansard-shell"], &["hansard-shell-2"], &[]] {
            assert_eq!(started(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_program_knows_itself_by_name_and_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("linked");
        std::os::unix::fs::symlink(fs::canonicalize(THIS_PROGRAM).unwrap(), &link).unwrap();
        assert!(is_this_program(&link));
        assert!(is_this_program(Path::new("/usr/local/bin/hansard-shell")));
        assert!(!is_this_program(Path::new("/bin/sh")));
    }
}
