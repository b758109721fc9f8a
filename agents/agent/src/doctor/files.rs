//! Files that only root may be able to change: whoever changes them decides what is recorded.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::accounts::Account;
use super::finding::{Finding, Findings};
use super::logins::{How, Recorded};
use super::sshd::Sshd;
use crate::foreign::{self, Doubt};
use crate::login_shell;
use crate::system_settings;

/// The files of sshd's configuration.
pub(crate) fn look_at_configuration(sshd: &Sshd, findings: &mut Findings) {
    for file in sshd.files() {
        check(
            file,
            "sshd-configuration",
            "sshd's configuration can be changed by others than root",
            findings,
        );
    }
}

/// The settings file, the programs, and the agent's directory.
pub(crate) fn look(
    state_dir: Option<&Path>,
    every: &[Account],
    recorded: &[Recorded],
    findings: &mut Findings,
) {
    let settings = Path::new(system_settings::PATH);
    if settings.exists() {
        check(settings, "settings-file", "the agent's settings can be changed by others than root", findings);
    }
    let shells =
        recorded.iter().filter(|one| one.how == How::LoginShell).map(|one| one.account.shell.clone());
    let forced = recorded.iter().filter_map(|one| one.forced_program.as_ref()).map(PathBuf::from);
    for program in shells.chain(forced).chain(login_shell::running_program()).collect::<BTreeSet<_>>() {
        check(&program, "program", "the program that records can be replaced by others than root", findings);
    }
    if let Some(state_dir) = state_dir {
        look_at_state_directory(state_dir, every, findings);
    }
}

fn look_at_state_directory(state_dir: &Path, every: &[Account], findings: &mut Findings) {
    let Ok(metadata) = fs::metadata(state_dir) else {
        let place = state_dir.display().to_string();
        findings.unchecked("agent-directory", &place, "there is no agent's directory");
        return;
    };
    let owner = metadata.uid();
    let of_a_person = every.iter().find(|account| account.user_id == owner && owner != foreign::ROOT);
    if let Some(account) = of_a_person {
        findings.about(
            &account.name,
            Finding::way_round(
                "agent-directory",
                &state_dir.display().to_string(),
                "the agent's directory belongs to an account that people log in to",
                "they can change the agent, and what it recorded",
                &format!("run the agent as root: chown --recursive root {}", state_dir.display()),
            ),
        );
        return;
    }
    let what = "the agent's directory can be changed or replaced by others";
    check_but(state_dir, owner, "agent-directory", what, findings);
}

fn check(path: &Path, code: &'static str, what: &str, findings: &mut Findings) {
    check_but(path, foreign::ROOT, code, what, findings);
}

/// `also` may change it, too, besides root.
fn check_but(path: &Path, also: u32, code: &'static str, what: &str, findings: &mut Findings) {
    match foreign::check_others_cannot_change(path, also) {
        Ok(()) => {}
        Err(Doubt::WithinReach(why)) => {
            let why = format!("{why}, and so decide what is recorded");
            let close = "chown root and chmod go-w what is named, and every folder on the way to it";
            findings.add(Finding::way_round(code, &path.display().to_string(), what, &why, close));
        }
        Err(Doubt::Unseen(why)) => findings.unchecked(code, &path.display().to_string(), &why),
    }
}
