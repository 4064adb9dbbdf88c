//! Makes evidence for this agent's keys.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use casemate_attestation::{Binding, Purpose};
use casemate_evidence::{Attester, EvidenceError, RawEvidence, cmw::Record};
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex, UsageRecord};
use codec::Encode as _;

use crate::Keys;

/// How many pieces of evidence are remembered, so that secrets sealed against one of them are
/// taken. A publisher releases within seconds of asking; strangers' questions must not push it out
/// in that time.
const ISSUED_MAX: usize = 4096;

/// Member of a collection that holds the SCALE encoding of the [`Binding`].
pub(crate) const BINDING_MEMBER: &str = "binding";

/// Its media type.
pub(crate) const BINDING_TYPE: &str = "application/vnd.casemate.binding";

/// Which pod an agent belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PodIdentity {
    /// Hash of the chain's first block.
    pub genesis_hash: Hash256,
    /// Its lease.
    pub lease: LeaseId,
    /// Which of the lease's pods.
    pub replica: ReplicaIndex,
    /// BLAKE2b-256 of its manifest.
    pub manifest_hash: Hash256,
}

/// Evidence and what it is bound to.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What the report data is the hash of.
    pub binding: Binding,
    /// What the machine gave.
    pub evidence: RawEvidence,
}

impl Issued {
    /// As a collection (RFC 9999) that holds the binding too.
    pub fn to_cmw(&self) -> Vec<u8> {
        let mut collection = self.evidence.to_collection();
        let record = Record::new(BINDING_TYPE, self.binding.encode(), 0);
        collection.insert(BINDING_MEMBER, record);
        collection.encode()
    }
}

/// Makes evidence over the pod's identity and the agent's keys, for each purpose.
#[derive(Debug)]
pub struct EvidenceIssuer {
    attester: Arc<dyn Attester>,
    pod: PodIdentity,
    agent_key: AgentPublicKey,
    keys: Keys,
    issued: Mutex<VecDeque<Hash256>>,
    /// Whether the machine has given evidence.
    has_evidence: AtomicBool,
}

impl EvidenceIssuer {
    /// Takes the keys. `agent_key` is the public half of the key that signs usage records.
    pub fn new(
        attester: Arc<dyn Attester>,
        pod: PodIdentity,
        agent_key: AgentPublicKey,
        keys: Keys,
    ) -> Self {
        let (issued, has_evidence) = (Mutex::default(), AtomicBool::new(false));
        Self { attester, pod, agent_key, keys, issued, has_evidence }
    }

