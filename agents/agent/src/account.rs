//! The accounts of this instance, from passwd.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PASSWD: &str = "/etc/passwd";
/// What asks all the places that an instance's accounts come from (a directory service, for instance). This program, linked statically,
/// can read only the file itself.
const GETENT: [&str; 2] = ["/usr/bin/getent", "/bin/getent"];
/// The shell of an account for which passwd names none.
const DEFAULT_SHELL: &str = "/bin/sh";

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) shell: PathBuf,
}

/// The account of a user, from the file alone.
pub(crate) fn in_passwd(user_id: u32) -> Option<Account> {
    find(&fs::read(PASSWD).ok()?, user_id)
}

/// The account of a user, from wherever the instance's accounts come.
pub(crate) fn of(user_id: u32) -> Option<Account> {
    in_passwd(user_id).or_else(|| {
        GETENT.iter().find_map(|program| {
            // It gets nothing of the person's environment.
            let answer = Command::new(program)
                .args(["passwd", &user_id.to_string()])
                .env_clear()
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .ok()?;
            find(&answer.stdout, user_id)
        })
    })
}

fn find(passwd: &[u8], user_id: u32) -> Option<Account> {
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _, id, _, _, _, shell] = fields.as_slice() else { return None };
        if std::str::from_utf8(id).ok()?.parse() != Ok(user_id) {
            return None;
        }
        let shell = if shell.is_empty() { DEFAULT_SHELL.as_bytes() } else { shell };
        Some(Account {
            name: String::from_utf8_lossy(name).into_owned(),
            shell: OsString::from_vec(shell.to_vec()).into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_and_shells() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\nbad line\nana:x:1000:1000::/home/ana:\n";
        let account = |name: &str, shell: &str| Account { name: name.to_owned(), shell: shell.into() };
        assert_eq!(find(passwd, 0), Some(account("root", "/bin/bash")));
        assert_eq!(find(passwd, 1000), Some(account("ana", DEFAULT_SHELL)));
        assert_eq!(find(passwd, 7), None);
    }
}
