//! The browser of the person who runs the program.

use std::process::{Command, Stdio};

use crate::environment::Environment;
use crate::failure::Failure;

/// The programs that may open an address, the first choice first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Browser(Vec<Program>);

#[derive(Debug, PartialEq, Eq)]
enum Program {
    /// A command line of `$BROWSER`; it may use this terminal.
    Named(Vec<String>),
    /// What opens addresses on a desktop.
    Desktop,
}

impl Browser {
    /// Those of `$BROWSER`, which has several command lines with colons between them; else the desktop's.
    ///
    /// # Errors
    /// A variable is not UTF-8.
    pub(crate) fn of(environment: &Environment) -> Result<Self, Failure> {
        if let Some(named) = environment.get("BROWSER")? {
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let lines = named.split(':').map(words).filter(|words| !words.is_empty());
            return Ok(Self(lines.map(Program::Named).collect()));
        }
        let desktop = environment.get("DISPLAY")?.is_some() || environment.get("WAYLAND_DISPLAY")?.is_some();
        Ok(Self(if desktop { vec![Program::Desktop] } else { Vec::new() }))
    }

    /// Whether one of them says that it opened the address.
    pub(crate) fn open(&self, address: &str) -> bool {
        self.0.iter().any(|program| program.open(address))
    }
}

impl Program {
    fn open(&self, address: &str) -> bool {
        let mut command = match self {
            Self::Named(words) => {
                let Some((program, rest)) = words.split_first() else { return false };
                let mut command = Command::new(program);
                command.args(rest.iter().map(|word| word.replace("%s", address)));
                if !rest.iter().any(|word| word.contains("%s")) {
                    command.arg(address);
                }
                command
            }
            Self::Desktop => {
                let mut command = Command::new("xdg-open");
                command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command
            }
        };
        command.status().is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_or_the_desktops() {
        let of = |variables: &[(&str, &str)]| Browser::of(&Environment::of(variables)).unwrap();
        let named = |words: &[&str]| Program::Named(words.iter().map(|word| (*word).to_owned()).collect());
        let several = of(&[("BROWSER", "firefox --new-window %s::w3m"), ("DISPLAY", ":0")]);
        assert_eq!(several, Browser(vec![named(&["firefox", "--new-window", "%s"]), named(&["w3m"])]));
        assert_eq!(of(&[("DISPLAY", ":0")]), Browser(vec![Program::Desktop]));
        assert_eq!(of(&[("WAYLAND_DISPLAY", "wayland-0")]), Browser(vec![Program::Desktop]));
        assert_eq!(of(&[]), Browser(Vec::new()));
    }

    #[test]
    fn the_next_one_is_tried_when_one_fails() {
        let open =
            |line: &str| Browser::of(&Environment::of(&[("BROWSER", line)])).unwrap().open("http://h/");
        assert!(open("/nowhere/at-all:false:test -n"));
        assert!(!open("/nowhere/at-all:false"));
        assert!(!Browser(Vec::new()).open("http://h/"));
    }
}
