//! The evidence that a pod shows to a vault, by way of somebody who is trusted by neither.

use casemate_attestation::{Binding, Purpose, UnixSeconds};
use casemate_primitives::Hash256;

use crate::{Appraiser, Expected, Issued, Peer, PeerError, peer};

/// Evidence of the purpose `Release`, as it came: nothing in it is verified yet.
#[derive(Debug)]
pub struct ReleaseEvidence(Issued);

impl ReleaseEvidence {
    /// Reads it. Evidence for another purpose, or bound to a connection, is none.
    ///
    /// # Errors
    /// Where it does not read, or was made for something else.
    pub fn read(cmw: &[u8]) -> Result<Self, PeerError> {
        let issued = peer::read(cmw)?;
        peer::check_purpose(&issued.binding, Purpose::Release)?;
        if issued.binding.channel != [0; 32] {
            return Err(PeerError::Channel);
        }
        Ok(Self(issued))
    }

    /// What it says that it is bound to. Worth nothing before [`appraise`](Self::appraise): good to
    /// look up which policy applies.
    pub fn claimed(&self) -> &Binding {
        &self.0.binding
    }

    /// SHA-256 of the evidence, for the record.
    pub fn digest(&self) -> Hash256 {
        self.0.evidence.digest()
    }

    /// Verifies it: over `nonce`, of the pod that is `expected`, good enough for `appraiser`.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn appraise(
        &self,
        nonce: &[u8; 32],
        expected: &Expected,
        appraiser: &dyn Appraiser,
        now: UnixSeconds,
    ) -> Result<Peer, PeerError> {
        if self.0.binding.nonce != *nonce {
            return Err(PeerError::Nonce);
        }
        expected.check(&self.0.binding)?;
        peer::appraise(self.0.clone(), appraiser, now)
    }
}
