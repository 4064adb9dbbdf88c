//! The keys that an enclave makes at its start and keeps in memory only.

use casemate_primitives::Hash256;
use hpke::{Deserializable as _, Kem as _, Serializable as _, kem::X25519HkdfSha256};
use rcgen::PublicKeyData as _;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// HPKE's private key of the suite that is used here.
pub(crate) type HpkePrivateKey = <X25519HkdfSha256 as hpke::Kem>::PrivateKey;

/// HPKE's public key.
pub(crate) type HpkePublicKey = <X25519HkdfSha256 as hpke::Kem>::PublicKey;

/// TLS and HPKE keys. Wiped when dropped, as far as their libraries do.
pub struct Keys {
    tls: rcgen::KeyPair,
    hpke: HpkePrivateKey,
    hpke_public: [u8; 32],
    tls_spki_sha256: Hash256,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The kernel gives no random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The TLS key can't be made.
    #[error("failed to make the TLS key")]
    Tls(#[source] rcgen::Error),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("hpke_key", &hex::encode(self.hpke_public))
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Makes new ones from the kernel's random numbers.
    ///
    /// # Errors
    /// Where there are none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyError::Random)?;
        let (hpke, public) = X25519HkdfSha256::derive_keypair(seed.as_slice());
        let tls = rcgen::KeyPair::generate().map_err(KeyError::Tls)?;
        let tls_spki_sha256 = Sha256::digest(tls.subject_public_key_info()).into();
        let mut hpke_public = [0; 32];
        public.write_exact(&mut hpke_public);
        Ok(Self { tls, hpke, hpke_public, tls_spki_sha256 })
    }

    /// Public key that secrets are sealed to.
    pub fn hpke_key(&self) -> [u8; 32] {
        self.hpke_public
    }

    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub fn tls_spki_sha256(&self) -> Hash256 {
        self.tls_spki_sha256
    }

    pub(crate) fn tls(&self) -> &rcgen::KeyPair {
        &self.tls
    }

    pub(crate) fn hpke(&self) -> &HpkePrivateKey {
        &self.hpke
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.tls.zeroize();
    }
}

/// A public key that came from elsewhere.
pub(crate) fn hpke_public(bytes: &[u8; 32]) -> Option<HpkePublicKey> {
    HpkePublicKey::from_bytes(bytes).ok()
}
