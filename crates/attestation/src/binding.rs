//! What an enclave binds its evidence to.

use alloc::vec::Vec;
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex};
use codec::{Decode, Encode};
use sha2::{Digest, Sha512};

/// What evidence was made for. Evidence for one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Purpose {
    /// To show the chain that the agent is there, with its key: to register it, then the nonce is the hash
    /// of a recent block; or to answer a challenge, then the nonce is the challenge's.
    Registration,
    /// To stand in a TLS certificate; the nonce is zero, freshness comes from the short validity.
    RaTls,
    /// To answer a caller's nonce inside a TLS session; `channel` is the session's exporter
    /// (RFC 9266).
    Session,
    /// To list the control plane of a provider's cluster; `manifest_hash` is the provider's
    /// account, lease and keys are zero.
    Cluster,
    /// To be given secrets by a vault; the nonce is the vault's. There is no channel: what the vault
    /// answers is sealed to `hpke_key`, whoever carries it.
    Release,
}

/// All that evidence is bound to, hashed into the report data.
///
/// Each field is covered whatever the purpose; what does not apply is zero.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Binding {
    /// What for.
    pub purpose: Purpose,
    /// Hash of the chain's first block: evidence means nothing on another chain.
    pub genesis_hash: Hash256,
    /// Which lease.
    pub lease: LeaseId,
    /// Which of its pods.
    pub replica: ReplicaIndex,
    /// BLAKE2b-256 of the manifest that the agent was started with.
    pub manifest_hash: Hash256,
    /// The verifier's nonce.
    pub nonce: [u8; 32],
    /// Ed25519 key that signs usage records.
    pub agent_key: AgentPublicKey,
    /// X25519 key that secrets are sealed to (HPKE, RFC 9180).
    pub hpke_key: [u8; 32],
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub tls_spki_sha256: Hash256,
    /// What binds to one TLS session, or zeros.
    pub channel: [u8; 32],
    /// SHA-256 over the GPU evidence that belongs to it, or zeros.
    pub gpu_evidence: Hash256,
}

impl Binding {
    /// Keeps these bytes apart from anything else that is ever hashed into report data.
    pub const CONTEXT: &'static [u8] = b"casemate/report-data/v1";

    /// The 64 bytes that the hardware signs: SHA-512 over the context and the SCALE encoding.
    pub fn report_data(&self) -> [u8; 64] {
        let mut input: Vec<u8> = Self::CONTEXT.encode();
        self.encode_to(&mut input);
        Sha512::digest(&input).into()
    }
}
