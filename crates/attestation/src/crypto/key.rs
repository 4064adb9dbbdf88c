//! Public keys and their encodings.

use super::CryptoError;
use crate::x509::asn1::{self, Reader};
use alloc::vec::Vec;
use der::asn1::ObjectIdentifier;
use rsa::{BigUint, RsaPublicKey, traits::PublicKeyParts};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// Shorter moduli are too weak, longer ones are used by no vendor and only cost time.
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=4096;

/// A checked public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublicKey {
    /// A point on NIST P-256, uncompressed (SEC1: `04 || x || y`).
    P256([u8; 65]),
    /// A point on NIST P-384, uncompressed (SEC1: `04 || x || y`).
    P384([u8; 97]),
    /// An RSA key as DER of `RSAPublicKey` (RFC 8017, A.1.1).
    Rsa(Vec<u8>),
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    ///
    /// # Errors
    /// [`CryptoError::MalformedKey`] if the encoding is not DER or the key is not valid,
    /// [`CryptoError::UnsupportedKey`] if it is of another kind.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, CryptoError> {
        let (algorithm, parameters, key) =
            split_spki(spki).map_err(|_| CryptoError::MalformedKey)?;
        if algorithm == EC_PUBLIC_KEY.as_bytes() {
            let parameters = parameters.ok_or(CryptoError::MalformedKey)?;
            let curve =
                asn1::only(asn1::OID, parameters).map_err(|_| CryptoError::UnsupportedKey)?;
            if curve == SECP256R1.as_bytes() {
                Self::p256_from_sec1(key)
            } else if curve == SECP384R1.as_bytes() {
                Self::p384_from_sec1(key)
            } else {
                Err(CryptoError::UnsupportedKey)
            }
        } else if algorithm == RSA_ENCRYPTION.as_bytes() || algorithm == RSASSA_PSS.as_bytes() {
            Self::rsa_from_pkcs1(key)
        } else {
            Err(CryptoError::UnsupportedKey)
        }
    }

    /// Reads an elliptic curve point as SEC1 has it, uncompressed; the length says which curve.
    ///
    /// # Errors
    /// [`CryptoError::UnsupportedKey`] for other lengths, [`CryptoError::MalformedKey`] if the point
    /// is not on the curve.
    pub fn from_sec1(point: &[u8]) -> Result<Self, CryptoError> {
        match point.len() {
            65 => Self::p256_from_sec1(point),
            97 => Self::p384_from_sec1(point),
            _ => Err(CryptoError::UnsupportedKey),
        }
    }

    /// Reads `x || y` of a P-256 point, big endian, as Intel's quotes carry keys.
    ///
    /// # Errors
    /// [`CryptoError::MalformedKey`] if the point is not on the curve.
    pub fn from_p256_raw(xy: &[u8; 64]) -> Result<Self, CryptoError> {
        let mut point = [4; 65];
        point[1..].copy_from_slice(xy);
        Self::p256_from_sec1(&point)
    }

    /// Reads `x || y` of a P-384 point, big endian.
    ///
    /// # Errors
    /// [`CryptoError::MalformedKey`] if the point is not on the curve.
    pub fn from_p384_raw(xy: &[u8; 96]) -> Result<Self, CryptoError> {
        let mut point = [4; 97];
        point[1..].copy_from_slice(xy);
        Self::p384_from_sec1(&point)
    }

    /// `x || y` of a P-256 key, big endian; `None` for other kinds.
    pub fn p256_raw(&self) -> Option<[u8; 64]> {
        match self {
            Self::P256(point) => point[1..].try_into().ok(),
            _ => None,
        }
    }

    /// `x || y` of a P-384 key, big endian; `None` for other kinds.
    pub fn p384_raw(&self) -> Option<[u8; 96]> {
        match self {
            Self::P384(point) => point[1..].try_into().ok(),
            _ => None,
        }
    }

    fn p256_from_sec1(point: &[u8]) -> Result<Self, CryptoError> {
        let bytes = uncompressed::<65>(point)?;
        p256::PublicKey::from_sec1_bytes(&bytes).map_err(|_| CryptoError::MalformedKey)?;
        Ok(Self::P256(bytes))
    }

    fn p384_from_sec1(point: &[u8]) -> Result<Self, CryptoError> {
        let bytes = uncompressed::<97>(point)?;
        p384::PublicKey::from_sec1_bytes(&bytes).map_err(|_| CryptoError::MalformedKey)?;
        Ok(Self::P384(bytes))
    }

    fn rsa_from_pkcs1(key: &[u8]) -> Result<Self, CryptoError> {
        let parsed = parse_rsa(key)?;
        if !RSA_BITS.contains(&parsed.n().bits()) {
            return Err(CryptoError::UnsupportedKey);
        }
        Ok(Self::Rsa(key.to_vec()))
    }
}

/// Reads `RSAPublicKey`.
pub(super) fn parse_rsa(key: &[u8]) -> Result<RsaPublicKey, CryptoError> {
    let (modulus, exponent) = split_rsa(key).map_err(|_| CryptoError::MalformedKey)?;
    RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent))
        .map_err(|_| CryptoError::UnsupportedKey)
}

fn split_rsa(key: &[u8]) -> Result<(&[u8], &[u8]), asn1::Asn1Error> {
    let mut fields = Reader::new(asn1::only(asn1::SEQUENCE, key)?);
    let modulus = fields.unsigned()?;
    let exponent = fields.unsigned()?;
    fields.finish()?;
    Ok((modulus, exponent))
}

type Spki<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

fn split_spki(spki: &[u8]) -> Result<Spki<'_>, asn1::Asn1Error> {
    let mut fields = Reader::new(asn1::only(asn1::SEQUENCE, spki)?);
    let mut algorithm = Reader::new(fields.expect(asn1::SEQUENCE)?);
    let key = fields.bit_string()?;
    fields.finish()?;
    let oid = algorithm.expect(asn1::OID)?;
    let parameters = if algorithm.is_empty() { None } else { Some(algorithm.element()?.raw) };
    algorithm.finish()?;
    Ok((oid, parameters, key))
}

/// Takes an uncompressed point of exactly `N` bytes.
fn uncompressed<const N: usize>(point: &[u8]) -> Result<[u8; N], CryptoError> {
    let bytes: [u8; N] = point.try_into().map_err(|_| CryptoError::MalformedKey)?;
    if bytes.first() == Some(&4) { Ok(bytes) } else { Err(CryptoError::MalformedKey) }
}
