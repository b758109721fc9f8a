//! The files that the tools read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use policies::Draft;

use crate::failure::Failure;

/// The most bytes of a policy that are read; no valid policy is larger.
pub(crate) const DOCUMENT_LIMIT: u64 = 1024 * 1024;

/// The most bytes of a file of cases or contexts that are read.
pub(crate) const CASES_LIMIT: u64 = 64 * 1024 * 1024;

/// Reads a file of at most `limit` bytes; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is larger.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let cannot = |error: io::Error| Failure::usage(format!("{} cannot be read: {error}", name(path)));
    let bytes = if is_standard_input(path) {
        bounded(io::stdin().lock(), limit)
    } else {
        File::open(path).and_then(|file| bounded(file, limit))
    };
    bytes.map_err(cannot)?.ok_or_else(|| {
        Failure::usage(format!("{} has more than {limit} bytes, which is too large", name(path)))
    })
}

/// Reads a document, under the name that messages give it.
///
/// # Errors
/// As [`read`].
pub(crate) fn draft(path: &Path) -> Result<Draft, Failure> {
    Ok(Draft { name: name(path), text: read(path, DOCUMENT_LIMIT)? })
}

/// How messages call the file.
pub(crate) fn name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Whether standard input is meant.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Everything, or `None` when there is more than `limit`.
fn bounded(source: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}
