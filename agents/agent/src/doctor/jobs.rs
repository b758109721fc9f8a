//! Whether people may leave jobs behind that run without a login, and so without a login shell.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::finding::{Finding, Findings};
use super::logins::{How, Recorded};

/// A program that takes jobs, with the lists of who may use it.
struct Scheduler {
    program: &'static str,
    allowed: &'static str,
    denied: &'static str,
    /// Whether everybody may use it if neither list is there; otherwise only root may.
    is_open: bool,
}

const SCHEDULERS: [Scheduler; 2] = [
    Scheduler {
        program: "/usr/bin/crontab",
        allowed: "/etc/cron.allow",
        denied: "/etc/cron.deny",
        is_open: true,
    },
    Scheduler { program: "/usr/bin/at", allowed: "/etc/at.allow", denied: "/etc/at.deny", is_open: false },
];
const ROOT: u32 = 0;

pub(crate) fn look(recorded: &[Recorded], findings: &mut Findings) {
    let people = recorded.iter().filter(|one| one.how != How::Nothing && one.account.user_id != ROOT);
    for one in people {
        for scheduler in &SCHEDULERS {
            if Path::new(scheduler.program).exists() && scheduler.lets(Path::new("/"), &one.account.name) {
                let Scheduler { program, allowed, denied, .. } = scheduler;
                findings.about(
                    &one.account.name,
                    Finding::way_round(
                        "jobs",
                        &format!("{program}, {allowed}, {denied}"),
                        "people may leave jobs behind",
                        "a job runs without a login, and so without the login shell that records",
                        &format!("make {allowed} a list without them; an empty one lets only root"),
                    ),
                );
            }
        }
    }
}

impl Scheduler {
    /// Whether an account may leave jobs, by the lists below a folder.
    fn lets(&self, root: &Path, account: &str) -> bool {
        let list = |path: &str| match fs::read_to_string(root.join(path.trim_start_matches('/'))) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // What cannot be read may let them.
            Err(_) => Some(account.to_owned()),
        };
        let names = |text: String| text.lines().any(|line| line.trim() == account);
        match (list(self.allowed), list(self.denied)) {
            (Some(allowed), _) => names(allowed),
            (None, Some(denied)) => !names(denied),
            (None, None) => self.is_open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_say_who_may_leave_jobs() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join("etc").join(name), text).unwrap();
        let [cron, at] = &SCHEDULERS;
        let lets = |scheduler: &Scheduler| scheduler.lets(folder.path(), "ana");
        assert!(lets(cron) && !lets(at));
        write("cron.deny", "bob\n ana \n");
        write("at.deny", "bob\n");
        assert!(!lets(cron) && lets(at));
        write("cron.allow", "bob\nana\n");
        write("at.allow", "");
        assert!(lets(cron) && !lets(at));
        write("cron.allow", "anas\n");
        assert!(!lets(cron));
    }
}
