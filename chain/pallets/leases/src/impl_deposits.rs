//! Who puts money into a lease, and who may for the publisher.

use crate::{
    line::{Line, Part},
    *,
};
use alloc::{vec, vec::Vec};
use casemate_primitives::{Balance, LeaseId};
use frame_support::{
    ensure,
    traits::{fungibles::hold::Mutate, tokens::Precision},
};
use pallet_money::AdmittedAssets;
use sp_runtime::{AccountId32, ArithmeticError};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_fund(who: AccountId32, id: LeaseId, amount: Balance) -> DispatchResult {
        Self::try_mutate_open(id, |lease| Self::put_in(id, lease, &who, amount))?;
        Self::deposit_event(Event::Funded { lease: id, from: who, amount });
        Ok(())
    }

    pub(crate) fn do_fund_for(
        spender: AccountId32,
        id: LeaseId,
        amount: Balance,
    ) -> DispatchResult {
        let (from, left) = Self::try_mutate_open(id, |lease| {
            let left = Spenders::<T>::try_mutate(id, |spenders| {
                let found = spenders.iter_mut().find(|entry| entry.who == spender);
                let entry = found.ok_or(Error::<T>::NotSpender)?;
                let left = entry.allowance.checked_sub(amount);
                entry.allowance = left.ok_or(Error::<T>::AllowanceTooSmall)?;
                Ok::<_, Error<T>>(entry.allowance)
            })?;
            let publisher = lease.publisher.clone();
            Self::put_in(id, lease, &publisher, amount)?;
            Ok((publisher, left))
        })?;
        Self::deposit_event(Event::Funded { lease: id, from, amount });
        Self::deposit_event(Event::AllowanceUsed { lease: id, spender, left });
        Ok(())
    }

    pub(crate) fn do_authorise(
        who: AccountId32,
        id: LeaseId,
        spender: AccountId32,
        allowance: Option<Balance>,
    ) -> DispatchResult {
        Self::try_mutate_open(id, |lease| {
            ensure!(lease.publisher == who, Error::<T>::NotPublisher);
            Spenders::<T>::try_mutate_exists(id, |slot| {
                let mut spenders = slot.take().unwrap_or_default();
                let at = spenders.iter().position(|entry| entry.who == spender);
                match (at.and_then(|at| spenders.get_mut(at)), allowance) {
                    (Some(entry), Some(allowance)) => entry.allowance = allowance,
                    (None, Some(allowance)) => {
                        let entry = Spender { who: spender.clone(), allowance };
                        spenders.try_push(entry).map_err(|_| Error::<T>::TooManySpenders)?;
                    }
                    (_, None) => {
                        spenders.remove(at.ok_or(Error::<T>::NotSpender)?);
                    }
                }
                *slot = Some(spenders).filter(|spenders| !spenders.is_empty());
                Ok(())
            })
        })?;
        Self::deposit_event(Event::Authorised { lease: id, spender, allowance });
        Ok(())
    }

    /// Whether the publisher has authorised an account.
    pub(crate) fn is_spender(id: LeaseId, who: &AccountId32) -> bool {
        Spenders::<T>::get(id).iter().any(|entry| entry.who == *who)
    }

    /// Locks more of an account's money.
    fn put_in(
        id: LeaseId,
        lease: &mut Lease,
        who: &AccountId32,
        amount: Balance,
    ) -> DispatchResult {
        ensure!(amount > 0, Error::<T>::ZeroAmount);
        let asset = lease.terms.asset;
        let least = T::Admission::deposit_min(asset).ok_or(Error::<T>::AssetNotAdmitted)?;
        let least = least.max(lease.terms.deposit_min);
        // Each time the money is out there is a grace without pay: a next one is not to be had for a
        // unit, but for no less than what the one before would have cost.
        let is_enough = lease.exhausted_at.is_none() || amount >= least.max(lease.grace_price());
        ensure!(is_enough, Error::<T>::DepositTooSmall);
        let is_publisher = lease.publisher == *who;
        let line = Deposits::<T>::get(id);
        if !is_publisher || line.is_some() {
            let line = line.unwrap_or_else(|| Line::of(lease.publisher.clone(), lease.held()));
            // So that strangers can't take all places for next to nothing.
            let is_known = is_publisher || line.has(who);
            ensure!(is_known || amount >= least, Error::<T>::DepositTooSmall);
            let mut line = line;
            line.put(&lease.publisher, who, amount).ok_or(Error::<T>::TooManyDepositors)?;
            Self::keep_line(id, &lease.publisher, line);
        }
        T::Assets::hold(asset, &HoldReason::Escrow.into(), who, amount)?;
        Self::add_escrow(lease, amount)
    }

    /// Takes what is spent first. It stays held: whoever asks moves it.
    pub(crate) fn take_first(
        id: LeaseId,
        publisher: &AccountId32,
        amount: Balance,
    ) -> Result<Vec<Part>, DispatchError> {
        if amount == 0 {
            return Ok(Vec::new());
        }
        let Some(mut line) = Deposits::<T>::get(id) else {
            return Ok(vec![Part { who: publisher.clone(), amount }]);
        };
        let taken = line.take_first(amount).ok_or(ArithmeticError::Underflow)?;
        Self::keep_line(id, publisher, line);
        Ok(taken)
    }

    /// Gives the escrow back, to whom came last first. Says how much; what can't be given back now
    /// (an account is blocked) stays in the escrow. Only an error where nothing could.
    pub(crate) fn give_escrow_back(
        id: LeaseId,
        lease: &mut Lease,
    ) -> Result<Balance, DispatchError> {
        let (asset, reason) = (lease.terms.asset, HoldReason::Escrow.into());
        let mut refused = None;
        let give = |who: &AccountId32, amount: Balance| {
            let given = frame_support::storage::with_storage_layer(|| {
                T::Assets::release(asset, &reason, who, amount, Precision::Exact)
            });
            match given {
                Ok(_) if *who == lease.publisher => (),
                Ok(_) => {
                    Self::deposit_event(Event::GivenBack { lease: id, to: who.clone(), amount })
                }
                Err(error) => refused = Some(error),
            }
            given.is_ok()
        };
        let whole = Line::of(lease.publisher.clone(), lease.escrow);
        let mut line = Deposits::<T>::get(id).unwrap_or(whole);
        let given = line.give_last(lease.escrow, give).ok_or(ArithmeticError::Underflow)?;
        Self::keep_line(id, &lease.publisher, line);
        lease.escrow = lease.escrow.saturating_sub(given);
        match refused {
            Some(error) if given == 0 => Err(error),
            _ => Ok(given),
        }
    }

    /// The publisher's money that joins the lease's without a call of its own: in front of all other
    /// where it is to be paid, else behind it, so that it is the first to be given back.
    pub(crate) fn join_line(
        id: LeaseId,
        publisher: &AccountId32,
        amount: Balance,
        is_paid: bool,
    ) -> DispatchResult {
        let Some(mut line) = Deposits::<T>::get(id) else { return Ok(()) };
        let put = match is_paid {
            true => line.put_first(publisher, amount),
            false => line.put_last(publisher, amount),
        };
        put.ok_or(Error::<T>::TooManyDepositors)?;
        Self::keep_line(id, publisher, line);
        Ok(())
    }

    /// Without a line all is the publisher's: most leases have none.
    fn keep_line(id: LeaseId, publisher: &AccountId32, line: Line) {
        match line.is_only(publisher) {
            true => Deposits::<T>::remove(id),
            false => Deposits::<T>::insert(id, line),
        }
    }
}
