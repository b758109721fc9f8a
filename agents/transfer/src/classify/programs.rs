//! The programs that transfer files, and the arguments with which each of them does nothing else.

use super::Kind;

/// The program's own name and what it does; `None` where it is unknown or has an argument with which it may do something else.
pub(super) fn known(name: &str, arguments: &[Vec<u8>]) -> Option<(&'static str, Kind)> {
    match name {
        "sftp-server" | "internal-sftp" => sftp(arguments).then_some(("sftp-server", Kind::Sftp)),
        "scp" => scp(arguments).map(|kind| ("scp", kind)),
        "rsync" => rsync(arguments).then_some(("rsync", Kind::Rsync)),
        "git" => {
            let (command, rest) = arguments.split_first()?;
            let is_known = matches!(&command[..], b"upload-pack" | b"receive-pack" | b"upload-archive");
            (is_known && git(rest)).then_some(("git", Kind::Git))
        }
        _ => {
            let programs = ["git-upload-pack", "git-receive-pack", "git-upload-archive"];
            let program = programs.into_iter().find(|known| *known == name)?;
            git(arguments).then_some((program, Kind::Git))
        }
    }
}

/// Options that set how it logs, where it begins and what it refuses. With `-h` and `-Q` it prints a text instead.
fn sftp(arguments: &[Vec<u8>]) -> bool {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let is_known = match &argument[..] {
            b"-e" | b"-R" | b"-eR" | b"-Re" => true,
            b"-f" | b"-l" | b"-d" | b"-u" | b"-P" | b"-p" => arguments.next().is_some(),
            _ => false,
        };
        if !is_known {
            return false;
        }
    }
    true
}

/// As the far end of another scp: with `-t` or `-f` and the flags that go with them. Other options, among them `-S` and `-o`,
/// name programs.
fn scp(arguments: &[Vec<u8>]) -> Option<Kind> {
    let (mut receives, mut sends, mut is_folder) = (false, false, false);
    let mut operands = arguments;
    while let Some((argument, rest)) = operands.split_first() {
        let Some(flags) = argument.strip_prefix(b"-").filter(|flags| !flags.is_empty()) else { break };
        operands = rest;
        if flags == b"-" {
            break;
        }
        for flag in flags {
            match flag {
                b't' => receives = true,
                b'f' => sends = true,
                b'd' => is_folder = true,
                b'r' | b'p' | b'v' | b'q' => {}
                _ => return None,
            }
        }
    }
    match (receives, sends, operands) {
        (true, false, [target]) => Some(Kind::ScpTo { target: target.clone(), is_folder }),
        (false, true, [_, ..]) => Some(Kind::ScpFrom { files: operands.to_vec() }),
        _ => None,
    }
}

/// The long options that a client hands to the far end, as rrsync has them, without `daemon` (its configuration can run
/// programs).
const RSYNC_OPTIONS: &[&str] = &[
    "append",
    "backup-dir",
    "block-size",
    "bwlimit",
    "checksum-choice",
    "checksum-seed",
    "compare-dest",
    "compress-choice",
    "compress-level",
    "copy-dest",
    "copy-unsafe-links",
    "debug",
    "delay-updates",
    "delete",
    "delete-after",
    "delete-before",
    "delete-delay",
    "delete-during",
    "delete-excluded",
    "delete-missing-args",
    "existing",
    "fake-super",
    "files-from",
    "force",
    "from0",
    "fsync",
    "fuzzy",
    "group",
    "groupmap",
    "hard-links",
    "iconv",
    "ignore-errors",
    "ignore-existing",
    "ignore-missing-args",
    "ignore-times",
    "info",
    "inplace",
    "link-dest",
    "links",
    "list-only",
    "log-format",
    "max-alloc",
    "max-delete",
    "max-size",
    "min-size",
    "mkpath",
    "modify-window",
    "msgs2stderr",
    "munge-links",
    "new-compress",
    "no-W",
    "no-implied-dirs",
    "no-msgs2stderr",
    "no-munge-links",
    "no-r",
    "no-relative",
    "no-specials",
    "numeric-ids",
    "old-compress",
    "one-file-system",
    "open-noatime",
    "owner",
    "partial",
    "partial-dir",
    "perms",
    "preallocate",
    "recursive",
    "remove-sent-files",
    "remove-source-files",
    "safe-links",
    "sender",
    "size-only",
    "skip-compress",
    "specials",
    "stats",
    "stderr",
    "suffix",
    "super",
    "temp-dir",
    "timeout",
    "times",
    "use-qsort",
    "usermap",
    "append-verify",
];

/// As the far end of another rsync: `--server` first, as every client sends it, and at least two operands (a dot, and a path).
/// With `-s` further arguments come on its input, where `--daemon` could be among them.
fn rsync(arguments: &[Vec<u8>]) -> bool {
    let Some((first, rest)) = arguments.split_first() else { return false };
    if first != b"--server" {
        return false;
    }
    let operands = rest.iter().position(|argument| !argument.starts_with(b"-")).unwrap_or(rest.len());
    let (options, operands) = rest.split_at(operands);
    let are_known = options.iter().all(|option| match option.strip_prefix(b"--") {
        Some(long) => {
            let name = long.split(|byte| *byte == b'=').next().unwrap_or_default();
            RSYNC_OPTIONS.iter().any(|known| known.as_bytes() == name)
        }
        // What stands behind `e` says what both ends can do.
        None => option[1..]
            .split(|flag| *flag == b'e')
            .next()
            .unwrap_or_default()
            .iter()
            .all(|flag| flag.is_ascii_alphanumeric() && !matches!(flag, b's' | b'M')),
    });
    // An operand that looks like an option is read as one, wherever it stands.
    are_known && operands.len() >= 2 && operands.iter().all(|operand| !operand.starts_with(b"-"))
}

fn git(arguments: &[Vec<u8>]) -> bool {
    let Some((repository, options)) = arguments.split_last() else { return false };
    let is_known = |option: &Vec<u8>| {
        matches!(&option[..], b"--strict" | b"--no-strict") || option.starts_with(b"--timeout=")
    };
    !repository.is_empty() && !repository.starts_with(b"-") && options.iter().all(is_known)
}
