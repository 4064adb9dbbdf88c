//! The one seam to whoever judges evidence.

use casemate_attestation::{Claims, UnixSeconds};
use casemate_evidence::RawEvidence;

/// Judges evidence: verifies it up to a root that it trusts and decides by a policy.
///
/// The caller's own code, because trust roots, collateral and policy are the caller's. What TLS and
/// the binding need is checked by this crate all the same, whatever an appraiser does.
pub trait Appraiser: std::fmt::Debug + Send + Sync {
    /// Judges `evidence` at the time `now`; its report data must be `report_data`.
    ///
    /// # Errors
    /// Where it is not what the policy asks for, or cannot be verified at all.
    fn appraise(
        &self,
        evidence: &RawEvidence,
        report_data: &[u8; 64],
        now: UnixSeconds,
    ) -> Result<Appraisal, Refusal>;
}

/// Evidence that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Appraisal {
    /// What it says.
    pub claims: Claims,
    /// The appraiser's list of checks, for people and logs.
    pub verdict: serde_json::Value,
}

/// Evidence that was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the evidence is refused: {reason}")]
pub struct Refusal {
    /// Which check failed, for people.
    pub reason: String,
    /// The appraiser's list of checks, where it came that far.
    pub verdict: serde_json::Value,
}

impl Refusal {
    /// A refusal without a list of checks.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), verdict: serde_json::Value::Null }
    }
}
