//! How each account's logins are recorded, and what goes round that.

use std::path::Path;

use super::accounts::{Account, StartUp};
use super::finding::{Finding, Findings, Severity};
use super::patterns;
use super::sshd::{Effective, Sshd};
use super::variables;
use crate::{account, login_shell};

const AGENT: &str = "hansard-agent";
const FORCED_SUBCOMMAND: &str = "shell";
const INTERNAL_SFTP: &str = "internal-sftp";
const ROOT: u32 = 0;

/// What makes an account's sessions recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    LoginShell,
    ForceCommand,
    Nothing,
}

/// An account, and what makes its sessions recorded.
pub(crate) struct Recorded {
    pub(crate) account: Account,
    pub(crate) how: How,
    /// The program that its ForceCommand names, if that is ours.
    pub(crate) forced_program: Option<String>,
}

/// The accounts of an instance that nobody enters by sshd.
pub(crate) fn without_sshd(every: &[Account], findings: &mut Findings) -> Vec<Recorded> {
    let judge = |account: &Account| {
        let how = if login_shell::is_this_program(&account.shell) { How::LoginShell } else { How::Nothing };
        // Root decides who is recorded.
        if how == How::Nothing && account.user_id != ROOT {
            not_recorded(account, findings);
        }
        Recorded { account: account.clone(), how, forced_program: None }
    };
    every.iter().map(judge).collect()
}

/// Asks sshd about every account.
pub(crate) fn look(every: &[Account], sshd: &Sshd, findings: &mut Findings) -> Vec<Recorded> {
    for place in sshd.matches_of_other_kinds() {
        findings.unchecked("match", &place, "what holds there depends on more than account and address");
    }
    let of_all = (!sshd.has_matches()).then(|| sshd.effective());
    let mut recorded = Vec::new();
    for account in every {
        let effective = match &of_all {
            Some(of_all) => of_all.clone().map(|effective| vec![effective]),
            None => sshd.effective_for(&account.name),
        };
        let effective = match effective {
            Ok(effective) => effective,
            Err(why) => {
                findings.unchecked("sshd", "sshd -T", &why);
                Vec::new()
            }
        };
        let mut login = Login { account, sshd, findings };
        let how = effective.iter().map(|effective| login.judge(effective)).collect::<Vec<_>>();
        recorded.push(Recorded {
            account: account.clone(),
            how: worst(&how),
            forced_program: effective.iter().find_map(forced_program),
        });
    }
    recorded
}

fn worst(how: &[How]) -> How {
    [How::Nothing, How::ForceCommand]
        .into_iter()
        .find(|worse| how.contains(worse))
        .or(how.first().copied())
        .unwrap_or(How::Nothing)
}

/// The program of a ForceCommand that records.
fn forced_program(effective: &Effective) -> Option<String> {
    of_forced_command(effective.value("forcecommand"))
}

fn of_forced_command(command: &str) -> Option<String> {
    // The account's shell reads it: with any of these it may be more than one program.
    if command.contains([';', '|', '&', '$', '`', '<', '>', '(', ')', '\\', '#']) {
        return None;
    }
    let mut words = command.split_whitespace();
    let program = words.next()?;
    let name = Path::new(program).file_name()?;
    if name == login_shell::NAME {
        return Some(program.to_owned());
    }
    if name != AGENT && !login_shell::is_this_program(Path::new(program)) {
        return None;
    }
    let subcommand = loop {
        let word = words.next()?;
        if !word.starts_with("--") {
            break word;
        }
        if !word.contains('=') {
            words.next();
        }
    };
    (subcommand == FORCED_SUBCOMMAND).then(|| program.to_owned())
}

fn not_recorded(account: &Account, findings: &mut Findings) {
    findings.about(
        &account.name,
        Finding::way_round(
            "other-login-shell",
            "/etc/passwd",
            "accounts have another login shell, and no ForceCommand that records",
            "nothing of what they do after a login is recorded",
            &format!("usermod --shell /usr/local/bin/{} NAME", login_shell::NAME),
        ),
    );
}

struct Login<'l> {
    account: &'l Account,
    sshd: &'l Sshd,
    findings: &'l mut Findings,
}

