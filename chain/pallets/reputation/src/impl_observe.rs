//! What leases and challenges came to.

use crate::*;
use casemate_primitives::{
    reputation::{pay, Fault, Pair, Score, Side},
    Asset, Balance, EndReason,
};
use frame_support::{ensure, traits::UnixTime};
use pallet_leases::LeaseObserver;

impl<T: Config> Pallet<T> {
    /// The chain's time in seconds.
    pub(crate) fn now() -> u64 {
        T::Time::now().as_secs()
    }

    /// An account's reputation now; zeros where nothing is known.
    pub fn score_now(who: &T::AccountId) -> Score {
        Scores::<T>::get(who).unwrap_or_default().at(Self::now(), &T::Rules::get())
    }

    /// What the two have paid for each other, as of now.
    pub(crate) fn pair_now(publisher: &T::AccountId, provider: &T::AccountId) -> Pair {
        Pairs::<T>::get(publisher, provider).unwrap_or_default().at(Self::now(), &T::Rules::get())
    }

    fn change(who: &T::AccountId, change: impl FnOnce(&mut Score)) {
        let mut score = Self::score_now(who);
        change(&mut score);
        Scores::<T>::insert(who, score);
    }

    /// A fault of `who`. `pair` is what a broken lease's two sides had brought.
    pub(crate) fn fault(who: &T::AccountId, side: Side, fault: Fault, pair: Balance) {
        let mut amount = 0;
        Self::change(who, |score| {
            amount = score.side_mut(side).take(fault, pair, &T::Rules::get());
        });
        Self::deposit_event(Event::Faulted { who: who.clone(), side, fault, amount });
    }

    pub(crate) fn do_forget_pair(
        publisher: &T::AccountId,
        provider: &T::AccountId,
    ) -> DispatchResult {
        ensure!(Pairs::<T>::contains_key(publisher, provider), Error::<T>::NotFound);
        let pair = Self::pair_now(publisher, provider);
        // A break that is not long ago is remembered: a lease from before it may still end.
        let break_over = pair.broken_at.saturating_add(T::Rules::get().half_life_seconds.into());
        let is_remembered = pair.broken_at > 0 && Self::now() <= break_over;
        ensure!(pair.is_dust(&T::Rules::get()) && !is_remembered, Error::<T>::StillCounts);
        Pairs::<T>::remove(publisher, provider);
        Self::deposit_event(Event::PairForgotten {
            publisher: publisher.clone(),
            provider: provider.clone(),
        });
        Ok(())
    }

    pub(crate) fn do_forget_score(who: &T::AccountId) -> DispatchResult {
        ensure!(Scores::<T>::contains_key(who), Error::<T>::NotFound);
        ensure!(Self::score_now(who).is_dust(&T::Rules::get()), Error::<T>::StillCounts);
        Scores::<T>::remove(who);
        Self::deposit_event(Event::ScoreForgotten { who: who.clone() });
        Ok(())
    }
}

impl<T: Config> LeaseObserver<T::AccountId> for Pallet<T> {
    fn paid(
        publisher: &T::AccountId,
        provider: &T::AccountId,
        asset: Asset,
        _amount: Balance,
        treasury: Balance,
    ) {
        // What the provider got says nothing: it may be the publisher's own left pocket.
        let fee = T::Values::native_value(asset, treasury);
        if fee == 0 || publisher == provider {
            return;
        }
        let (now, rules) = (Self::now(), T::Rules::get());
        let mut payer = Scores::<T>::get(publisher).unwrap_or_default();
        let mut payee = Scores::<T>::get(provider).unwrap_or_default();
        let mut pair = Pairs::<T>::get(publisher, provider).unwrap_or_default();
        pay(&mut payer, &mut payee, &mut pair, fee, now, &rules);
        Scores::<T>::insert(publisher, payer);
        Scores::<T>::insert(provider, payee);
        Pairs::<T>::insert(publisher, provider, pair);
    }

    fn ended(publisher: &T::AccountId, provider: &T::AccountId, reason: EndReason, seconds: u64) {
        if publisher == provider {
            return;
        }
        match reason {
            EndReason::Stopped
            | EndReason::OutOfFunds
            | EndReason::Reclaimed
            | EndReason::AppEnded => {
                let mut pair = Self::pair_now(publisher, provider);
                pair.kept(seconds);
                Pairs::<T>::insert(publisher, provider, pair);
                Self::change(provider, |score| {
                    let kept = &mut score.provider.counts.leases_kept;
                    *kept = kept.saturating_add(1);
                });
            }
            EndReason::ProviderSilent | EndReason::Misconduct => {
                let mut pair = Self::pair_now(publisher, provider);
                let brought = pair.broken();
                Pairs::<T>::insert(publisher, provider, pair);
                Self::fault(provider, Side::Provider, Fault::LeaseBroken, brought);
            }
            // Whose manifest or machine it was nobody knows.
            EndReason::NeverStarted => {}
        }
    }

    fn contested(publisher: &T::AccountId, provider: &T::AccountId, is_provider_right: bool) {
        if publisher == provider {
            return;
        }
        let (who, side) = if is_provider_right {
            (publisher, Side::Publisher)
        } else {
            (provider, Side::Provider)
        };
        Self::fault(who, side, Fault::ContestLost, 0);
    }
}

impl<T: Config> ChallengeObserver<T::AccountId> for Pallet<T> {
    fn lost(provider: &T::AccountId) {
        Self::fault(provider, Side::Provider, Fault::ChallengeLost, 0);
    }

    fn won(provider: &T::AccountId) {
        // Counted and no more: anyone may challenge himself.
        Self::change(provider, |score| {
            let won = &mut score.provider.counts.challenges_won;
            *won = won.saturating_add(1);
        });
    }
}
