//! What this pallet asks of others, and is told by them.

use casemate_primitives::{Asset, Balance, LeaseId, UnixSeconds};

/// A lease, as far as complaints go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaseSides<AccountId> {
    /// Who pays.
    pub publisher: AccountId,
    /// Who is paid.
    pub provider: AccountId,
    /// When it was closed, if it was.
    pub ended_at: Option<UnixSeconds>,
}

/// Who knows leases.
pub trait LeaseBook<AccountId> {
    /// The sides of a lease that is still known.
    fn sides(lease: LeaseId) -> Option<LeaseSides<AccountId>>;

    /// A lease of these two that is live.
    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_lease(publisher: &AccountId, provider: &AccountId) -> LeaseId;
}

/// What money in any asset counts for.
pub trait AssetValue {
    /// In native money. Zero where nobody vouches for a value: whoever makes an asset has as much of it
    /// as he likes, so neither its amount nor the price in a pool of his says anything.
    fn native_value(asset: Asset, amount: Balance) -> Balance;
}

/// Only native money counts.
impl AssetValue for () {
    fn native_value(asset: Asset, amount: Balance) -> Balance {
        match asset {
            Asset::Native => amount,
            Asset::Registered(_) => 0,
        }
    }
}

/// Who is told what challenges came to.
pub trait ChallengeObserver<AccountId> {
    /// The provider did not answer, or wrongly.
    fn lost(provider: &AccountId);

    /// The provider answered.
    fn won(provider: &AccountId);
}

impl<AccountId> ChallengeObserver<AccountId> for () {
    fn lost(_: &AccountId) {}
    fn won(_: &AccountId) {}
}
