use std::{io, path::PathBuf};

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// No interface to a TEE was found.
    #[error(
        "this machine has no TEE: neither `{tsm}` (Linux configfs-tsm) nor `{gramine}` (Gramine) \
         is there, and the configuration names no software TEE"
    )]
    NoTee {
        /// Where configfs-tsm would be.
        tsm: PathBuf,
        /// Where Gramine's files would be.
        gramine: PathBuf,
    },
    /// A file or socket of the interface failed.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// configfs-tsm is driven by something that we have no verifier for.
    #[error(
        "configfs-tsm's provider `{0}` is not known here; `tdx_guest` (Intel TDX) and `sev_guest` \
         (AMD SEV-SNP) are"
    )]
    Provider(String),
    /// A file holds something else than its interface promises.
    #[error("`{path}` does not hold {expected}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Somebody else wrote to the request between ours.
    #[error(
        "another process changed the request for evidence (generation {found} instead of \
         {expected}); nothing of it is used"
    )]
    Interfered {
        /// Number of writes that we made.
        expected: u64,
        /// Number that the kernel counted.
        found: u64,
    },
    /// Gramine was not built for the kind of attestation that others can verify.
    #[error(
        "Gramine's attestation type is `{0}`; set `sgx.remote_attestation = \"dcap\"` in its manifest"
    )]
    AttestationType(String),
    /// The evidence that came is over other data.
    #[error("the evidence does not carry the report data that was asked for")]
    ReportData,
    /// More than [`crate::EVIDENCE_BYTES_MAX`].
    #[error("`{path}` gave more than {} bytes", crate::EVIDENCE_BYTES_MAX)]
    TooLong {
        /// Who gave it.
        path: PathBuf,
    },
    /// The software TEE answered with something else than its protocol says.
    #[error("the software TEE at `{path}` gave no valid answer: {problem}")]
    Answer {
        /// Its socket.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The software TEE refuses.
    #[error("the software TEE at `{path}` refuses: {reason}")]
    Refused {
        /// Its socket.
        path: PathBuf,
        /// Its words, shortened.
        reason: String,
    },
}
