//! AMD SEV-SNP: real evidence, forgeries and launch digests. (`tests/differential` compares with AMD's community crate.)

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "test code"
)]

mod forged_chains;
mod forged_reports;
mod launch;
mod lists;
mod machine;
#[path = "../common/pki.rs"]
mod pki;
mod real;

/// The folder with the evidence; see its README.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../data/sev_snp/", $name))
    };
}
pub(crate) use data;
