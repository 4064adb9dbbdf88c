//! Evidence of the pods' agents, and of the daemon itself, on its way to the chain.
//!
//! Who must not choose what: an agent chooses neither the roots nor the block, and what it serves
//! is verified here before a fee is paid for it. What the chain then decides is the chain's; this
//! side only saves the fee for evidence that it would refuse.

mod collateral;
mod control_plane;
mod endorsed;
mod pod;

pub use collateral::CollateralFrom;
pub use control_plane::{ClusterAttestor, ClusterWanted, ControlPlane, Machine, SoftwareGuest};
pub use pod::PodAttestor;

pub(crate) use pod::policy as chain_policy;

pub(crate) use endorsed::Endorsed;

use std::net::SocketAddr;

use casemate_attestation::TrustRoots;
use casemate_client::{
    chain::{AttestedKeys, Endorsement, Submission},
    collateral::CollateralError,
};
use casemate_primitives::{Hash256, LeaseId, ReplicaIndex};
use casemate_ra_tls::{Refusal, client::SessionError};
use casemate_software_tee::client::ClientError;
use futures::future::BoxFuture;

/// Whose evidence is wanted, and over what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Where the agent serves it.
    pub address: SocketAddr,
    /// Chain that it must be for.
    pub genesis_hash: Hash256,
    /// Lease that it must be for.
    pub lease: LeaseId,
    /// Replica that it must be for.
    pub replica: ReplicaIndex,
    /// Manifest that the chain expects.
    pub manifest_hash: Hash256,
    /// The keys that it must cover.
    pub keys: AttestedKeys,
    /// The nonce: hash of a recent finalised block.
    pub block_hash: Hash256,
    /// What the chain trusts.
    pub roots: TrustRoots,
}

/// Evidence that the chain should accept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    /// What is submitted.
    pub submission: Submission,
    /// What the chain needs to verify it, in the order in which one rests on the other.
    pub endorsements: Vec<Endorsement>,
}

/// Why there is no evidence to submit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The collateral can't be had.
    #[error("the collateral to verify it with cannot be had: {0}")]
    Collateral(String),
    /// The agent can't be reached, or who answers is not the pod's agent.
    #[error("the pod's agent gives no evidence")]
    Session(#[source] Box<SessionError>),
    /// The machine that the daemon runs on gives none.
    #[error("this machine gives no evidence")]
    Machine(#[source] casemate_evidence::EvidenceError),
    /// The software TEE does not take the daemon as a guest.
    #[error("the software TEE does not launch the control plane's guest")]
    Launch(#[source] ClientError),
    /// The agent's keys are not those that its events have named.
    #[error("the evidence covers other keys than the agent has named to its host")]
    OtherKeys,
    /// Our own verification says no.
    #[error("it does not pass the check before it is submitted")]
    Refused(#[source] Refusal),
    /// A part of the collateral is not what it should be.
    #[error("the collateral is not usable: {0}")]
    Unusable(&'static str),
    /// The chain wants it in other pieces than it is.
    #[error("the collateral is not usable")]
    Pieces(#[from] CollateralError),
    /// The thread that asked has ended.
    #[error("asking for it broke off")]
    BrokeOff,
}

/// Where evidence comes from. A trait, so that tests need no agents.
pub trait Attestor: Send + Sync + 'static {
    /// Asks an agent for registration evidence, and verifies it.
    fn evidence(&self, wanted: Wanted) -> BoxFuture<'_, Result<Evidence, EvidenceError>>;
}
