//! Collateral from whatever files a person has.
//!
//! Vendors hand collateral out in many shapes: Intel's PCS as JSON bodies with issuer chains in
//! HTTP headers, AMD's KDS as DER and PEM, caches and other projects as JSON objects of their own.
//! A [`Bundle`] takes them all, finds out what each is, and puts together what a verifier wants.
//! Nothing is trusted for lying in a bundle: the verifiers check every piece.
//!
//! [`Bundle::add`] reads, by content:
//! - PEM text (also URL-encoded, as in PCS headers) with certificates and revocation lists;
//! - a DER certificate or revocation list, also in hex or base64;
//! - a PCS body `{"tcbInfo": …, "signature": …}` or `{"enclaveIdentity": …, "signature": …}`;
//! - the JSON of `QuoteCollateralV3` (`tcb_info`, `tcb_info_signature`, `qe_identity`, …);
//! - a signed reference manifest of NVIDIA's (SWID tag, XML);
//! - any other JSON whose strings are one of the above.

mod read;
#[cfg(test)]
mod tests;

use crate::{
    dcap::{self, RawCollateral},
    sev_snp::{self, RawEndorsements},
    x509::{Certificate, Crl, ObjectIdentifier},
};
use alloc::{format, string::String, vec::Vec};
use thiserror::Error;

/// Intel's extension of PCK certificates.
const SGX_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
/// Most pieces in one bundle.
const PIECES_MAX: usize = 256;

/// Why a file is no collateral, or a bundle not enough.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BundleError {
    /// None of the shapes that are read.
    #[error(
        "neither a certificate or revocation list (PEM or DER), nor JSON from Intel's PCS or a \
         quote collateral file"
    )]
    Unknown,
    /// Something of it was recognised, and is broken.
    #[error("{what}: {reason}")]
    Malformed {
        /// What it looks like.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Too many pieces.
    #[error("more than {PIECES_MAX} certificates, lists and bodies")]
    TooMany,
    /// A piece that is needed is not there.
    #[error("the collateral lacks {0}")]
    Missing(&'static str),
}

/// A signed JSON body.
#[derive(Clone, Debug, Eq, PartialEq)]
struct SignedBody {
    /// Exactly the bytes that were signed.
    body: String,
    signature: Vec<u8>,
}

/// Pieces of collateral, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    certificates: Vec<Certificate>,
    crls: Vec<Crl>,
    tcb_infos: Vec<SignedBody>,
    qe_identities: Vec<SignedBody>,
    rims: Vec<Vec<u8>>,
}

impl Bundle {
    /// Takes what is in `bytes`.
    ///
    /// # Errors
    /// [`BundleError::Unknown`] when nothing in it is collateral.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        let before = self.len();
        read::any(self, bytes, 0)?;
        if self.len() == before {
            return Err(BundleError::Unknown);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.certificates.len()
            + self.crls.len()
            + self.tcb_infos.len()
            + self.qe_identities.len()
            + self.rims.len()
    }

    fn check_room(&self) -> Result<(), BundleError> {
        if self.len() < PIECES_MAX { Ok(()) } else { Err(BundleError::TooMany) }
    }

    /// The machine certificates in it (PCK, VCEK, VLEK): those that are no CA.
    pub fn leaves(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().filter(|certificate| !certificate.is_ca())
    }

    /// What is needed to verify this quote.
    ///
    /// # Errors
    /// [`BundleError::Missing`] with what to add.
    pub fn for_dcap(&self, quote: &dcap::Quote) -> Result<RawCollateral, BundleError> {
        let in_quote = quote.pck_chain().and_then(Result::ok).unwrap_or_default();
        let known = || in_quote.iter().chain(&self.certificates);
        let is_pck = |certificate: &&Certificate| certificate.extension(&SGX_EXTENSION).is_some();
        let pck = known()
            .find(|certificate| !certificate.is_ca() && is_pck(certificate))
            .ok_or(BundleError::Missing("the PCK certificate (the quote has none inside)"))?;
        let issuer_of = |certificate: &Certificate| {
            known().find(|issuer| {
                issuer.subject_der() == certificate.issuer_der()
                    && certificate.verify_issued_by(issuer).is_ok()
            })
        };
        let pck_ca = issuer_of(pck).ok_or(BundleError::Missing("the CA of the PCK certificate"))?;
        let root = issuer_of(pck_ca).ok_or(BundleError::Missing("the root certificate"))?;
        let signing = known()
            .find(|certificate| {
                !certificate.is_ca()
                    && !is_pck(certificate)
                    && certificate.issuer_der() == root.subject_der()
            })
            .ok_or(BundleError::Missing("the TCB signing certificate"))?;
        // The list of the right issuer; where there is none, another's: whether that will do is for
        // the verifier to say, with the reason.
        let crl_of = |issuer: &Certificate, or: &dyn Fn(&Crl) -> bool| {
            let issued = |crl: &&Crl| {
                crl.issuer_der() == issuer.subject_der() && crl.verify_issued_by(issuer).is_ok()
            };
            let newest = |crls: &mut dyn Iterator<Item = &Crl>| {
                crls.max_by_key(|crl| crl.this_update()).cloned()
            };
            newest(&mut self.crls.iter().filter(issued))
                .or_else(|| newest(&mut self.crls.iter().filter(|crl| or(crl))))
        };
        let is_root_s = |crl: &Crl| crl.issuer_der() == root.subject_der();
        let root_ca_crl = crl_of(root, &is_root_s)
            .ok_or(BundleError::Missing("the root's revocation list (root CA CRL)"))?;
        let pck_crl = crl_of(pck_ca, &|crl| !is_root_s(crl))
            .ok_or(BundleError::Missing("the revocation list of the PCK certificate's CA"))?;
        let pck_crl_issuer = self
            .certificates
            .iter()
            .find(|issuer| issuer.subject_der() == pck_crl.issuer_der())
            .unwrap_or(pck_ca);
        let kind = quote.tee_kind();
        let fmspc = dcap::fmspc_of(pck)
            .map(hex::encode)
            .ok_or(BundleError::Missing("a readable PCK certificate"))?;
        let tcb_info = self
            .tcb_infos
            .iter()
            .find(|info| read::tcb_info_is_for(&info.body, kind, &fmspc))
            .or_else(|| self.tcb_infos.first())
            .ok_or(BundleError::Missing("the TCB info"))?;
        let qe_identity = self
            .qe_identities
            .iter()
            .find(|identity| read::qe_identity_is_for(&identity.body, kind))
            .or_else(|| self.qe_identities.first())
            .ok_or(BundleError::Missing("the QE identity"))?;
        let chain = |certificates: &[&Certificate]| read::to_pem(certificates);
        let issuers = chain(&[signing, root]);
        Ok(RawCollateral {
            pck_crl_issuer_chain: chain(&[pck_crl_issuer, root]),
            root_ca_crl: root_ca_crl.der().to_vec(),
            pck_crl: pck_crl.der().to_vec(),
            tcb_info_issuer_chain: issuers.clone(),
            tcb_info: tcb_info.body.clone(),
            tcb_info_signature: tcb_info.signature.clone(),
            qe_identity_issuer_chain: issuers,
            qe_identity: qe_identity.body.clone(),
            qe_identity_signature: qe_identity.signature.clone(),
            pck_certificate_chain: Some(chain(&[pck, pck_ca, root])),
        })
    }

