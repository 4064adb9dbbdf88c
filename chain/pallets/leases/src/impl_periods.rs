//! Final claims: paid out, to the provider and the treasury.

use crate::{line::Part, *};
use casemate_primitives::{Asset, Balance, LeaseId};
use frame_support::{
    ensure,
    traits::{
        fungibles::hold::Mutate,
        tokens::{Fortitude, Precision, Restriction},
    },
};
use sp_runtime::{AccountId32, Permill};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_payout(id: LeaseId) -> DispatchResult {
        Leases::<T>::try_mutate(id, |slot| {
            let lease = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            lease.mature(Self::now());
            let is_kept = lease.escrow > 0 && matches!(lease.state, LeaseState::Ended { .. });
            ensure!(lease.final_due > 0 || is_kept, Error::<T>::NothingDue);
            // A frozen account on one side must not keep the other side's money.
            let is_due = lease.final_due > 0;
            let refunded = Self::refund(id, lease);
            let paid = frame_support::storage::with_storage_layer(|| Self::pay_out(id, lease));
            match (is_kept, is_due) {
                (true, true) => refunded.or(paid),
                (true, false) => refunded,
                (false, _) => paid,
            }
        })
    }

    /// Pays out what is final.
    pub(crate) fn pay_out(id: LeaseId, lease: &mut Lease) -> DispatchResult {
        let due = lease.final_due;
        if due == 0 {
            return Ok(());
        }
        let Lease { publisher, provider, treasury_share, terms, .. } = &*lease;
        let asset = terms.asset;
        let share = treasury_share.mul_floor(due);
        let pay = |parts: &[Part], to: &AccountId32| {
            parts.iter().try_for_each(|part| Self::transfer(asset, &part.who, to, part.amount))
        };
        pay(&Self::take_first(id, publisher, due.saturating_sub(share))?, provider)?;
        let parts = Self::take_first(id, publisher, share)?;
        let taken = frame_support::storage::with_storage_layer(|| pay(&parts, &T::Treasury::get()));
        // What the treasury can't take (it has no account and this is below the least balance, or it is
        // blocked) is the provider's: so nothing is lost, and nobody's pay held up.
        let share = if taken.is_ok() { share } else { 0 };
        if taken.is_err() {
            pay(&parts, provider)?;
        }
        let amount = due.saturating_sub(share);
        T::Observer::paid(publisher, provider, asset, amount, share);
        lease.final_due = 0;
        lease.paid = lease.paid.checked_add(due).ok_or(Error::<T>::Overflow)?;
        Self::deposit_event(Event::PaidOut { lease: id, amount, treasury: share });
        Ok(())
    }

    /// Gives back what a settled lease still holds of its rest. Only an error where nothing could be
    /// given back.
    pub(crate) fn refund(id: LeaseId, lease: &mut Lease) -> DispatchResult {
        if lease.escrow == 0 || !matches!(lease.state, LeaseState::Ended { .. }) {
            return Ok(());
        }
        let amount = Self::give_escrow_back(id, lease)?;
        Self::deposit_event(Event::Refunded { lease: id, amount });
        Ok(())
    }

    /// Moves held money to somebody's free balance.
    fn transfer(
        asset: Asset,
        from: &AccountId32,
        to: &AccountId32,
        amount: Balance,
    ) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        T::Assets::transfer_on_hold(
            asset,
            &HoldReason::Escrow.into(),
            from,
            to,
            amount,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Polite,
        )?;
        Ok(())
    }

    pub(crate) fn do_set_treasury_share(share: Permill) -> DispatchResult {
        ensure!(share <= T::TreasuryShareMax::get(), Error::<T>::ShareTooLarge);
        TreasuryShare::<T>::put(share);
        Self::deposit_event(Event::TreasuryShareSet { share });
        Ok(())
    }
}
