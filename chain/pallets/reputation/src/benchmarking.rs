//! Benchmarks of every call at its worst case.

use super::*;
use casemate_primitives::{
    reputation::{ComplaintKind, Pair, Score, Side},
    Balance, LeaseId, CASE,
};
use frame_benchmarking::v2::*;
use frame_support::{
    storage::{storage_prefix, unhashed},
    traits::{fungible::Mutate, EnsureOrigin, Get},
};
use frame_system::RawOrigin;

/// Sets the runtime's clock (`pallet-timestamp` has no trait for it). A mock has a clock of its own.
fn set_clock() {
    unhashed::put(&storage_prefix(b"Timestamp", b"Now"), &1_800_000_000_000_u64);
}

/// A publisher and a provider, both with money, and a live lease of theirs.
fn lease<T: Config>() -> (T::AccountId, T::AccountId, LeaseId) {
    set_clock();
    let [publisher, provider] = ["publisher", "provider"].map(|name| account(name, 0, 0));
    let deposit = T::ComplaintDeposit::get().saturating_mul(T::ComplaintsOpenMax::get().into());
    for who in [&publisher, &provider] {
        T::Currency::set_balance(who, deposit.saturating_mul(4).saturating_add(CASE));
    }
    let lease = T::Leases::benchmark_lease(&publisher, &provider);
    (publisher, provider, lease)
}

/// Says that as many others complain about `accused` as leaves room for one.
fn fill<T: Config>(accused: &T::AccountId) -> u32 {
    let others = T::ComplaintsOpenMax::get().saturating_sub(1);
    OpenAgainst::<T>::insert(accused, others);
    others
}

/// A complaint about the provider, among as many as there may be, and a score that it takes from.
fn complaint<T: Config>() -> Result<(T::AccountId, T::AccountId, ComplaintId), BenchmarkError> {
    let (publisher, provider, lease) = lease::<T>();
    fill::<T>(&provider);
    let id = NextComplaint::<T>::get();
    Pallet::<T>::do_complain(publisher.clone(), lease, ComplaintKind::Other, [7; 32])?;
    Scores::<T>::insert(&provider, score(CASE));
    Ok((publisher, provider, id))
}

/// Of a time so that every bit of the decay counts.
fn score(amount: Balance) -> Score {
    let mut score = Score { fees: amount, updated_at: 1, ..Default::default() };
    for side in [Side::Publisher, Side::Provider] {
        let tally = score.side_mut(side);
        (tally.work, tally.uptime, tally.challenges_lost) = (amount, amount, amount);
        (tally.leases_broken, tally.contests_lost) = (amount, amount);
        tally.complaints_upheld = amount;
    }
    score
}

/// The origin of the call. Its account is read and written with every transaction, so that the call's
/// weight leaves it out.
fn signed<T: Config>(who: T::AccountId) -> RawOrigin<T::AccountId> {
    whitelist_account!(who);
    RawOrigin::Signed(who)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn complain() {
        let (publisher, provider, lease) = lease::<T>();
        let others = fill::<T>(&provider);
        let origin = signed::<T>(publisher);

        #[extrinsic_call]
        _(origin, lease, ComplaintKind::Other, [7; 32]);

        assert_eq!(OpenAgainst::<T>::get(&provider), others + 1);
    }

    #[benchmark]
    fn close_complaint() -> Result<(), BenchmarkError> {
        let (publisher, _, id) = complaint::<T>()?;
        let origin = signed::<T>(publisher);

        #[extrinsic_call]
        _(origin, id);

        assert!(!Complaints::<T>::contains_key(id));
        Ok(())
    }

    /// The deposit goes either back or to the accused, the score falls or not; this is the sum of both.
    #[benchmark]
    fn resolve_complaint() -> Result<(), BenchmarkError> {
        let (_, provider, id) = complaint::<T>()?;
        let origin =
            T::ArbiterOrigin::try_successful_origin().map_err(|()| BenchmarkError::Weightless)?;

        #[block]
        {
            Pallet::<T>::resolve_complaint(origin.clone(), id, false)?;
            Pallet::<T>::fault(
                &provider,
                Side::Provider,
                casemate_primitives::reputation::Fault::ComplaintUpheld,
                0,
            );
        }

        assert!(!Complaints::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn expire_complaint() -> Result<(), BenchmarkError> {
        let (_, _, id) = complaint::<T>()?;
        Complaints::<T>::mutate(id, |slot| {
            if let Some(complaint) = slot {
                complaint.until = 0;
            }
        });
        // Anyone but the author, whose account is written.
        let origin = signed::<T>(account("anyone", 0, 0));

        #[extrinsic_call]
        _(origin, id);

        assert!(!Complaints::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn forget_pair() {
        let (publisher, provider, _) = lease::<T>();
        let pair = Pair { fees: CASE, brought: CASE, updated_at: 1, ..Default::default() };
        Pairs::<T>::insert(&publisher, &provider, pair);
        let origin = signed::<T>(account("anyone", 0, 0));

        #[extrinsic_call]
        _(origin, publisher.clone(), provider.clone());

        assert!(!Pairs::<T>::contains_key(publisher, provider));
    }

    #[benchmark]
    fn forget_score() {
        let (_, provider, _) = lease::<T>();
        Scores::<T>::insert(&provider, score(CASE));
        let origin = signed::<T>(account("anyone", 0, 0));

        #[extrinsic_call]
        _(origin, provider.clone());

        assert!(!Scores::<T>::contains_key(provider));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
