//! The secret that makes a program this vault, and the keys that follow from it.
//!
//! Whoever has the master is the vault: it opens the store, reads the publisher's entries and signs
//! releases. It comes from the publisher, or from another replica, sealed to attested evidence, and
//! is never written. Threshold custody would put a sum of shares in the place of [`Master::read`];
//! all else needs [`Keys`] alone.

use std::fmt;

use casemate_primitives::Hash256;
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Keeps keys of other versions and programs apart.
const SALT: &[u8] = b"casemate/vault/v1";

/// 32 random bytes. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Master(Zeroizing<[u8; 32]>);

/// Why there is no master.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterError {
    /// Neither form.
    #[error("a vault's master is 32 bytes, or 64 hexadecimal digits; this is neither")]
    Form,
    /// No random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master")
    }
}

impl Master {
    /// A new one.
    ///
    /// # Errors
    /// Without random numbers.
    pub fn generate() -> Result<Self, MasterError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(MasterError::Random)?;
        Ok(Self(bytes))
    }

    /// Reads what stands in a file: the bytes, or hexadecimal digits and perhaps a line's end.
    ///
    /// # Errors
    /// [`MasterError::Form`].
    pub fn read(content: &[u8]) -> Result<Self, MasterError> {
        let mut bytes = Zeroizing::new([0; 32]);
        if content.len() == 32 {
            bytes.copy_from_slice(content);
            return Ok(Self(bytes));
        }
        let digits = content.trim_ascii_end();
        hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| MasterError::Form)?;
        Ok(Self(bytes))
    }

    /// As hexadecimal digits, for the file.
    pub fn to_text(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(hex::encode(self.0.as_slice()).into_bytes())
    }

    /// What follows from it.
    pub fn keys(&self) -> Keys {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), self.0.as_slice());
        let derive = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            // Fails for more than 8160 bytes alone.
            let _ = hkdf.expand(info, key.as_mut_slice());
            Key(key)
        };
        let release = SigningKey::from_bytes(&derive(b"release").0);
        Keys {
            store: derive(b"store"),
            secrets: derive(b"secrets"),
            channel: derive(b"channel"),
            snapshot: derive(b"snapshot"),
            id: release.verifying_key().to_bytes(),
            release,
            master: self.clone(),
        }
    }
}

/// A symmetric key. Wiped when dropped, never printed.
#[derive(Clone)]
pub(crate) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one use of this one.
    pub(crate) fn derive(&self, info: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        let _ = Hkdf::<Sha256>::new(Some(SALT), self.0.as_slice()).expand(info, key.as_mut_slice());
        Self(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The keys of a vault. All of its replicas have the same.
#[derive(Clone)]
pub struct Keys {
    /// Encrypts the file.
    pub(crate) store: Key,
    /// Encrypts the values of secrets, from the publisher's machine on.
    pub(crate) secrets: Key,
    /// Encrypts what publisher and vault say to each other.
    pub(crate) channel: Key,
    /// Encrypts what replicas say to each other.
    pub(crate) snapshot: Key,
    pub(crate) release: SigningKey,
    pub(crate) master: Master,
    id: Hash256,
}

impl Keys {
    /// The vault's name: the Ed25519 key that signs its releases. Manifests of pods list it under
    /// `releasedBy`.
    pub fn id(&self) -> Hash256 {
        self.id
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &hex::encode(self.id)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_nothing_else() {
        let master = Master::generate().unwrap();
        let text = master.to_text();
        let id = master.keys().id();
        assert_eq!(Master::read(&text).unwrap().keys().id(), id);
        assert_eq!(Master::read(&[&text, &b"\n"[..]].concat()).unwrap().keys().id(), id);
        assert_eq!(Master::read(master.0.as_slice()).unwrap().keys().id(), id);
        for bad in [&b""[..], &[0; 31], &[0; 33], &text[..62], &[b'z'; 64]] {
            assert!(matches!(Master::read(bad), Err(MasterError::Form)));
        }
    }

    #[test]
    fn keys_differ_from_each_other_and_nothing_is_printed() {
        let master = Master(Zeroizing::new([0xab; 32]));
        let keys = master.keys();
        let all = [&keys.store, &keys.secrets, &keys.channel, &keys.snapshot].map(|k| *k.bytes());
        for (n, key) in all.iter().enumerate() {
            assert!(!all[..n].contains(key) && *key != [0; 32] && *key != [0xab; 32]);
        }
        let text = format!("{master:?} {keys:?} {:?}", keys.store);
        assert!(!text.contains("ab, ab") && !text.contains("abab") && !text.contains("171"));
    }
}
