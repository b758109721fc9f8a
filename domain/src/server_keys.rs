//! The deployment's own keys (DECISIONS I7): what seals stored secrets, signs tickets and signs the agents'
//! configurations.
//!
//! They are in one small file, outside the database. Each purpose has one current key, which makes new things, and any
//! number of older ones, which still open and verify what they made. This module parses, makes and prints the file's
//! text; the program reads and writes the file.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use recording::{SealingKey, SealingPublicKey};

/// Bytes of every key.
const KEY_BYTES: usize = 32;

/// What a key is for. A key serves one purpose only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Seals secrets that are stored in the database (AES-256-GCM).
    Sealing,
    /// Authenticates what this deployment hands out and takes back: replay tickets, replay sessions, upload grants
    /// (HMAC-SHA256).
    Tickets,
    /// Signs the configurations of agents (Ed25519).
    Configuration,
}

impl Purpose {
    /// Every purpose, in the order of the file.
    pub const ALL: [Self; 3] = [Self::Sealing, Self::Tickets, Self::Configuration];

    /// The purpose's section in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealing => "sealing",
            Self::Tickets => "tickets",
            Self::Configuration => "configuration",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a file of server keys. The message never repeats a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerKeys {
    /// It is not TOML.
    #[error("server keys: line {line} is not valid TOML")]
    Syntax {
        /// The line, from 1.
        line: usize,
    },
    /// A section is missing.
    #[error("server keys: the section [{purpose}] is missing")]
    Missing {
        /// Which.
        purpose: Purpose,
    },
    /// A section or an entry that has no meaning.
    #[error("server keys: {place} is unknown")]
    Unknown {
        /// Where it stands.
        place: String,
    },
    /// An entry that breaks a rule.
    #[error("server keys: {place} must be {rule}")]
    Entry {
        /// Where it stands.
        place: String,
        /// The rule.
        rule: &'static str,
    },
    /// `current` names a key that is not there.
    #[error("server keys: [{purpose}] current names the key {current}, which is not in [{purpose}.keys]")]
    NoSuchCurrent {
        /// Which section.
        purpose: Purpose,
        /// The name.
        current: String,
    },
    /// Two purposes share a key.
    #[error(
        "server keys: [{first}.keys] and [{second}.keys] hold the same key; every key serves one purpose"
    )]
    Shared {
        /// One section.
        first: Purpose,
        /// The other.
        second: Purpose,
    },
}

/// Something sealed could not be opened, or something open could not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealedRefused {
    /// The text was not made by [`ServerKeys::seal`].
    #[error("it does not have the form of a sealed secret")]
    Malformed,
    /// The key that sealed it is not among the server keys.
    #[error("it was sealed with the server key {key_id}, which is not in the file of server keys")]
    UnknownKey {
        /// The key's id.
        key_id: String,
    },
    /// It was altered, or it was sealed for something else.
    #[error("it was altered, or moved here from another place")]
    NotAuthentic,
    /// The operating system's random source failed.
    #[error("the operating system's random source failed")]
    NoRandomness,
}

#[derive(Clone)]
struct Ring {
    current: String,
    keys: BTreeMap<String, [u8; KEY_BYTES]>,
}

impl Ring {
    fn current(&self) -> (&str, &[u8; KEY_BYTES]) {
        let key = self.keys.get(&self.current).expect("checked when it was parsed or made");
        (&self.current, key)
    }
}

/// The deployment's keys. Its `Debug` shows key ids only.
#[derive(Clone)]
pub struct ServerKeys {
    rings: BTreeMap<Purpose, Ring>,
}

