//! Whose sessions are recorded. One is left out only if it is certain that no pattern matches any name of the person:
//! names come from passwd and group of this instance, and from the groups that the kernel lists, and this program, which is
//! linked statically, cannot ask other sources (NSS), such as a directory service. Whoever has no name in these files, or a
//! group without one, could have any, and is recorded wherever a pattern is about such names. So could `nobody`: it is also
//! how the kernel shows a user of another user namespace that has no number in this one.

use std::fs;

use recording::{PrincipalKind, PrincipalPattern};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// The number of users and groups that have none in this user namespace, unless an administrator has changed it.
const OVERFLOW: u32 = 65_534;
const OVERFLOW_USER: &str = "/proc/sys/kernel/overflowuid";
const OVERFLOW_GROUP: &str = "/proc/sys/kernel/overflowgid";

/// What a person is called on this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PersonNames {
    users: Names,
    groups: Names,
}

/// Names of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Names {
    known: Vec<String>,
    /// Whether there may be others.
    incomplete: bool,
}

impl Names {
    fn add(&mut self, name: &[u8]) {
        match std::str::from_utf8(name) {
            Ok(name) if self.known.iter().any(|known| known == name) => {}
            Ok(name) => self.known.push(name.to_owned()),
            // No pattern can say it.
            Err(_) => self.incomplete = true,
        }
    }

    fn may_match(&self, pattern: &PrincipalPattern, kind: PrincipalKind) -> bool {
        self.incomplete || self.known.iter().any(|name| pattern.matches(kind, name))
    }
}

impl PersonNames {
    /// Of a user, as the kernel says, and of the process that asks.
    pub(super) fn find(user_id: u32, process_id: i32) -> Self {
        let (passwd, group) = (fs::read(PASSWD).ok(), fs::read(GROUP).ok());
        let status = fs::read(format!("/proc/{process_id}/status")).ok();
        let process_groups = status.as_deref().and_then(groups_in_status);
        let mut names = Self::of(user_id, passwd.as_deref(), group.as_deref(), process_groups.as_deref());
        let overflow = |path: &str| {
            fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(OVERFLOW)
        };
        names.users.incomplete |= user_id == overflow(OVERFLOW_USER);
        let is_anywhere = process_groups.unwrap_or_default().contains(&overflow(OVERFLOW_GROUP));
        names.groups.incomplete |= names.users.incomplete || is_anywhere;
        names
    }

    fn of(user_id: u32, passwd: Option<&[u8]>, group: Option<&[u8]>, process_groups: Option<&[u32]>) -> Self {
        let (mut users, mut groups) = (Names::default(), Names::default());
        let mut group_ids = process_groups.unwrap_or_default().to_vec();
        for fields in lines(passwd.unwrap_or_default()) {
            if let [name, _, id, group_id, ..] = fields.as_slice()
                && number(id) == Some(user_id)
            {
                users.add(name);
                group_ids.extend(number(group_id));
            }
        }
        users.incomplete |= users.known.is_empty();
        let mut named = Vec::new();
        for fields in lines(group.unwrap_or_default()) {
            let [name, _, id, members, ..] = fields.as_slice() else { continue };
            let id = number(id);
            let lists_the_user = || {
                let mut members = members.split(|byte| *byte == b',');
                members.any(|member| users.known.iter().any(|user| user.as_bytes() == member))
            };
            if id.is_some_and(|id| group_ids.contains(&id)) || lists_the_user() {
                groups.add(name);
                named.extend(id);
            }
        }
        groups.incomplete |=
            process_groups.is_none() || users.incomplete || group_ids.iter().any(|id| !named.contains(id));
        Self { users, groups }
    }

    /// Whether one of the patterns matches, or may match: one that is not understood may. Without any, everybody is meant.
    pub(super) fn may_match(&self, patterns: &[String]) -> bool {
        if patterns.is_empty() {
            return true;
        }
        patterns.iter().any(|pattern| match pattern.parse::<PrincipalPattern>() {
            Err(_) => true,
            Ok(pattern) => match pattern.kind() {
                PrincipalKind::User => self.users.may_match(&pattern, PrincipalKind::User),
                PrincipalKind::Group => self.groups.may_match(&pattern, PrincipalKind::Group),
                // Only somebody whom a signed call proves has a role.
                PrincipalKind::Role => false,
            },
        })
    }
}

