//! `/etc/hansard-agent/agent.toml`: the settings of the instance's administrator for everybody who starts this program.
//! It is used only if nobody but root can have written it.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::foreign;

pub(crate) const PATH: &str = "/etc/hansard-agent/agent.toml";
const LONGEST_BYTES: u64 = 64 * 1024;

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SystemSettings {
    /// The agent's state directory.
    pub(crate) state_dir: Option<PathBuf>,
}

/// Reads the file; where there is none, it says nothing.
pub(crate) fn load() -> Result<SystemSettings, String> {
    load_from(Path::new(PATH))
}

fn load_from(path: &Path) -> Result<SystemSettings, String> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SystemSettings::default()),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    }
    // Afterwards only root could put another file there.
    foreign::check_only_root_can_change(path)?;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST_BYTES).read_to_string(&mut text))
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

fn parse(text: &str) -> Result<SystemSettings, String> {
    let settings: SystemSettings =
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    match &settings.state_dir {
        Some(path) if !path.is_absolute() => {
            Err(format!("state_dir is {}, and must be an absolute path", path.display()))
        }
        _ => Ok(settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_named() {
        assert_eq!(parse("state_dir = '/srv/agent'").unwrap().state_dir, Some("/srv/agent".into()));
        assert_eq!(parse("# nothing\n").unwrap(), SystemSettings::default());
        assert!(parse("state-dir = '/srv/agent'").unwrap_err().contains("state-dir"));
        assert!(parse("state_dir = 'agent'").unwrap_err().contains("absolute"));
    }

    #[test]
    fn without_a_file_there_are_no_settings() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load_from(&folder.path().join("agent.toml")).unwrap(), SystemSettings::default());
    }
}
