//! `casemate attest`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `casemate attest`
#[derive(Debug, Subcommand)]
pub(crate) enum AttestCommand {
    /// Appraise evidence from files, without a network
    ///
    /// Exit status: 0 accepted, 1 refused, 2 not readable.
    Verify(AttestVerifyArgs),
}

/// `casemate attest verify`
#[derive(Args, Debug)]
pub(crate) struct AttestVerifyArgs {
    /// Kind of evidence
    #[arg(long)]
    pub(crate) kind: EvidenceKind,
    /// The evidence as the vendor makes it: binary, or hex or base64 of it
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: PathBuf,
    /// Certificates (PEM, DER), revocation lists, JSON from Intel's PCS or a quote collateral
    /// file; may be given many times, or name a folder
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: Vec<PathBuf>,
    /// Time of the appraisal, such as 2026-10-15T00:00:00Z [default: now]
    #[arg(long, value_name = "RFC3339")]
    pub(crate) at: Option<String>,
    /// What to demand, as JSON [default: hardware only, no debugger, newest firmware]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Report data that the evidence must carry, 64 bytes in hex
    #[arg(long, value_name = "HEX")]
    pub(crate) report_data: Option<String>,
    /// Nonce that a GPU was asked with, 32 bytes in hex
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,
    /// Also trust this root certificate, as one of a software TEE that protects nothing; the policy
    /// must allow the grade `software`, too
    #[arg(long, value_name = "FILE")]
    pub(crate) software_root: Vec<PathBuf>,
}

/// Kinds of evidence on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum EvidenceKind {
    /// Intel TDX quote
    Tdx,
    /// Intel SGX quote (DCAP)
    Sgx,
    /// AMD SEV-SNP attestation report
    SevSnp,
    /// NVIDIA GPU attestation report (SPDM)
    Gpu,
}
