//! NVIDIA GPUs: a real report, real reference manifests, and forgeries of both.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "test code"
)]

mod forged;
mod gpu;
mod manifests;
#[path = "../common/pki.rs"]
mod pki;
mod real;

/// The folder with the evidence; see its README.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../data/nvidia/", $name))
    };
}
pub(crate) use data;
