//! The measurement that an enclave or TD of known parts must report.
//!
//! [`mr_enclave`] hashes what the processor measures while it builds an enclave; [`mr_td`] what the
//! TDX module measures while the host puts the firmware into a TD. What that firmware then loads is in the run-time registers,
//! whose values follow from an event log ([`crate::event_log::EventLog::replay`]); both together make the
//! value that is approved ([`crate::td_workload`]). Sources: Intel SDM vol. 3D, 38.1.2
//! (MRENCLAVE); Intel TDX Module Base Architecture, "MRTD"; Intel TDX Virtual Firmware Design
//! Guide, section 11 (metadata).

mod sgxs;
mod tdvf;

pub use sgxs::mr_enclave;
pub use tdvf::{PageOrder, mr_td};

use thiserror::Error;

/// Why no measurement could be computed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum LaunchError {
    /// The enclave's stream ends within a record.
    #[error("the SGXS stream ends within a record (at byte {0})")]
    TruncatedStream(usize),
    /// An unknown record, or one in a place where it may not be.
    #[error("the SGXS stream has a record that does not belong there (at byte {0})")]
    UnexpectedRecord(usize),
    /// The stream leaves the enclave's size open, so its measurement is not determined.
    #[error("the SGXS stream does not say the enclave's size")]
    Unsized,
    /// The firmware has no TDX metadata.
    #[error("the firmware has no TDX metadata (TDVF); it cannot start a TD")]
    NoMetadata,
    /// The metadata are of another version or do not fit into the firmware.
    #[error("the firmware's TDX metadata are malformed")]
    MalformedMetadata,
    /// A section of the metadata lies outside the firmware or is not of whole pages.
    #[error("section {0} of the firmware's TDX metadata is malformed")]
    MalformedSection(usize),
    /// The sections have more memory than a firmware needs.
    #[error("the sections of the firmware's TDX metadata are too large")]
    TooLarge,
}

#[cfg(test)]
mod tests;
