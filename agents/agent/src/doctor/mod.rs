//! `hansard-agent doctor`: names every way round the recording that this instance's sshd, accounts and files leave open, and
//! the setting that closes it. It changes nothing.

mod accounts;
mod files;
mod finding;
mod jobs;
mod logins;
mod patterns;
mod report;
mod sshd;
mod variables;

use std::path::Path;
use std::process::ExitCode;

use crate::account;
use crate::complain;
use crate::settings::{DoctorOptions, Settled};

use accounts::Account;
use files::Files;
use finding::{Findings, Severity};
use logins::Recorded;

/// Nothing was found.
const CLOSED: u8 = 0;
/// There are ways round.
const OPEN: u8 = 1;
/// Something could not be looked at, and no way round was found in the rest.
const UNCHECKED: u8 = 2;

/// Looks, prints what it found, and says with its exit code what that means.
pub(crate) fn doctor(settled: Result<Settled, String>, options: &DoctorOptions) -> ExitCode {
    let findings = look(settled, options.sshd_config.as_deref());
    if let Err(why) = report::print(&findings, options.output) {
        complain(&why);
        return ExitCode::from(UNCHECKED);
    }
    ExitCode::from(match findings.worst() {
        Some(Severity::WayRound) => OPEN,
        Some(Severity::Unchecked) => UNCHECKED,
        Some(Severity::Note) | None => CLOSED,
    })
}

fn look(settled: Result<Settled, String>, sshd_config: Option<&Path>) -> Findings {
    let mut findings = Findings::default();
    let state_dir = match settled {
        Ok(settled) => Some(settled.state_dir),
        Err(why) => {
            findings.unchecked("settings", "the settings", &why);
            None
        }
    };
    let listed = account::every();
    if !account::are_all_listed(&listed) {
        let what =
            "accounts come from a service that does not list them; only those of passwd were looked at";
        findings.unchecked("accounts", "/etc/nsswitch.conf", what);
    }
    let every: Vec<Account> = listed.into_iter().filter_map(Account::that_can_log_in).collect();
    if every.is_empty() {
        findings.unchecked("accounts", "/etc/passwd", "no account with a login shell can be read there");
    }
    let recorded: Vec<Recorded> = match sshd::Sshd::find(sshd_config) {
        Ok(Some(sshd)) => {
            let recorded = logins::look(&every, &sshd, &mut findings);
            Files { accounts: &every, findings: &mut findings }.look_at_configuration(&sshd);
            recorded
        }
        Ok(None) => {
            findings.note(
                "no-sshd",
                "sshd",
                "there is no sshd here, so nobody logs in through one",
                "only login shells were looked at",
                "nothing",
            );
            logins::without_sshd(&every, &mut findings)
        }
        Err(why) => {
            findings.unchecked("sshd", "sshd -T", &why);
            logins::without_sshd(&every, &mut findings)
        }
    };
    accounts::look_at_changing_shells(&recorded, &mut findings);
    jobs::look(&recorded, &mut findings);
    let mut files = Files { accounts: &every, findings: &mut findings };
    files.look_at_installed(&recorded);
    if let Some(state_dir) = &state_dir {
        files.look_at_state_directory(state_dir);
    }
    findings
}
