//! The invariants of the crate's documentation, by their numbers.

use crate::{
    impl_admission::{capitals, is_symbol},
    *,
};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut count = 0u32;
        for (asset, admission) in Admitted::<T>::iter() {
            count += 1;
            let by_symbol = BySymbol::<T>::get(capitals(&admission.symbol));
            ensure!(by_symbol == Some(asset), "1: each asset is found by its symbol");
            ensure!(is_symbol(&admission.symbol), "3: a symbol is one");
        }
        let symbols = BySymbol::<T>::iter().count();
        ensure!(symbols == count as usize, "1: nothing else is found by a symbol");
        ensure!(count == Admitted::<T>::count(), "1: the list is counted");
        ensure!(count <= ADMITTED_MAX, "2: the list is bounded");
        Ok(())
    }
}
