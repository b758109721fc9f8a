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

/// An account with what a login needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) user_id: u32,
    pub(crate) home: PathBuf,
    pub(crate) shell: PathBuf,
}

/// All accounts, as far as the places that they come from list them.
pub(crate) fn every() -> Vec<Entry> {
    let mut entries = fs::read(PASSWD).map(|passwd| entries(&passwd)).unwrap_or_default();
    let listed = GETENT.iter().find_map(|program| {
        let mut asked = Command::new(program);
        asked.arg("passwd").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).output().ok()
    });
    for entry in listed.map(|answer| self::entries(&answer.stdout)).unwrap_or_default() {
        if !entries.iter().any(|known| known.name == entry.name) {
            entries.push(entry);
        }
    }
    entries
}

fn entries(passwd: &[u8]) -> Vec<Entry> {
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(field.to_vec()));
    let read = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _, id, _, _, home, shell] = fields.as_slice() else { return None };
        Some(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            user_id: std::str::from_utf8(id).ok()?.parse().ok()?,
            home: path(home),
            shell: path(if shell.is_empty() { DEFAULT_SHELL.as_bytes() } else { shell }),
        })
    };
    passwd.split(|byte| *byte == b'\n').filter_map(read).collect()
}

fn find(passwd: &[u8], user_id: u32) -> Option<Account> {
    let entry = entries(passwd).into_iter().find(|entry| entry.user_id == user_id)?;
    Some(Account { name: entry.name, shell: entry.shell })
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
