//! Argon2id and XChaCha20-Poly1305.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Cost of a guess at the passphrase.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct KdfParameters {
    /// Memory in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over it.
    pub(crate) iterations: u32,
    /// Parallel lanes.
    pub(crate) lanes: u32,
}

/// Twice RFC 9106's second choice in memory (64 MiB, three passes), one lane since this
/// implementation is single-threaded: about half a second on a small machine.
impl Default for KdfParameters {
    fn default() -> Self {
        Self { memory_kib: 128 * 1024, iterations: 3, lanes: 1 }
    }
}

impl KdfParameters {
    /// Below, guessing is cheap.
    pub(crate) const MEMORY_KIB_MIN: u32 = 64 * 1024;
    /// Above, a planted file would take the machine down.
    const MEMORY_KIB_MAX: u32 = 1024 * 1024;
    const ITERATIONS_MAX: u32 = 32;
    const LANES_MAX: u32 = 16;

    fn check(&self) -> Result<(), &'static str> {
        let good = (Self::MEMORY_KIB_MIN..=Self::MEMORY_KIB_MAX).contains(&self.memory_kib)
            && (1..=Self::ITERATIONS_MAX).contains(&self.iterations)
            && (1..=Self::LANES_MAX).contains(&self.lanes);
        if good { Ok(()) } else { Err("its key derivation parameters are out of bounds") }
    }

    fn derive(&self, passphrase: &[u8], salt: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let params = Params::new(self.memory_kib, self.iterations, self.lanes, Some(32)).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, &mut *key)
            .ok()?;
        Some(key)
    }
}

/// A secret under a passphrase.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Sealed {
    /// `argon2id` (version 0x13).
    kdf: String,
    /// Its parameters.
    kdf_parameters: KdfParameters,
    /// Salt, as 0x and hex.
    salt: String,
    /// `xchacha20-poly1305`.
    cipher: String,
    /// Nonce, as 0x and hex.
    nonce: String,
    /// Secret and tag, as 0x and hex.
    ciphertext: String,
}

/// Why [`Sealed::open`] gave nothing.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum OpenError {
    /// The file is not one that this program would write.
    Parameters(&'static str),
    /// The passphrase is wrong or something was changed: nobody can tell which.
    Decrypt,
}

const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20-poly1305";

/// A key that was derived from a passphrase, so that one file is read and written again with one
/// derivation. Wiped when dropped.
pub(crate) struct DerivedKey {
    key: Zeroizing<[u8; 32]>,
    parameters: KdfParameters,
    salt: [u8; 32],
}

/// Never prints the key.
impl std::fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

impl DerivedKey {
    /// For a new file: with a salt of its own.
    pub(crate) fn new(
        passphrase: &[u8],
        parameters: &KdfParameters,
    ) -> Result<Self, getrandom::Error> {
        let mut salt = [0u8; 32];
        getrandom::fill(&mut salt)?;
        // Fails only for parameters, which are constants of this program.
        let key = parameters.derive(passphrase, &salt).ok_or(getrandom::Error::UNEXPECTED)?;
        Ok(Self { key, parameters: parameters.clone(), salt })
    }
}

impl Sealed {
    /// Encrypts `secret`; `associated` is authenticated with it.
    pub(super) fn seal(
        secret: &[u8],
        passphrase: &[u8],
        associated: &[u8],
        parameters: &KdfParameters,
    ) -> Result<Self, getrandom::Error> {
        Self::seal_with(secret, &DerivedKey::new(passphrase, parameters)?, associated)
    }

    /// Encrypts under a key that was derived before. Nonces are 192 random bits: one key is good
    /// for any number of files.
    pub(crate) fn seal_with(
        secret: &[u8],
        key: &DerivedKey,
        associated: &[u8],
    ) -> Result<Self, getrandom::Error> {
        let mut nonce = [0u8; 24];
        getrandom::fill(&mut nonce)?;
        let mut sealed = Self {
            kdf: KDF.to_owned(),
            kdf_parameters: key.parameters.clone(),
            salt: to_hex(&key.salt),
            cipher: CIPHER.to_owned(),
            nonce: to_hex(&nonce),
            ciphertext: String::new(),
        };
        let aad = sealed.bind(associated);
        let ciphertext = XChaCha20Poly1305::new((&*key.key).into())
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: secret, aad: &aad })
            // For more bytes than any machine has.
            .map_err(|_| getrandom::Error::UNEXPECTED)?;
        sealed.ciphertext = to_hex(&ciphertext);
        Ok(sealed)
    }

    /// Derives the key that this was encrypted under, if the passphrase is right.
    pub(crate) fn derive(&self, passphrase: &[u8]) -> Result<DerivedKey, OpenError> {
        if self.kdf != KDF || self.cipher != CIPHER {
            return Err(OpenError::Parameters("it uses an unknown key derivation or cipher"));
        }
        self.kdf_parameters.check().map_err(OpenError::Parameters)?;
        let salt: [u8; 32] = from_hex(&self.salt)?;
        let key = self
            .kdf_parameters
            .derive(passphrase, &salt)
            .ok_or(OpenError::Parameters("its key derivation parameters do not fit together"))?;
        Ok(DerivedKey { key, parameters: self.kdf_parameters.clone(), salt })
    }

    /// Decrypts.
    pub(super) fn open(
        &self,
        passphrase: &[u8],
        associated: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // Before the slow part.
        self.parts()?;
        self.open_with(&self.derive(passphrase)?, associated)
    }

    /// Decrypts with a key from [`Self::derive`].
    pub(crate) fn open_with(
        &self,
        key: &DerivedKey,
        associated: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, ciphertext) = self.parts()?;
        XChaCha20Poly1305::new((&*key.key).into())
            .decrypt(
                XNonce::from_slice(&nonce),
                Payload { msg: &ciphertext, aad: &self.bind(associated) },
            )
            .map(Zeroizing::new)
            .map_err(|_| OpenError::Decrypt)
    }

    fn parts(&self) -> Result<([u8; 24], Vec<u8>), OpenError> {
        let nonce: [u8; 24] = from_hex(&self.nonce)?;
        let ciphertext = self.ciphertext.strip_prefix("0x").and_then(|h| hex::decode(h).ok());
        Ok((nonce, ciphertext.ok_or(OpenError::Parameters("its hex is broken"))?))
    }

    /// Everything readable goes into what is authenticated.
    fn bind(&self, associated: &[u8]) -> Vec<u8> {
        let KdfParameters { memory_kib, iterations, lanes } = self.kdf_parameters;
        let mut bytes = associated.to_vec();
        bytes.extend(
            format!(
                "{}\n{memory_kib}\n{iterations}\n{lanes}\n{}\n{}\n",
                self.kdf, self.salt, self.cipher
            )
            .into_bytes(),
        );
        bytes
    }
}

fn to_hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], OpenError> {
    let mut bytes = [0; N];
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
        .map(|()| bytes)
        .ok_or(OpenError::Parameters("its hex is broken"))
}
