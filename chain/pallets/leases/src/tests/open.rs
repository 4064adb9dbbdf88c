//! Quotes, deposits, activation.

use super::*;

#[test]
fn deploy_creates_locks_and_reserves_in_one_call() {
    build_and_execute(|| {
        open_lease();
        assert_eq!(lease().state, LeaseState::Pending);
        assert_eq!(escrow_held(&publisher()), DEPOSIT);
        let registered = pallet_providers::Providers::<Test>::get(provider()).unwrap();
        assert_eq!((registered.used, registered.live_leases), (RESOURCES, 1));
    });
}

#[test]
fn a_quote_is_good_once() {
    build_and_execute(|| {
        open_lease();
        assert_noop!(deploy(quote(), sign("//v0", &quote())), Error::<Test>::QuoteUsed);
        let other = Quote { nonce: [2; 16], ..quote() };
        assert_ok!(deploy(other, sign("//v0", &other)));
        let nonce = quote().nonce;
        let forget = || Leases::forget_nonce(origin(stranger()), provider(), nonce);
        assert_noop!(forget(), Error::<Test>::NonceNeeded);
        let first = quote();
        pass(301);
        assert_ok!(forget());
        assert!(!UsedNonces::<Test>::contains_key(provider(), nonce));
        assert_noop!(forget(), Error::<Test>::NonceNeeded);
        // The forgotten nonce's quote is no use any more.
        assert_noop!(deploy(first, sign("//v0", &first)), Error::<Test>::QuoteExpired);
    });
}

#[test]
fn a_quote_is_for_one_publisher_manifest_provider_time_and_chain() {
    build_and_execute(|| {
        register_provider("//v0");
        register_provider("//v1");
        let refused = |quote: Quote, signer: &str, error: Error<Test>| {
            assert_noop!(deploy(quote, sign(signer, &quote)), error);
        };
        let publisher = accounts()[1].clone().into();
        refused(Quote { publisher, ..quote() }, "//v0", Error::<Test>::QuotePublisher);
        refused(Quote { manifest_hash: [8; 32], ..quote() }, "//v0", Error::<Test>::QuoteManifest);
        refused(quote(), "//v1", Error::<Test>::QuoteSignature);
        let expires_at = Now::get() - 1;
        refused(Quote { expires_at, ..quote() }, "//v0", Error::<Test>::QuoteExpired);
        let expires_at = Now::get() + QuoteSecondsMax::get() + 1;
        refused(Quote { expires_at, ..quote() }, "//v0", Error::<Test>::QuoteTooLong);

        let signature = sign("//v0", &quote());
        let mut changed = quote();
        changed.terms.prices.cpu_millicore_second = 0;
        assert_noop!(deploy(changed, signature), Error::<Test>::QuoteSignature);
        let elsewhere = pair("//v0").sign(&quote().signing_payload(&[0; 32])).into();
        assert_noop!(deploy(quote(), elsewhere), Error::<Test>::QuoteSignature);
    });
}

#[test]
fn terms_are_bounded() {
    build_and_execute(|| {
        register_provider("//v0");
        let refused = |change: fn(&mut Quote), error: Error<Test>| {
            let mut quote = quote();
            change(&mut quote);
            assert_noop!(deploy(quote, sign("//v0", &quote)), error);
        };
        refused(|q| q.replicas = 0, Error::<Test>::Replicas);
        refused(|q| q.replicas = 65, Error::<Test>::Replicas);
        refused(|q| q.terms.notice_seconds = u32::MAX, Error::<Test>::TermsTooLong);
        refused(|q| q.terms.grace_seconds = u32::MAX, Error::<Test>::TermsTooLong);
        refused(|q| q.terms.asset = Asset::Registered(9), Error::<Test>::AssetNotAdmitted);
        refused(|q| q.terms.deposit_min = DEPOSIT + 1, Error::<Test>::DepositTooSmall);
        refused(|q| q.terms.prices.memory_mib_second = u128::MAX, Error::<Test>::Overflow);
        refused(|q| q.terms.prices.cpu_millicore_second = 3, Error::<Test>::SpendRateTooLow);
        refused(|q| q.resources.cpu_millicores = u32::MAX / 2 + 1, Error::<Test>::SpendRateTooLow);
        let mut large = quote();
        large.resources.storage_mib = 9_000;
        assert_noop!(
            deploy(large, sign("//v0", &large)),
            pallet_providers::Error::<Test>::CapacityExhausted
        );
    });
}