fn lines(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    file.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect())
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// All groups of a process: the real and the effective one, and the others.
fn groups_in_status(status: &[u8]) -> Option<Vec<u32>> {
    let status = String::from_utf8_lossy(status);
    let numbers = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<u32>>>()
    };
    Some([numbers("Gid:")?, numbers("Groups:")?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\n+::::::\nbad\n";
    const GROUP: &[u8] = b"root:x:0:\nana:x:1000:\nops:x:50:bo,ana\ndevelopers:x:60:\nempty:x:70:\n";

    fn ana(process_groups: &[u32]) -> PersonNames {
        PersonNames::of(1000, Some(PASSWD), Some(GROUP), Some(process_groups))
    }

    fn matches(names: &PersonNames, patterns: &[&str]) -> bool {
        names.may_match(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn any_name_of_the_person_may_match_and_no_other() {
        let ana = ana(&[1000, 60]);
        for pattern in ["user:ana", "user:*", "user:a?a", "group:ana", "group:ops", "group:dev*"] {
            assert!(matches(&ana, &[pattern]), "{pattern}");
            assert!(matches(&ana, &["user:bo", pattern]), "{pattern}");
        }
        for pattern in ["user:bo", "user:ops", "group:empty", "group:root", "user:Ana", "role:ana", "role:*"]
        {
            assert!(!matches(&ana, &[pattern]), "{pattern}");
        }
        assert!(!matches(&ana, &["user:bo", "group:empty"]));
        assert!(matches(&ana, &[]), "a configuration that records nobody is off");
    }

    #[test]
    fn every_name_of_a_user_id_counts() {
        let root = PersonNames::of(0, Some(PASSWD), Some(GROUP), Some(&[0]));
        assert!(matches(&root, &["user:root"]) && matches(&root, &["user:toor"]));
        assert!(matches(&root, &["group:root"]) && !matches(&root, &["group:ana"]));
    }

    #[test]
    fn whoever_could_have_the_name_is_recorded() {
        let stranger = PersonNames::of(4711, Some(PASSWD), Some(GROUP), Some(&[60]));
        assert!(matches(&stranger, &["user:bo"]), "a directory service may name this user");
        assert!(matches(&stranger, &["group:empty"]), "and list the user in a group");
        assert!(!matches(&stranger, &["role:a"]));
        let in_a_nameless_group = ana(&[1000, 9999]);
        assert!(
            matches(&in_a_nameless_group, &["group:empty"]) && !matches(&in_a_nameless_group, &["user:bo"])
        );
        for unreadable in [
            PersonNames::of(1000, None, Some(GROUP), Some(&[1000])),
            PersonNames::of(1000, Some(PASSWD), None, Some(&[1000])),
            PersonNames::of(1000, Some(PASSWD), Some(GROUP), None),
        ] {
            assert!(matches(&unreadable, &["group:empty"]));
        }
        assert!(matches(&ana(&[1000]), &["host:a"]), "a later control plane may mean anybody by it");
        let unprintable = PersonNames::of(7, Some(b"\xff:x:7:1000::/:/bin/sh\n"), Some(GROUP), Some(&[]));
        assert!(matches(&unprintable, &["user:bo"]));
    }

    #[test]
    fn the_kernel_lists_the_groups_of_a_process() {
        let status = b"Name:\tx\nGid:\t100\t101\t101\t101\nGroups:\t4 24 \nVmPeak:\t1 kB\n";
        assert_eq!(groups_in_status(status), Some(vec![100, 101, 101, 101, 4, 24]));
        assert_eq!(groups_in_status(b"Name:\tx\n"), None);
        let ours = i32::try_from(std::process::id()).unwrap();
        let user_id = rustix::process::geteuid().as_raw();
        assert!(!PersonNames::find(user_id, ours).users.incomplete);
        let nobody = PersonNames::find(OVERFLOW, ours);
        assert!(matches(&nobody, &["user:ana"]) && matches(&nobody, &["group:ops"]), "it may be anybody");
    }
}
