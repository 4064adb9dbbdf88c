//! The stake: bond, unbond with a delay, withdraw.

use crate::*;
use casemate_primitives::{Balance, Resources};
use frame_support::{
    ensure,
    traits::{fungible::hold::Mutate, tokens::Precision, UnixTime},
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_bond(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(amount > 0, Error::<T>::ZeroAmount);
        Self::try_mutate_active(&who, |provider| {
            Self::hold(&who, amount)?;
            provider.stake =
                provider.stake.checked_add(amount).ok_or(sp_runtime::ArithmeticError::Overflow)?;
            Ok(())
        })?;
        Self::deposit_event(Event::Bonded { provider: who, amount });
        Ok(())
    }

    pub(crate) fn do_unbond(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(amount > 0, Error::<T>::ZeroAmount);
        Self::try_mutate_active(&who, |provider| {
            let rest = provider.stake.checked_sub(amount).ok_or(Error::<T>::NotEnoughStake)?;
            ensure!(rest >= Self::stake_required(&provider.capacity), Error::<T>::StakeTooLow);
            Self::start_unbonding(&who, provider, amount)
        })
    }

    pub(crate) fn do_withdraw(who: T::AccountId) -> DispatchResult {
        let now = Self::now();
        let amount = Providers::<T>::try_mutate(&who, |slot| {
            let provider = slot.as_mut().ok_or(Error::<T>::NotRegistered)?;
            let due = |part: &Unbonding| part.unlocks_at <= now;
            let amount = provider
                .unbonding
                .iter()
                .filter(|part| due(part))
                .fold(0, |sum: Balance, part| sum.saturating_add(part.amount));
            ensure!(amount > 0, Error::<T>::NothingToWithdraw);
            provider.unbonding.retain(|part| !due(part));
            T::Currency::release(&HoldReason::Stake.into(), &who, amount, Precision::Exact)?;
            Ok::<_, DispatchError>(amount)
        })?;
        Self::forget_if_empty(&who);
        Self::deposit_event(Event::Withdrawn { provider: who, amount });
        Ok(())
    }

    /// Stake that a provider with this capacity needs.
    pub(crate) fn stake_required(capacity: &Resources) -> Balance {
        T::StakeRates::get().required(capacity).max(T::StakeMin::get())
    }

    /// Move `amount` from the stake to what is on its way out. The caller has checked that the
    /// rest is enough.
    pub(crate) fn start_unbonding(
        who: &T::AccountId,
        provider: &mut Provider,
        amount: Balance,
    ) -> DispatchResult {
        let unlocks_at = Self::now().saturating_add(T::UnbondingSeconds::get());
        // A retiring provider must always get out: its last part joins the newest one.
        if let (true, Some(last)) = (provider.unbonding.is_full(), provider.unbonding.last_mut()) {
            ensure!(amount == provider.stake, Error::<T>::TooManyUnbondings);
            last.amount = last.amount.saturating_add(amount);
            last.unlocks_at = unlocks_at;
        } else {
            let part = Unbonding { amount, unlocks_at };
            provider.unbonding.try_push(part).map_err(|_| Error::<T>::TooManyUnbondings)?;
        }
        provider.stake = provider.stake.checked_sub(amount).ok_or(Error::<T>::NotEnoughStake)?;
        Self::deposit_event(Event::Unbonding { provider: who.clone(), amount, unlocks_at });
        Ok(())
    }

    pub(crate) fn hold(who: &T::AccountId, amount: Balance) -> DispatchResult {
        T::Currency::hold(&HoldReason::Stake.into(), who, amount)
    }

    fn now() -> u64 {
        T::Time::now().as_secs()
    }
}
