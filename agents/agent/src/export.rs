//! `hansard-agent export`: takes a recording out of the spool by hand.

use std::path::Path;

use crate::identity::Identity;
use crate::run::{self, Export};
use crate::say;
use crate::settings::ExportOptions;
use crate::state_directory::StateDirectory;

/// Copies what the spool holds of a recording.
pub(crate) fn export(state_dir: &Path, options: &ExportOptions) -> Result<(), String> {
    let directory = StateDirectory::at(state_dir);
    // So that a mistyped directory is told as such.
    Identity::get(&directory)?;
    let Export { segments, delivered, sealed } = run::export(&directory, &options.token, &options.to)?;
    say(&format!("{segments} segments of {} are in {}", options.token, options.to.display()));
    if delivered > 0 {
        say(&format!(
            "{delivered} segments before them were delivered, and are in the bucket alone: without them nothing is proven"
        ));
    }
    if !sealed {
        say("it is not sealed yet: what was captured since its last segment is in the spool alone");
    }
    Ok(())
}
