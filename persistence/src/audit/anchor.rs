//! Anchors: signed statements of how far each chain had come.
//!
//! The signed text is lines, each a word and its values:
//!
//! ```text
//! hansard-audit-anchor-v1
//! writer <writer id> <number of the anchor, from 1> <epoch milliseconds>
//! previous <SHA-256 of the writer's anchor before, or 64 zeros>
//! head <sequence> <chain value>
//! end                                    (only when the writer writes nothing more)
//! other <writer id> <sequence> <chain value>       (any number)
//! pruned <writer id> <sequence> <chain value>      (any number; the last row that was removed, and its chain value)
//! ```
//!
//! An anchor that says what was pruned is written before the rows are removed. Its place in its writer's anchors is signed
//! with it, so that it can be neither copied to another place nor moved forward.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use domain::server_keys::ServerKeys;

use super::chain::Link;
use super::chain::hex_32;

const FIRST_LINE: &str = "hansard-audit-anchor-v1";

/// The content of an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) writer_id: String,
    pub(crate) number: u64,
    pub(crate) at: i64,
    pub(crate) previous: [u8; 32],
    /// The head of the writer's own chain.
    pub(crate) head: Link,
    /// Whether the chain ends there.
    pub(crate) end: bool,
    /// The heads of other writers.
    pub(crate) others: Vec<Claim>,
    /// The last rows of writers that were removed after they had been exported; all rows before them were too.
    pub(crate) pruned: Vec<Claim>,
}

/// The claim that a writer's chain had this value at this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) writer_id: String,
    pub(crate) link: Link,
}

/// An anchor as it is stored and exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedAnchor {
    pub(crate) writer_id: String,
    pub(crate) number: u64,
    pub(crate) at: i64,
    pub(crate) text: String,
    pub(crate) key_id: String,
    /// Lower-case hex.
    pub(crate) signature: String,
}

/// Whether somebody who holds the server keys signed an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    Yes,
    No,
    /// The key is not among the server keys, or there are no server keys to check with.
    KeyUnknown,
}

impl Anchor {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!(
            "{FIRST_LINE}\nwriter {} {} {}\nprevious {}\nhead {} {}\n",
            self.writer_id,
            self.number,
            self.at,
            hex::encode(self.previous),
            self.head.sequence,
            hex::encode(self.head.chain)
        );
        if self.end {
            text.push_str("end\n");
        }
        for (word, claims) in [("other", &self.others), ("pruned", &self.pruned)] {
            for Claim { writer_id, link } in claims {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{word} {writer_id} {} {}", link.sequence, hex::encode(link.chain));
            }
        }
        text
    }

    pub(crate) fn signed(&self, keys: &ServerKeys) -> SignedAnchor {
        let text = self.to_text();
        let signer = keys.audit_signer();
        SignedAnchor {
            writer_id: self.writer_id.clone(),
            number: self.number,
            at: self.at,
            key_id: signer.key_id().to_owned(),
            signature: hex::encode(signer.sign(text.as_bytes())),
            text,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().peekable();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut writer = lines.next()?.strip_prefix("writer ")?.split(' ');
        let (writer_id, number, at) =
            (writer.next()?.to_owned(), writer.next()?.parse().ok()?, writer.next()?.parse().ok()?);
        let previous = hex_32(lines.next()?.strip_prefix("previous ")?)?;
        let head = link(lines.next()?.strip_prefix("head ")?)?;
        let end = lines.next_if(|line| *line == "end").is_some();
        let (mut others, mut pruned) = (Vec::new(), Vec::new());
        for line in lines {
            let (word, rest) = line.split_once(' ')?;
            let (writer_id, rest) = rest.split_once(' ')?;
            let claim = Claim { writer_id: writer_id.to_owned(), link: link(rest)? };
            match word {
                "other" => others.push(claim),
                "pruned" => pruned.push(claim),
                _ => return None,
            }
        }
        let anchor = Self { writer_id, number, at, previous, head, end, others, pruned };
        // An anchor has exactly one text, so that nothing can be hidden in a different spelling.
        (anchor.to_text() == text).then_some(anchor)
    }
}

impl SignedAnchor {
    /// The hash by which the next anchor of the same writer refers to this one.
    pub(crate) fn hash(&self) -> [u8; 32] {
        digest(&SHA256, self.text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The content of the anchor; `None` when its text is not an anchor, or disagrees with the columns beside it.
    pub(crate) fn read(&self) -> Option<Anchor> {
        Anchor::parse(&self.text).filter(|anchor| {
            (anchor.writer_id.as_str(), anchor.number, anchor.at)
                == (self.writer_id.as_str(), self.number, self.at)
        })
    }

    pub(crate) fn check(&self, keys: Option<&ServerKeys>) -> Signed {
        let Some(key) = keys.and_then(|keys| keys.audit_public_key(&self.key_id)) else {
            return Signed::KeyUnknown;
        };
        let signature = hex::decode(&self.signature).unwrap_or_default();
        let verified = UnparsedPublicKey::new(&ED25519, key).verify(self.text.as_bytes(), &signature);
        if verified.is_ok() { Signed::Yes } else { Signed::No }
    }
}

fn link(text: &str) -> Option<Link> {
    let (sequence, chain) = text.split_once(' ')?;
    Some(Link { sequence: sequence.parse().ok()?, chain: hex_32(chain)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_reads_back_and_only_its_signer_made_it() {
        let keys = ServerKeys::generate().unwrap();
        let link = |sequence, byte| Link { sequence, chain: [byte; 32] };
        let claim =
            |writer: &str, sequence, byte| Claim { writer_id: writer.repeat(32), link: link(sequence, byte) };
        for (end, others, pruned) in [
            (false, vec![], vec![]),
            (true, vec![claim("b", 9, 9)], vec![]),
            (false, vec![claim("b", 9, 9)], vec![claim("a", 3, 4), claim("b", 5, 6)]),
        ] {
            let (head, previous) = (link(7, 1), [3; 32]);
            let writer_id = "a".repeat(32);
            let anchor = Anchor { writer_id, number: 2, at: -5, previous, head, end, others, pruned };
            let signed = anchor.signed(&keys);
            assert_eq!(signed.read(), Some(anchor));
            assert_eq!(signed.check(Some(&keys)), Signed::Yes);
            assert_eq!(signed.check(None), Signed::KeyUnknown);
            assert_eq!(signed.check(Some(&ServerKeys::generate().unwrap())), Signed::KeyUnknown);
            let forged = SignedAnchor { text: signed.text.replace("head 7", "head 8"), ..signed.clone() };
            assert_eq!(forged.check(Some(&keys)), Signed::No);
            let moved = SignedAnchor { number: 3, ..signed.clone() };
            assert_eq!(moved.read(), None);
            let spelled = SignedAnchor { text: signed.text.replace("head 7", "head +7"), ..signed };
            assert_eq!(spelled.read(), None);
        }
    }
}
