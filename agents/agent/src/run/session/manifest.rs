//! A session's manifest and its signature, once it has ended.

use std::fs;
use std::io;

use recording::SealedManifest;
use recording::sealing::SIGNATURE_BYTES;

use super::Session;
use crate::durable;
use crate::state_directory::PRIVATE_MODE;

pub(super) const MANIFEST: &str = "manifest-0000.json";
const SIGNATURE: &str = "manifest-0000.sig";

impl Session {
    /// The manifest and its signature, once made. Both or none: the signature is written first.
    pub(in crate::run) fn find_manifest(&self) -> io::Result<Option<SealedManifest>> {
        let Some(bytes) = durable::find(&self.folder.join(MANIFEST))? else { return Ok(None) };
        let signature: [u8; SIGNATURE_BYTES] = fs::read(self.folder.join(SIGNATURE))?
            .try_into()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the signature has another length"))?;
        Ok(Some(SealedManifest { bytes, signature }))
    }

    /// Keeps the manifest.
    pub(in crate::run) fn keep_manifest(&self, sealed: &SealedManifest) -> io::Result<()> {
        durable::write(&self.folder.join(SIGNATURE), &sealed.signature, PRIVATE_MODE)?;
        durable::write(&self.folder.join(MANIFEST), &sealed.bytes, PRIVATE_MODE)
    }
}
