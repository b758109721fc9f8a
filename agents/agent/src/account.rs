//! The accounts of this instance, from passwd.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const NAME_SERVICES: &str = "/etc/nsswitch.conf";
/// Places all of whose accounts are in passwd, or are made up by systemd and have no login shell.
const LISTED: [&str; 3] = ["files", "compat", "systemd"];
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

/// The home of a user, from the file alone.
pub(crate) fn home_in_passwd(user_id: u32) -> Option<PathBuf> {
    let entries = entries(&fs::read(PASSWD).ok()?);
    entries.into_iter().find(|entry| entry.user_id == user_id).map(|entry| entry.home)
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
    pub(crate) group_id: u32,
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

/// Whether anybody but root is in a group. One that is not known may have anybody in it.
pub(crate) fn has_members(group_id: u32, accounts: &[Entry]) -> bool {
    if accounts.iter().any(|account| account.group_id == group_id && account.user_id != 0) {
        return true;
    }
    let listed = fs::read(GROUP).ok().and_then(|groups| members(&groups, group_id));
    listed.is_none_or(|members| members.iter().any(|member| member != "root"))
}

/// The names of the groups that an account is in, as sshd asks for them. `None` where a group of it has no name that can be
/// found: it may have any.
pub(crate) fn groups_of(account: &Entry) -> Option<Vec<String>> {
    let file = fs::read(GROUP).unwrap_or_default();
    // A directory service may know more than the file.
    let listed = GETENT.iter().find_map(|program| {
        let mut asked = Command::new(program);
        asked.arg("group").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).output().ok()
    });
    let listed = listed.map(|answer| answer.stdout).unwrap_or_default();
    names_of_groups(&[file, listed].join(&b'\n'), account)
}

fn names_of_groups(groups: &[u8], account: &Entry) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut has_primary = false;
    for line in String::from_utf8_lossy(groups).lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, members] = fields.as_slice() else { continue };
        let is_primary = id.parse() == Ok(account.group_id);
        has_primary |= is_primary;
        if is_primary || members.split(',').any(|member| member == account.name) {
            names.push((*name).to_owned());
        }
    }
    has_primary.then_some(names)
}

fn members(groups: &[u8], group_id: u32) -> Option<Vec<String>> {
    String::from_utf8_lossy(groups).lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, id, members] = fields.as_slice() else { return None };
        (id.parse() == Ok(group_id))
            .then(|| members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect())
    })
}

/// Whether there are places that accounts come from which may not list them all.
pub(crate) fn are_all_listed(accounts: &[Entry]) -> bool {
    let Ok(passwd) = fs::read(PASSWD) else { return false };
    // What lists some lists all.
    accounts.len() > entries(&passwd).len() || {
        let places = fs::read_to_string(NAME_SERVICES).unwrap_or_default();
        let sources = places.lines().find_map(|line| line.trim().strip_prefix("passwd:"));
        sources.unwrap_or_default().split_whitespace().all(|source| LISTED.contains(&source))
    }
}

fn entries(passwd: &[u8]) -> Vec<Entry> {
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(field.to_vec()));
    let read = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _, id, group, _, home, shell] = fields.as_slice() else { return None };
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
        Some(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            user_id: number(id)?,
            group_id: number(group)?,
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
    fn groups_have_members() {
        let groups = b"staff:x:50:\nadm:x:4:root,ana\nbad\n";
        assert_eq!(members(groups, 50), Some(vec![]));
        assert_eq!(members(groups, 4), Some(vec!["root".to_owned(), "ana".to_owned()]));
        assert_eq!(members(groups, 5), None);
        let ana = entries(b"ana:x:1000:4711::/:/bin/sh\n");
        assert!(has_members(4711, &ana), "it is the group of an account");
        assert!(has_members(4_000_000, &ana), "nobody knows who is in it");
    }

    #[test]
    fn accounts_are_in_the_group_of_passwd_and_in_those_that_list_them() {
        let groups = b"ana:x:1000:\nstaff:x:50:ben,ana\nadm:x:4:anabel\nbad\n";
        let of = |passwd: &[u8]| names_of_groups(groups, &entries(passwd)[0]);
        let names = ["ana", "staff"].map(str::to_owned).to_vec();
        assert_eq!(of(b"ana:x:1000:1000::/:/bin/sh\n"), Some(names));
        assert_eq!(of(b"eve:x:1001:1001::/:/bin/sh\n"), None, "its own has no name");
    }

    #[test]
    fn users_have_names_and_shells() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\nbad line\nana:x:1000:1000::/home/ana:\n";
        let account = |name: &str, shell: &str| Account { name: name.to_owned(), shell: shell.into() };
        assert_eq!(find(passwd, 0), Some(account("root", "/bin/bash")));
        assert_eq!(find(passwd, 1000), Some(account("ana", DEFAULT_SHELL)));
        assert_eq!(find(passwd, 7), None);
    }
}
