//! Variables that a person must not bring along: what starts their session would obey them before it is recorded.

use super::patterns;

/// Each with what obeys it.
const OBEYED: [(&str, &str); 19] = [
    ("LD_PRELOAD", "the loader puts the person's code into the programs that record"),
    ("LD_LIBRARY_PATH", "the loader takes the person's libraries into the programs that record"),
    ("LD_AUDIT", "the loader puts the person's code into the programs that record"),
    ("GLIBC_TUNABLES", "the loader obeys it in the programs that record"),
    ("GCONV_PATH", "the C library loads the person's code from it"),
    ("LOCPATH", "the C library reads the person's files from it"),
    ("BASH_ENV", "bash runs the file that it names before a ForceCommand"),
    ("ENV", "shells run the file that it names before a ForceCommand"),
    ("SHELLOPTS", "bash sets its options by it before a ForceCommand"),
    ("BASHOPTS", "bash sets its options by it before a ForceCommand"),
    ("PS4", "bash runs the commands in it when it traces a ForceCommand"),
    ("BASH_FUNC_hansard%%", "bash takes functions from it before a ForceCommand"),
    ("ZDOTDIR", "zsh runs the files of the folder that it names before a ForceCommand"),
    ("XDG_CONFIG_HOME", "fish runs the files of the folder that it names before a ForceCommand"),
    ("HOME", "shells run the start-up files of the folder that it names"),
    ("PATH", "a ForceCommand without a whole path is looked for where it says"),
    ("HANSARD_AGENT_STATE_DIR", "it names another agent for the programs that read it"),
    ("HANSARD_AGENT_CONFIG", "it names another settings file for the programs that read it"),
    ("HANSARD_TERMINAL_SESSION_TOKEN", "it says that a session is recorded which may be another one"),
];
/// What begins so is taken for such a variable, whatever follows.
const BEGINNINGS: [&str; 3] = ["LD_", "HANSARD_", "BASH_FUNC_"];

/// A variable that a pattern lets in, and why it must stay out.
pub(crate) fn let_in(pattern: &str) -> Option<(&str, &'static str)> {
    let obeyed = OBEYED.iter().find(|(name, _)| patterns::matches(pattern, name));
    if let Some((name, why)) = obeyed {
        return Some((name, why));
    }
    let begins = BEGINNINGS.iter().any(|beginning| pattern.starts_with(beginning));
    begins.then_some((pattern, "variables that begin so are for what records, and for what loads it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_may_come_along_and_what_shells_obey_may_not() {
        for harmless in ["LANG", "LC_*", "TERM", "COLORTERM", "GIT_*"] {
            assert_eq!(let_in(harmless), None, "{harmless}");
        }
        for bad in ["*", "LD_*", "L*", "BASH_*", "EN?", "HANSARD_*", "HANSARD_NEW", "LD_NEW", "ENV"] {
            assert!(let_in(bad).is_some(), "{bad}");
        }
    }
}
