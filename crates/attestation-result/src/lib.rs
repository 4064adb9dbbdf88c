#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

mod appraisal;
mod error;
pub mod jws;
mod key;
mod read;
mod vector;
mod write;

pub use appraisal::Appraisal;
pub use error::{KeyError, ResultError, WriteError};
pub use key::{ResultKey, SigningKey};
pub use read::{Checked, Demands, Nonces, Submodule, Verifier, read};
pub use vector::{Tier, TrustVector};
pub use write::AttestationResult;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use casemate_attestation::policy::Policy;
use sha2::{Digest as _, Sha256};

/// The EAT profile of the results (`eat_profile`).
pub const PROFILE: &str = "tag:github.com,2023:veraison/ear";

/// Name of the claim with what only Casemate's verifiers say (a tag URI, RFC 4151: nobody else may
/// mint it).
pub const CASEMATE_CLAIM: &str = "tag:github.com,2026:casemate/appraisal";

/// Largest token that is read, in bytes. A real one with a TDX quote's claims has 4 kB.
pub const TOKEN_BYTES_MAX: usize = 256 * 1024;

/// Seconds by which the clocks of verifier and relying party may differ.
pub const CLOCK_SKEW_SECONDS: u64 = 60;

/// The name under which a policy goes into a result (`ear.appraisal-policy-id`): RFC 6920, over its
/// JSON.
pub fn policy_id(policy: &Policy) -> String {
    // A policy is made of lists, texts and numbers: writing it cannot fail.
    let json = serde_json::to_vec(policy).unwrap_or_default();
    format!("ni:///sha-256;{}", base64url(&Sha256::digest(json)))
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
