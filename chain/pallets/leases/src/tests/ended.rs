//! Apps that end by themselves, and silence that is nobody's fault.

use super::*;
use casemate_primitives::{PodState, UnixSeconds};
use frame_support::traits::fungibles::Inspect as _;

const SILENCE: u32 = 100;

/// The last record of the agent: its app has ended by itself.
fn last_after(before: Option<&UsageRecord>, seconds: u64) -> UsageRecord {
    UsageRecord { state: PodState::Ended { code: 3 }, ..record_after(before, seconds) }
}

fn key(replica: ReplicaIndex) -> SigningKey {
    SigningKey::from_bytes(&[80 + u8::try_from(replica).unwrap(); 32])
}

fn activate_replica(replica: ReplicaIndex) -> DispatchResult {
    activate(provider(), LEASE, replica, key(replica).verifying_key().to_bytes())
}

fn claim_of(replica: ReplicaIndex, record: UsageRecord) -> DispatchResult {
    let record = UsageRecord { replica, ..record };
    Leases::claim(origin(provider()), record, signed_by(&key(replica), &record))
}

/// A lease of two replicas that run, with a limit of silence.
fn open_two() {
    open_two_in(Asset::Native);
}

fn open_two_in(asset: Asset) {
    register_provider("//v0");
    let mut quote = quote();
    quote.replicas = 2;
    quote.terms.asset = asset;
    quote.terms.silence_seconds = SILENCE;
    assert_ok!(Leases::deploy(
        origin(publisher()),
        DeploymentKind::Service,
        MANIFEST,
        quote,
        sign("//v0", &quote),
        DEPOSIT,
        4 * PRICE_PER_SECOND,
    ));
    for replica in 0..2 {
        assert_ok!(activate_replica(replica));
    }
}

fn update() {
    let manifest = ManifestRef { hash: [8; 32], size: 10 };
    assert_ok!(Deployments::update(origin(publisher()), DeploymentId(0), manifest));
}

fn stake() -> Balance {
    Balances::total_balance(&provider())
}

fn evict() -> DispatchResult {
    Leases::evict(origin(stranger()), LEASE)
}

#[test]
fn nothing_is_paid_for_an_app_that_has_ended_and_its_provider_is_not_silent() {
    build_and_execute(|| {
        open_with(|terms| terms.silence_seconds = SILENCE);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        pass(20);
        let last = last_after(None, 20);
        assert_ok!(claim(last));
        told(Event::AppEnded { lease: LEASE, replica: 0, code: 3 });
        assert_eq!(lease().earned(), 20 * PRICE_PER_SECOND, "it ran until then");
        pass(UnixSeconds::from(SILENCE) + 1);
        // Neither its key nor another one earns more.
        assert_noop!(claim(record_after(Some(&last), 10)), Error::<Test>::AppEnded);
        assert_noop!(claim(last_after(Some(&last), 0)), Error::<Test>::AppEnded);
        assert_noop!(activate(provider(), LEASE, 0, [9; 32]), Error::<Test>::AppEnded);
        assert_noop!(evict(), Error::<Test>::NotSilent);
        let before = stake();
        assert_ok!(Leases::close(origin(stranger()), LEASE));
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::AppEnded, .. }));
        assert_eq!(stake(), before);
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_eq!(escrow_held(&publisher()), 0);
    });
}

#[test]
fn only_the_agent_says_that_its_app_has_ended() {
    new_test_ext().execute_with(|| {
        open_with(|terms| terms.silence_seconds = SILENCE);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        pass(20);
        let running = record_after(None, 20);
        let faked = UsageRecord { state: PodState::Ended { code: 0 }, ..running };
        let claim_faked = |key: &SigningKey, signed: &UsageRecord| {
            Leases::claim(origin(provider()), faked, signed_by(key, signed))
        };
        assert_noop!(claim_faked(&agent(), &running), Error::<Test>::RecordSignature);
        assert_noop!(claim_faked(&key(0), &faked), Error::<Test>::RecordSignature);
        pass(UnixSeconds::from(SILENCE));
        assert_noop!(Leases::close(origin(stranger()), LEASE), Error::<Test>::StillFunded);
        assert_ok!(evict());
    });
}

#[test]
fn one_that_runs_keeps_the_lease_and_is_all_that_silence_costs() {
    new_test_ext().execute_with(|| {
        open_two();
        pass(20);
        assert_ok!(claim_of(0, last_after(None, 20)));
        assert_noop!(Leases::close(origin(stranger()), LEASE), Error::<Test>::StillFunded);
        pass(UnixSeconds::from(SILENCE) + 1);
        let before = stake();
        assert_ok!(evict());
        assert_eq!(before - stake(), Balance::from(SILENCE) * PRICE_PER_SECOND);
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::ProviderSilent, .. }));
        Leases::do_try_state().unwrap();
    });
}

