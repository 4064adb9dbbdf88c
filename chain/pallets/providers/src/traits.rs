//! What other pallets may do with the registry.

use casemate_primitives::{Balance, Resources};
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

/// What a slash has taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Slashed {
    /// All of it.
    pub amount: Balance,
    /// The part that the beneficiary got. The rest is burnt.
    pub rewarded: Balance,
}

/// The stake, for those who decide that some of it is lost.
pub trait ProviderStake<AccountId> {
    /// All that is held of a provider: what is bonded, and what is being unbonded. Zero for an account
    /// that is no provider.
    fn staked(provider: &AccountId) -> Balance;

    /// What has to be at stake for so much capacity.
    fn required(resources: &Resources) -> Balance;

    /// Takes up to `amount_max` of a provider's stake: first of what is bonded, then of what is being
    /// unbonded, the newest first. Of what is taken, up to `reward_max` goes to `beneficiary`, free to
    /// use; the rest is burnt, so that nobody gains by it. A provider's own account is never rewarded.
    ///
    /// Never fails, so that a case can always be closed: where there is no stake, nothing is taken, and
    /// where the beneficiary can't be paid, all is burnt.
    fn slash(
        provider: &AccountId,
        amount_max: Balance,
        beneficiary: &AccountId,
        reward_max: Balance,
    ) -> Slashed;
}

/// Who keeps something for a provider, to be forgotten when it retires.
pub trait OnRetire<AccountId> {
    /// The provider has retired. Never fails, so that it always can.
    fn retired(provider: &AccountId);
}

impl<AccountId> OnRetire<AccountId> for () {
    fn retired(_: &AccountId) {}
}
