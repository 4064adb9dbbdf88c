//! The verification of signatures, and the identifiers of their algorithms.

use super::{CryptoError, PublicKey, SignatureAlgorithm, ecdsa, key::parse_rsa};
use crate::x509::asn1::{self, Asn1Error, Reader};
use der::asn1::ObjectIdentifier;
use rsa::{Pkcs1v15Sign, Pss};
use sha2::{Digest, Sha256, Sha384};

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");

/// How the two numbers of an ECDSA signature are encoded.
#[derive(Clone, Copy)]
pub(super) enum Encoding {
    Der,
    Raw,
}

impl SignatureAlgorithm {
    /// Reads an AlgorithmIdentifier (RFC 5280, 4.1.1.2), given with its outer tag.
    ///
    /// # Errors
    /// [`CryptoError::UnsupportedAlgorithm`] for any other algorithm or other parameters.
    pub fn from_identifier_der(identifier: &[u8]) -> Result<Self, CryptoError> {
        read_identifier(identifier)
            .map_err(|_| CryptoError::UnsupportedAlgorithm)?
            .ok_or(CryptoError::UnsupportedAlgorithm)
    }
}

impl PublicKey {
    /// Checks `signature` over `message`. An ECDSA signature is `Ecdsa-Sig-Value` in DER, as X.509
    /// has it.
    ///
    /// # Errors
    /// See [`CryptoError`].
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.check(algorithm, message, signature, Encoding::Der)
    }

    /// Checks `signature` over `message`. An ECDSA signature is `r || s`, each big endian in the
    /// length of the curve's order, as quotes and SPDM have it.
    ///
    /// # Errors
    /// See [`CryptoError`].
    pub fn verify_raw(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.check(algorithm, message, signature, Encoding::Raw)
    }

    /// With the feature `ring`, ring decides, several times as fast; since it gives no reasons, a
    /// signature that it refuses is looked at again to say why.
    fn check(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
        encoding: Encoding,
    ) -> Result<(), CryptoError> {
        #[cfg(feature = "ring")]
        match super::ring_backend::check(self, algorithm, message, signature, encoding) {
            Some(true) => return Ok(()),
            Some(false) => {
                let reason = self.check_portable(algorithm, message, signature, encoding);
                return reason.and(Err(CryptoError::BadSignature));
            }
            None => {}
        }
        self.check_portable(algorithm, message, signature, encoding)
    }

    pub(super) fn check_portable(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
        encoding: Encoding,
    ) -> Result<(), CryptoError> {
        use SignatureAlgorithm as A;
        match (self, algorithm) {
            (Self::P256(point), A::EcdsaSha256) => {
                p256_check(point, &Sha256::digest(message), signature, encoding)
            }
            (Self::P256(point), A::EcdsaSha384) => {
                p256_check(point, &Sha384::digest(message), signature, encoding)
            }
            (Self::P384(point), A::EcdsaSha256) => {
                p384_check(point, &Sha256::digest(message), signature, encoding)
            }
            (Self::P384(point), A::EcdsaSha384) => {
                p384_check(point, &Sha384::digest(message), signature, encoding)
            }
            (Self::Rsa(key), A::RsaPssSha384) => {
                let scheme = Pss::new_with_salt::<Sha384>(48);
                parse_rsa(key)?
                    .verify(scheme, &Sha384::digest(message), signature)
                    .map_err(|_| CryptoError::BadSignature)
            }
            (Self::Rsa(key), A::RsaPkcs1Sha256) => parse_rsa(key)?
                .verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature)
                .map_err(|_| CryptoError::BadSignature),
            (Self::Rsa(key), A::RsaPkcs1Sha384) => parse_rsa(key)?
                .verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature)
                .map_err(|_| CryptoError::BadSignature),
            _ => Err(CryptoError::AlgorithmMismatch),
        }
    }
}

