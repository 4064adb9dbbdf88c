//! Random calls against a simple model of the money; every invariant after each.

use super::*;
use frame_support::traits::fungibles::hold::Inspect as _;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    Open {
        publisher: usize,
        provider: usize,
        asset: Asset,
        deposit: u128,
    },
    Fund {
        lease: u64,
        by: usize,
        amount: u128,
    },
    Authorise {
        lease: u64,
        spender: usize,
        allowance: Option<u128>,
    },
    FundFor {
        lease: u64,
        spender: usize,
        amount: u128,
    },
    Activate {
        lease: u64,
        key: u8,
    },
    Claim {
        lease: u64,
        key: u8,
        seconds: u64,
        egress: u64,
    },
    Close {
        lease: u64,
        by: usize,
    },
    Settle {
        lease: u64,
        by: usize,
    },
    Payout {
        lease: u64,
    },
    Forget {
        lease: u64,
    },
    Contest {
        lease: u64,
    },
    Decide {
        lease: u64,
        percent: u32,
    },
    Expire {
        lease: u64,
    },
    /// The asset's freezer stops an account, or the whole asset.
    Block {
        asset: u32,
        who: usize,
    },
    FreezeAsset {
        asset: u32,
    },
    ThawAll,
    Pass {
        seconds: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let lease = 0u64..6;
    prop_oneof![
        (0..2usize, 2..4usize, prop::sample::select(KINDS.to_vec()), 0..400_000u128).prop_map(
            |(publisher, provider, asset, deposit)| {
                Action::Open { publisher, provider, asset, deposit }
            }
        ),
        (lease.clone(), 0..5usize, 0..50_000u128).prop_map(|(lease, by, amount)| Action::Fund {
            lease,
            by,
            amount
        }),
        (lease.clone(), 0..5usize, prop::option::of(0..50_000u128)).prop_map(
            |(lease, spender, allowance)| Action::Authorise { lease, spender, allowance }
        ),
        (lease.clone(), 0..5usize, 0..50_000u128)
            .prop_map(|(lease, spender, amount)| Action::FundFor { lease, spender, amount }),
        (lease.clone(), 0..3u8).prop_map(|(lease, key)| Action::Activate { lease, key }),
        (lease.clone(), 0..3u8, 0..120u64, 0..2_000u64).prop_map(
            |(lease, key, seconds, egress)| { Action::Claim { lease, key, seconds, egress } }
        ),
        // Traffic and no second.
        (lease.clone(), 0..3u8, 0..2_000u64)
            .prop_map(|(lease, key, egress)| { Action::Claim { lease, key, seconds: 0, egress } }),
        (lease.clone(), 0..5usize).prop_map(|(lease, by)| Action::Close { lease, by }),
        (lease.clone(), 0..5usize).prop_map(|(lease, by)| Action::Settle { lease, by }),
        lease.clone().prop_map(|lease| Action::Payout { lease }),
        lease.clone().prop_map(|lease| Action::Forget { lease }),
        lease.clone().prop_map(|lease| Action::Contest { lease }),
        (lease.clone(), 0..=100u32).prop_map(|(lease, percent)| Action::Decide { lease, percent }),
        lease.prop_map(|lease| Action::Expire { lease }),
        (1..3u32, 0..5usize).prop_map(|(asset, who)| Action::Block { asset, who }),
        (1..3u32).prop_map(|asset| Action::FreezeAsset { asset }),
        Just(Action::ThawAll),
        Just(Action::ThawAll),
        (0..200u64).prop_map(|seconds| Action::Pass { seconds }),
    ]
}

/// What the model knows of each account: money that has gone from publishers to providers.
#[derive(Default)]
struct Model {
    /// Locked in leases so far.
    deposited: std::collections::BTreeMap<Asset, u128>,
    /// The asset of each lease that was ever opened.
    assets: std::collections::BTreeMap<u64, Asset>,
    nonce: u8,
    records: std::collections::BTreeMap<(u64, u8), UsageRecord>,
    /// What everything that was signed and claimed costs, lease by lease.
    cost: std::collections::BTreeMap<u64, u128>,
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte + 100; 32])
}

/// What has left the escrow holds of an asset, and what of it came without a deposit, from the
/// events.
fn moved(model: &Model, asset: Asset) -> (u128, u128) {
    let of = |lease: LeaseId| model.assets.get(&lease.0) == Some(&asset);
    events().into_iter().fold((0, 0), |(out, kept), event| match event {
        Event::PaidOut { lease, amount, treasury } if of(lease) => (out + amount + treasury, kept),
        Event::Settled { lease, refunded, .. } if of(lease) => (out + refunded, kept),
        Event::Refunded { lease, amount } if of(lease) => (out + amount, kept),
        Event::DepositKept { lease, amount } if of(lease) => (out, kept + amount),
        _ => (out, kept),
    })
}