#[test]
fn silence_in_an_asset_costs_a_part_of_the_stake_behind_what_still_runs() {
    let behind = pallet_providers::StakeRates::required(&Rates::get(), &RESOURCES);
    assert!(behind > 0);
    for (asset, has_one_ended) in [(DOLLAR, false), (DOLLAR, true), (EURO, true)] {
        new_test_ext().execute_with(|| {
            open_two_in(asset);
            pass(20);
            if has_one_ended {
                assert_ok!(claim_of(0, last_after(None, 20)));
            }
            pass(UnixSeconds::from(SILENCE) + 1);
            let running = if has_one_ended { 1 } else { 2 };
            let (provider_had, publisher_had) = (stake(), Balances::total_balance(&publisher()));
            let in_asset = || [provider(), publisher()].map(|who| Held::total_balance(asset, &who));
            let before = in_asset();
            assert_ok!(evict());
            // A tenth of it, half of that for the publisher: in the native token, whatever is paid in.
            assert_eq!(provider_had - stake(), running * behind / 10);
            let rewarded = Balances::total_balance(&publisher()) - publisher_had;
            assert_eq!(rewarded, running * behind / 20);
            assert_eq!(in_asset(), before);
            assert!(matches!(
                last_event(),
                Event::Closed { reason: EndReason::ProviderSilent, .. }
            ));
            Leases::do_try_state().unwrap();
        });
    }
}

#[test]
fn in_an_asset_too_a_manifest_that_can_not_run_costs_no_provider_its_stake() {
    build_and_execute(|| {
        open_two_in(DOLLAR);
        update();
        pass(UnixSeconds::from(SILENCE) + 1);
        let before = stake();
        assert_ok!(evict());
        told(Event::ProviderSlashed { lease: LEASE, amount: 0, rewarded: 0 });
        assert_eq!(stake(), before);
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::NeverStarted, .. }));
    });
}

#[test]
fn an_update_brings_what_has_ended_back_to_life() {
    build_and_execute(|| {
        open_two();
        pass(10);
        assert_ok!(claim_of(0, last_after(None, 10)));
        assert_ok!(claim_of(1, last_after(None, 10)));
        update();
        // Another run is asked for: nobody may close the lease before it.
        assert_noop!(Leases::close(origin(stranger()), LEASE), Error::<Test>::StillFunded);
        let again = SigningKey::from_bytes(&[90; 32]);
        assert_ok!(activate(provider(), LEASE, 0, again.verifying_key().to_bytes()));
        check_invariants();
        pass(10);
        let first = record_after(None, 0);
        let last = UsageRecord { from: first.from + 10, to: first.to + 20, ..last_after(None, 10) };
        assert_ok!(Leases::claim(origin(provider()), last, signed_by(&again, &last)));
        check_invariants();
        // One of two has run the new manifest.
        assert_noop!(Leases::close(origin(stranger()), LEASE), Error::<Test>::StillFunded);
        let other = SigningKey::from_bytes(&[91; 32]);
        assert_ok!(activate(provider(), LEASE, 1, other.verifying_key().to_bytes()));
        let last = UsageRecord { replica: 1, ..last };
        assert_ok!(Leases::claim(origin(provider()), last, signed_by(&other, &last)));
        assert_ok!(Leases::close(origin(stranger()), LEASE));
    });
}

#[test]
fn an_end_under_the_manifest_before_counts_for_nothing_now() {
    build_and_execute(|| {
        open_two();
        update();
        pass(10);
        // Replica 1 ran the new one to its end already when replica 0's old end comes.
        let again = SigningKey::from_bytes(&[90; 32]);
        assert_ok!(activate(provider(), LEASE, 1, again.verifying_key().to_bytes()));
        let last = UsageRecord { replica: 1, ..last_after(None, 10) };
        assert_ok!(Leases::claim(origin(provider()), last, signed_by(&again, &last)));
        assert_ok!(claim_of(0, last_after(None, 10)));
        check_invariants();
        assert_noop!(Leases::close(origin(stranger()), LEASE), Error::<Test>::StillFunded);
    });
}

#[test]
fn a_manifest_that_can_not_run_costs_no_provider_its_stake() {
    build_and_execute(|| {
        open_with(|terms| terms.silence_seconds = SILENCE);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        update();
        pass(UnixSeconds::from(SILENCE) + 1);
        let before = stake();
        assert_ok!(evict());
        assert_eq!(stake(), before);
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::NeverStarted, .. }));
    });
}

#[test]
fn a_record_after_the_end_is_misconduct() {
    build_and_execute(|| {
        open_active_lease();
        pass(20);
        let last = last_after(None, 10);
        let next = record_after(Some(&last), 10);
        let prove = |a: &UsageRecord, b: &UsageRecord| {
            let (signed_a, signed_b) = (signed_by(&agent(), a), signed_by(&agent(), b));
            Leases::prove_misconduct(origin(stranger()), *a, signed_a, *b, signed_b)
        };
        let running = record_after(None, 10);
        let follows = record_after(Some(&running), 10);
        assert_noop!(prove(&running, &follows), Error::<Test>::NoContradiction);
        assert_ok!(prove(&next, &last));
        assert!(!last.is_followed_by(&next));
    });
}