fn p256_check(
    point: &[u8; 65],
    digest: &[u8],
    signature: &[u8],
    encoding: Encoding,
) -> Result<(), CryptoError> {
    let key = p256::PublicKey::from_sec1_bytes(point).map_err(|_| CryptoError::MalformedKey)?;
    let signature = match encoding {
        Encoding::Der => p256::ecdsa::Signature::from_der(signature),
        Encoding::Raw => p256::ecdsa::Signature::from_slice(signature),
    }
    .map_err(|_| CryptoError::MalformedSignature)?;
    let (r, s) = signature.split_scalars();
    let good = ecdsa::verifies::<p256::NistP256>(*key.as_affine(), digest, *r, *s);
    good.then_some(()).ok_or(CryptoError::BadSignature)
}

fn p384_check(
    point: &[u8; 97],
    digest: &[u8],
    signature: &[u8],
    encoding: Encoding,
) -> Result<(), CryptoError> {
    let key = p384::PublicKey::from_sec1_bytes(point).map_err(|_| CryptoError::MalformedKey)?;
    let signature = match encoding {
        Encoding::Der => p384::ecdsa::Signature::from_der(signature),
        Encoding::Raw => p384::ecdsa::Signature::from_slice(signature),
    }
    .map_err(|_| CryptoError::MalformedSignature)?;
    let (r, s) = signature.split_scalars();
    let good = ecdsa::verifies::<p384::NistP384>(*key.as_affine(), digest, *r, *s);
    good.then_some(()).ok_or(CryptoError::BadSignature)
}

fn read_identifier(identifier: &[u8]) -> Result<Option<SignatureAlgorithm>, Asn1Error> {
    let mut fields = Reader::new(asn1::only(asn1::SEQUENCE, identifier)?);
    let oid = fields.expect(asn1::OID)?;
    if oid == RSASSA_PSS.as_bytes() {
        let parameters = fields.expect(asn1::SEQUENCE)?;
        fields.finish()?;
        return Ok(is_pss_sha384(parameters)?.then_some(SignatureAlgorithm::RsaPssSha384));
    }
    let (algorithm, with_null) = if oid == ECDSA_SHA256.as_bytes() {
        (SignatureAlgorithm::EcdsaSha256, false)
    } else if oid == ECDSA_SHA384.as_bytes() {
        (SignatureAlgorithm::EcdsaSha384, false)
    } else if oid == RSA_SHA256.as_bytes() {
        (SignatureAlgorithm::RsaPkcs1Sha256, true)
    } else if oid == RSA_SHA384.as_bytes() {
        (SignatureAlgorithm::RsaPkcs1Sha384, true)
    } else {
        return Ok(None);
    };
    // RFC 5758, 3.2: ECDSA has no parameters. RFC 4055, 5: RSA has NULL.
    if with_null {
        fields.optional(asn1::NULL)?;
    }
    fields.finish()?;
    Ok(Some(algorithm))
}

/// Whether RSASSA-PSS-params (RFC 4055, 3.1) say SHA-384, MGF1 with SHA-384, a salt of 48 bytes and
/// the usual trailer.
fn is_pss_sha384(parameters: &[u8]) -> Result<bool, Asn1Error> {
    let mut fields = Reader::new(parameters);
    let hash = fields.expect(asn1::context(0))?;
    let mask = fields.expect(asn1::context(1))?;
    let salt = fields.expect(asn1::context(2))?;
    let trailer = fields.optional(asn1::context(3))?;
    fields.finish()?;
    let mut mask = Reader::new(asn1::only(asn1::SEQUENCE, mask)?);
    let mask_function = mask.expect(asn1::OID)?;
    let mask_hash = mask.element()?.raw;
    mask.finish()?;
    let trailer_is_usual = match trailer {
        Some(trailer) => asn1::only(asn1::INTEGER, trailer)? == [1],
        None => true,
    };
    Ok(is_sha384(hash)?
        && mask_function == MGF1.as_bytes()
        && is_sha384(mask_hash)?
        && asn1::only(asn1::INTEGER, salt)? == [48]
        && trailer_is_usual)
}

fn is_sha384(identifier: &[u8]) -> Result<bool, Asn1Error> {
    let mut fields = Reader::new(asn1::only(asn1::SEQUENCE, identifier)?);
    let oid = fields.expect(asn1::OID)?;
    fields.optional(asn1::NULL)?;
    fields.finish()?;
    Ok(oid == SHA384.as_bytes())
}
