//! `casemate attest`

use std::path::PathBuf;

use casemate_primitives::LeaseId;
use clap::{Args, Subcommand, ValueEnum};

use crate::address::Address;

/// `casemate attest`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct AttestArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AttestCommand>,
    #[command(flatten)]
    pub(crate) url: AttestUrlArgs,
}

/// `casemate attest URL`
#[derive(Args, Debug)]
pub(crate) struct AttestUrlArgs {
    /// Where the app is reached, such as https://guestbook.example:8443
    #[arg(required = true)]
    pub(crate) url: Option<String>,
    /// Connect there instead of to the URL's host and port, and ask for the URL's host all the same
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) connect: Option<String>,
    /// Accept this lease only
    #[arg(long, value_name = "N")]
    pub(crate) lease: Option<LeaseId>,
    /// Accept leases of this publisher only
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "offline")]
    pub(crate) publisher: Option<Address>,
    /// Accept a pod that runs this manifest only (BLAKE2b-256 of its canonical JSON)
    #[arg(long, value_name = "HEX")]
    pub(crate) manifest_hash: Option<String>,
    #[command(flatten)]
    pub(crate) appraisal: AppraisalArgs,
    /// Ask no chain: the verdict says what was not checked
    #[arg(long)]
    pub(crate) offline: bool,
    /// With --offline: also trust this root certificate, as one of a software TEE that protects
    /// nothing
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub(crate) software_root: Vec<PathBuf>,
    /// Seconds for the connection and for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

/// What decides about evidence that comes over a connection.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AppraisalArgs {
    /// What to demand, as JSON [default: hardware only, no debugger, newest firmware]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Certificates, revocation lists and other collateral of the vendor's, as for `verify`; may be
    /// given many times, or name a folder [default: what the chain has verified]
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: Vec<PathBuf>,
    /// Also accept a software TEE, which protects nothing; prints a warning
    #[arg(long)]
    pub(crate) allow_software_tee: bool,
}

/// `casemate attest`'s subcommands
#[derive(Debug, Subcommand)]
pub(crate) enum AttestCommand {
    /// Appraise evidence from files, without a network
    ///
    /// Exit status: 0 accepted, 1 refused, 2 not readable.
    Verify(AttestVerifyArgs),
    /// Bring evidence to the chain, with the collateral that it lacks, and have its runtime verify it
    ///
    /// Exit status: 0 verified, 1 refused, 2 not readable.
    Submit(AttestSubmitArgs),
    /// Show what the chain knows of a lease's agents: TEE, measurement, and until when they are paid
    Lease(AttestLeaseArgs),
    /// Make a key to sign results with: FILE, for its owner only, and FILE.pub for everybody else
    Key(AttestKeyArgs),
    /// Check a result that `verify --result` wrote and somebody signed, and show what it says
    ///
    /// Exit status: 0 affirmed and signed by the key, 1 refused, 2 not readable.
    Result(AttestResultArgs),
}

/// `casemate attest key`
#[derive(Args, Debug)]
pub(crate) struct AttestKeyArgs {
    /// Where the key goes (PKCS#8 PEM, P-256); a file that is there is not changed
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `casemate attest result`
#[derive(Args, Debug)]
pub(crate) struct AttestResultArgs {
    /// The signed result (EAR, a JWT)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Public key of the verifier that you trust: the FILE.pub that `casemate attest key` made
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Policy under which the evidence must have been appraised, as JSON [default: whatever the
    /// verifier chose]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// What the evidence must have been demanded to carry (report data, or the nonce of a GPU), in
    /// hex
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,
    /// Oldest appraisal that counts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 24 * 60 * 60)]
    pub(crate) max_age: u64,
    /// Time of the check, such as 2026-10-15T00:00:00Z [default: now]
    #[arg(long, value_name = "RFC3339")]
    pub(crate) at: Option<String>,
    /// Also accept what is affirmed with a warning: firmware with open advisories, or a software TEE
    #[arg(long)]
    pub(crate) allow_warning: bool,
}

/// `casemate attest submit`
#[derive(Args, Debug)]
pub(crate) struct AttestSubmitArgs {
    /// Kind of evidence
    #[arg(long)]
    pub(crate) kind: EvidenceKind,
    /// The evidence as the vendor makes it: binary, or hex or base64 of it
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: PathBuf,
    /// What the vendor says about the machine, as for `verify`; may be given many times, or name a
    /// folder
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: Vec<PathBuf>,
}

/// `casemate attest lease`
#[derive(Args, Debug)]
pub(crate) struct AttestLeaseArgs {
    /// Lease by number, anybody's, or one of yours by name [default: the only one]
    pub(crate) lease: Option<String>,
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
    /// Write the outcome, accepted or not, as a signed attestation result (EAR, a JWT) for others
    #[arg(long, value_name = "FILE", requires = "sign_with")]
    pub(crate) result: Option<PathBuf>,
    /// Key to sign the result with, from `casemate attest key`
    #[arg(long, value_name = "FILE", requires = "result")]
    pub(crate) sign_with: Option<PathBuf>,
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
