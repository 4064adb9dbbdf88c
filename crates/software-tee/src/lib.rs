#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

pub mod client;
pub mod wire;

#[cfg(feature = "full")]
mod amd;
#[cfg(feature = "full")]
mod calendar;
#[cfg(feature = "full")]
pub mod daemon;
#[cfg(feature = "full")]
mod der;
#[cfg(feature = "full")]
mod directory;
#[cfg(feature = "full")]
mod error;
#[cfg(feature = "full")]
mod evidence;
#[cfg(feature = "full")]
mod intel;
#[cfg(feature = "full")]
mod keys;
#[cfg(feature = "full")]
pub mod measure;
#[cfg(feature = "full")]
mod misbehave;
#[cfg(feature = "full")]
mod pki;
#[cfg(feature = "full")]
mod primes;
#[cfg(feature = "full")]
mod x509;

#[cfg(feature = "full")]
pub use amd::AmdCollateral;
#[cfg(feature = "full")]
pub use directory::{Directory, Validity};
#[cfg(feature = "full")]
pub use error::Error;
#[cfg(feature = "full")]
pub use evidence::{Evidence, Format};
#[cfg(feature = "full")]
pub use intel::IntelCollateral;
#[cfg(feature = "full")]
pub use misbehave::{Misbehaviour, Platform};
#[cfg(feature = "full")]
pub use pki::{Collateral, Pki};
