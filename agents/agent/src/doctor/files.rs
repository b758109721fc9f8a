//! Files that only root may be able to change: whoever changes them decides what is recorded.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::accounts::Account;
use super::finding::{Finding, Findings};
use super::logins::{How, Recorded};
use super::sshd::Sshd;
use crate::account;
use crate::foreign::{self, Doubt};
use crate::login_shell;
use crate::system_settings;

const READABLE_BY_GROUP: u32 = 0o040;
const READABLE_BY_OTHERS: u32 = 0o004;

/// Looks at files as the accounts of the instance could change them.
pub(crate) struct Files<'f> {
    pub(crate) accounts: &'f [Account],
    pub(crate) findings: &'f mut Findings,
}

impl Files<'_> {
    /// The files of sshd's configuration.
    pub(crate) fn look_at_configuration(&mut self, sshd: &Sshd) {
        for file in sshd.files() {
            let what = "sshd's configuration can be changed by others than root";
            self.check(file, foreign::ROOT, "sshd-configuration", what);
        }
    }

    /// The settings file and the programs.
    pub(crate) fn look_at_installed(&mut self, recorded: &[Recorded]) {
        let settings = Path::new(system_settings::PATH);
        if settings.exists() {
            let what = "the agent's settings can be changed by others than root";
            self.check(settings, foreign::ROOT, "settings-file", what);
        }
        let shells = recorded.iter().filter(|one| one.how == How::LoginShell);
        let shells = shells.map(|one| one.account.shell.clone());
        let forced = recorded.iter().filter_map(|one| one.forced_program.as_ref()).map(PathBuf::from);
        for program in shells.chain(forced).chain(login_shell::running_program()).collect::<BTreeSet<_>>() {
            let what = "the program that records can be replaced by others than root";
            self.check(&program, foreign::ROOT, "program", what);
            self.check_nobody_reads(&program);
        }
    }

    /// The program makes itself untraceable as soon as it runs. Until then only its mode protects it: a program that its user
    /// may read can be traced by that user's other processes from its first instruction on, and made to do something else.
    /// The kernel lets nobody attach to one that its user may not read.
    fn check_nobody_reads(&mut self, program: &Path) {
        // Whichever name it has: it is named once.
        let Ok(program) = fs::canonicalize(program) else { return };
        let Ok(metadata) = fs::metadata(&program) else { return };
        let (mode, group) = (metadata.mode(), metadata.gid());
        let by_group = mode & READABLE_BY_GROUP != 0 && account::has_members(group, self.accounts);
        if mode & READABLE_BY_OTHERS == 0 && !by_group {
            return;
        }
        let place = program.display().to_string();
        self.findings.add(Finding::way_round(
            "program-readable",
            &place,
            "people may read the program that records",
            "who may read a program can attach a debugger to it after it was started and before it protects itself, \
             and make it show something else than it records",
            &format!("chmod 0711 {place}"),
        ));
    }

    /// The agent's state directory.
    pub(crate) fn look_at_state_directory(&mut self, state_dir: &Path) {
        let Ok(metadata) = fs::metadata(state_dir) else {
            let place = state_dir.display().to_string();
            self.findings.unchecked("agent-directory", &place, "there is no agent's directory");
            return;
        };
        let owner = metadata.uid();
        let of_a_person =
            self.accounts.iter().find(|account| account.user_id == owner && owner != foreign::ROOT);
        let Some(account) = of_a_person else {
            let what = "the agent's directory can be changed or replaced by others";
            return self.check(state_dir, owner, "agent-directory", what);
        };
        self.findings.about(
            &account.name,
            Finding::way_round(
                "agent-directory",
                &state_dir.display().to_string(),
                "the agent's directory belongs to an account that people log in to",
                "they can change the agent, and what it recorded",
                &format!("run the agent as root: chown --recursive root {}", state_dir.display()),
            ),
        );
    }

    /// Only root and `owner` may be able to change it.
    fn check(&mut self, path: &Path, owner: u32, code: &'static str, what: &str) {
        let has_members = |group| account::has_members(group, self.accounts);
        let place = path.display().to_string();
        match foreign::check_others_cannot_change(path, owner, has_members) {
            Ok(()) => {}
            Err(Doubt::WithinReach(why)) => {
                let why = format!("{why}, and so decide what is recorded");
                let close = "chown root and chmod go-w what is named, and every folder on the way to it";
                self.findings.add(Finding::way_round(code, &place, what, &why, close));
            }
            Err(Doubt::Unseen(why)) => self.findings.unchecked(code, &place, &why),
        }
    }
}
