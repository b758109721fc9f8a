//! What the spool holds of a recording, in the layout that its readers know.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use recording::{EvidenceName, TerminalSessionToken};

use super::folder::DAMAGED_PREFIX;
use super::{MANIFEST, START, Session};
use crate::durable;
use crate::state_directory::{PRIVATE_MODE, StateDirectory};

/// What was exported.
pub(crate) struct Export {
    /// Segments.
    pub(crate) segments: usize,
    /// Segments that are not here any more, because they were delivered.
    pub(crate) delivered: u32,
    /// Whether the manifest is among it.
    pub(crate) sealed: bool,
}

/// Copies what there is of a recording into a new folder. An agent may run meanwhile: what it delivers in this moment is
/// left out and counted.
pub(crate) fn export(
    directory: &StateDirectory,
    token: &TerminalSessionToken,
    to: &Path,
) -> Result<Export, String> {
    let folder = find(directory, token)
        .map_err(|error| format!("{} cannot be read: {error}", directory.path().display()))?
        .ok_or_else(|| {
            format!("there is no recording {token} in the spool; `hansard-agent status` lists what there is")
        })?;
    let session = Session::open(&folder)?;
    session.export_to(to).map_err(|error| format!("{} cannot be written: {error}", to.display()))
}

/// The folder of a recording: in the spool, or where a damaged one was set aside, or the spool of an agent before this.
fn find(directory: &StateDirectory, token: &TerminalSessionToken) -> io::Result<Option<PathBuf>> {
    let mut spools = vec![directory.spool()];
    for entry in fs::read_dir(directory.path())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("spool-before-") {
            spools.push(entry.path());
        }
    }
    let names = [token.to_string(), format!("{DAMAGED_PREFIX}{token}")];
    let folders = spools.iter().flat_map(|spool| names.iter().map(|name| spool.join(name)));
    Ok(folders.into_iter().find(|folder| folder.is_dir()))
}

impl Session {
    fn export_to(&self, to: &Path) -> io::Result<Export> {
        let mut folders = DirBuilder::new();
        // It must be new: nothing that lies there is mixed with it or replaced.
        folders.mode(0o700).create(to)?;
        let mut export = Export { segments: 0, delivered: 0, sealed: false };
        for spool in &self.spools {
            for record in spool.cut_records()? {
                let bytes = match spool.segment_bytes(&record) {
                    Ok(bytes) => bytes,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        export.delivered += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let segment = EvidenceName::Segment { stream: record.stream, number: record.entry.number };
                let path = to.join(segment.to_string());
                if let Some(parent) = path.parent() {
                    DirBuilder::new().mode(0o700).recursive(true).create(parent)?;
                }
                durable::write(&path, &bytes, PRIVATE_MODE)?;
                export.segments += 1;
            }
        }
        if let Some(sealed) = self.find_manifest()? {
            durable::write(&to.join(MANIFEST), &sealed.bytes, PRIVATE_MODE)?;
            let signature = EvidenceName::ManifestSignature(0).to_string();
            durable::write(&to.join(signature), &sealed.signature, PRIVATE_MODE)?;
            export.sealed = true;
        }
        // Last: without it nobody takes half of a copy for a recording.
        durable::write(&to.join(START), &self.start_document, PRIVATE_MODE)?;
        Ok(export)
    }
}
