//! What the verification of each piece of collateral has in common.

use super::{Document, Error, RootCrl};
use crate::{
    Grade, UnixSeconds,
    crypto::{PublicKey, SignatureAlgorithm},
    roots::{TrustRoots, Vendor},
    x509::{Certificate, Chain, Seen, X509Error, verify_chain_with},
};
use alloc::vec::Vec;

/// Certificates in the chain of a signer of documents, and of the PCK CA: it and the root.
const SIGNER_CHAIN: usize = 2;

/// Largest TCB info or identity in bytes. The largest real one has about 12 kB.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Trust roots, time, and what has been verified already.
pub(super) struct Intake<'a> {
    pub(super) roots: &'a TrustRoots,
    pub(super) now: UnixSeconds,
    seen: Seen,
}

/// A chain up to a trusted root.
pub(super) struct Trusted<'a> {
    pub(super) chain: Chain<'a>,
    pub(super) root_spki_sha256: [u8; 32],
    pub(super) grade: Grade,
}

/// A signed document and what is known about its signer.
pub(super) struct Signed {
    pub(super) signer_serial: Vec<u8>,
    pub(super) root_spki_sha256: [u8; 32],
    pub(super) grade: Grade,
    /// Last second of which the signer's chain and the root's revocation list are valid.
    pub(super) not_after: UnixSeconds,
}

impl<'a> Intake<'a> {
    pub(super) fn new(roots: &'a TrustRoots, now: UnixSeconds) -> Self {
        Self { roots, now, seen: Seen::default() }
    }

    /// Checks a chain of exactly `length` certificates up to one of Intel's roots.
    pub(super) fn chain<'c>(
        &mut self,
        document: Document,
        certificates: &'c [Certificate],
        length: usize,
    ) -> Result<Trusted<'c>, Error> {
        let root = match certificates.last() {
            Some(root) if certificates.len() == length => root,
            _ => return Err(Error::ChainLength(document)),
        };
        let root_spki_sha256 = root.spki_sha256();
        let grade = self
            .roots
            .find(Vendor::Intel, &root_spki_sha256)
            .ok_or(Error::UntrustedRoot(document))?
            .grade;
        let chain = verify_chain_with(certificates, self.now, &mut self.seen)
            .map_err(|source| document.failed(source))?;
        Ok(Trusted { chain, root_spki_sha256, grade })
    }

    /// Checks the chain of somebody whom the root itself has certified, by name and against the
    /// root's revocation list. Returns the certificate's name.
    pub(super) fn signer<'c>(
        &mut self,
        document: Document,
        certificates: &'c [Certificate],
        root_crl: &RootCrl,
    ) -> Result<Trusted<'c>, Error> {
        let trusted = self.chain(document, certificates, SIGNER_CHAIN)?;
        self.check_root_crl(document, &trusted, root_crl)?;
        if root_crl.is_revoked(trusted.chain.leaf.serial())
            || root_crl.is_revoked(trusted.chain.root.serial())
        {
            return Err(Error::RevokedCertificate(document));
        }
        Ok(trusted)
    }

    /// Checks that the list is of this chain's root, and of now.
    pub(super) fn check_root_crl(
        &self,
        document: Document,
        trusted: &Trusted<'_>,
        root_crl: &RootCrl,
    ) -> Result<(), Error> {
        if trusted.root_spki_sha256 != root_crl.root_spki_sha256 {
            return Err(Error::OtherRoot(document));
        }
        check_time(Document::RootCrl, root_crl.not_before, root_crl.not_after, self.now)
    }

    /// Checks a document that a certificate named "Intel SGX TCB Signing" signed.
    pub(super) fn document(
        &mut self,
        document: Document,
        issuer: Document,
        text: &str,
        signature: &[u8; 64],
        certificates: &[Certificate],
        root_crl: &RootCrl,
    ) -> Result<Signed, Error> {
        const SIGNER: &str = "Intel SGX TCB Signing";
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(Error::MalformedDocument(document));
        }
        let trusted = self.signer(issuer, certificates, root_crl)?;
        let leaf = trusted.chain.leaf;
        if leaf.subject_common_name() != Some(SIGNER) || leaf.is_ca() {
            return Err(Error::WrongName(issuer));
        }
        let key = p256_key(issuer, leaf)?;
        key.verify_raw(SignatureAlgorithm::EcdsaSha256, text.as_bytes(), signature)
            .map_err(|source| Error::DocumentSignature { document, source })?;
        Ok(Signed {
            signer_serial: leaf.serial().to_vec(),
            root_spki_sha256: trusted.root_spki_sha256,
            grade: trusted.grade,
            not_after: trusted.chain.not_after.min(root_crl.not_after),
        })
    }
}

impl Document {
    /// Says that this document failed; times have variants of their own.
    pub(super) fn failed(self, source: X509Error) -> Error {
        match source {
            X509Error::Expired => Error::Expired(self),
            X509Error::NotYetValid => Error::NotYetValid(self),
            source => Error::Certificate { document: self, source },
        }
    }
}

/// Checks that `now` is within both ends, both included.
pub(super) fn check_time(
    document: Document,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    now: UnixSeconds,
) -> Result<(), Error> {
    if now < not_before {
        return Err(Error::NotYetValid(document));
    }
    if now > not_after {
        return Err(Error::Expired(document));
    }
    Ok(())
}

/// The certificate's key, which has to be on P-256.
pub(super) fn p256_key(document: Document, certificate: &Certificate) -> Result<PublicKey, Error> {
    match certificate.public_key() {
        Ok(key @ PublicKey::P256(_)) => Ok(key),
        Ok(_) => Err(Error::KeyKind(document)),
        Err(source) => Err(document.failed(source)),
    }
}

/// Reads a chain in PEM.
pub(super) fn read_chain(document: Document, pem: &[u8]) -> Result<Vec<Certificate>, Error> {
    Certificate::chain_from_pem(pem).map_err(|source| document.failed(source))
}
