//! Complaints: opened by a side of a lease; ended by their author, by arbiters, or by time.

use crate::*;
use casemate_primitives::{
    reputation::{ComplaintKind, Fault, Side},
    Balance, Hash256, LeaseId,
};
use frame_support::{
    ensure,
    traits::{
        fungible::hold::Mutate,
        tokens::{Fortitude, Precision, Restriction},
    },
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_complain(
        author: T::AccountId,
        lease: LeaseId,
        kind: ComplaintKind,
        text_hash: Hash256,
    ) -> DispatchResult {
        let now = Self::now();
        let sides = T::Leases::sides(lease).ok_or(Error::<T>::LeaseNotKnown)?;
        let LeaseSides { publisher, provider, ended_at } = sides;
        ensure!(publisher != provider, Error::<T>::OwnLease);
        let (by, accused) = if author == publisher {
            (Side::Publisher, provider)
        } else if author == provider {
            (Side::Provider, publisher)
        } else {
            return Err(Error::<T>::NotASide.into());
        };
        let is_late =
            ended_at.is_some_and(|at| now > at.saturating_add(T::ComplaintSeconds::get()));
        ensure!(!is_late, Error::<T>::TooLate);
        ensure!(!OpenFor::<T>::contains_key(lease, by), Error::<T>::AlreadyOpen);
        let open = OpenAgainst::<T>::get(&accused);
        ensure!(open < T::ComplaintsOpenMax::get(), Error::<T>::TooManyOpen);
        let deposit = T::ComplaintDeposit::get()
            .checked_mul(Balance::from(open) + 1)
            .ok_or(Error::<T>::Overflow)?;
        let id = NextComplaint::<T>::get();
        NextComplaint::<T>::put(id.checked_add(1).ok_or(Error::<T>::Overflow)?);
        T::Currency::hold(&HoldReason::Complaint.into(), &author, deposit)?;

        let until = now.saturating_add(T::ArbitrationSeconds::get());
        OpenFor::<T>::insert(lease, by, id);
        OpenAgainst::<T>::insert(&accused, open.saturating_add(1));
        let complaint = Complaint { lease, by, author, accused, kind, text_hash, deposit, until };
        Complaints::<T>::insert(id, complaint.clone());
        let Complaint { author, accused, .. } = complaint;
        Self::deposit_event(Event::Complained {
            complaint: id,
            lease,
            author,
            accused,
            kind,
            text_hash,
            deposit,
            until,
        });
        Ok(())
    }

    pub(crate) fn do_close_complaint(who: &T::AccountId, id: ComplaintId) -> DispatchResult {
        let complaint = Complaints::<T>::get(id).ok_or(Error::<T>::NoComplaint)?;
        ensure!(complaint.author == *who, Error::<T>::NotAuthor);
        Self::give_back(&complaint)?;
        Self::remove(id, &complaint);
        Self::deposit_event(Event::ComplaintClosed { complaint: id });
        Ok(())
    }

    pub(crate) fn do_resolve_complaint(id: ComplaintId, upheld: bool) -> DispatchResult {
        let complaint = Complaints::<T>::get(id).ok_or(Error::<T>::NoComplaint)?;
        ensure!(Self::now() <= complaint.until, Error::<T>::ArbitersLate);
        if upheld {
            Self::give_back(&complaint)?;
            let side = complaint.by.other();
            Self::fault(&complaint.accused, side, Fault::ComplaintUpheld, 0);
        } else {
            T::Currency::transfer_on_hold(
                &HoldReason::Complaint.into(),
                &complaint.author,
                &complaint.accused,
                complaint.deposit,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Polite,
            )?;
        }
        Self::remove(id, &complaint);
        Self::deposit_event(Event::ComplaintResolved { complaint: id, upheld });
        Ok(())
    }

    pub(crate) fn do_expire_complaint(id: ComplaintId) -> DispatchResult {
        let complaint = Complaints::<T>::get(id).ok_or(Error::<T>::NoComplaint)?;
        ensure!(Self::now() > complaint.until, Error::<T>::ArbitersHaveTime);
        Self::give_back(&complaint)?;
        Self::remove(id, &complaint);
        Self::deposit_event(Event::ComplaintExpired { complaint: id });
        Ok(())
    }

    fn give_back(complaint: &ComplaintOf<T>) -> DispatchResult {
        let Complaint { author, deposit, .. } = complaint;
        let reason = HoldReason::Complaint.into();
        T::Currency::release(&reason, author, *deposit, Precision::Exact)?;
        Ok(())
    }

    fn remove(id: ComplaintId, complaint: &ComplaintOf<T>) {
        Complaints::<T>::remove(id);
        OpenFor::<T>::remove(complaint.lease, complaint.by);
        OpenAgainst::<T>::mutate_exists(&complaint.accused, |open| {
            *open = open.and_then(|open| open.checked_sub(1)).filter(|open| *open > 0);
        });
    }
}