impl ServerKeys {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`InvalidServerKeys`] says what is wrong where, and never repeats a key.
    pub fn parse(text: &str) -> Result<Self, InvalidServerKeys> {
        // The parser's own message quotes the line, and the line may hold a key: only its number is passed on.
        let file: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start).min(text.len());
            InvalidServerKeys::Syntax {
                line: text.as_bytes()[..offset].iter().filter(|b| **b == b'\n').count() + 1,
            }
        })?;
        if let Some(unknown) =
            file.keys().find(|key| Purpose::ALL.iter().all(|purpose| purpose.as_str() != *key))
        {
            return Err(InvalidServerKeys::Unknown { place: format!("[{}]", unknown.escape_debug()) });
        }
        let mut rings = BTreeMap::new();
        for purpose in Purpose::ALL {
            let section = file.get(purpose.as_str()).ok_or(InvalidServerKeys::Missing { purpose })?;
            rings.insert(purpose, parse_ring(purpose, section)?);
        }
        for (index, first) in Purpose::ALL.into_iter().enumerate() {
            for &second in &Purpose::ALL[index + 1..] {
                if rings[&first]
                    .keys
                    .values()
                    .any(|key| rings[&second].keys.values().any(|other| other == key))
                {
                    return Err(InvalidServerKeys::Shared { first, second });
                }
            }
        }
        Ok(Self { rings })
    }

    /// Fresh keys for every purpose.
    ///
    /// # Errors
    /// [`SealedRefused::NoRandomness`].
    pub fn generate() -> Result<Self, SealedRefused> {
        let mut rings = BTreeMap::new();
        for purpose in Purpose::ALL {
            let (id, key) = fresh_key(purpose)?;
            rings.insert(purpose, Ring { current: id.clone(), keys: BTreeMap::from([(id, key)]) });
        }
        Ok(Self { rings })
    }

    /// The same keys with a fresh current one for `purpose`. The older ones stay, so that what they made still opens
    /// and verifies; take them out of the file when nothing of theirs is left.
    ///
    /// # Errors
    /// [`SealedRefused::NoRandomness`].
    pub fn rotated(&self, purpose: Purpose) -> Result<Self, SealedRefused> {
        let mut next = self.clone();
        let (id, key) = fresh_key(purpose)?;
        let ring = next.rings.get_mut(&purpose).expect("every purpose has its keys");
        ring.keys.insert(id.clone(), key);
        ring.current = id;
        Ok(next)
    }

    /// The file's text, with every key in it. For the key file only, which nobody else may read.
    #[must_use]
    pub fn to_file_text(&self) -> String {
        let mut text = String::from(
            "# The keys of this Hansard deployment. Keep this file secret, and keep a copy: without it no stored\n\
             # access key can be used any more. To rotate, add a key (64 hex digits) and name it as current; older\n\
             # keys still open and verify what they made.\n",
        );
        for (purpose, ring) in &self.rings {
            text.push_str(&format!("\n[{purpose}]\ncurrent = \"{}\"\n\n[{purpose}.keys]\n", ring.current));
            for (id, key) in &ring.keys {
                text.push_str(&format!("{id} = \"{}\"\n", hex::encode(key)));
            }
        }
        text
    }

    /// The ids of the keys for `purpose`; the current one first.
    #[must_use]
    pub fn key_ids(&self, purpose: Purpose) -> Vec<&str> {
        let ring = self.ring(purpose);
        let older = ring.keys.keys().map(String::as_str).filter(|id| *id != ring.current);
        std::iter::once(ring.current.as_str()).chain(older).collect()
    }

    /// Seals a secret for one place. `context` says whose secret it is; it is not part of the result, and only the
    /// same context opens it, so that a sealed secret cannot be moved from one row to another.
    ///
    /// # Errors
    /// [`SealedRefused::NoRandomness`].
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<String, SealedRefused> {
        let (id, key) = self.ring(Purpose::Sealing).current();
        let mut nonce = [0_u8; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealedRefused::NoRandomness)?;
        let mut sealed = secret.to_vec();
        cipher(key)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                sealing_context(id, context),
                &mut sealed,
            )
            .map_err(|_| SealedRefused::Malformed)?;
        Ok(format!("{id}.{}{}", hex::encode(nonce), hex::encode(sealed)))
    }

    /// Opens what [`ServerKeys::seal`] made, with any key of the file.
    ///
    /// # Errors
    /// [`SealedRefused`] says why not.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Vec<u8>, SealedRefused> {
        let (id, rest) = sealed.split_once('.').ok_or(SealedRefused::Malformed)?;
        if !is_key_id(id) {
            return Err(SealedRefused::Malformed);
        }
        let key = self
            .ring(Purpose::Sealing)
            .keys
            .get(id)
            .ok_or_else(|| SealedRefused::UnknownKey { key_id: id.to_owned() })?;
        let mut bytes = hex::decode(rest).map_err(|_| SealedRefused::Malformed)?;
        let (nonce, ciphertext) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(SealedRefused::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealedRefused::Malformed)?;
        let secret = cipher(key)
            .open_in_place(nonce, sealing_context(id, context), ciphertext)
            .map_err(|_| SealedRefused::NotAuthentic)?;
        Ok(secret.to_vec())
    }

    /// The key that authenticates new tickets: its id, for the `kid` of a JWT, and the HMAC secret.
    #[must_use]
    pub fn ticket_key(&self) -> (&str, &[u8]) {
        let (id, key) = self.ring(Purpose::Tickets).current();
        (id, key)
    }

    /// The HMAC secret with this id, to verify a ticket; `None` when it was taken out of the file.
    #[must_use]
    pub fn ticket_key_by_id(&self, key_id: &str) -> Option<&[u8]> {
        self.ring(Purpose::Tickets).keys.get(key_id).map(<[u8; KEY_BYTES]>::as_slice)
    }

    /// The key that authenticates what replicas of this deployment say to each other: its id and the HMAC secret. It is
    /// derived from the current key of [`Purpose::Tickets`], of which it has the id, so that older key files stay
    /// valid, and no ticket is accepted as an internal token.
    #[must_use]
    pub fn internal_key(&self) -> (&str, [u8; 32]) {
        let (id, key) = self.ring(Purpose::Tickets).current();
        (id, internal_secret(key))
    }

    /// The HMAC secret with this id, to verify an internal call; `None` when its key was taken out of the file.
    #[must_use]
    pub fn internal_key_by_id(&self, key_id: &str) -> Option<[u8; 32]> {
        self.ring(Purpose::Tickets).keys.get(key_id).map(internal_secret)
    }

    /// The current signer of agents' configurations.
    #[must_use]
    pub fn configuration_signer(&self) -> ConfigurationSigner {
        let (id, seed) = self.ring(Purpose::Configuration).current();
        ConfigurationSigner { key_id: id.to_owned(), pair: key_pair(seed) }
    }

    /// All signers of configurations, the current one first. Each signs, because an agent may know only an older one.
    #[must_use]
    pub fn configuration_signers(&self) -> Vec<ConfigurationSigner> {
        let ring = self.ring(Purpose::Configuration);
        self.key_ids(Purpose::Configuration)
            .into_iter()
            .map(|id| ConfigurationSigner { key_id: id.to_owned(), pair: key_pair(&ring.keys[id]) })
            .collect()
    }

    /// The public keys of all signers of configurations, the current one first: what an agent pins.
    #[must_use]
    pub fn configuration_public_keys(&self) -> Vec<ConfigurationPublicKey> {
        let ring = self.ring(Purpose::Configuration);
        self.key_ids(Purpose::Configuration)
            .into_iter()
            .map(|id| ConfigurationPublicKey {
                key_id: id.to_owned(),
                public_key: public_key(&key_pair(&ring.keys[id])),
            })
            .collect()
    }

    /// The current signer of the audit trail's anchors. Its key is derived from the current key of
    /// [`Purpose::Configuration`], of which it has the id: so that neither accepts a signature of the other, and older
    /// key files stay valid.
    #[must_use]
    pub fn audit_signer(&self) -> AuditSigner {
        let (id, seed) = self.ring(Purpose::Configuration).current();
        AuditSigner { key_id: id.to_owned(), pair: key_pair(&audit_seed(seed)) }
    }

    /// The raw public key of the signer of the audit trail with this id; `None` when its key was taken out of the file.
    #[must_use]
    pub fn audit_public_key(&self, key_id: &str) -> Option<[u8; 32]> {
        let seed = self.ring(Purpose::Configuration).keys.get(key_id)?;
        Some(public_key(&key_pair(&audit_seed(seed))))
    }

    /// The key that signs leave to seal a recording in the place of the agent that made it. It is derived from the current
    /// key of [`Purpose::Configuration`], so that neither accepts a signature of the other, and older key files stay valid.
    #[must_use]
    pub fn leave_signer(&self) -> SealingKey {
        SealingKey::from_seed(&leave_seed(self.ring(Purpose::Configuration).current().1))
    }

    /// The public keys of all signers of leave, the current one first: what those trust who verify such a recording.
    #[must_use]
    pub fn leave_keys(&self) -> Vec<SealingPublicKey> {
        let ring = self.ring(Purpose::Configuration);
        self.key_ids(Purpose::Configuration)
            .into_iter()
            .map(|id| SealingKey::from_seed(&leave_seed(&ring.keys[id])).public_key())
            .collect()
    }

    fn ring(&self, purpose: Purpose) -> &Ring {
        self.rings.get(&purpose).expect("every purpose has its keys")
    }
}

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ServerKeys");
        for purpose in Purpose::ALL {
            shown.field(purpose.as_str(), &self.key_ids(purpose));
        }
        shown.finish()
    }
}

