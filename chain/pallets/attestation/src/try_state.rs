//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use casemate_attestation::TcbStatus;
use frame_support::{ensure, traits::Get};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet. That a replica has one key (3) is the map's shape.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        for standing in Standings::<T>::iter_values() {
            ensure!(
                standing.expires_at
                    <= standing.verified_at.saturating_add(T::StandingSecondsMax::get()),
                "1: standing is bounded"
            );
            ensure!(
                standing.tcb_status != TcbStatus::Revoked,
                "2: no revoked firmware level has standing"
            );
        }
        Ok(())
    }
}
