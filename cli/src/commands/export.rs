//! `hansard recordings export`: a recording in a file.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use reqwest::Response;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::playing::{ended_early, goes_on, note_ledger, note_recorder, playing};
use super::replay_session::ReplaySession;
use crate::arguments::{ExportArguments, ExportFormat};
use crate::client::Client;
use crate::failure::Failure;
use crate::terminal;
use recording::sanitise::{sanitised_json, sanitised_lines};

/// Writes the recording, completely or not at all.
///
/// # Errors
/// The server refuses, or the file cannot be written.
pub(super) async fn write_export(client: &Client, wanted: &ExportArguments) -> Result<(), Failure> {
    if let Some(file) = wanted.out.as_ref().filter(|file| !wanted.force && file.exists()) {
        return Err(exists_already(file));
    }
    let session = ReplaySession::open(client, &wanted.recording).await?;
    let below = match wanted.format {
        ExportFormat::Cast => "cast",
        ExportFormat::Txt => "text",
        ExportFormat::Events => "events",
    };
    match &wanted.out {
        Some(file) => download(&session, below, file, wanted.force).await,
        None => {
            let reply = playing(&session, below).await?;
            note_what_it_is(&reply);
            let bytes = reply.bytes().await.map_err(|error| ended_early(&session, &error))?;
            if !std::io::stdout().is_terminal() {
                return terminal::print_bytes(&bytes);
            }
            let text = String::from_utf8_lossy(&bytes);
            match wanted.format {
                ExportFormat::Cast | ExportFormat::Events => terminal::print(&sanitised_json(&text)),
                ExportFormat::Txt => terminal::print(&sanitised_lines(&text.replace("\r\n", "\n"))),
            }
        }
    }
}

/// Says who captured it, what it lacks, and whether there will be more.
fn note_what_it_is(reply: &Response) {
    note_recorder(reply);
    note_ledger(reply);
    if goes_on(reply) {
        terminal::note(
            "the recorded session is still running: this is what has arrived so far, and not the whole; export it again \
             when it has ended",
        );
    }
}

/// Writes a temporary file and renames it at the end, so that an incomplete download replaces nothing.
async fn download(
    session: &ReplaySession<'_>,
    below: &str,
    file: &Path,
    replace: bool,
) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("{} cannot be written: {error}", file.display()));
    let name = file.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", file.display())))?;
    let mut partial = name.to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = file.with_file_name(partial);
    let mut reply = playing(session, below).await?;
    note_what_it_is(&reply);
    let mut out = File::create_new(&partial).await.map_err(failed)?;
    let written = async {
        while let Some(piece) = reply.chunk().await.map_err(|error| ended_early(session, &error))? {
            out.write_all(&piece).await.map_err(failed)?;
        }
        out.sync_all().await.map_err(failed)?;
        match name_it(&partial, file, replace) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists_already(file)),
            named => named.map_err(failed),
        }
    }
    .await;
    if written.is_err() {
        remove(&partial).await;
    }
    written
}

fn exists_already(file: &Path) -> Failure {
    Failure::failed(format!("{} exists already; --force replaces it", file.display()))
}

/// Gives the finished file its name.
fn name_it(partial: &Path, file: &Path, replace: bool) -> std::io::Result<()> {
    if replace {
        return std::fs::rename(partial, file);
    }
    // A link, unlike a rename, does not replace. Some file systems have none.
    match std::fs::hard_link(partial, file) {
        Ok(()) => std::fs::remove_file(partial),
        Err(error) if error.kind() == ErrorKind::AlreadyExists || file.exists() => {
            Err(ErrorKind::AlreadyExists.into())
        }
        Err(_) => std::fs::rename(partial, file),
    }
}

/// Removes an incomplete file. A failure to do so is not worth a second error.
async fn remove(partial: &PathBuf) {
    let _ = tokio::fs::remove_file(partial).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exported_file_replaces_another_only_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let (partial, file) = (folder.path().join("a.partial"), folder.path().join("a"));
        std::fs::write(&partial, "one").unwrap();
        name_it(&partial, &file, false).unwrap();
        std::fs::write(&partial, "two").unwrap();
        assert_eq!(name_it(&partial, &file, false).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        name_it(&partial, &file, true).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
        assert!(!partial.exists());
    }
}
