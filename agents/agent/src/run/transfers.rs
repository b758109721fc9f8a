//! Commands that are file transfers: the system's own program runs, without the person's shell, and what passes in it is
//! recorded instead of its bytes.

use std::path::{Path, PathBuf};

use agent_protocol::recorder::TransferOrder;
use transfer_observer::classify;

use crate::foreign;

/// The transfer that a shell's text is, if the program that it names is here and nobody but root can have put it there.
/// Everything else runs in the shell, and is recorded as bytes.
pub(super) fn find(text: &str) -> Option<TransferOrder> {
    find_in(text, Path::exists)
}

fn find_in(text: &str, exists: impl Fn(&Path) -> bool) -> Option<TransferOrder> {
    let transfer = classify(text.as_bytes())?;
    let program: PathBuf = transfer.candidates().into_iter().find(|path| exists(path))?;
    if let Err(why) = foreign::check_only_root_can_change(&program) {
        tracing::warn!("a file transfer is recorded as bytes: {why}");
        return None;
    }
    let program = program.into_os_string();
    let words = std::iter::once(program).chain(transfer.arguments());
    let instead = words.map(|word| word.into_string().ok()).collect::<Option<Vec<String>>>()?;
    Some(TransferOrder { command: text.to_owned(), instead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_system_s_program_runs_for_a_transfer() {
        let here = |path: &Path| path == Path::new("/usr/bin/env");
        assert_eq!(find_in("scp -t /tmp/x", here), None, "there is none");
        assert_eq!(find("sh -c 'scp -t x'"), None);
        assert_eq!(find("scp -t x; sh"), None);
        if Path::new("/usr/bin/scp").exists() {
            let order = find("scp -t /tmp/x").unwrap();
            assert_eq!(order.instead, ["/usr/bin/scp", "-t", "/tmp/x"]);
        }
    }
}
