//! The one place that reads the process environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;

use recording::log_line::Colours;

use crate::failure::Failure;

/// The environment as it was at the start.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// Reads the process environment once.
    pub(crate) fn read() -> Self {
        let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self { variables: named.collect() }
    }

    /// An environment of these variables alone.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.into()));
        Self { variables: variables.collect() }
    }

    /// A variable. An empty one counts as not set, because shells cannot easily unset one for a single command.
    ///
    /// # Errors
    /// Its value is not UTF-8.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.variables.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some("") => Ok(None),
                Some(text) => Ok(Some(text)),
                None => Err(Failure::usage(format!("{name} is not UTF-8 text"))),
            },
        }
    }

    /// The colours of what is logged to standard error.
    pub(crate) fn log_colours(&self) -> Colours {
        let value = |name| self.variables.get(name).map(OsString::as_os_str);
        Colours::of(std::io::stderr().is_terminal(), value("NO_COLOR"), value("TERM"))
    }

    /// The variables that only the server and its clients may see.
    pub(crate) fn names_for_the_server(&self) -> impl Iterator<Item = String> {
        let ours = |name: &&String| {
            (name.starts_with("HANSARD_") && !name.starts_with("HANSARD_AGENT_"))
                || name.starts_with("ALIBABA_CLOUD_")
        };
        self.variables.keys().filter(ours).cloned()
    }

    /// The names that begin with `prefix`, in order.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.variables.keys().map(String::as_str).filter(move |name| name.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn empty_is_not_set_and_other_bytes_are_refused() {
        let mut environment = Environment::of(&[("A", "1"), ("B", "")]);
        environment.variables.insert("C".into(), OsString::from_vec(vec![0xff]));
        assert_eq!(environment.get("A").unwrap(), Some("1"));
        assert_eq!(environment.get("B").unwrap(), None);
        assert_eq!(environment.get("C").unwrap_err().message(), "C is not UTF-8 text");
        assert_eq!(environment.names("").collect::<Vec<_>>(), ["A", "B", "C"]);
    }
}
