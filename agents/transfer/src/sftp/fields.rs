//! The fields of a packet.

use super::Wrong;

const CUT_OFF: Wrong = "a packet is cut off";

/// Reads the fields of a packet, one after the other.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Wrong> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Wrong> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Result<u32, Wrong> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<u64, Wrong> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(text)
    }
}

/// What of a file's attributes a packet sets, in version 3.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) permissions: Option<u32>,
    pub(super) modified: Option<u32>,
}

impl Attributes {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Wrong> {
        let flags = fields.number()?;
        let has = |flag: u32| flags & flag != 0;
        let mut attributes = Attributes::default();
        if has(1) {
            attributes.size = Some(fields.long()?);
        }
        if has(2) {
            attributes.owner = Some((fields.number()?, fields.number()?));
        }
        if has(4) {
            attributes.permissions = Some(fields.number()?);
        }
        if has(8) {
            fields.number()?;
            attributes.modified = Some(fields.number()?);
        }
        Ok(attributes)
    }

    /// The permissions as they are usually written.
    pub(super) fn mode(&self) -> Option<String> {
        self.permissions.map(|permissions| format!("{:04o}", permissions & 0o7777))
    }
}
