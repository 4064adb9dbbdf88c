//! P-256 keys: the verifier's to sign with, its public half to check with.

use std::fmt;

use p256::{
    SecretKey,
    ecdsa::{self, Signature, signature::Signer as _, signature::Verifier as _},
    elliptic_curve::sec1::ToEncodedPoint as _,
    pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _},
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{KeyError, base64url};

/// What a verifier signs results with. Wiped when dropped.
pub struct SigningKey {
    key: ecdsa::SigningKey,
    public: ResultKey,
}

impl SigningKey {
    /// A new key from a source of randomness.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn generate<E>(mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            fill(&mut *bytes)?;
            // All but one in 2^32 are keys.
            if let Ok(secret) = SecretKey::from_slice(&*bytes) {
                return Ok(Self::from_secret(&secret));
            }
        }
    }

    /// Reads PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`KeyError::Private`] when it is none, or not one on P-256.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        let secret = SecretKey::from_pkcs8_pem(pem).map_err(|_| KeyError::Private)?;
        Ok(Self::from_secret(&secret))
    }

    fn from_secret(secret: &SecretKey) -> Self {
        let key = ecdsa::SigningKey::from(secret);
        let public = ResultKey::new(*key.verifying_key());
        Self { key, public }
    }

    /// Writes PKCS#8 in PEM: the secret itself.
    ///
    /// # Errors
    /// [`KeyError::Private`] when it cannot be encoded, which does not happen to a valid key.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        SecretKey::from(&self.key).to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Private)
    }

    /// Its public half.
    pub fn public(&self) -> &ResultKey {
        &self.public
    }

    /// ECDSA with SHA-256, as RFC 7518, 3.4 has it: `r || s`. Deterministic (RFC 6979).
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.key.sign(message);
        signature.to_bytes().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id).finish_non_exhaustive()
    }
}

/// What a relying party checks results with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResultKey {
    key: ecdsa::VerifyingKey,
    id: String,
}

impl ResultKey {
    fn new(key: ecdsa::VerifyingKey) -> Self {
        let point = key.as_affine().to_encoded_point(false);
        let coordinate = |bytes: Option<&p256::FieldBytes>| {
            base64url(bytes.map(|bytes| bytes.as_slice()).unwrap_or_default())
        };
        // RFC 7638, 3: the required members of the JWK in the order of the alphabet.
        let jwk = format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            coordinate(point.x()),
            coordinate(point.y())
        );
        Self { key, id: base64url(&Sha256::digest(jwk)) }
    }

    /// Reads SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    /// [`KeyError::PrivateForPublic`] for a private key, [`KeyError::Public`] for all else.
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        let key = ecdsa::VerifyingKey::from_public_key_pem(pem);
        key.map(Self::new).map_err(|_| {
            if pem.contains("PRIVATE KEY") { KeyError::PrivateForPublic } else { KeyError::Public }
        })
    }

    /// Writes SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    /// [`KeyError::Public`] when it cannot be encoded, which does not happen to a valid key.
    pub fn to_spki_pem(&self) -> Result<String, KeyError> {
        self.key.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Public)
    }

    /// Its thumbprint (RFC 7638), as in a token's `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether `signature` is `r || s` of this key over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}