    /// Which pod.
    pub fn pod(&self) -> &PodIdentity {
        &self.pod
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Kind of the evidence.
    pub fn kind(&self) -> casemate_primitives::TeeKind {
        self.attester.kind()
    }

    /// Makes evidence for the chain, over the hash of a recent block.
    ///
    /// # Errors
    /// Where the machine gives none.
    pub fn registration(&self, block_hash: Hash256) -> Result<Issued, EvidenceError> {
        self.issue(Purpose::Registration, block_hash, [0; 32])
    }

    /// Makes evidence for a vault that shall release secrets, over its nonce.
    ///
    /// # Errors
    /// Where the machine gives none.
    pub fn release(&self, nonce: [u8; 32]) -> Result<Issued, EvidenceError> {
        self.issue(Purpose::Release, nonce, [0; 32])
    }

    /// Makes evidence for a certificate.
    pub(crate) fn ra_tls(&self) -> Result<Issued, EvidenceError> {
        self.issue(Purpose::RaTls, [0; 32], [0; 32])
    }

    /// Makes evidence for one connection.
    pub(crate) fn session(
        &self,
        nonce: [u8; 32],
        channel: [u8; 32],
    ) -> Result<Issued, EvidenceError> {
        self.issue(Purpose::Session, nonce, channel)
    }

    fn issue(
        &self,
        purpose: Purpose,
        nonce: [u8; 32],
        channel: [u8; 32],
    ) -> Result<Issued, EvidenceError> {
        let binding = Binding {
            purpose,
            genesis_hash: self.pod.genesis_hash,
            lease: self.pod.lease,
            replica: self.pod.replica,
            manifest_hash: self.pod.manifest_hash,
            nonce,
            agent_key: self.agent_key,
            hpke_key: self.keys.hpke_key(),
            tls_spki_sha256: self.keys.tls_spki_sha256(),
            channel,
            gpu_evidence: [0; 32],
        };
        let evidence = self.attester.evidence(&binding.report_data())?;
        self.has_evidence.store(true, Ordering::Relaxed);
        if purpose != Purpose::RaTls {
            let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
            if issued.len() >= ISSUED_MAX {
                issued.pop_front();
            }
            issued.push_back(evidence.digest());
        }
        Ok(Issued { binding, evidence })
    }

    /// What all evidence of the agent's key is about, once there is some: the same for every nonce, so
    /// that no stranger who asks for evidence chooses what the agent's records name.
    pub fn evidence_id(&self) -> Option<Hash256> {
        let PodIdentity { genesis_hash, lease, replica, manifest_hash } = &self.pod;
        let has_evidence = self.has_evidence.load(Ordering::Relaxed);
        has_evidence.then(|| {
            UsageRecord::evidence_id(genesis_hash, *lease, *replica, manifest_hash, &self.agent_key)
        })
    }

    /// Whether evidence of this digest was given out, for anything but a certificate.
    pub(crate) fn has_issued(&self, digest: &Hash256) -> bool {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }
}

#[cfg(test)]
mod tests {
    use casemate_primitives::TeeKind;

    use super::*;

    #[derive(Debug)]
    struct Tee(AtomicBool);

    impl Attester for Tee {
        fn kind(&self) -> TeeKind {
            TeeKind::IntelTdx
        }

        fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
            if !self.0.load(Ordering::Relaxed) {
                return Err(EvidenceError::NoTee { tsm: "".into(), gramine: "".into() });
            }
            let evidence = report_data.to_vec();
            Ok(RawEvidence { kind: self.kind(), evidence, event_log: None, endorsements: None })
        }
    }

    #[test]
    fn strangers_do_not_choose_what_records_name() {
        let pod = PodIdentity {
            genesis_hash: [1; 32],
            lease: LeaseId(2),
            replica: 3,
            manifest_hash: [4; 32],
        };
        let tee = Arc::new(Tee(AtomicBool::new(false)));
        let keys = Keys::generate().unwrap();
        let issuer = EvidenceIssuer::new(Arc::<Tee>::clone(&tee), pod, [5; 32], keys);
        assert!(issuer.ra_tls().is_err());
        assert_eq!(issuer.evidence_id(), None, "there is none yet");
        tee.0.store(true, Ordering::Relaxed);
        issuer.ra_tls().unwrap();
        // What the chain knows of a key that it has verified is enough to tell.
        let known = UsageRecord::evidence_id(&[1; 32], LeaseId(2), 3, &[4; 32], &[5; 32]);
        assert_eq!(issuer.evidence_id(), Some(known));
        for nonce in [[6; 32], [7; 32]] {
            issuer.registration(nonce).unwrap();
            issuer.session(nonce, [8; 32]).unwrap();
            issuer.release(nonce).unwrap();
            assert_eq!(issuer.evidence_id(), Some(known));
        }
        for other in [
            UsageRecord::evidence_id(&[9; 32], LeaseId(2), 3, &[4; 32], &[5; 32]),
            UsageRecord::evidence_id(&[1; 32], LeaseId(9), 3, &[4; 32], &[5; 32]),
            UsageRecord::evidence_id(&[1; 32], LeaseId(2), 9, &[4; 32], &[5; 32]),
            UsageRecord::evidence_id(&[1; 32], LeaseId(2), 3, &[9; 32], &[5; 32]),
            UsageRecord::evidence_id(&[1; 32], LeaseId(2), 3, &[4; 32], &[9; 32]),
        ] {
            assert_ne!(other, known);
        }
    }
}
