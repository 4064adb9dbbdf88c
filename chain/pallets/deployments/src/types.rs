//! What the chain keeps of a deployment.

use casemate_primitives::{Balance, DeploymentKind, ManifestRef};
use frame_support::pallet_prelude::*;

/// A deployment that has not ended.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Deployment<AccountId> {
    /// Its owner.
    pub publisher: AccountId,
    /// Service or task.
    pub kind: DeploymentKind,
    /// What is to run.
    pub manifest: ManifestRef,
    /// Version of the manifest, from 1.
    pub version: u32,
    /// Whether it takes no more leases and updates.
    pub stopped: bool,
    /// Leases that are not settled.
    pub live_leases: u32,
    /// What is held for it.
    pub deposit: Balance,
}
