//! `/etc/hansard-agent/agent.toml`: the settings of the instance's administrator for everybody who starts this program.
//! Its keys are named as the flags of `run`, and as those of `record` and `shell` that [`OF_SESSIONS`] names: the
//! definition of the command line is the list of them, and reads their values, so that a flag cannot lack its key.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use serde::Deserialize;

use crate::{foreign, usage};

/// Where the file is unless a flag, or a variable for those who may set one, names another.
pub(crate) const PATH: &str = "/etc/hansard-agent/agent.toml";
const LONGEST_BYTES: u64 = 64 * 1024;

/// The flags of `record` and `shell` that are settings of the instance, too; all flags of `run` are.
pub(crate) const OF_SESSIONS: [&str; 1] = ["wait-for-agent"];
const SESSIONS: [&str; 2] = ["record", "shell"];
const RUN: &str = "run";

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SystemSettings {
    /// The agent's state directory.
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) shells: Shells,
    /// The values of flags, by the name of the flag.
    flags: BTreeMap<String, String>,
}

/// Which shells people really get, where passwd names this program as their login shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shells {
    /// For accounts that `users` does not name.
    pub(crate) default: Option<PathBuf>,
    /// By the name of the account.
    #[serde(default)]
    pub(crate) users: BTreeMap<String, PathBuf>,
}

#[derive(Deserialize)]
struct File {
    // The name that the key had first stays accepted: a file that names it must not send people to another agent.
    #[serde(rename = "state-dir", alias = "state_dir")]
    state_dir: Option<PathBuf>,
    #[serde(default)]
    shell: Shells,
    #[serde(flatten)]
    flags: BTreeMap<String, toml::Value>,
}

/// Who may have written the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Nobody but root: people who are made to run this program must not choose what it does.
    RootAlone,
    /// The user of this process, too, who could write the same into flags.
    ThisUser,
}

/// Reads the file. If `named` is nowhere the settings are those of [`PATH`], which may be missing.
///
/// # Errors
/// It cannot be read, others can write to it, or it says something that is not understood.
pub(crate) fn load(
    named: Option<&Path>,
    writer: Writer,
    command_line: &Command,
) -> Result<SystemSettings, String> {
    match named {
        Some(path) => load_from(path, writer, command_line),
        None => match std::fs::symlink_metadata(PATH) {
            Ok(_) => load_from(Path::new(PATH), Writer::RootAlone, command_line),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SystemSettings::default()),
            Err(error) => Err(format!("{PATH} cannot be read: {error}")),
        },
    }
}

fn load_from(path: &Path, writer: Writer, command_line: &Command) -> Result<SystemSettings, String> {
    let cannot = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    if writer == Writer::RootAlone {
        // Afterwards only root could put another file there.
        let path = std::path::absolute(path).map_err(cannot)?;
        foreign::check_only_root_can_change(&path)?;
    }
    let file = std::fs::File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    let ours = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    if ![foreign::ROOT, ours].contains(&metadata.uid()) || metadata.mode() & foreign::OTHERS_MAY_WRITE != 0 {
        return Err(format!("{} is not trusted: others may write to it", path.display()));
    }
    let mut text = String::new();
    file.take(LONGEST_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > LONGEST_BYTES {
        return Err(format!("{} is longer than {LONGEST_BYTES} bytes", path.display()));
    }
    parse(&text, command_line).map_err(|why| format!("{}: {why}", path.display()))
}

fn parse(text: &str, command_line: &Command) -> Result<SystemSettings, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let shells = file.shell.default.iter().map(|path| ("shell.default".to_owned(), path));
    let users = file.shell.users.iter().map(|(name, path)| (format!("shell.users.{name}"), path));
    let state_dir = file.state_dir.iter().map(|path| ("state-dir".to_owned(), path));
    for (key, path) in state_dir.chain(shells).chain(users) {
        if !path.is_absolute() {
            return Err(format!("{key} is {}, and must be an absolute path", path.display()));
        }
    }
    let mut flags = BTreeMap::new();
    for (key, value) in file.flags {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            _ => return Err(format!("{key} must be a text, a whole number, true or false")),
        };
        flags.insert(key, value);
    }
    let settings = SystemSettings { state_dir: file.state_dir, shells: file.shell, flags };
    settings.check(command_line)?;
    Ok(settings)
}

/// The flags that a subcommand takes from the file.
pub(crate) fn flags_of<'c>(
    command_line: &'c Command,
    subcommand: &str,
) -> impl Iterator<Item = &'c Arg> + use<'c> {
    let of_sessions = SESSIONS.contains(&subcommand);
    let settings = of_sessions || subcommand == RUN;
    let found = command_line.find_subcommand(subcommand).filter(|_| settings);
    found.into_iter().flat_map(Command::get_arguments).filter(move |flag| {
        let Some(name) = flag.get_long() else { return false };
        !flag.is_global_set() && name != "help" && (!of_sessions || OF_SESSIONS.contains(&name))
    })
}

