//! Claims that the publisher contests: decided by proof, by arbiters, or by time.

use crate::*;
use casemate_primitives::{
    AgentPublicKey, AgentSignature, Asset, Balance, EndReason, LeaseId, UsageRecord,
};
use frame_support::{
    ensure,
    traits::{
        fungibles::hold::{Mutate, Unbalanced},
        tokens::{Fortitude, Precision, Restriction},
    },
};
use pallet_attestation::genesis_hash;
use pallet_money::AdmittedAssets;
use sp_core::ed25519;
use sp_runtime::{AccountId32, Permill};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_contest(who: AccountId32, id: LeaseId) -> DispatchResult {
        let now = Self::now();
        let contest = Leases::<T>::try_mutate(id, |slot| {
            let lease = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            ensure!(lease.publisher == who, Error::<T>::NotPublisher);
            ensure!(lease.contest.is_none(), Error::<T>::Contested);
            lease.mature(now);
            let amount = lease.open_amount();
            ensure!(amount > 0, Error::<T>::NothingOpen);
            let deposit = T::ContestDepositShare::get() * amount;
            let asset = lease.terms.asset;
            let least = match asset {
                Asset::Native => T::ContestDepositMin::get(),
                Asset::Registered(_) => T::Admission::least(asset),
            };
            let deposit = deposit.max(least);
            T::Assets::hold(asset, &HoldReason::Contest.into(), &who, deposit)?;
            let until = now.saturating_add(T::ArbitrationSeconds::get());
            let contest = Contest { amount, deposit, until };
            lease.open.clear();
            lease.contest = Some(contest);
            Ok::<_, DispatchError>(contest)
        })?;
        let Contest { amount, until, .. } = contest;
        Self::deposit_event(Event::Contested { lease: id, amount, until });
        Ok(())
    }

    /// Two records of one key that can't both be true.
    pub(crate) fn do_prove_misconduct(
        who: AccountId32,
        a: UsageRecord,
        signature_a: AgentSignature,
        b: UsageRecord,
        signature_b: AgentSignature,
    ) -> DispatchResult {
        let mut lease = Leases::<T>::get(a.lease).ok_or(Error::<T>::NotFound)?;
        let agent = Agents::<T>::get(a.lease, a.replica).ok_or(Error::<T>::NotActivated)?;
        ensure!(a.contradicts(&b), Error::<T>::NoContradiction);
        let genesis = genesis_hash::<T>();
        let has_signed = |key: &AgentPublicKey, record: &UsageRecord, signature: AgentSignature| {
            let (key, signature) =
                (ed25519::Public::from_raw(*key), ed25519::Signature::from_raw(signature));
            sp_io::crypto::ed25519_verify(&signature, &record.signing_payload(&genesis), &key)
        };
        let replaced = agent.replaced.iter().map(|of| of.key);
        let key = core::iter::once(agent.key)
            .chain(replaced)
            .find(|key| has_signed(key, &a, signature_a))
            .ok_or(Error::<T>::RecordSignature)?;
        ensure!(has_signed(&key, &b, signature_b), Error::<T>::RecordSignature);
        let now = Self::now();
        lease.mature(now);
        let amount = lease.open_amount().saturating_add(lease.contested());
        ensure!(amount > 0 || !lease.is_over(), Error::<T>::NothingOpen);
        lease.open.clear();
        if let Some(contest) = lease.contest.take() {
            Self::release_deposit(a.lease, &mut lease, &contest)?;
        }
        Self::give_publisher(a.lease, &mut lease, amount)?;
        T::Observer::contested(&lease.publisher, &lease.provider, false);
        let (id, refunded) = (a.lease, amount);
        Self::deposit_event(Event::Misconduct { lease: id, replica: a.replica, refunded });
        if lease.is_over() {
            if let LeaseState::Closing { at, .. } = lease.state {
                // No last record of such a key is believed.
                lease.state = LeaseState::Closing { at, until: now, reason: EndReason::Misconduct };
            }
            Leases::<T>::insert(id, lease);
            return Ok(());
        }
        Self::end(id, lease, who, now, EndReason::Misconduct)
    }

    /// `to_publisher` of what is contested goes back, the rest is final.
    pub(crate) fn do_decide(id: LeaseId, to_publisher: Permill) -> DispatchResult {
        Leases::<T>::try_mutate(id, |slot| {
            let lease = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            Self::conclude(id, lease, to_publisher)
        })
    }

    pub(crate) fn do_expire_contest(id: LeaseId) -> DispatchResult {
        Leases::<T>::try_mutate(id, |slot| {
            let lease = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            let contest = lease.contest.as_ref().ok_or(Error::<T>::NotContested)?;
            ensure!(Self::now() > contest.until, Error::<T>::ArbitersHaveTime);
            // An attested agent has signed: without a decision that stands.
            Self::conclude(id, lease, Permill::zero())
        })
    }

    fn conclude(id: LeaseId, lease: &mut Lease, to_publisher: Permill) -> DispatchResult {
        let contest = lease.contest.take().ok_or(Error::<T>::NotContested)?;
        let refunded = to_publisher.mul_floor(contest.amount);
        let rest = contest.amount.saturating_sub(refunded);
        lease.final_due = lease.final_due.checked_add(rest).ok_or(Error::<T>::Overflow)?;
        Self::give_publisher(id, lease, refunded)?;
        // Who contests without reason pays the other side for the wait.
        let is_provider_right = to_publisher < Permill::from_percent(50);
        if is_provider_right {
            Self::pay_deposit(id, lease, &contest)?;
        } else {
            Self::release_deposit(id, lease, &contest)?;
        }
        T::Observer::contested(&lease.publisher, &lease.provider, is_provider_right);
        Self::deposit_event(Event::ContestDecided { lease: id, refunded, is_provider_right });
        Ok(())
    }

    /// The provider was right. Where it can't take the deposit now, that is final and paid out later.
    fn pay_deposit(id: LeaseId, lease: &mut Lease, contest: &Contest) -> DispatchResult {
        let paid = frame_support::storage::with_storage_layer(|| {
            T::Assets::transfer_on_hold(
                lease.terms.asset,
                &HoldReason::Contest.into(),
                &lease.publisher,
                &lease.provider,
                contest.deposit,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Polite,
            )
        });
        if paid.is_err() {
            Self::keep_deposit(id, lease, contest)?;
            Self::join_line(id, &lease.publisher, contest.deposit, true)?;
            let due = lease.final_due.checked_add(contest.deposit);
            lease.final_due = due.ok_or(Error::<T>::Overflow)?;
        }
        Ok(())
    }

    /// The publisher was right. Where it can't take the deposit now, that goes into the escrow.
    fn release_deposit(id: LeaseId, lease: &mut Lease, contest: &Contest) -> DispatchResult {
        let released = frame_support::storage::with_storage_layer(|| {
            let (asset, reason) = (lease.terms.asset, HoldReason::Contest.into());
            T::Assets::release(asset, &reason, &lease.publisher, contest.deposit, Precision::Exact)
        });
        if released.is_err() {
            Self::keep_deposit(id, lease, contest)?;
            Self::join_line(id, &lease.publisher, contest.deposit, false)?;
            Self::add_escrow(lease, contest.deposit)?;
        }
        Ok(())
    }

    /// Holds the deposit for the lease's money from now on: on the same account, so that it needs
    /// nobody's leave.
    fn keep_deposit(id: LeaseId, lease: &Lease, contest: &Contest) -> DispatchResult {
        let (asset, who, amount) = (lease.terms.asset, &lease.publisher, contest.deposit);
        let (from, to) = (HoldReason::Contest.into(), HoldReason::Escrow.into());
        T::Assets::decrease_balance_on_hold(asset, &from, who, amount, Precision::Exact)?;
        T::Assets::increase_balance_on_hold(asset, &to, who, amount, Precision::Exact)?;
        Self::deposit_event(Event::DepositKept { lease: id, amount });
        Ok(())
    }

    /// Gives claimed money back: into the escrow, or to the publisher where that is settled. Where
    /// others have put money into a settled lease, `payout` gives it back: there may be many.
    pub(crate) fn give_publisher(
        id: LeaseId,
        lease: &mut Lease,
        amount: Balance,
    ) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        Self::add_escrow(lease, amount)?;
        if !Deposits::<T>::contains_key(id) {
            // What can't be given back now waits in the escrow.
            let _ = Self::refund(id, lease);
        }
        Ok(())
    }

    pub(crate) fn add_escrow(lease: &mut Lease, amount: Balance) -> DispatchResult {
        lease.escrow = lease.escrow.checked_add(amount).ok_or(Error::<T>::Overflow)?;
        let now = Self::now();
        if lease.is_out_of_funds(now) {
            // The provider owed no proof any more: who pays anew waits for it from now on.
            lease.claimed_at = now;
        }
        lease.exhausted_at = None;
        lease.warned = lease.warnings_due();
        Ok(())
    }
}
