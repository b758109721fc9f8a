//! Signed anchors that are kept out of reach of anyone who can change both the database and the exported files: they are
//! in a file that only ever grows, with one anchor per line in the format of the exported files. An attacker who
//! restores everything else to an earlier state cannot restore that file, and it then refers to rows that are no longer
//! there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use domain::server_keys::ServerKeys;
use serde::de::IgnoredAny;

use super::anchor::{Anchor, Signed, SignedAnchor};
use super::line::ExportedLine;
use super::log::LINE_LIMIT;
use super::verify::{AuditFault, Findings};

/// Anchors that were read from one file.
#[derive(Debug)]
pub struct KeptAnchors {
    /// The file's name, for findings.
    pub(crate) name: String,
    pub(crate) anchors: Vec<SignedAnchor>,
    torn: u64,
}

impl KeptAnchors {
    /// Reads a file. It skips lines of events, so that an exported file that was shipped can be read too, and also empty
    /// lines and the remains of a line that was cut off.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not a line of an audit log; the error names both the file and the line.
    pub fn read(file: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        let mut reader = BufReader::with_capacity(1 << 16, File::open(file).map_err(named)?);
        let (mut anchors, mut torn, mut text) = (Vec::new(), 0, Vec::new());
        for number in 1_u64.. {
            text.clear();
            if reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text).map_err(named)? == 0 {
                break;
            }
            match ExportedLine::parse(&text) {
                Some(ExportedLine::Anchor(anchor)) => anchors.push(anchor),
                Some(ExportedLine::Event(_)) => {}
                // An earlier version started with an empty line each time.
                None if text.iter().all(u8::is_ascii_whitespace) => {}
                None if is_torn(&text) => torn += 1,
                None => {
                    let why =
                        format!("line {number} is neither an anchor nor any other line of an audit log");
                    return Err(named(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
            }
        }
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, anchors, torn })
    }

    /// How many anchors there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.anchors.len() as u64
    }

    /// How many lines are incomplete, as a loss of power or a full disk leaves them.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// The content of one of them, unless it was forged or damaged.
    pub(crate) fn read_one(
        &self,
        signed: &SignedAnchor,
        keys: Option<&ServerKeys>,
        findings: &mut Findings,
    ) -> Option<(Anchor, Signed)> {
        let standing = signed.check(keys);
        let anchor = signed.read().filter(|_| standing != Signed::No);
        if anchor.is_none() {
            let why = format!("{} is not one that this deployment signed", self.who(signed));
            findings.add(Some(&signed.writer_id), signed.number, AuditFault::Anchor, why);
        }
        anchor.map(|anchor| (anchor, standing))
    }

    /// What findings call one of them.
    pub(crate) fn who(&self, anchor: &SignedAnchor) -> String {
        format!("anchor {} of writer {}, kept in {},", anchor.number, anchor.writer_id, self.name)
    }
}

/// Whether it is the beginning of one of our lines. Such a fragment stays in a file that can only be appended to.
fn is_torn(line: &[u8]) -> bool {
    const HEAD: &[u8] = br#"{"Kind":""#;
    let line = line.trim_ascii_end();
    let begins = HEAD.starts_with(line) || line.starts_with(HEAD);
    begins && serde_json::from_slice::<IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

/// The file that this control plane's anchors are appended to. Nothing in it is ever changed, so that the file may be
/// one that can only be appended to.
#[derive(Debug)]
pub(crate) struct AnchorsFile {
    path: PathBuf,
    /// Whether the file is known to end with a complete line.
    at_line: bool,
}

impl AnchorsFile {
    /// Opens the file, and creates it if it does not exist.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let length = append_to(path)?.metadata()?.len();
        Ok(Self { path: path.to_owned(), at_line: length == 0 || ends_a_line(path, length) })
    }

    /// Appends anchors. They are on stable storage when it returns.
    pub(crate) fn append(&mut self, anchors: Vec<SignedAnchor>) -> io::Result<()> {
        let mut file = append_to(&self.path)?;
        let mut text = String::new();
        // Anything that a failed write left behind must not become part of the next line.
        if !std::mem::replace(&mut self.at_line, false) {
            text.push('\n');
        }
        text.extend(anchors.into_iter().map(|anchor| ExportedLine::Anchor(anchor).to_text()));
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        self.at_line = true;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether the last byte is a line feed. If the file may not be read, that is not known.
fn ends_a_line(path: &Path, length: u64) -> bool {
    let mut last = [0];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut last, length - 1));
    read.is_ok() && last == *b"\n"
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn anchor() -> SignedAnchor {
        SignedAnchor {
            writer_id: "w".to_owned(),
            number: 1,
            at: 1_700_000_000_000,
            text: "head 1".to_owned(),
            key_id: "k".to_owned(),
            signature: "s".to_owned(),
        }
    }

    #[test]
    fn a_line_that_is_no_anchor_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("anchors");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            KeptAnchors::read(&file)
        };
        let line = ExportedLine::Anchor(anchor()).to_text();
        let anchors = read(&format!("{line}\n \n{line}{line}")).unwrap();
        assert_eq!((anchors.count(), anchors.torn()), (3, 0));
        for at in 1..line.len() - 1 {
            let anchors = read(&format!("{line}{}\n{line}", &line[..at])).unwrap();
            assert_eq!((anchors.count(), anchors.torn()), (2, 1), "{at}");
        }
        let changed = line.replace("WriterId", "Writer");
        let no_object = line.replacen('{', "", 1);
        for other in ["torn\n", "{}\n", "{\"Other\":\n", changed.as_str(), no_object.as_str()] {
            let error = read(&format!("{line}\n{other}{line}")).unwrap_err().to_string();
            assert!(
                error.ends_with("anchors: line 3 is neither an anchor nor any other line of an audit log"),
                "{error}"
            );
        }
    }

    #[test]
    fn each_start_goes_on_with_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("anchors");
        let start = || AnchorsFile::open(&file).unwrap().append(vec![anchor()]).unwrap();
        let line = ExportedLine::Anchor(anchor()).to_text();
        start();
        start();
        assert_eq!(fs::read_to_string(&file).unwrap(), line.repeat(2));
        // The remains after a loss of power must not become part of the next line.
        fs::write(&file, &line[..20]).unwrap();
        start();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n{line}", &line[..20]));
    }
}
