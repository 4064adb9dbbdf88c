//! What other pallets may do with deployments.

use casemate_primitives::{DeploymentId, DeploymentKind, ManifestRef};
use frame_support::pallet_prelude::{DispatchError, DispatchResult};

/// Creates deployments and counts their leases.
pub trait DeploymentRegistry<AccountId> {
    /// Create a deployment for `publisher`.
    ///
    /// # Errors
    /// As `create` of the pallet.
    fn create(
        publisher: &AccountId,
        kind: DeploymentKind,
        manifest: ManifestRef,
    ) -> Result<DeploymentId, DispatchError>;

    /// The current manifest of `publisher`'s deployment. A stopped one has it, too: leases that live
    /// are served and proved until each is closed.
    ///
    /// # Errors
    /// When there is no such deployment, or it is another's.
    fn manifest(
        publisher: &AccountId,
        deployment: DeploymentId,
    ) -> Result<ManifestRef, DispatchError>;

    /// The version of the current manifest; `None` when there is no such deployment.
    fn version(deployment: DeploymentId) -> Option<u32>;

    /// Service or task; `None` where there is no such deployment (any more).
    fn kind(deployment: DeploymentId) -> Option<DeploymentKind>;

    /// Count one more lease.
    ///
    /// # Errors
    /// When there is no such deployment, or it was stopped.
    fn lease_opened(deployment: DeploymentId) -> DispatchResult;

    /// Count one lease less. Never fails, so that a lease can always end.
    fn lease_settled(deployment: DeploymentId);
}
