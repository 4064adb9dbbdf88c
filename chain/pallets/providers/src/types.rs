//! What the registry keeps of a provider.

use crate::PriceLists;
use casemate_primitives::{Balance, ProviderInfo, Resources, UnixSeconds};
use frame_support::{pallet_prelude::*, BoundedVec};

/// Parts of a stake that may be on their way out at once.
pub type UnbondingsMax = ConstU32<8>;

/// Part of a stake that is on its way out.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Unbonding {
    /// How much.
    pub amount: Balance,
    /// From when on it can be withdrawn.
    pub unlocks_at: UnixSeconds,
}

/// A registered provider.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Provider {
    /// What it says of itself.
    pub info: ProviderInfo,
    /// Capacity offered.
    pub capacity: Resources,
    /// Capacity in leases that are not settled.
    pub used: Resources,
    /// List prices.
    pub price_lists: PriceLists,
    /// Stake, what is being unbonded not included.
    pub stake: Balance,
    /// Stake on its way out, oldest first.
    pub unbonding: BoundedVec<Unbonding, UnbondingsMax>,
    /// Leases that are not settled.
    pub live_leases: u32,
    /// Whether it has retired and only waits for its stake.
    pub retired: bool,
}

/// Stake that capacity needs, in units of money.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct StakeRates {
    /// For each thousandth of a core.
    pub cpu_millicore: Balance,
    /// For each MiB of memory.
    pub memory_mib: Balance,
    /// For each MiB of disk.
    pub storage_mib: Balance,
    /// For each GPU.
    pub gpu: Balance,
}

impl StakeRates {
    /// Stake that `capacity` needs; the largest number where that overflows, so that it is refused.
    pub fn required(&self, capacity: &Resources) -> Balance {
        let part = |rate: Balance, amount: u32| rate.saturating_mul(Balance::from(amount));
        part(self.cpu_millicore, capacity.cpu_millicores)
            .saturating_add(part(self.memory_mib, capacity.memory_mib))
            .saturating_add(part(self.storage_mib, capacity.storage_mib))
            .saturating_add(part(self.gpu, capacity.gpus))
    }
}
