//! What other pallets may do with the registry.

use casemate_primitives::Resources;
use frame_support::dispatch::DispatchResult;

/// Counts capacity in leases.
pub trait ProviderRegistry<AccountId> {
    /// Whether this account is a provider that takes leases.
    ///
    /// # Errors
    /// When there is no such provider, or it retires.
    fn ensure_active(provider: &AccountId) -> DispatchResult;

    /// Take `resources` of a provider's free capacity for one more lease.
    ///
    /// # Errors
    /// When there is no such provider, it retires, or it has not this much free.
    fn reserve(provider: &AccountId, resources: &Resources) -> DispatchResult;

    /// Give back what a lease had reserved. Never fails, so that a lease can always end.
    fn release(provider: &AccountId, resources: &Resources);

    /// Register a provider, for the benchmarks of what providers do elsewhere.
    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_register(provider: &AccountId);
}

/// Who keeps something for a provider, to be forgotten when it retires.
pub trait OnRetire<AccountId> {
    /// The provider has retired. Never fails, so that it always can.
    fn retired(provider: &AccountId);
}

impl<AccountId> OnRetire<AccountId> for () {
    fn retired(_: &AccountId) {}
}
