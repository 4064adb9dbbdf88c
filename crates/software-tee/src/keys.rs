//! Private keys: made from the operating system's randomness, kept in files that only the owner
//! can read.

use crate::{Error, der, primes};
use p256::ecdsa::signature::Signer;
use rsa::{
    RsaPrivateKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
    rand_core::{CryptoRng, RngCore},
    signature::{RandomizedSigner, SignatureEncoding},
    traits::PublicKeyParts,
};
use sha2::{Digest, Sha256, Sha384};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// `N` bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes)
}

/// Which algorithm a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    /// Intel's.
    P256,
    /// AMD's chips.
    P384,
    /// AMD's certificates.
    Rsa4096,
}

/// A private key.
pub(crate) enum Key {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    // Boxed: some 20 times as large as the others.
    Rsa4096(Box<RsaPrivateKey>),
}

impl Key {
    /// A new one.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        match algorithm {
            Algorithm::P256 => Ok(Self::P256(p256_key()?)),
            Algorithm::P384 => loop {
                // Not below the curve's order, or zero: once in 2^190 times.
                if let Ok(key) = p384::ecdsa::SigningKey::from_slice(&random::<48>()?) {
                    return Ok(Self::P384(key));
                }
            },
            Algorithm::Rsa4096 => Ok(Self::Rsa4096(Box::new(primes::rsa_4096()?))),
        }
    }

    /// Writes it as PKCS #8 PEM into a new file of mode 0600.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        let pem = match self {
            Self::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::P384(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::Rsa4096(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|_| Error::Key("it has no PKCS #8 form"))?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.map_err(Error::file("create", path))?;
        file.write_all(pem.as_bytes()).map_err(Error::file("write", path))?;
        file.sync_all().map_err(Error::file("write", path))
    }

    /// Reads it back.
    pub(crate) fn load(algorithm: Algorithm, path: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(Error::file("read", path))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::KeyReadableByOthers { path: path.to_path_buf(), mode });
        }
        let pem = fs::read_to_string(path).map_err(Error::file("read", path))?;
        match algorithm {
            Algorithm::P256 => p256::ecdsa::SigningKey::from_pkcs8_pem(&pem).map(Self::P256),
            Algorithm::P384 => p384::ecdsa::SigningKey::from_pkcs8_pem(&pem).map(Self::P384),
            Algorithm::Rsa4096 => {
                RsaPrivateKey::from_pkcs8_pem(&pem).map(|key| Self::Rsa4096(Box::new(key)))
            }
        }
        .map_err(|_| Error::BadKey { path: path.to_path_buf() })
    }

    /// DER of the SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    pub(crate) fn spki(&self) -> Vec<u8> {
        let (algorithm, key) = match self {
            Self::P256(key) => (
                [der::oid(&[1, 2, 840, 10045, 2, 1]), der::oid(&[1, 2, 840, 10045, 3, 1, 7])],
                key.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
            ),
            Self::P384(key) => (
                [der::oid(&[1, 2, 840, 10045, 2, 1]), der::oid(&[1, 3, 132, 0, 34])],
                key.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
            ),
            Self::Rsa4096(key) => (
                [der::oid(&[1, 2, 840, 113549, 1, 1, 1]), der::null()],
                der::sequence(&[
                    der::unsigned(&key.n().to_bytes_be()),
                    der::unsigned(&key.e().to_bytes_be()),
                ]),
            ),
        };
        der::sequence(&[der::sequence(&algorithm), der::bits(&key)])
    }

    /// SHA-256 of [`Self::spki`]: how trust roots are pinned.
    pub(crate) fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.spki()).into()
    }

    /// DER of the AlgorithmIdentifier of its signatures.
    pub(crate) fn signature_algorithm(&self) -> Vec<u8> {
        match self {
            Self::P256(_) => der::sequence(&[der::oid(&[1, 2, 840, 10045, 4, 3, 2])]),
            Self::P384(_) => der::sequence(&[der::oid(&[1, 2, 840, 10045, 4, 3, 3])]),
            // RSASSA-PSS with SHA-384, MGF1 with SHA-384, 48 bytes of salt (RFC 4055), as AMD.
            Self::Rsa4096(_) => {
                let sha384 =
                    der::sequence(&[der::oid(&[2, 16, 840, 1, 101, 3, 4, 2, 2]), der::null()]);
                let mgf1 =
                    der::sequence(&[der::oid(&[1, 2, 840, 113549, 1, 1, 8]), sha384.clone()]);
                let parameters = der::sequence(&[
                    der::explicit(0, &sha384),
                    der::explicit(1, &mgf1),
                    der::explicit(2, &der::integer(48)),
                ]);
                der::sequence(&[der::oid(&[1, 2, 840, 113549, 1, 1, 10]), parameters])
            }
        }
    }

    /// A signature as certificates have it.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Key("it does not sign");
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Self::Rsa4096(key) => {
                let key = rsa::pss::SigningKey::<Sha384>::new(RsaPrivateKey::clone(key));
                let signature =
                    key.try_sign_with_rng(&mut SystemRandom, message).map_err(failed)?;
                Ok(signature.to_vec())
            }
        }
    }

    /// A P-256 signature as quotes and Intel's JSON have it: r and s, big-endian.
    pub(crate) fn sign_p256_raw(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        match self {
            Self::P256(key) => p256_sign(key, message),
            _ => Err(Error::Key("it is not a P-256 key")),
        }
    }

    /// A P-384 signature as big-endian r and s.
    pub(crate) fn sign_p384_raw(&self, message: &[u8]) -> Result<[u8; 96], Error> {
        let Self::P384(key) = self else { return Err(Error::Key("it is not a P-384 key")) };
        let signature: p384::ecdsa::Signature =
            key.try_sign(message).map_err(|_| Error::Key("it does not sign"))?;
        let bytes = signature.to_bytes();
        bytes.as_slice().try_into().map_err(|_| Error::Key("its signature is not 96 bytes"))
    }
}

/// A new P-256 key.
pub(crate) fn p256_key() -> Result<p256::ecdsa::SigningKey, Error> {
    loop {
        // Not below the curve's order, or zero: once in 2^32 times.
        if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&random::<32>()?) {
            return Ok(key);
        }
    }
}

/// Signs with raw r and s.
pub(crate) fn p256_sign(key: &p256::ecdsa::SigningKey, message: &[u8]) -> Result<[u8; 64], Error> {
    let signature: p256::ecdsa::Signature =
        key.try_sign(message).map_err(|_| Error::Key("it does not sign"))?;
    Ok(signature.to_bytes().into())
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The operating system's randomness behind the trait that `rsa` wants.
struct SystemRandom;

impl RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        // The trait knows no error. Without randomness nothing may be signed, and `init` has got
        // some before.
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for SystemRandom {}