impl Login<'_> {
    fn judge(&mut self, effective: &Effective) -> How {
        let may_enter = may_enter(self.account, effective);
        let how = if login_shell::is_this_program(&self.account.shell) {
            How::LoginShell
        } else if forced_program(effective).is_some() {
            How::ForceCommand
        } else {
            How::Nothing
        };
        if how == How::Nothing {
            // Root on the console decides who is recorded; over SSH it is a person like others.
            if self.account.user_id != ROOT {
                not_recorded(self.account, self.findings);
            } else if may_enter {
                self.finding(
                    Severity::WayRound,
                    ("root-login", "permitrootlogin", effective),
                    "root may log in over SSH, and is not recorded then",
                    "whoever has root's key or password leaves no recording",
                    "PermitRootLogin no",
                );
            }
            return how;
        }
        if may_enter {
            self.look_at_sftp(how, effective);
            self.look_at_start_up(how);
            self.look_at_variables(effective);
            self.look_at_user_rc(how, effective);
            self.look_at_forwarding(effective);
        }
        how
    }

    fn finding(
        &mut self,
        severity: Severity,
        (code, keyword, effective): (&'static str, &str, &Effective),
        what: &str,
        why: &str,
        close: &str,
    ) {
        let place = self.sshd.place(keyword, effective.value(keyword));
        self.findings.about(&self.account.name, Finding::new(severity, code, &place, what, why, close));
    }

    fn look_at_sftp(&mut self, how: How, effective: &Effective) {
        let is_forced = effective.value("forcecommand").split_whitespace().next() == Some(INTERNAL_SFTP);
        if is_forced {
            self.finding(
                Severity::WayRound,
                ("forced-internal-sftp", "forcecommand", effective),
                "sshd itself serves files instead of every command",
                "no login shell is started, so that nothing records what is copied",
                "remove this ForceCommand",
            );
        }
        let subsystems = effective.all("subsystem").iter();
        let Some(internal) = subsystems
            .into_iter()
            .find(|subsystem| subsystem.split_whitespace().nth(1) == Some(INTERNAL_SFTP))
        else {
            return;
        };
        let place = self.sshd.place("subsystem", internal);
        let close = "Subsystem sftp /usr/lib/openssh/sftp-server";
        let finding = match how {
            _ if is_forced => return,
            How::LoginShell => Finding::way_round(
                "internal-sftp",
                &place,
                "sshd itself serves sftp",
                "no login shell is started for it, so that nothing records what is copied",
                close,
            ),
            // The ForceCommand runs the system's sftp-server for the word internal-sftp, and records it.
            How::ForceCommand | How::Nothing => return,
        };
        self.findings.about(&self.account.name, finding);
    }

    /// sshd starts a ForceCommand through the account's shell.
    fn look_at_start_up(&mut self, how: How) {
        if how != How::ForceCommand {
            return;
        }
        let (place, what) = match self.account.own_start_up_file() {
            None => return,
            Some(StartUp::File(file)) => (
                file.display().to_string(),
                "the shell that runs the ForceCommand first runs a file of the person's",
            ),
            Some(StartUp::UnknownShell) => (
                format!("/etc/passwd: {}", self.account.shell.display()),
                "it is not known what the shell that runs the ForceCommand runs first",
            ),
        };
        self.findings.about(
            &self.account.name,
            Finding::way_round(
                "start-up-file",
                &place,
                what,
                "that file can do everything, unrecorded, and keep the ForceCommand from being run",
                &format!("usermod --shell /usr/local/bin/{} {}", login_shell::NAME, self.account.name),
            ),
        );
    }

    fn look_at_variables(&mut self, effective: &Effective) {
        if !effective.is("permituserenvironment", "no") {
            self.finding(
                Severity::WayRound,
                ("user-environment", "permituserenvironment", effective),
                "people set variables of their sessions, in ~/.ssh/environment and authorized_keys",
                "the loader and shells obey some of them (LD_PRELOAD, BASH_ENV) before anything is recorded",
                "PermitUserEnvironment no",
            );
        }
        for value in effective.all("acceptenv") {
            for pattern in value.split_whitespace() {
                let Some((variable, obeyed)) = variables::let_in(pattern) else { continue };
                let place = self.sshd.place("acceptenv", pattern);
                self.findings.about(
                    &self.account.name,
                    Finding::way_round(
                        "accept-env",
                        &place,
                        &format!("people may send {variable}"),
                        &format!("{obeyed}, before anything is recorded"),
                        &format!("take {pattern} out of AcceptEnv; LANG and LC_* may stay"),
                    ),
                );
            }
        }
    }

    /// sshd runs it through the account's shell, and not at all beside a ForceCommand of its configuration.
    fn look_at_user_rc(&mut self, how: How, effective: &Effective) {
        if how == How::LoginShell
            && effective.is("forcecommand", "none")
            && effective.is("permituserrc", "yes")
        {
            self.finding(
                Severity::Note,
                ("user-rc", "permituserrc", effective),
                "sshd runs ~/.ssh/rc before each session",
                "it runs through the login shell, and so is a recording of its own beside that of the session",
                "PermitUserRC no",
            );
        }
    }

    fn look_at_forwarding(&mut self, effective: &Effective) {
        let has_timeout = !matches!(effective.value("unusedconnectiontimeout"), "none" | "0" | "");
        if !has_timeout {
            self.finding(
                Severity::Note,
                ("no-session", "unusedconnectiontimeout", effective),
                "a connection may have no session (ssh -N)",
                "no shell is started, so that there is no recording; without forwarding it can do nothing",
                "UnusedConnectionTimeout 60",
            );
        }
        if effective.is("disableforwarding", "yes") {
            return;
        }
        let nowhere = effective.is("permitopen", "none") && effective.is("permitlisten", "none");
        let passes_a_shell = "what passes goes through sshd and not through a shell, and is not recorded";
        for (code, keyword, what, close, severity) in [
            (
                "tcp-forwarding",
                "allowtcpforwarding",
                "TCP connections are forwarded (ssh -L, -R, -D, -J)",
                "AllowTcpForwarding no",
                Severity::WayRound,
            ),
            (
                "socket-forwarding",
                "allowstreamlocalforwarding",
                "sockets of this machine are forwarded",
                "AllowStreamLocalForwarding no",
                Severity::WayRound,
            ),
            (
                "tunnel",
                "permittunnel",
                "network interfaces are connected (ssh -w)",
                "PermitTunnel no",
                Severity::WayRound,
            ),
            (
                "x11-forwarding",
                "x11forwarding",
                "windows are shown at the other end (ssh -X)",
                "X11Forwarding no",
                Severity::WayRound,
            ),
            (
                "agent-forwarding",
                "allowagentforwarding",
                "the agent of the other end can be used here (ssh -A)",
                "AllowAgentForwarding no",
                Severity::Note,
            ),
        ] {
            let is_off = effective.is(keyword, "no") || effective.value(keyword).is_empty();
            if is_off || code == "tcp-forwarding" && nowhere {
                continue;
            }
            let close = format!("{close}, or DisableForwarding yes");
            self.finding(severity, (code, keyword, effective), what, passes_a_shell, &close);
        }
    }
}