/// Signs the configurations of agents. Its `Debug` shows the key's id only.
pub struct ConfigurationSigner {
    key_id: String,
    pair: Ed25519KeyPair,
}

impl ConfigurationSigner {
    /// The id of the key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// An Ed25519 signature of exactly these bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(message);
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    /// The raw public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        public_key(&self.pair)
    }
}

impl fmt::Debug for ConfigurationSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigurationSigner").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Signs the audit trail's anchors. Its `Debug` shows the key's id only.
pub struct AuditSigner {
    key_id: String,
    pair: Ed25519KeyPair,
}

impl AuditSigner {
    /// The id of the key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// An Ed25519 signature of exactly these bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(message);
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for AuditSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSigner").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A public key that verifies the configurations of agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationPublicKey {
    /// The id of the key.
    pub key_id: String,
    /// The raw Ed25519 public key.
    pub public_key: [u8; 32],
}

fn audit_seed(seed: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    derived(seed, b"hansard-audit-signer-v1")
}

fn leave_seed(seed: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    derived(seed, b"hansard-leave-signer-v1")
}

fn internal_secret(key: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    derived(key, b"hansard-internal-v1")
}

fn derived(key: &[u8; KEY_BYTES], purpose: &[u8]) -> [u8; KEY_BYTES] {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), purpose);
    derived.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
}

