//! Stake that is lost.

use crate::{
    traits::{ProviderStake, Slashed},
    *,
};
use casemate_primitives::{Balance, Resources};
use frame_support::{
    defensive,
    storage::with_storage_layer,
    traits::{
        fungible::hold::Mutate,
        tokens::{Fortitude, Precision, Restriction},
    },
};

impl<T: Config> ProviderStake<T::AccountId> for Pallet<T> {
    fn staked(who: &T::AccountId) -> Balance {
        Providers::<T>::get(who).map_or(0, |provider| Self::held(&provider))
    }

    fn required(resources: &Resources) -> Balance {
        T::StakeRates::get().required(resources)
    }

    fn slash(
        who: &T::AccountId,
        amount_max: Balance,
        beneficiary: &T::AccountId,
        reward_max: Balance,
    ) -> Slashed {
        let Some(mut provider) = Providers::<T>::get(who) else { return Slashed::default() };
        let amount = amount_max.min(Self::held(&provider));
        if amount == 0 {
            return Slashed::default();
        }
        Self::take(&mut provider, amount);
        let reward = if beneficiary == who { 0 } else { reward_max.min(amount) };
        let slashed = with_storage_layer(|| Self::pay_and_burn(who, amount, beneficiary, reward))
            // An account that can't take the reward loses it; the slash stands.
            .or_else(|_| with_storage_layer(|| Self::pay_and_burn(who, amount, beneficiary, 0)));
        let Ok(slashed) = slashed else {
            defensive!("what is staked is held");
            return Slashed::default();
        };
        Providers::<T>::insert(who, provider);
        SlashedTotal::<T>::mutate(who, |sum| *sum = sum.saturating_add(amount));
        Self::forget_if_empty(who);
        Self::deposit_event(Event::Slashed {
            provider: who.clone(),
            amount,
            rewarded: slashed.rewarded,
            beneficiary: beneficiary.clone(),
        });
        slashed
    }
}

impl<T: Config> Pallet<T> {
    /// All that is held of a provider.
    fn held(provider: &Provider) -> Balance {
        let parts = provider.unbonding.iter();
        parts.fold(provider.stake, |sum, part| sum.saturating_add(part.amount))
    }

    /// Forgets a provider that has retired and has no stake left.
    pub(crate) fn forget_if_empty(who: &T::AccountId) {
        let is_over = |provider: Provider| provider.retired && provider.unbonding.is_empty();
        if Providers::<T>::get(who).is_some_and(is_over) {
            Providers::<T>::remove(who);
            SlashedTotal::<T>::remove(who);
        }
    }

    /// Counts `amount` off, of what is bonded first, then of the newest that is unbonding.
    fn take(provider: &mut Provider, amount: Balance) {
        let bonded = provider.stake.min(amount);
        provider.stake = provider.stake.saturating_sub(bonded);
        let mut left = amount.saturating_sub(bonded);
        for part in provider.unbonding.iter_mut().rev() {
            let taken = part.amount.min(left);
            part.amount = part.amount.saturating_sub(taken);
            left = left.saturating_sub(taken);
        }
        provider.unbonding.retain(|part| part.amount > 0);
    }

    fn pay_and_burn(
        who: &T::AccountId,
        amount: Balance,
        beneficiary: &T::AccountId,
        reward: Balance,
    ) -> Result<Slashed, DispatchError> {
        let reason = HoldReason::Stake.into();
        if reward > 0 {
            T::Currency::transfer_on_hold(
                &reason,
                who,
                beneficiary,
                reward,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            )?;
        }
        let burnt = amount.saturating_sub(reward);
        if burnt > 0 {
            T::Currency::burn_held(&reason, who, burnt, Precision::Exact, Fortitude::Force)?;
        }
        Ok(Slashed { amount, rewarded: reward })
    }
}
