//! What other pallets ask of this one.

use casemate_primitives::{Asset, Balance};

/// Which assets take new money.
pub trait AdmittedAssets {
    /// Least that a lease in this asset is opened with; `None` where no new money is taken. The
    /// native token always is.
    fn deposit_min(asset: Asset) -> Option<Balance>;

    /// The same, also of an asset that takes no new money; 0 for the native token and where nothing is
    /// known.
    fn least(asset: Asset) -> Balance;

    /// Register an asset and put it on the list, for a benchmark of the pallet that asks.
    #[cfg(feature = "runtime-benchmarks")]
    fn admit_for_benchmark(asset: u32);
}
