//! Commands that are file transfers: the system's own program runs, without the person's shell, and what passes in it is
//! recorded instead of its bytes.

use std::path::{Path, PathBuf};

use agent_protocol::recorder::TransferOrder;
use recording::{Cause, Shortfall, ShortfallKind};
use transfer_observer::{Transfer, classify};

use crate::{account, foreign};

/// The transfer that a shell's text is, if the program that it names is here and nobody but root can have put it there.
/// Everything else runs in the shell, and is recorded as bytes.
///
/// # Errors
/// It is a transfer, and is recorded as bytes all the same.
pub(super) fn find(text: &str, user_id: u32) -> Result<Option<TransferOrder>, Shortfall> {
    // What the file says, which a person cannot change, as their own variable they can.
    let home = text.contains('~').then(|| account::home_in_passwd(user_id)).flatten();
    let home = home.and_then(|home| home.into_os_string().into_string().ok());
    find_in(text, home, Path::exists)
}

fn find_in(
    text: &str,
    home: Option<String>,
    exists: impl Fn(&Path) -> bool,
) -> Result<Option<TransferOrder>, Shortfall> {
    let Some(transfer) = classify(text.as_bytes(), home.as_deref().map(str::as_bytes)) else {
        return Ok(None);
    };
    let Some(program) = transfer.candidates().into_iter().find(|path: &PathBuf| exists(path)) else {
        return Ok(None);
    };
    order_for(text, home, &transfer, program)
}

fn order_for(
    text: &str,
    home: Option<String>,
    transfer: &Transfer,
    program: PathBuf,
) -> Result<Option<TransferOrder>, Shortfall> {
    foreign::check_only_root_can_change(&program).map_err(|why| {
        let reason = format!("the file transfer is recorded as bytes: {why}");
        Shortfall::new(ShortfallKind::DegradedMode, Cause::new("transfer_as_bytes"), reason)
    })?;
    let program = program.into_os_string();
    let words = std::iter::once(program).chain(transfer.arguments());
    let instead = words.map(|word| word.into_string().ok()).collect::<Option<Vec<String>>>();
    Ok(instead.map(|instead| TransferOrder { command: text.to_owned(), instead, home }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_system_s_program_runs_for_a_transfer() {
        let here = |path: &Path| path == Path::new("/usr/bin/env");
        assert_eq!(find_in("scp -t /tmp/x", None, here), Ok(None), "there is none");
        assert_eq!(find("sh -c 'scp -t x'", 0), Ok(None));
        assert_eq!(find("scp -t x; sh", 0), Ok(None));
        if Path::new("/usr/bin/scp").exists() {
            let order = find("scp -t /tmp/x", 0).unwrap().unwrap();
            assert_eq!(order.instead, ["/usr/bin/scp", "-t", "/tmp/x"]);
            let order = find("scp -t ~/x", 0).unwrap().unwrap();
            assert_eq!(order.instead, ["/usr/bin/scp", "-t", "/root/x"]);
            assert_eq!(order.home.as_deref(), Some("/root"));
        }
    }

    #[test]
    fn a_program_that_others_can_change_does_not_run_and_the_ledger_says_so() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let changeable = folder.path().join("scp");
        std::fs::write(&changeable, "").unwrap();
        let transfer = classify(b"scp -t /tmp/x", None).unwrap();
        let shortfall = order_for("scp -t /tmp/x", None, &transfer, changeable).unwrap_err();
        assert_eq!(
            (shortfall.kind, shortfall.cause.as_str()),
            (ShortfallKind::DegradedMode, "transfer_as_bytes")
        );
    }
}
