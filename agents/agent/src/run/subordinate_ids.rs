//! Whose ids are whose: `/etc/subuid` gives ranges of further user ids to accounts, which limits per user must not count as
//! people of their own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const SUBUID: &str = "/etc/subuid";
const PASSWD: &str = "/etc/passwd";
const ROOT: u32 = 0;

/// Finds the person behind a user id.
#[derive(Debug)]
pub(super) struct Owners {
    subuid: PathBuf,
    passwd: PathBuf,
    known: Mutex<Known>,
}

/// What the files said when they were as they were.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    files: [Option<Version>; 2],
    ranges: Vec<Range>,
    /// Accounts are people, also where their numbers lie in somebody's range.
    accounts: BTreeSet<u32>,
}

/// What changes with a file: its number, its length and its time.
type Version = (u64, u64, i64, i64);

#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
    owner: u32,
}

impl Default for Owners {
    fn default() -> Self {
        Self::of(SUBUID.into(), PASSWD.into())
    }
}

impl Owners {
    fn of(subuid: PathBuf, passwd: PathBuf) -> Self {
        Owners { subuid, passwd, known: Mutex::default() }
    }

    /// The person to whom an id belongs. Ranges of root are not root's in this sense: who uses them is a person in one of
    /// root's containers. Ids that only a directory service gives away are people of their own.
    pub(super) fn owner(&self, user_id: u32) -> u32 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let files = [version(&self.subuid), version(&self.passwd)];
        if known.files != files {
            let read = |path| fs::read_to_string(path).unwrap_or_default();
            *known = Known { files, ..Known::read(&read(&self.subuid), &read(&self.passwd)) };
        }
        known.owner(user_id)
    }
}

fn version(path: &Path) -> Option<Version> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

impl Known {
    fn read(subuid: &str, passwd: &str) -> Self {
        let accounts: Vec<(&str, u32)> = passwd
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(':');
                Some((fields.next()?, fields.nth(1)?.parse().ok()?))
            })
            .collect();
        let range = |line: &str| {
            let fields: Vec<&str> = line.split(':').map(str::trim).collect();
            let [name, first, count] = fields[..] else { return None };
            let (first, count) = (first.parse().ok()?, count.parse().ok()?);
            let named = accounts.iter().find(|(account, _)| *account == name).map(|(_, user_id)| *user_id);
            // Whoever has a range without being known here is one person, too.
            let owner = named.or_else(|| name.parse().ok()).unwrap_or(first);
            (owner != ROOT && count > 0).then_some(Range { first, count, owner })
        };
        Known {
            files: [None; 2],
            ranges: subuid.lines().filter_map(range).collect(),
            accounts: accounts.iter().map(|(_, user_id)| *user_id).collect(),
        }
    }

    fn owner(&self, user_id: u32) -> u32 {
        if self.accounts.contains(&user_id) {
            return user_id;
        }
        let has = |range: &&Range| user_id.checked_sub(range.first).is_some_and(|place| place < range.count);
        self.ranges.iter().find(has).map_or(user_id, |range| range.owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\nbad\nana:x:1000:1000::/:/bin/sh\nlate:x:100005:1::/:/bin/sh\n";

    #[test]
    fn ids_of_a_range_are_its_owner_s() {
        let subuid = "ana:100000:65536\nroot:300000:10\nelsewhere:400000:10\n2000:500000:1\n\n# x\nana:1\nana:4294967295:9\n2001:600000:0\n";
        let known = Known::read(subuid, PASSWD);
        for (user_id, owner) in [
            (1000, 1000),
            (99_999, 99_999),
            (100_000, 1000),
            (165_535, 1000),
            (165_536, 165_536),
            (100_005, 100_005),
            (300_003, 300_003),
            (400_000, 400_000),
            (400_009, 400_000),
            (500_000, 2000),
            (500_001, 500_001),
            (600_000, 600_000),
            (u32::MAX, 1000),
            (0, 0),
        ] {
            assert_eq!(known.owner(user_id), owner, "{user_id}");
        }
    }

    #[test]
    fn a_change_of_the_file_is_obeyed_and_without_one_everybody_is_one_person() {
        let folder = tempfile::tempdir().unwrap();
        let (subuid, passwd) = (folder.path().join("subuid"), folder.path().join("passwd"));
        let owners = Owners::of(subuid.clone(), passwd.clone());
        assert_eq!(owners.owner(100_000), 100_000);
        fs::write(&passwd, PASSWD).unwrap();
        fs::write(&subuid, "ana:100000:65536\n").unwrap();
        assert_eq!(owners.owner(100_000), 1000);
        fs::write(&subuid, "").unwrap();
        assert_eq!(owners.owner(100_000), 100_000);
    }
}