impl SystemSettings {
    /// The command line with the file's values as its defaults: flags and variables are stronger than them.
    pub(crate) fn as_defaults_of(&self, command_line: Command) -> Command {
        let mut with_defaults = command_line.clone();
        for subcommand in SESSIONS.into_iter().chain([RUN]) {
            for flag in flags_of(&command_line, subcommand) {
                let Some(value) = flag.get_long().and_then(|name| self.flags.get(name)) else { continue };
                let id = flag.get_id().clone();
                // The parser keeps no text of its own. It is used once in the life of this process.
                let value: &'static str = value.clone().leak();
                with_defaults = with_defaults.mut_subcommand(subcommand, |command| {
                    command.mut_arg(id, |flag| flag.default_value(value))
                });
            }
        }
        with_defaults
    }

    /// Whether every key is one, and has a value that its flag would take.
    fn check(&self, command_line: &Command) -> Result<(), String> {
        for (name, value) in &self.flags {
            let owner = [RUN].into_iter().chain(SESSIONS).find(|subcommand| {
                flags_of(command_line, subcommand).any(|flag| flag.get_long() == Some(name.as_str()))
            });
            let Some(subcommand) = owner else {
                return Err(format!("there is no setting {name}"));
            };
            let takes_value = flags_of(command_line, subcommand)
                .any(|flag| flag.get_long() == Some(name.as_str()) && flag.get_action().takes_values());
            if !takes_value {
                if value != "true" && value != "false" {
                    return Err(format!("{name} must be true or false"));
                }
                continue;
            }
            let words = [command_line.get_name().into(), subcommand.into(), format!("--{name}={value}")];
            // As the flag alone says it: the environment has no part in whether the file is right.
            let alone = command_line.clone().mut_subcommand(subcommand, |command| {
                command.mut_args(|flag| flag.env(clap::builder::Resettable::Reset))
            });
            alone.try_get_matches_from(&words).map_err(|refused| {
                usage::explained(&refused, &words.clone().map(std::ffi::OsString::from))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::settings::Arguments;

    fn read(text: &str) -> Result<SystemSettings, String> {
        parse(text, &Arguments::command())
    }

    #[test]
    fn the_state_directory_is_named() {
        assert_eq!(read("state-dir = '/srv/agent'").unwrap().state_dir, Some("/srv/agent".into()));
        assert_eq!(read("state_dir = '/srv/agent'").unwrap().state_dir, Some("/srv/agent".into()));
        assert_eq!(read("# nothing\n").unwrap(), SystemSettings::default());
        assert!(read("state-dir = 'agent'").unwrap_err().contains("absolute"));
        assert!(read("state-dir = '/a'\nstate_dir = '/b'").is_err());
    }

    #[test]
    fn every_flag_of_run_is_a_key_and_nothing_else_is() {
        let read_one = |key: &str, value: &str| read(&format!("{key} = {value}"));
        for (key, value) in [
            ("minimum-free-bytes", "12"),
            ("minimum-free-bytes", "'12'"),
            ("most-sessions-of-a-user", "3"),
            ("log", "'warn'"),
            ("wait-for-agent", "'3s'"),
        ] {
            assert!(read_one(key, value).is_ok(), "{key} = {value}");
        }
        for (key, value, why) in [
            ("minimum-free-bytes", "-1", "--minimum-free-bytes"),
            ("minimum-free-bytes", "[1]", "must be a text"),
            ("minimum_free_bytes", "1", "no setting minimum_free_bytes"),
            ("log", "'verbose'", "verbose is no level"),
            ("wait-for-agent", "'soon'", "such as 10s"),
            ("quiet", "true", "no setting quiet"),
            ("help", "true", "no setting help"),
            ("token", "'x'", "no setting token"),
        ] {
            let said = read_one(key, value).unwrap_err();
            assert!(said.contains(why), "{key} = {value}: {said}");
        }
    }

    #[test]
    fn shells_are_absolute_paths() {
        let settings = read("[shell]\ndefault = '/bin/dash'\nusers = { ana = '/bin/zsh' }").unwrap();
        assert_eq!(settings.shells.default, Some("/bin/dash".into()));
        assert_eq!(settings.shells.users["ana"], Path::new("/bin/zsh"));
        assert!(read("shell.users.ana = 'zsh'").unwrap_err().contains("shell.users.ana is zsh"));
        assert!(read("[shell]\nanas = '/bin/zsh'").is_err());
    }

    #[test]
    fn a_named_file_must_be_there_and_must_not_be_everybodys() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        let load = |writer| load(Some(&path), writer, &Arguments::command());
        assert!(load(Writer::ThisUser).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, "log = 'debug'\n").unwrap();
        assert_eq!(load(Writer::ThisUser).unwrap().flags["log"], "debug");
        // The folder of temporary files is everybody's.
        assert!(load(Writer::RootAlone).unwrap_err().contains("is not trusted"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(load(Writer::ThisUser).unwrap_err().contains("others may write"));
        assert!(load_from(folder.path(), Writer::ThisUser, &Arguments::command()).is_err());
    }
}
