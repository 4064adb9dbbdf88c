//! The mark that a verifier has checked something.

use crate::Claims;

/// Evidence whose signatures, certificates, collateral and times a verifier of this crate has
/// checked. There is no other way to make one.
///
/// It says that the claims are true of some machine, not that the machine is one to trust: that is
/// decided by a [`crate::policy::Policy`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified<E> {
    evidence: E,
    claims: Claims,
}

impl<E> Verified<E> {
    /// For the verifiers of this crate, after the last check.
    pub(crate) fn new(evidence: E, claims: Claims) -> Self {
        Self { evidence, claims }
    }

    /// What was verified.
    pub fn evidence(&self) -> &E {
        &self.evidence
    }

    /// What it says, in common terms.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Gives the claims away; the mark is lost.
    pub fn into_claims(self) -> Claims {
        self.claims
    }
}
