//! The key that a publisher's logs are sealed to: it follows from the account's secret, so that the
//! phrase alone brings it back.

use hkdf::Hkdf;
use sha2::Sha256;
use subxt_signer::{ExposeSecret as _, SecretUri, bip39::Mnemonic};
use zeroize::Zeroizing;

use casemate_primitives::Hash256;

use super::{KeystoreError, SecretText};

/// HKDF's `info`.
const INFO: &[u8] = b"casemate/log-key/v1";

/// What log keys are made of; as secret as the account's own.
pub(crate) struct LogSeed(Zeroizing<Vec<u8>>);

/// The X25519 secret key that opens logs on one chain.
pub(crate) struct LogSecret(Zeroizing<[u8; 32]>);

/// Never prints the secret.
impl std::fmt::Debug for LogSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogSeed(..)")
    }
}

/// Never prints the secret.
impl std::fmt::Debug for LogSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogSecret(..)")
    }
}

impl SecretText {
    /// What the account's log keys are made of: the phrase's entropy (or the seed), the password and
    /// the path, each with its kind and length before it.
    ///
    /// # Errors
    /// It is no secret.
    pub(crate) fn log_seed(&self) -> Result<LogSeed, KeystoreError> {
        let wrong = || KeystoreError::Secret("it is neither a mnemonic, nor 0x and hex".into());
        let uri: SecretUri = self.0.parse().map_err(|_| wrong())?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(512));
        let phrase = uri.phrase.expose_secret();
        match phrase.strip_prefix("0x") {
            Some(digits) => {
                let seed = Zeroizing::new(hex::decode(digits).map_err(|_| wrong())?);
                part(&mut bytes, b's', &seed);
            }
            None => {
                let mnemonic: Mnemonic = phrase.parse().map_err(|_| wrong())?;
                let (entropy, length) = mnemonic.to_entropy_array();
                let entropy = Zeroizing::new(entropy);
                part(&mut bytes, b'm', entropy.get(..length).unwrap_or_default());
            }
        }
        if let Some(password) = &uri.password {
            part(&mut bytes, b'p', password.expose_secret().as_bytes());
        }
        for junction in &uri.junctions {
            part(&mut bytes, if junction.is_hard() { b'h' } else { b'j' }, junction.inner());
        }
        Ok(LogSeed(bytes))
    }
}

impl LogSeed {
    /// The key for the chain with this genesis hash.
    pub(crate) fn secret(&self, genesis_hash: &Hash256) -> LogSecret {
        let mut key = Zeroizing::new([0; 32]);
        // Fails for more than 8,160 bytes only.
        let _ = Hkdf::<Sha256>::new(Some(genesis_hash), &self.0).expand(INFO, &mut *key);
        LogSecret(key)
    }
}

impl LogSecret {
    /// The bytes, for opening.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What others seal to. No key that follows from a hash is of low order in practice; one that is
    /// would be refused by the manifest.
    pub(crate) fn public(&self) -> Option<[u8; 32]> {
        casemate_logs::public_key(&self.0)
    }
}

fn part(bytes: &mut Vec<u8>, kind: u8, part: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank \
                          yellow";

    fn public(secret: &str, genesis: u8) -> [u8; 32] {
        let secret = SecretText(Zeroizing::new(secret.to_owned()));
        secret.log_seed().unwrap().secret(&[genesis; 32]).public().unwrap()
    }

    #[test]
    fn the_same_phrase_gives_the_same_key_and_anything_else_another() {
        let key = public(PHRASE, 1);
        assert_eq!(public(PHRASE, 1), key);
        casemate_manifest::LogKey::new(key).unwrap();
        let seed = format!("0x{}", "7f".repeat(16).repeat(2));
        let others = [
            public(PHRASE, 2),
            public(&format!("{PHRASE}//stash"), 1),
            public(&format!("{PHRASE}/stash"), 1),
            public(&format!("{PHRASE}///stash"), 1),
            public(&format!("{PHRASE}//a//b"), 1),
            public(&format!("{PHRASE}//b//a"), 1),
            public(&seed, 1),
            public("//Alice", 1),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, key);
            assert!(!others[..at].contains(other), "{at}");
        }
    }

    /// A key that changes would lock all publishers out of what was sealed to them before.
    #[test]
    fn the_key_of_a_phrase_never_changes() {
        let known = include_str!("log_key.hex").trim();
        assert_eq!(hex::encode(public(PHRASE, 1)), known);
    }

    #[test]
    fn no_secret_is_printed() {
        let seed = SecretText(Zeroizing::new(PHRASE.to_owned())).log_seed().unwrap();
        assert_eq!(format!("{seed:?}{:?}", seed.secret(&[1; 32])), "LogSeed(..)LogSecret(..)");
        let bad = SecretText(Zeroizing::new("not words of any list".to_owned()));
        let told = bad.log_seed().unwrap_err().to_string();
        assert!(!told.contains("words of"), "{told}");
    }
}