    /// What is needed to verify this report. Of several machines' certificates its own is taken;
    /// where none is, the first: what does not fit is for the verifier to say.
    ///
    /// # Errors
    /// [`BundleError::Missing`] with what to add.
    pub fn for_sev_snp(&self, report: &sev_snp::Report) -> Result<RawEndorsements, BundleError> {
        let is_vek = |certificate: &&Certificate| certificate.extension(&SGX_EXTENSION).is_none();
        let is_its = |certificate: &&Certificate| sev_snp::is_of_machine(certificate, report);
        let vek = self
            .leaves()
            .filter(is_vek)
            .find(is_its)
            .or_else(|| self.leaves().find(is_vek))
            .ok_or(BundleError::Missing("the VCEK or VLEK certificate"))?;
        let issuer_of = |certificate: &Certificate| {
            self.certificates.iter().find(|issuer| {
                issuer.is_ca()
                    && issuer.subject_der() == certificate.issuer_der()
                    && issuer.der() != certificate.der()
            })
        };
        let ask = issuer_of(vek).ok_or(BundleError::Missing("the ASK (or ASVK) certificate"))?;
        let ark = issuer_of(ask).ok_or(BundleError::Missing("the ARK certificate"))?;
        let crl = self
            .crls
            .iter()
            .filter(|crl| crl.issuer_der() == ark.subject_der())
            .max_by_key(|crl| crl.this_update());
        Ok(RawEndorsements {
            vek: vek.der().to_vec(),
            ask: ask.der().to_vec(),
            ark: ark.der().to_vec(),
            crl: crl.map(|crl| crl.der().to_vec()),
        })
    }

    /// The same for a report that came with certificates of its own. They come first, as others may
    /// lie in the bundle, which adds the revocation list that no machine has.
    ///
    /// # Errors
    /// As above, and where its own do not read.
    pub fn for_sev_snp_with(
        &self,
        report: &sev_snp::Report,
        own: &RawEndorsements,
    ) -> Result<RawEndorsements, BundleError> {
        let mut bundle = Self::default();
        for part in [&own.vek, &own.ask, &own.ark].into_iter().chain(&own.crl) {
            bundle.add(part)?;
        }
        bundle.certificates.extend(self.certificates.iter().cloned());
        bundle.crls.extend(self.crls.iter().cloned());
        bundle.for_sev_snp(report)
    }

    /// Reference manifests of GPUs, unverified.
    pub fn rims(&self) -> &[Vec<u8>] {
        &self.rims
    }

    /// The chain of a GPU's device certificate as PEM, leaf first.
    ///
    /// # Errors
    /// [`BundleError::Missing`] without certificates.
    pub fn for_nvidia(&self) -> Result<String, BundleError> {
        let missing = BundleError::Missing("the GPU's device certificate chain");
        let leaf = self.leaves().next().ok_or(missing)?;
        let mut chain = alloc::vec![leaf];
        // Other roots may lie in the bundle, too: only issuers are followed.
        while let Some(last) = chain.last().filter(|last| !last.is_self_issued()) {
            let issuer = self.certificates.iter().find(|issuer| {
                issuer.subject_der() == last.issuer_der()
                    && chain.iter().all(|known| known.der() != issuer.der())
            });
            match issuer {
                Some(issuer) => chain.push(issuer),
                None => break,
            }
        }
        Ok(read::to_pem(&chain))
    }
}

fn malformed(what: &'static str, reason: impl core::fmt::Display) -> BundleError {
    BundleError::Malformed { what, reason: format!("{reason}") }
}

/// Base64 (RFC 4648, section 4) with padding; white space is skipped.
///
/// # Errors
/// [`BundleError::Unknown`] when it is none.
pub fn from_base64(text: &str) -> Result<Vec<u8>, BundleError> {
    crate::x509::pem::base64(text.as_bytes()).map_err(|_| BundleError::Unknown)
}
