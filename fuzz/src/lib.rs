//! What is done with hostile bytes: each function of [`TARGETS`] takes any bytes, hands them to a
//! decoder, and panics where something does not hold that must.
//!
//! `libfuzzer/` calls them with bytes that a fuzzer makes, the tests of this crate with the ones in
//! `corpus/`.

// A target's only way to speak is to panic.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

mod agent;
mod attestation;
mod bundle;
mod client;
mod http;
mod image;
mod logs;
mod manifest;
mod primitives;
mod result;
mod scratch;
mod targets;
mod vault;

pub use targets::TARGETS;

/// A decoder's trial: any bytes in, a panic where something is wrong.
pub type Target = fn(&[u8]);

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