/// Whether sshd lets the account in, as far as its name and its groups say. Where it cannot be known who is in a group, it
/// does.
fn may_enter(account: &Account, effective: &Effective) -> bool {
    if account.user_id == ROOT && effective.is("permitrootlogin", "no") {
        return false;
    }
    let names_one_of = ["allowgroups", "denygroups"].iter().any(|keyword| !effective.all(keyword).is_empty());
    // Others than these two are not asked for.
    let groups = if names_one_of { account::groups_of(account) } else { Some(Vec::new()) };
    is_let_in(account, groups.as_deref(), effective)
}

/// All four lists must let it in, as sshd has it.
fn is_let_in(account: &Account, groups: Option<&[String]>, effective: &Effective) -> bool {
    let words = |keyword: &str| {
        effective.all(keyword).iter().flat_map(|value| value.split_whitespace()).collect::<Vec<_>>()
    };
    // Who is kept out from some places only may enter, and so may who is let in from some.
    let is_denied = words("denyusers").iter().any(|name| patterns::matches(name, &account.name));
    let allowed = words("allowusers");
    let is_named = |name: &&str| patterns::matches(name.split('@').next().unwrap_or_default(), &account.name);
    let is_allowed = allowed.is_empty() || allowed.iter().any(is_named);
    let by_groups = groups.is_none_or(|groups| {
        let is_in = |pattern: &&str| groups.iter().any(|group| patterns::matches(pattern, group));
        let allowed = words("allowgroups");
        !words("denygroups").iter().any(is_in) && (allowed.is_empty() || allowed.iter().any(is_in))
    });
    is_allowed && !is_denied && by_groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_any_of_the_four_lists_keeps_out_does_not_enter() {
        let ana = Account {
            name: "ana".to_owned(),
            user_id: 7,
            group_id: 7,
            home: "/".into(),
            shell: "/bin/sh".into(),
        };
        let groups = ["ana", "ops-web"].map(str::to_owned);
        for (lists, enters) in [
            ("", true),
            ("allowusers ben\nallowusers an?", true),
            ("allowusers ben", false),
            ("allowusers ana@10.0.0.*", true),
            ("denyusers a*", false),
            ("denyusers ana@10.0.0.*", true),
            ("allowusers ana\ndenyusers ana", false),
            ("allowgroups wheel ops-*", true),
            ("allowgroups wheel", false),
            ("denygroups ops-web", false),
            ("denygroups wheel", true),
            ("allowusers ana\nallowgroups wheel", false),
            ("allowgroups ana\ndenygroups ops-*", false),
        ] {
            assert_eq!(is_let_in(&ana, Some(&groups), &Effective::parse(lists)), enters, "{lists}");
        }
        let unknown = Effective::parse("allowgroups wheel");
        assert!(is_let_in(&ana, None, &unknown), "nobody knows what groups it is in");
    }

    #[test]
    fn a_forced_command_records_if_it_is_the_agents_shell_alone() {
        for records in [
            "/usr/local/bin/hansard-agent shell",
            "/usr/local/bin/hansard-agent --state-dir /srv/a shell",
            "/usr/local/bin/hansard-agent --state-dir=/srv/a shell --wait-for-agent 3s",
            "/usr/local/bin/hansard-shell",
        ] {
            assert!(of_forced_command(records).is_some(), "{records}");
        }
        for other in [
            "none",
            "internal-sftp",
            "/usr/local/bin/hansard-agent record -- shell",
            "/usr/local/bin/hansard-agent --state-dir shell record",
            "/usr/local/bin/hansard-agent shell; bash",
            "/usr/local/bin/hansard-agent shell || exec bash",
            "echo hansard-agent shell",
            "/usr/local/bin/hansard-agent",
        ] {
            assert_eq!(of_forced_command(other), None, "{other}");
        }
    }
}