fn thaw_all() {
    let owner = || origin(issuer());
    for asset in [1, 2] {
        let _ = Assets::thaw_asset(owner(), asset);
        for who in accounts() {
            let _ = Assets::thaw(owner(), asset, who);
        }
    }
}

fn apply(model: &mut Model, action: Action) {
    let who = accounts();
    match action {
        Action::Open { publisher, provider, asset, deposit } => {
            model.nonce += 1;
            let quote = Quote {
                provider: who[provider].clone().into(),
                publisher: who[publisher].clone().into(),
                nonce: [model.nonce; 16],
                terms: LeaseTerms { asset, dispute_seconds: 100, ..quote().terms },
                ..quote()
            };
            let next = crate::NextId::<Test>::get().0;
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
                *model.deposited.entry(asset).or_default() += deposit;
                model.assets.insert(next, asset);
            }
        }
        Action::Fund { lease, by, amount } => {
            let Some(found) = crate::Leases::<Test>::get(LeaseId(lease)) else { return };
            if Leases::fund(origin(who[by].clone()), LeaseId(lease), amount).is_ok() {
                *model.deposited.entry(found.terms.asset).or_default() += amount;
            }
        }
        Action::Authorise { lease, spender, allowance } => {
            let Some(found) = crate::Leases::<Test>::get(LeaseId(lease)) else { return };
            let spender = who[spender].clone();
            let by = origin(found.publisher);
            let _ = Leases::authorise(by, LeaseId(lease), spender, allowance);
        }
        Action::FundFor { lease, spender, amount } => {
            let Some(found) = crate::Leases::<Test>::get(LeaseId(lease)) else { return };
            let allowance = |spenders: &[crate::Spender]| {
                let found = spenders.iter().find(|entry| entry.who == who[spender]);
                found.map_or(0, |entry| entry.allowance)
            };
            let before = allowance(&crate::Spenders::<Test>::get(LeaseId(lease)));
            let by = origin(who[spender].clone());
            if Leases::fund_for(by, LeaseId(lease), amount).is_ok() {
                *model.deposited.entry(found.terms.asset).or_default() += amount;
                let left = allowance(&crate::Spenders::<Test>::get(LeaseId(lease)));
                assert_eq!(left + amount, before, "never more than the allowance");
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
        Action::Payout { lease } => {
            let _ = Leases::payout(origin(stranger()), LeaseId(lease));
        }
        Action::Forget { lease } => {
            let _ = Leases::forget(origin(stranger()), LeaseId(lease));
        }
        Action::Contest { lease } => {
            let Some(found) = crate::Leases::<Test>::get(LeaseId(lease)) else { return };
            let _ = Leases::contest(origin(found.publisher), LeaseId(lease));
        }
        Action::Decide { lease, percent } => {
            let part = sp_runtime::Permill::from_percent(percent);
            let _ = Leases::decide(RuntimeOrigin::root(), LeaseId(lease), part);
        }
        Action::Expire { lease } => {
            pass(ArbitrationSeconds::get());
            let _ = Leases::expire_contest(origin(stranger()), LeaseId(lease));
        }
        Action::Block { asset, who: index } => {
            let _ = Assets::block(origin(issuer()), asset, who[index].clone());
        }
        Action::FreezeAsset { asset } => {
            let _ = Assets::freeze_asset(origin(issuer()), asset);
        }
        Action::ThawAll => thaw_all(),
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
                conserved(&model);
            }
            // However it went: when nothing is frozen any more, everybody gets what is theirs, with
            // nobody's help but a stranger's.
            thaw_all();
            let stranger = || origin(stranger());
            let leases = || (0..crate::NextId::<Test>::get().0).map(LeaseId);
            pass(u64::from(u32::MAX));
            for id in leases() {
                let _ = Leases::close(stranger(), id);
            }
            // The notice is over.
            pass(600);
            for id in leases() {
                let _ = Leases::settle(stranger(), id);
                let _ = Leases::expire_contest(stranger(), id);
                let _ = Leases::forget(stranger(), id);
                check_invariants();
            }
            conserved(&model);
            for (asset, who) in KINDS.iter().flat_map(|asset| accounts().map(|who| (*asset, who))) {
                for reason in [HoldReason::Escrow, HoldReason::Contest] {
                    assert_eq!(Held::balance_on_hold(asset, &reason.into(), &who), 0);
                }
            }
            assert_eq!(crate::Leases::<Test>::iter().count(), 0);
        });
    }
}

/// What is held of each asset = what was deposited − paid − given back.
fn conserved(model: &Model) {
    for asset in KINDS {
        let reason = HoldReason::Escrow.into();
        let held: u128 =
            accounts().iter().map(|who| Held::balance_on_hold(asset, &reason, who)).sum();
        let (out, kept) = moved(model, asset);
        let deposited = model.deposited.get(&asset).copied().unwrap_or_default();
        assert_eq!(held, deposited + kept - out, "{asset:?}");
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
