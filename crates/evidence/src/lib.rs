//! Where evidence comes from, and how it travels.
//!
//! An [`Attester`] asks the machine for evidence over 64 bytes of report data: through Linux'
//! configfs-tsm (TDX, SEV-SNP), Gramine's `/dev/attestation` (SGX) or the software TEE's socket.
//! [`detect`] finds out which of them there is. On every wire evidence is a collection of
//! conceptual messages ([`cmw`], RFC 9999) that holds the vendor's bytes untouched.
//!
//! Nothing here judges evidence: that is `casemate-attestation`'s, and the software TEE is told from
//! hardware by the root that its evidence chains to, not by the way that it came.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

mod cbor;
pub mod cmw;
mod detect;
mod error;
mod gramine;
mod raw;
mod socket;
mod tsm;

pub use casemate_primitives::TeeKind;
pub use detect::{Sources, detect};
pub use error::EvidenceError;
pub use gramine::Gramine;
pub use raw::{Endorsements, EventLog, RawEvidence, RawEvidenceError};
pub use socket::SoftwareTee;
pub use tsm::{ConfigfsTsm, Files, Kernel};

/// Something that makes evidence about the machine that it runs on.
pub trait Attester: std::fmt::Debug + Send + Sync {
    /// Kind of TEE whose evidence it makes (the software TEE: whose format).
    fn kind(&self) -> TeeKind;

    /// Makes evidence over `report_data`. May take seconds where a quoting service is asked.
    ///
    /// # Errors
    /// Where the machine gives none, or something else than what was asked for.
    fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError>;
}

/// Largest single piece of evidence that is taken from a machine or a wire. Quotes are 5 kB, an SNP
/// report with its certificates 10 kB, event logs up to 64 kB.
pub const EVIDENCE_BYTES_MAX: usize = 256 * 1024;
