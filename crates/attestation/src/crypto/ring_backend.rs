//! The same verification by ring, where its assembler may be used.

use super::{PublicKey, SignatureAlgorithm, verify::Encoding};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// Whether the signature verifies; `None` for combinations that ring does not have.
pub(super) fn check(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
    encoding: Encoding,
) -> Option<bool> {
    use SignatureAlgorithm as A;
    let (algorithm, key): (&'static dyn VerificationAlgorithm, &[u8]) =
        match (key, algorithm, encoding) {
            (PublicKey::P256(point), A::EcdsaSha256, Encoding::Der) => {
                (&signature::ECDSA_P256_SHA256_ASN1, point)
            }
            (PublicKey::P256(point), A::EcdsaSha256, Encoding::Raw) => {
                (&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            (PublicKey::P384(point), A::EcdsaSha384, Encoding::Der) => {
                (&signature::ECDSA_P384_SHA384_ASN1, point)
            }
            (PublicKey::P384(point), A::EcdsaSha384, Encoding::Raw) => {
                (&signature::ECDSA_P384_SHA384_FIXED, point)
            }
            (PublicKey::Rsa(der), A::RsaPssSha384, _) => {
                (&signature::RSA_PSS_2048_8192_SHA384, der)
            }
            (PublicKey::Rsa(der), A::RsaPkcs1Sha256, _) => {
                (&signature::RSA_PKCS1_2048_8192_SHA256, der)
            }
            (PublicKey::Rsa(der), A::RsaPkcs1Sha384, _) => {
                (&signature::RSA_PKCS1_2048_8192_SHA384, der)
            }
            _ => return None,
        };
    Some(UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
}
