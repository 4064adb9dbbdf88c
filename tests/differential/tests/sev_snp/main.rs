//! AMD SEV-SNP: the same answers as AMD's community crate.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "test code, most of it shared"
)]

mod differential;
#[path = "../../../../crates/attestation/tests/sev_snp/machine.rs"]
mod machine;
#[path = "../../../../crates/attestation/tests/common/pki.rs"]
mod pki;
#[path = "../../../../crates/attestation/tests/sev_snp/real.rs"]
mod real;

/// The folder with the evidence; see its README.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../crates/attestation/tests/data/sev_snp/",
            $name
        ))
    };
}
pub(crate) use data;