#[test]
fn a_lease_is_opened_for_an_own_deployment_with_own_money() {
    build_and_execute(|| {
        let open = |who: AccountId32, quote: Quote, deposit: Balance| {
            Leases::open(
                origin(who),
                DeploymentId(0),
                quote,
                sign("//v0", &quote),
                deposit,
                2 * PRICE_PER_SECOND,
            )
        };
        open_lease();
        let second = Quote { nonce: [2; 16], ..quote() };
        assert_noop!(
            open(accounts()[1].clone(), second, DEPOSIT),
            pallet_deployments::Error::<Test>::NotOwner
        );
        assert_noop!(
            open(publisher(), second, 2 * ENDOWMENT),
            sp_runtime::TokenError::FundsUnavailable
        );
        assert_ok!(open(publisher(), second, DEPOSIT));
        assert_eq!(escrow_held(&publisher()), 2 * DEPOSIT);
    });
}

#[test]
fn nothing_funds_nothing_and_only_the_publisher_sets_the_rate() {
    build_and_execute(|| {
        open_lease();
        assert_noop!(Leases::fund(origin(publisher()), LEASE, 0), Error::<Test>::ZeroAmount);
        assert_noop!(Leases::fund(origin(publisher()), LeaseId(9), 5), Error::<Test>::NotFound);
        assert_ok!(Leases::fund(origin(publisher()), LEASE, 5));
        assert_eq!(lease().escrow, DEPOSIT + 5);
        let set = |who, rate| Leases::set_spend_rate(origin(who), LEASE, rate);
        assert_noop!(set(provider(), CASE), Error::<Test>::NotPublisher);
        assert_noop!(set(publisher(), PRICE_PER_SECOND - 1), Error::<Test>::SpendRateTooLow);
        assert_ok!(set(publisher(), PRICE_PER_SECOND));
        assert_eq!(lease().spend_rate_max, PRICE_PER_SECOND);
    });
}

#[test]
fn only_the_provider_s_agents_are_activated_and_no_key_comes_back() {
    build_and_execute(|| {
        open_lease();
        let key = agent().verifying_key().to_bytes();
        assert_noop!(activate(publisher(), LEASE, 0, key), Error::<Test>::NotProvider);
        assert_noop!(activate(provider(), LEASE, 1, key), Error::<Test>::NoSuchReplica);
        assert_noop!(activate(provider(), LeaseId(9), 0, key), Error::<Test>::NotFound);
        assert_ok!(activate(provider(), LEASE, 0, key));
        assert_eq!(lease().state, LeaseState::Active);
        // Newer evidence for the same key changes nothing here.
        let before = crate::Agents::<Test>::get(LEASE, 0);
        assert_ok!(activate(provider(), LEASE, 0, key));
        assert_eq!(crate::Agents::<Test>::get(LEASE, 0), before);
        assert_ok!(activate(provider(), LEASE, 0, [7; 32]));
        assert_noop!(activate(provider(), LEASE, 0, key), Error::<Test>::KeyUsedBefore);
    });
}

#[test]
fn as_many_keys_as_are_remembered_do_not_come_back() {
    build_and_execute(|| {
        open_lease();
        let key = |n: u32| {
            let mut key = [0xee; 32];
            key[..4].copy_from_slice(&n.to_le_bytes());
            key
        };
        let most = crate::types::EARLIER_KEYS_MAX;
        for n in 0..=most {
            assert_ok!(activate(provider(), LEASE, 0, key(n)));
        }
        for n in 0..most {
            assert_noop!(activate(provider(), LEASE, 0, key(n)), Error::<Test>::KeyUsedBefore);
        }
        // One more, and the oldest is forgotten, and it alone.
        assert_ok!(activate(provider(), LEASE, 0, key(most + 1)));
        assert_noop!(activate(provider(), LEASE, 0, key(1)), Error::<Test>::KeyUsedBefore);
        assert_ok!(activate(provider(), LEASE, 0, key(0)));
    });
}
