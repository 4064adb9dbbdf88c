//! Final claims: paid out, to the provider and the treasury.

use crate::*;
use casemate_primitives::{Balance, LeaseId};
use frame_support::{
    ensure,
    traits::{
        fungible::hold::Mutate,
        tokens::{Fortitude, Precision, Restriction},
    },
};
use sp_runtime::{AccountId32, Permill};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_payout(id: LeaseId) -> DispatchResult {
        Leases::<T>::try_mutate(id, |slot| {
            let lease = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            lease.mature(Self::now());
            ensure!(lease.final_due > 0, Error::<T>::NothingDue);
            Self::pay_out(id, lease)
        })
    }

    /// Pays out what is final.
    pub(crate) fn pay_out(id: LeaseId, lease: &mut Lease) -> DispatchResult {
        let due = lease.final_due;
        if due == 0 {
            return Ok(());
        }
        let Lease { publisher, provider, treasury_share, .. } = &*lease;
        let share = treasury_share.mul_floor(due);
        let amount = due.saturating_sub(share);
        Self::transfer(publisher, provider, amount)?;
        // A treasury without an account can't take less than the least balance: that is burnt, and
        // holds up nobody's pay.
        let is_taken = Self::transfer(publisher, &T::Treasury::get(), share).is_ok();
        if !is_taken {
            T::Currency::burn_held(
                &HoldReason::Escrow.into(),
                publisher,
                share,
                Precision::Exact,
                Fortitude::Polite,
            )?;
        }
        T::Observer::paid(publisher, provider, lease.terms.asset, amount, share);
        lease.final_due = 0;
        lease.paid = lease.paid.checked_add(due).ok_or(Error::<T>::Overflow)?;
        Self::deposit_event(Event::PaidOut { lease: id, amount, treasury: share });
        Ok(())
    }

    /// Moves held money to somebody's free balance.
    fn transfer(from: &AccountId32, to: &AccountId32, amount: Balance) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        T::Currency::transfer_on_hold(
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
