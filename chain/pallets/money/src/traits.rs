//! What other pallets ask of this one.

use casemate_primitives::{Asset, Balance};

/// Which assets take new money.
pub trait AdmittedAssets {
    /// Least that a lease in this asset is opened with; `None` where no new money is taken. The
    /// native token always is.
    fn deposit_min(asset: Asset) -> Option<Balance>;

    /// Put a registered asset on the list, for a benchmark of the pallet that asks.
    #[cfg(feature = "runtime-benchmarks")]
    fn admit_for_benchmark(asset: u32);
}