fn key_pair(seed: &[u8; KEY_BYTES]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an Ed25519 seed")
}

fn public_key(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"))
}

fn sealing_context(key_id: &str, context: &str) -> Aad<Vec<u8>> {
    // A key id has no NUL, so the two cannot run into each other.
    Aad::from(format!("hansard-sealed-v1\0{key_id}\0{context}").into_bytes())
}

fn fresh_key(purpose: Purpose) -> Result<(String, [u8; KEY_BYTES]), SealedRefused> {
    let source = SystemRandom::new();
    let (mut id, mut key) = ([0_u8; 4], [0_u8; KEY_BYTES]);
    source.fill(&mut id).and_then(|()| source.fill(&mut key)).map_err(|_| SealedRefused::NoRandomness)?;
    Ok((format!("{purpose}-{}", hex::encode(id)), key))
}

fn is_key_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn parse_ring(purpose: Purpose, section: &toml::Value) -> Result<Ring, InvalidServerKeys> {
    let entry = |place: String, rule| InvalidServerKeys::Entry { place, rule };
    let table =
        section.as_table().ok_or_else(|| entry(format!("[{purpose}]"), "a section with current and keys"))?;
    if let Some(unknown) = table.keys().find(|key| !matches!(key.as_str(), "current" | "keys")) {
        return Err(InvalidServerKeys::Unknown {
            place: format!("{} in [{purpose}]", unknown.escape_debug()),
        });
    }
    let current = table
        .get("current")
        .and_then(toml::Value::as_str)
        .filter(|id| is_key_id(id))
        .ok_or_else(|| entry(format!("current in [{purpose}]"), "the id of the key that makes new things"))?
        .to_owned();
    let listed = table
        .get("keys")
        .and_then(toml::Value::as_table)
        .ok_or_else(|| entry(format!("[{purpose}.keys]"), "a section of keys"))?;
    let mut keys = BTreeMap::new();
    for (position, (id, value)) in listed.iter().enumerate() {
        // A key written in the id's place must not be printed either, so a bad id is named by its position.
        if !is_key_id(id) || id.len() >= KEY_BYTES * 2 {
            let place = format!("the id of key {} in [{purpose}.keys]", position + 1);
            return Err(entry(place, "less than 64 letters a-z, digits, '-' and '_'"));
        }
        let mut key = [0_u8; KEY_BYTES];
        value.as_str().and_then(|text| hex::decode_to_slice(text, &mut key).ok()).ok_or_else(|| {
            entry(format!("{id} in [{purpose}.keys]"), "64 hex digits in quotes (32 bytes)")
        })?;
        keys.insert(id.clone(), key);
    }
    if !keys.contains_key(&current) {
        return Err(InvalidServerKeys::NoSuchCurrent { purpose, current });
    }
    Ok(Ring { current, keys })
}

#[cfg(test)]
#[path = "server_keys_tests.rs"]
mod tests;
