//! Random calls against a simple model of the money; every invariant after each.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    Open { publisher: usize, provider: usize, deposit: u128 },
    Fund { lease: u64, amount: u128 },
    Activate { lease: u64, key: u8 },
    Claim { lease: u64, key: u8, seconds: u64, egress: u64 },
    Close { lease: u64, by: usize },
    Settle { lease: u64, by: usize },
    Pass { seconds: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    let lease = 0u64..6;
    prop_oneof![
        (0..2usize, 2..4usize, 0..400_000u128).prop_map(|(publisher, provider, deposit)| {
            Action::Open { publisher, provider, deposit }
        }),
        (lease.clone(), 0..50_000u128).prop_map(|(lease, amount)| Action::Fund { lease, amount }),
        (lease.clone(), 0..3u8).prop_map(|(lease, key)| Action::Activate { lease, key }),
        (lease.clone(), 0..3u8, 0..120u64, 0..2_000u64).prop_map(
            |(lease, key, seconds, egress)| { Action::Claim { lease, key, seconds, egress } }
        ),
        // Traffic and no second.
        (lease.clone(), 0..3u8, 0..2_000u64)
            .prop_map(|(lease, key, egress)| { Action::Claim { lease, key, seconds: 0, egress } }),
        (lease.clone(), 0..5usize).prop_map(|(lease, by)| Action::Close { lease, by }),
        (lease, 0..5usize).prop_map(|(lease, by)| Action::Settle { lease, by }),
        (0..200u64).prop_map(|seconds| Action::Pass { seconds }),
    ]
}

/// What the model knows of each account: money that has gone from publishers to providers.
#[derive(Default)]
struct Model {
    deposited: u128,
    nonce: u8,
    records: std::collections::BTreeMap<(u64, u8), UsageRecord>,
    /// What everything that was signed and claimed costs, lease by lease.
    cost: std::collections::BTreeMap<u64, u128>,
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte + 100; 32])
}

/// Money that settled leases gave back and that claims paid, from the events.
fn paid_and_refunded() -> (u128, u128) {
    frame_system::Pallet::<Test>::events().into_iter().fold((0, 0), |(paid, back), record| {
        match record.event {
            RuntimeEvent::Leases(Event::PaidOut { amount, treasury, .. }) => {
                (paid + amount + treasury, back)
            }
            RuntimeEvent::Leases(Event::Settled { refunded, .. }) => (paid, back + refunded),
            _ => (paid, back),
        }
    })
}

fn apply(model: &mut Model, action: Action) {
    let who = accounts();
    match action {
        Action::Open { publisher, provider, deposit } => {
            model.nonce += 1;
            let quote = Quote {
                provider: who[provider].clone().into(),
                publisher: who[publisher].clone().into(),
                nonce: [model.nonce; 16],
                ..quote()
            };
            let uri = ["//v0", "//v1"][provider - 2];
            let opened = Leases::deploy(
                origin(who[publisher].clone()),
                DeploymentKind::Service,
                MANIFEST,
                quote,
                sign(uri, &quote),
                deposit,
                2 * PRICE_PER_SECOND,
            );
            if opened.is_ok() {
                model.deposited += deposit;
            }
        }
        Action::Fund { lease, amount } => {
            let Some(found) = crate::Leases::<Test>::get(LeaseId(lease)) else { return };
            if Leases::fund(origin(found.publisher), LeaseId(lease), amount).is_ok() {
                model.deposited += amount;
            }
        }
        Action::Activate { lease, key: byte } => {
            let Some(found) = crate::Leases::<Test>::get(LeaseId(lease)) else { return };
            let public = key(byte).verifying_key().to_bytes();
            let _ = activate(found.provider, LeaseId(lease), 0, public);
        }
        Action::Claim { lease, key: byte, seconds, egress } => {
            let Some(found) = crate::Leases::<Test>::get(LeaseId(lease)) else { return };
            let before = model.records.get(&(lease, byte)).copied();
            let from = before.map_or(found.opened_at, |record| record.to);
            let used = Quantities {
                egress_mib: egress,
                ..Quantities::quota(&RESOURCES, seconds).unwrap()
            };
            let record = UsageRecord {
                lease: LeaseId(lease),
                replica: 0,
                sequence: before.map_or(0, |record| record.sequence) + 1,
                previous: before.map_or([0; 32], |record| record.hash()),
                from,
                to: from + seconds,
                total: before.map_or(used, |record| record.total.checked_add(&used).unwrap()),
                ..Default::default()
            };
            let paid_before = found.earned();
            let signature = signed_by(&key(byte), &record);
            if Leases::claim(origin(found.provider), record, signature).is_ok() {
                model.records.insert((lease, byte), record);
                let cost = model.cost.entry(lease).or_default();
                *cost += found.terms.prices.cost(&used).unwrap();
                let agent = Agents::<Test>::get(LeaseId(lease), 0).unwrap();
                let lease = crate::Leases::<Test>::get(LeaseId(lease)).unwrap();
                let paid_seconds = u128::from(agent.claimed_to - found.opened_at);
                let bound = 2 * PRICE_PER_SECOND * paid_seconds;
                assert!(
                    lease.earned() <= bound,
                    "never more than the spend rate since the opening"
                );
                assert!(lease.earned() + agent.allowance <= bound, "nor is more left to spend");
                assert!(lease.earned() <= *cost, "never more than what was signed for costs");
                assert!(lease.earned() >= paid_before);
            }
        }
        Action::Close { lease, by } => {
            let _ = Leases::close(origin(who[by].clone()), LeaseId(lease));
        }
        Action::Settle { lease, by } => {
            let _ = Leases::settle(origin(who[by].clone()), LeaseId(lease));
        }
        Action::Pass { seconds } => pass(seconds),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn money_is_conserved_whatever_is_called(actions in prop::collection::vec(action(), 1..60)) {
        new_test_ext().execute_with(|| {
            register_provider("//v0");
            register_provider("//v1");
            let mut model = Model::default();
            for action in actions {
                apply(&mut model, action);
                check_invariants();
                let held: u128 =
                    accounts().iter().map(escrow_held).sum();
                let (paid, refunded) = paid_and_refunded();
                assert_eq!(held, model.deposited - paid - refunded);
            }
        });
    }
}

/// What is paid for these records (seconds, traffic) of one agent, if those are claimed for which
/// `is_claimed` says so.
fn paid_for(records: &[(u64, u64)], is_claimed: impl Fn(usize, u64) -> bool) -> Balance {
    new_test_ext().execute_with(|| {
        open_active_lease();
        assert_ok!(Leases::fund(origin(publisher()), LEASE, 100 * DEPOSIT));
        let mut before = None;
        for (at, (seconds, mib)) in records.iter().enumerate() {
            pass(*seconds);
            let mut record = record_after(before.as_ref(), *seconds);
            record.total.egress_mib += mib;
            before = Some(record);
            if is_claimed(at, *seconds) {
                assert_ok!(claim(record));
                check_invariants();
            }
        }
        lease().earned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bringing a record without a second on chain never costs the provider anything.
    #[test]
    fn a_claim_without_a_second_loses_nothing(
        records in prop::collection::vec((prop_oneof![Just(0u64), 1..20u64], 0..900u64), 1..12),
    ) {
        let last = records.len() - 1;
        let all = paid_for(&records, |_, _| true);
        let without = paid_for(&records, |at, seconds| seconds > 0 || at == last);
        let bare = paid_for(&records, |_, seconds| seconds > 0);
        prop_assert!(all >= without, "{all} < {without}");
        prop_assert!(without >= bare, "{without} < {bare}");
    }
}
