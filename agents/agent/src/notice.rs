//! What a person is told before the first prompt: on the terminal if there is one, and otherwise on standard error.

use std::io::{self, Write as _};

use recording::TerminalSessionToken;
use recording::sanitise::sanitised;

/// How a line of this program's own begins.
const OURS: &str = "hansard-agent: ";

/// The notice of a recorded session: a text of the configuration, which may be empty, or this program's own.
pub(crate) fn of_recorded(text: Option<&str>, token: &TerminalSessionToken) -> Option<String> {
    match text {
        None => Some(format!("{OURS}recording this session as {token}")),
        Some("") => None,
        Some(text) => Some(sanitised(text).into_owned()),
    }
}

/// That a session is not recorded, and why.
pub(crate) fn of_unrecorded(reason: &str) -> String {
    format!("{OURS}not recorded: {}", sanitised(reason))
}

/// Shows a line, if there is somebody to see it: programs that transfer files talk to a program at the other end, which need
/// not expect one. A failure to show it cannot be reported.
pub(crate) fn show(line: &str, ssh_command: Option<&str>) {
    let line = format!("{line}\n");
    if show_on_terminal(&line) || ssh_command.is_some_and(is_transfer) {
        return;
    }
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether one of the standard descriptors is a terminal that took the line.
fn show_on_terminal(line: &str) -> bool {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    // The terminal behind standard input is usually open for writing, too.
    rustix::termios::isatty(&errors) && write(&errors, line)
        || rustix::termios::isatty(&output) && write(&output, line)
        || rustix::termios::isatty(&input) && write(&input, line)
}

fn write(terminal: impl rustix::fd::AsFd, line: &str) -> bool {
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(&terminal, rest) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Whether a command that came over SSH is the far end of scp, sftp, rsync or git, and nothing else that a shell would run.
fn is_transfer(command: &str) -> bool {
    if command.contains([';', '&', '|', '\n', '\r', '`', '$', '(', ')', '<', '>']) {
        return false;
    }
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    let Some((program, arguments)) = words.split_first() else { return false };
    let has = |options: &[&str]| arguments.iter().any(|argument| options.contains(argument));
    match program.rsplit('/').next().unwrap_or(program) {
        "sftp-server" | "internal-sftp" | "git-upload-pack" | "git-receive-pack" | "git-upload-archive" => {
            true
        }
        "scp" => has(&["-t", "-f"]),
        "rsync" => has(&["--server"]),
        "git" => matches!(arguments.first(), Some(&("upload-pack" | "receive-pack" | "upload-archive"))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_the_configurations_or_our_own_or_none() {
        let token = TerminalSessionToken::generate();
        assert_eq!(
            of_recorded(None, &token),
            Some(format!("hansard-agent: recording this session as {token}"))
        );
        assert_eq!(of_recorded(Some(""), &token), None);
        assert_eq!(of_recorded(Some("Mind: ä"), &token).as_deref(), Some("Mind: ä"));
        assert_eq!(of_recorded(Some("a\u{1b}[2J"), &token).as_deref(), Some("a\\u{1b}[2J"));
    }

    #[test]
    fn the_far_ends_of_transfers_are_known() {
        for transfer in [
            "scp -t /tmp",
            "scp -v -r -f x",
            "/usr/lib/openssh/sftp-server",
            "internal-sftp -l INFO",
            "rsync --server -logDtpre.iLsfxC . /tmp",
            "git-upload-pack '/a/b.git'",
            "git-receive-pack 'b'",
            "git upload-pack 'b'",
        ] {
            assert!(is_transfer(transfer), "{transfer}");
        }
        for other in [
            "",
            "scp -t x; bash -i",
            "scp x -f\nsh",
            "git upload-pack x && sh",
            "rsync --server $(sh)",
            "scp a b",
            "rsync a b",
            "git log upload-pack",
            "bash -c scp",
            "cat sftp-server",
            "uptime",
        ] {
            assert!(!is_transfer(other), "{other}");
        }
    }
}
