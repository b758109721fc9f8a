//! The three places where a setting can stand, strongest first.

use std::path::Path;

use super::file::{self, FileValue};
use super::keys::{self, CONFIG_VARIABLE, Key, SETTING_KEYS};
use crate::environment::Environment;
use crate::failure::Failure;

/// One value and where it stands.
struct Given<'a> {
    value: &'a str,
    place: String,
}

/// Everything that was set, unchecked.
pub(super) struct Sources {
    flags: Vec<(String, String)>,
    variables: Vec<(&'static Key, String)>,
    file: Vec<FileValue>,
    file_name: String,
}

impl Sources {
    /// Collects flags, variables and the file.
    ///
    /// # Errors
    /// A variable or a key that is no setting, or a file that cannot be read.
    pub(super) fn gather(
        flags: &[(&Key, String)],
        config: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let mut variables = Vec::new();
        for name in environment.names("HANSARD_") {
            let value = environment.get(name)?;
            if name == CONFIG_VARIABLE || keys::is_foreign(name, value.unwrap_or_default()) {
                continue;
            }
            let Some(key) = SETTING_KEYS.iter().find(|key| key.variable() == name) else {
                let known: Vec<_> = SETTING_KEYS.iter().map(|key| key.variable()).collect();
                return Err(Failure::usage(format!(
                    "unknown variable {name}; the variables are {CONFIG_VARIABLE}, {}",
                    known.join(", ")
                )));
            };
            if let Some(value) = value {
                variables.push((*key, value.to_owned()));
            }
        }
        let path = match config {
            Some(path) => Some(path),
            None => environment.get(CONFIG_VARIABLE)?.map(Path::new),
        };
        let file = path.map(file::read).transpose()?.unwrap_or_default();
        Ok(Self {
            flags: flags.iter().map(|(key, value)| (key.name.to_owned(), value.clone())).collect(),
            variables,
            file,
            file_name: path.map(|path| path.display().to_string()).unwrap_or_default(),
        })
    }

    /// The strongest value of a setting. All of its values are checked.
    ///
    /// # Errors
    /// A value is bad: where it stands, what it is unless it is a secret, and what is allowed.
    pub(super) fn get<T>(
        &self,
        key: &Key,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let mut strongest = None;
        for given in self.given(key) {
            let value = parse(given.value).map_err(|allowed| {
                let shown = if key.secret { String::new() } else { format!(" \"{}\"", cut(given.value)) };
                Failure::usage(format!("{}: the value{shown} is not allowed: {allowed}", given.place))
            })?;
            strongest.get_or_insert(value);
        }
        Ok(strongest)
    }

    fn given<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = Given<'a>> {
        let flags = self.flags.iter().filter(|(name, _)| name == key.name);
        let flags = flags.map(|(name, value)| Given { value, place: format!("--{name}") });
        let variables = self.variables.iter().filter(move |(set, _)| *set == key);
        let variables = variables.map(|(set, value)| Given { value, place: set.variable() });
        let file = self.file.iter().filter(move |set| set.key == key);
        let file = file.map(|set| Given {
            value: &set.value,
            place: format!("{} line {}: {}", self.file_name, set.line, set.key.name),
        });
        flags.chain(variables).chain(file)
    }
}

/// A value for a message, without flooding the terminal.
fn cut(value: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = value.chars().take(MOST).collect();
    if value.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}
