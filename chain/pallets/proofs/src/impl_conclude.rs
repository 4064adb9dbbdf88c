//! Silence.

use crate::*;
use casemate_primitives::Balance;
use frame_support::{
    ensure,
    traits::{fungible::hold::Mutate, tokens::Precision, Get},
};
use pallet_leases::LeaseProofs;
use pallet_providers::{ProviderStake, Slashed};
use pallet_reputation::ChallengeObserver;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_conclude(id: ChallengeId) -> DispatchResult {
        let challenge = Challenges::<T>::get(id).ok_or(Error::<T>::ChallengeUnknown)?;
        let now = frame_system::Pallet::<T>::block_number();
        ensure!(now > challenge.until, Error::<T>::WindowOpen);
        let Challenge { challenger, provider, target, deposit, .. } = &challenge;
        Self::remove_challenge(id, &challenge);
        T::Currency::release(
            &HoldReason::Challenge.into(),
            challenger,
            *deposit,
            Precision::Exact,
        )?;
        if Self::is_void(target) {
            Self::deposit_event(Event::Void { challenge: id, provider: provider.clone() });
            return Ok(());
        }
        let Slashed { amount: slashed, rewarded } = Self::slash(provider, challenger, *deposit);
        // A lease may have been forgotten since: then it has no open periods.
        let returned = target.lease().map_or(0, |lease| T::Leases::penalise(lease).unwrap_or(0));
        T::Observer::lost(provider);
        Self::deposit_event(Event::Lost {
            challenge: id,
            provider: provider.clone(),
            slashed,
            rewarded,
            returned,
        });
        Ok(())
    }

    /// Whether nobody could be expected to answer any more. Logs and batches have to be kept for longer
    /// than a pod has to run.
    fn is_void(target: &Target<T::AccountId>) -> bool {
        let Target::Evidence { lease, replica } = *target else { return false };
        Self::ensure_owes_evidence(lease, replica).is_err()
    }

    /// Takes the part of the stake that one case costs. The challenger's part of it is bounded twice, so
    /// that nobody gets its own stake free this way without burning at least as much.
    fn slash(provider: &T::AccountId, challenger: &T::AccountId, deposit: Balance) -> Slashed {
        let staked = T::Providers::staked(provider);
        let amount = T::SlashPart::get().mul_ceil(staked).min(T::SlashMax::get());
        let reward = T::RewardPart::get().mul_floor(amount).min(deposit);
        T::Providers::slash(provider, amount, challenger, reward)
    }
}
