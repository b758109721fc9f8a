//! `hansard policy fmt FILE...`

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::json;

use super::files;
use crate::arguments::{FmtArguments, Output};
use crate::failure::{Failure, exit_code};
use crate::terminal;

/// Runs the command and gives its exit code.
///
/// # Errors
/// Standard output or a file cannot be written.
pub(super) fn run(arguments: &FmtArguments, output: Output) -> Result<u8, Failure> {
    let mut exit = 0;
    let mut results = Vec::new();
    for path in &arguments.files {
        if arguments.write && files::is_standard_input(path) {
            return Err(Failure::usage("--write writes files; without it the result of - is printed"));
        }
        match formatted(path, arguments) {
            Ok((before, after)) => {
                let changed = before != after.as_bytes();
                let name = files::name(path);
                if arguments.check && changed {
                    exit = exit.max(exit_code::FAILED);
                }
                if arguments.write && changed {
                    replace(path, &after)
                        .map_err(|error| Failure::failed(format!("{name} cannot be written: {error}")))?;
                }
                results.push((name, changed, after));
            }
            Err(refused) => {
                terminal::complain(&refused);
                exit = refused.exit_code();
            }
        }
    }
    let in_place = arguments.check || arguments.write;
    if output == Output::Json {
        let file = |(name, changed, text): &(String, bool, String)| {
            let mut file = json!({ "File": name, "Changed": changed });
            if !in_place {
                file["PolicyDocument"] = json!(text);
            }
            file
        };
        terminal::print_json(&results.iter().map(file).collect())?;
        return Ok(exit);
    }
    for (name, changed, text) in results {
        match in_place {
            // A formatted document is JSON whose strings have passed the strict reader; what could drive a terminal is
            // shown as JSON writes it.
            false => terminal::print(&recording::sanitise::sanitised_json(&text))?,
            true if changed && arguments.check => terminal::note(&format!("{name} is written otherwise")),
            true if changed => terminal::note(&format!("{name} is written anew")),
            true => {}
        }
    }
    Ok(exit)
}

/// The file's bytes and its canonical form.
fn formatted(path: &Path, arguments: &FmtArguments) -> Result<(Vec<u8>, String), Failure> {
    let draft = files::draft(path)?;
    match policies::format(&draft.text, arguments.kind.into()) {
        Ok(text) => Ok((draft.text, text)),
        Err(refused) => Err(Failure::usage(format!("{}: {refused}", draft.name))),
    }
}

/// Replaces a file, completely or not at all, and keeps its mode. A link stays a link: its target is replaced.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut partial = path.clone().into_os_string();
    partial.push(format!(".{}.partial", std::process::id()));
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).open(&partial)?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, &path)
    })();
    if written.is_err() {
        // The leftover does not matter; the error above does.
        let _ = fs::remove_file(&partial);
    }
    written
}
