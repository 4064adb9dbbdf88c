//! What other pallets may do with the registry.

use casemate_primitives::Resources;
use frame_support::dispatch::DispatchResult;

/// Counts capacity in leases.
pub trait ProviderRegistry<AccountId> {
    /// Take `resources` of a provider's free capacity for one more lease.
    ///
    /// # Errors
    /// When there is no such provider, it retires, or it has not this much free.
    fn reserve(provider: &AccountId, resources: &Resources) -> DispatchResult;

    /// Give back what a lease had reserved. Never fails, so that a lease can always end.
    fn release(provider: &AccountId, resources: &Resources);
}
