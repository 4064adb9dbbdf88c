//! Benchmarks of every call at its worst case: a lease with the most replicas at a provider whose
//! every list is full, quotes and records with real signatures.

mod setup;

use super::*;
use casemate_primitives::{Amendment, Balance, DeploymentKind, Prices};
use frame_benchmarking::v2::*;
use frame_support::traits::Get;
use frame_system::RawOrigin;
use pallet_attestation::genesis_hash;
use sp_runtime::{AccountId32, Permill};

use setup::*;
pub(crate) use setup::{lease_with_many_agents, run_lease};

#[benchmarks(where T: pallet_deployments::Config + pallet_providers::Config)]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn deploy() -> Result<(), BenchmarkError> {
        let sides = sides::<T>()?;
        let (quote, signature) = quote::<T>(&sides)?;
        let (kind, id) = (DeploymentKind::Service, NextId::<T>::get());
        let origin = signed::<T>(sides.publisher);

        #[extrinsic_call]
        _(origin, kind, MANIFEST, quote, signature, DEPOSIT, spend_rate());

        assert!(Leases::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn open() -> Result<(), BenchmarkError> {
        let sides = sides::<T>()?;
        let (quote, signature) = quote::<T>(&sides)?;
        let (deployment, id) = (deployment::<T>(&sides)?, NextId::<T>::get());
        let origin = signed::<T>(sides.publisher);

        #[extrinsic_call]
        _(origin, deployment, quote, signature, DEPOSIT, spend_rate());

        assert!(Leases::<T>::contains_key(id));
        Ok(())
    }

    /// By the last of as many others as there can be.
    #[benchmark]
    fn fund() -> Result<(), BenchmarkError> {
        let (_, id) = pending::<T>()?;
        with_depositors::<T>(id)?;
        let origin = signed::<T>(account("depositor", OTHERS_MAX - 1, 0));

        #[extrinsic_call]
        _(origin, id, DEPOSIT);

        let expected = DEPOSIT * Balance::from(OTHERS_MAX + 2);
        assert_eq!(Leases::<T>::get(id).map(|lease| lease.escrow), Some(expected));
        Ok(())
    }

    /// The last of as many as there can be.
    #[benchmark]
    fn authorise() -> Result<(), BenchmarkError> {
        let (sides, id) = pending::<T>()?;
        let spender = with_spenders::<T>(&sides, id)?;
        let origin = signed::<T>(sides.publisher);

        #[extrinsic_call]
        _(origin, id, spender, Some(1));

        let last = Spenders::<T>::get(id).last().map(|entry| entry.allowance);
        assert_eq!(last, Some(1));
        Ok(())
    }

    /// By the last of as many as there can be, with as many depositors.
    #[benchmark]
    fn fund_for() -> Result<(), BenchmarkError> {
        let (sides, id) = pending::<T>()?;
        with_depositors::<T>(id)?;
        let origin = signed::<T>(with_spenders::<T>(&sides, id)?);

        #[extrinsic_call]
        _(origin, id, DEPOSIT);

        let expected = DEPOSIT * Balance::from(OTHERS_MAX + 2);
        assert_eq!(Leases::<T>::get(id).map(|lease| lease.escrow), Some(expected));
        Ok(())
    }

    #[benchmark]
    fn set_spend_rate() -> Result<(), BenchmarkError> {
        let (sides, id) = pending::<T>()?;
        let origin = signed::<T>(sides.publisher);

        #[extrinsic_call]
        _(origin, id, spend_rate() + 1);

        assert_eq!(Leases::<T>::get(id).map(|lease| lease.spend_rate_max), Some(spend_rate() + 1));
        Ok(())
    }

    /// Takes all that is left, which takes one event more than another claim.
    #[benchmark]
    fn claim() -> Result<(), BenchmarkError> {
        let (sides, id, key) = active::<T>()?;
        let origin = signed::<T>(sides.provider);
        let (record, signature) = record::<T>(id, &key, 1)?;

        #[extrinsic_call]
        _(origin, record, signature);

        let lease = Leases::<T>::get(id).ok_or(BenchmarkError::Stop("the lease is there"))?;
        assert_eq!((lease.escrow, lease.earned()), (0, DEPOSIT));
        assert!(lease.exhausted_at.is_some());
        Ok(())
    }

    /// Of a lease that never ran and whose deployment was stopped: all of it ends at once.
    #[benchmark]
    fn close() -> Result<(), BenchmarkError> {
        let (sides, id) = pending::<T>()?;
        with_depositors::<T>(id)?;
        with_spenders::<T>(&sides, id)?;
        stop::<T>(&sides, id)?;
        let origin = signed::<T>(sides.publisher);

        #[extrinsic_call]
        _(origin, id);

        assert!(!Leases::<T>::contains_key(id));
        Ok(())
    }

    /// Of a lease with the most replicas, whose deployment was stopped: all that it holds is paid out
    /// or given back.
    #[benchmark]
    fn settle() -> Result<(), BenchmarkError> {
        let (sides, id, _) = claimed::<T>(true)?;
        with_depositors::<T>(id)?;
        with_half_due::<T>(id, true);
        with_spenders::<T>(&sides, id)?;
        stop::<T>(&sides, id)?;
        Pallet::<T>::do_close(sides.provider.clone(), id)?;
        let origin = signed::<T>(sides.provider.clone());

        #[block]
        {
            Pallet::<T>::settle(origin.into(), id)?;
            earn_reputation::<T>(&sides);
        }

        assert!(!Leases::<T>::contains_key(id));
        assert_eq!(Agents::<T>::iter_prefix(id).count(), 0);
        Ok(())
    }

    /// Of a settled lease that could neither be paid out nor give back anything before.
    #[benchmark]
    fn payout() -> Result<(), BenchmarkError> {
        let (sides, id, _) = claimed::<T>(true)?;
        with_depositors::<T>(id)?;
        with_half_due::<T>(id, true);
        set_ended::<T>(id);
        let origin = signed::<T>(whitelisted_caller());

        #[block]
        {
            Pallet::<T>::payout(origin.into(), id)?;
            earn_reputation::<T>(&sides);
        }

        let expected = DEPOSIT * Balance::from(OTHERS_MAX + 1) / 2;
        let lease = Leases::<T>::get(id).ok_or(BenchmarkError::Stop("the lease is there"))?;
        assert_eq!((lease.paid, lease.held()), (expected, 0));
        Ok(())
    }

    /// The same, with all its agents.
    #[benchmark]
    fn forget() -> Result<(), BenchmarkError> {
        let (sides, id, _) = claimed::<T>(true)?;
        with_depositors::<T>(id)?;
        with_half_due::<T>(id, true);
        with_spenders::<T>(&sides, id)?;
        set_ended::<T>(id);
        let origin = signed::<T>(whitelisted_caller());

        #[block]
        {
            Pallet::<T>::forget(origin.into(), id)?;
            earn_reputation::<T>(&sides);
        }

        assert!(!Leases::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn give_notice() -> Result<(), BenchmarkError> {
        let (sides, id) = pending::<T>()?;
        let origin = signed::<T>(sides.provider);

        #[extrinsic_call]
        _(origin, id);

        assert!(Leases::<T>::get(id).is_some_and(|lease| lease.reclaim_at.is_some()));
        Ok(())
    }

    /// Of a lease that never ran and whose deployment was stopped: all of it ends at once, and the
    /// stake that pays is in as many parts as it can be.
    #[benchmark]
    fn evict() -> Result<(), BenchmarkError> {
        let (sides, id) = pending::<T>()?;
        with_depositors::<T>(id)?;
        with_spenders::<T>(&sides, id)?;
        stop::<T>(&sides, id)?;
        Leases::<T>::mutate(id, |slot| {
            if let Some(lease) = slot {
                lease.claimed_at = 0;
            }
        });

        #[extrinsic_call]
        _(signed::<T>(whitelisted_caller()), id);

        assert!(!Leases::<T>::contains_key(id));
        Ok(())
    }

    /// After an earlier change, with as many replicas as there can be.
    #[benchmark]
    fn amend() -> Result<(), BenchmarkError> {
        let (sides, id, _) = active::<T>()?;
        let second_min = terms::<T>().second_min;
        let before = PricesBefore { number: 1, until: 0, prices: PRICES, second_min };
        Leases::<T>::mutate(id, |slot| {
            if let Some(lease) = slot {
                lease.before = Some(before);
            }
        });
        let amendment = Amendment {
            lease: id,
            number: 2,
            replaces: PRICES,
            prices: Prices { cpu_millicore_second: 1, ..PRICES },
            second_min,
            expires_at: Pallet::<T>::now(),
        };
        let payload = amendment.signing_payload(&genesis_hash::<T>());
        let signature = sp_io::crypto::sr25519_sign(KEY_TYPE, &sides.key, &payload)
            .ok_or(BenchmarkError::Stop("the key store has the key"))?;
        let origin = signed::<T>(sides.publisher);

        #[extrinsic_call]
        _(origin, amendment, signature.into());

        assert_eq!(Leases::<T>::get(id).map(|lease| lease.terms.prices), Some(amendment.prices));
        Ok(())
    }

    #[benchmark]
    fn contest() -> Result<(), BenchmarkError> {
        let (sides, id, _) = claimed::<T>(false)?;
        let origin = signed::<T>(sides.publisher);

        #[extrinsic_call]
        _(origin, id);

        assert!(Leases::<T>::get(id).is_some_and(|lease| lease.contest.is_some()));
        Ok(())
    }

    /// Of a contested claim by the oldest key that counts, and with the end of the lease, which is paid
    /// what is final.
    #[benchmark]
    fn prove_misconduct() -> Result<(), BenchmarkError> {
        let (sides, id, key) = claimed::<T>(false)?;
        with_depositors::<T>(id)?;
        with_half_due::<T>(id, false);
        with_spenders::<T>(&sides, id)?;
        with_replaced_keys::<T>(id, &key);
        stop::<T>(&sides, id)?;
        Pallet::<T>::do_contest(sides.publisher.clone(), id)?;
        let (a, by_a) = record::<T>(id, &key, 1)?;
        let (b, by_b) = record::<T>(id, &key, 2)?;
        let origin = signed::<T>(whitelisted_caller());

        #[block]
        {
            Pallet::<T>::prove_misconduct(origin.into(), a, by_a, b, by_b)?;
            earn_reputation::<T>(&sides);
        }

        assert!(!Leases::<T>::contains_key(id));
        Ok(())
    }

    /// The provider is right, and gets what the publisher put down; as if it could not take that, too,
    /// which is then written down with what others have put in.
    #[benchmark]
    fn decide() -> Result<(), BenchmarkError> {
        let (sides, id, _) = claimed::<T>(false)?;
        with_depositors::<T>(id)?;
        Pallet::<T>::do_contest(sides.publisher.clone(), id)?;
        let origin = of_council::<T>(T::ArbiterOrigin::try_successful_origin())?;

        #[block]
        {
            Pallet::<T>::decide(origin, id, Permill::from_percent(10))?;
            Pallet::<T>::join_line(id, &sides.publisher, DEPOSIT, true)?;
        }

        assert!(Leases::<T>::get(id).is_some_and(|lease| lease.contest.is_none()));
        Ok(())
    }

    /// As when it is decided.
    #[benchmark]
    fn expire_contest() -> Result<(), BenchmarkError> {
        let (sides, id, _) = claimed::<T>(false)?;
        with_depositors::<T>(id)?;
        Pallet::<T>::do_contest(sides.publisher.clone(), id)?;
        Leases::<T>::mutate(id, |slot| {
            if let Some(dispute) = slot.as_mut().and_then(|lease| lease.contest.as_mut()) {
                dispute.until = 0;
            }
        });
        let origin = signed::<T>(whitelisted_caller());

        #[block]
        {
            Pallet::<T>::expire_contest(origin.into(), id)?;
            Pallet::<T>::join_line(id, &sides.publisher, DEPOSIT, true)?;
        }

        assert!(Leases::<T>::get(id).is_some_and(|lease| lease.contest.is_none()));
        Ok(())
    }

    #[benchmark]
    fn set_treasury_share() -> Result<(), BenchmarkError> {
        let origin = of_council::<T>(T::GovernanceOrigin::try_successful_origin())?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, T::TreasuryShareMax::get());

        assert_eq!(TreasuryShare::<T>::get(), T::TreasuryShareMax::get());
        Ok(())
    }

    #[benchmark]
    fn forget_nonce() -> Result<(), BenchmarkError> {
        set_clock();
        let (caller, provider): (AccountId32, AccountId32) =
            (whitelisted_caller(), account("provider", 0, 0));
        UsedNonces::<T>::insert(&provider, [1; 16], 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), provider.clone(), [1; 16]);

        assert!(!UsedNonces::<T>::contains_key(&provider, [1; 16]));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, super::test_ext(), crate::mock::Test);
}

/// An empty chain with a key store, as the runner gives one to the runtime.
#[cfg(test)]
fn test_ext() -> sp_io::TestExternalities {
    use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
    let mut ext = crate::mock::new_test_ext();
    ext.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    ext
}
