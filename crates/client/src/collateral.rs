//! Collateral in the pieces that the chain takes.

use casemate_attestation::{
    dcap::RawCollateral,
    sev_snp::RawEndorsements,
    x509::{Certificate, X509Error},
};
use sha2::{Digest as _, Sha256};

use crate::chain::Endorsement;

/// What the chain has to know before it verifies a machine's evidence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MachineCollateral {
    /// In the order in which they are to be submitted: each is checked by those before it.
    pub endorsements: Vec<Endorsement>,
    /// SHA-256 of the DER of the machine's certificate, by which the chain finds it.
    pub certificate: [u8; 32],
}

/// Why collateral can't be taken apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollateralError {
    /// A piece that the chain wants is not there.
    #[error("the collateral lacks {0}")]
    Missing(&'static str),
    /// A signature has not the length of one.
    #[error("the signature of the {0} has not 64 bytes")]
    Signature(&'static str),
    /// The machine's certificate can't be read.
    #[error("the certificate of the machine can't be read")]
    Certificate(#[source] X509Error),
}

/// From what verifies an SGX or TDX quote. Nothing is verified here; the chain does it.
///
/// # Errors
/// [`CollateralError`]; above all where the certificate of the machine is missing.
pub fn of_intel(raw: RawCollateral) -> Result<MachineCollateral, CollateralError> {
    let chain = raw.pck_certificate_chain.ok_or(CollateralError::Missing("the PCK certificate"))?;
    let certificates =
        Certificate::chain_from_pem(chain.as_bytes()).map_err(CollateralError::Certificate)?;
    let pck = certificates.first().ok_or(CollateralError::Missing("the PCK certificate"))?;
    let certificate = Sha256::digest(pck.der()).into();
    let signature =
        |bytes: Vec<u8>, of| bytes.try_into().map_err(|_| CollateralError::Signature(of));
    // The root's certificate ends each chain.
    let root = last_certificate(&raw.tcb_info_issuer_chain).to_owned();
    let endorsements = vec![
        Endorsement::RootCrl { crl: raw.root_ca_crl, issuer_chain: root },
        Endorsement::PckCrl { crl: raw.pck_crl, issuer_chain: raw.pck_crl_issuer_chain },
        Endorsement::TcbInfo {
            body: raw.tcb_info,
            signature: signature(raw.tcb_info_signature, "TCB info")?,
            issuer_chain: raw.tcb_info_issuer_chain,
        },
        Endorsement::QeIdentity {
            body: raw.qe_identity,
            signature: signature(raw.qe_identity_signature, "QE identity")?,
            issuer_chain: raw.qe_identity_issuer_chain,
        },
        Endorsement::Pck { chain },
    ];
    Ok(MachineCollateral { endorsements, certificate })
}

/// From what verifies an SEV-SNP report, as DER. Nothing is verified here; the chain does it.
///
/// # Errors
/// [`CollateralError::Missing`] without a revocation list: the chain takes no certificate of AMD's
/// before it knows the list.
pub fn of_amd(raw: RawEndorsements) -> Result<MachineCollateral, CollateralError> {
    let crl = raw.crl.ok_or(CollateralError::Missing("the product line's revocation list"))?;
    let certificate = Sha256::digest(&raw.vek).into();
    let endorsements = vec![
        Endorsement::AmdCrl { crl, ark: raw.ark.clone() },
        Endorsement::Vek { vek: raw.vek, ask: raw.ask, ark: raw.ark },
    ];
    Ok(MachineCollateral { endorsements, certificate })
}

/// The last certificate of a chain in PEM.
fn last_certificate(chain: &str) -> &str {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    chain.rfind(BEGIN).and_then(|at| chain.get(at..)).unwrap_or(chain)
}

#[cfg(test)]
mod tests;
