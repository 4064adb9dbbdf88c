//! What is called at random.

use crate::mock::KINDS;
use casemate_primitives::{Asset, Prices};
use proptest::prelude::*;

/// Leases are chosen among those that the chain knows, accounts among all five.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Open {
        publisher: usize,
        provider: usize,
        asset: Asset,
        deposit: u128,
        replicas: u16,
        /// Least price of a running second.
        second_min: u128,
        is_contestable: bool,
        /// Whether a time was agreed after which its provider is silent.
        is_evictable: bool,
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
    SetRate {
        lease: u64,
        rate: u128,
    },
    Amend {
        lease: u64,
        prices: Prices,
        second_min: u128,
        is_signed: bool,
    },
    Activate {
        lease: u64,
        replica: u16,
        key: u8,
    },
    Claim {
        lease: u64,
        replica: u16,
        /// The replica's present one, if `None`.
        key: Option<u8>,
        seconds: u64,
        egress: u64,
        /// Whether so much time passes first.
        passes: bool,
        ends: bool,
        /// Out of a batch of so long ago.
        batched: Option<u64>,
    },
    Update {
        lease: u64,
    },
    /// The deployment of a lease.
    Stop {
        lease: u64,
    },
    GiveNotice {
        lease: u64,
    },
    Close {
        lease: u64,
        by: usize,
    },
    Evict {
        lease: u64,
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
    Misconduct {
        lease: u64,
        replica: u16,
        is_signed: bool,
    },
    /// A lost challenge.
    Penalise {
        lease: u64,
    },
    TreasuryShare {
        percent: u32,
    },
    /// The asset takes no new money, or does again.
    Admit {
        asset: u32,
        open: bool,
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

fn opening() -> impl Strategy<Value = Action> {
    let asset = prop::sample::select(KINDS.to_vec());
    let second_min = prop_oneof![Just(0), Just(1_500u128)];
    let sides = (0..2usize, 2..4usize);
    // Some last for a few seconds.
    let deposit = prop_oneof![0..400_000u128, 1_000..40_000u128];
    let agreed = (any::<bool>(), prop::bool::weighted(0.8));
    (sides, asset, deposit, 1..=2u16, second_min, agreed).prop_map(
        |(sides, asset, deposit, replicas, second_min, (is_contestable, is_evictable))| {
            let (publisher, provider) = sides;
            Action::Open {
                publisher,
                provider,
                asset,
                deposit,
                replicas,
                second_min,
                is_contestable,
                is_evictable,
            }
        },
    )
}

fn claim_action() -> impl Strategy<Value = Action> {
    let key = prop::option::weighted(0.1, 0..3u8);
    let seconds = prop_oneof![3 => 1..120u64, 1 => Just(0)];
    let batched = prop::option::weighted(0.1, 0..300u64);
    let rare = prop::bool::weighted(0.05);
    let often = prop::bool::weighted(0.8);
    (0..6u64, 0..2u16, key, seconds, 0..2_000u64, often, rare, batched).prop_map(
        |(lease, replica, key, seconds, egress, passes, ends, batched)| Action::Claim {
            lease,
            replica,
            key,
            seconds,
            egress,
            passes,
            ends,
            batched,
        },
    )
}

fn amend_action() -> impl Strategy<Value = Action> {
    let prices = (0..3u128, 0..30u128, 0..10u128).prop_map(|(cpu, memory, egress)| Prices {
        cpu_millicore_second: cpu,
        memory_mib_second: memory,
        egress_mib: egress,
        ..Prices::default()
    });
    let second_min = prop_oneof![Just(0), 0..2_000u128];
    (0..6u64, prices, second_min, prop::bool::weighted(0.9)).prop_map(
        |(lease, prices, second_min, is_signed)| Action::Amend {
            lease,
            prices,
            second_min,
            is_signed,
        },
    )
}

/// Whose money it is, and who may touch it.
fn money_action() -> impl Strategy<Value = Action> {
    // Some are enough for another grace.
    let amount = prop_oneof![3 => 0..50_000u128, 1 => 60_000..200_000u128];
    let (lease, who) = (0..6u64, 0..5usize);
    let (few, share) = (0..=100u32, 0..=20u32);
    prop_oneof![
        3 => (lease.clone(), who.clone(), amount.clone())
            .prop_map(|(lease, by, amount)| Action::Fund { lease, by, amount }),
        2 => (lease.clone(), who.clone(), prop::option::weighted(0.8, amount.clone())).prop_map(
            |(lease, spender, allowance)| Action::Authorise { lease, spender, allowance }
        ),
        5 => (lease.clone(), who.clone(), amount.prop_map(|amount| amount / 8))
            .prop_map(|(lease, spender, amount)| Action::FundFor { lease, spender, amount }),
        2 => (lease.clone(), 0..12_000u128).prop_map(|(lease, rate)| Action::SetRate { lease, rate }),
        3 => amend_action(),
        3 => lease.clone().prop_map(|lease| Action::Payout { lease }),
        7 => lease.clone().prop_map(|lease| Action::Contest { lease }),
        5 => (lease.clone(), few).prop_map(|(lease, percent)| Action::Decide { lease, percent }),
        3 => lease.clone().prop_map(|lease| Action::Expire { lease }),
        2 => lease.clone().prop_map(|lease| Action::Penalise { lease }),
        1 => share.prop_map(|percent| Action::TreasuryShare { percent }),
        1 => (1..3u32, prop::bool::weighted(0.8))
            .prop_map(|(asset, open)| Action::Admit { asset, open }),
        1 => (1..3u32, who).prop_map(|(asset, who)| Action::Block { asset, who }),
        1 => (1..3u32).prop_map(|asset| Action::FreezeAsset { asset }),
        3 => Just(Action::ThawAll),
    ]
}

/// How leases begin, change and end.
fn life_action() -> impl Strategy<Value = Action> {
    let (lease, who) = (0..6u64, 0..5usize);
    prop_oneof![
        4 => (lease.clone(), 0..2u16, 0..3u8)
            .prop_map(|(lease, replica, key)| Action::Activate { lease, replica, key }),
        2 => lease.clone().prop_map(|lease| Action::Update { lease }),
        1 => lease.clone().prop_map(|lease| Action::Stop { lease }),
        1 => lease.clone().prop_map(|lease| Action::GiveNotice { lease }),
        3 => (lease.clone(), who.clone()).prop_map(|(lease, by)| Action::Close { lease, by }),
        2 => lease.clone().prop_map(|lease| Action::Evict { lease }),
        2 => (lease.clone(), who).prop_map(|(lease, by)| Action::Settle { lease, by }),
        4 => lease.clone().prop_map(|lease| Action::Forget { lease }),
        1 => (lease, 0..2u16, prop::bool::weighted(0.9)).prop_map(
            |(lease, replica, is_signed)| Action::Misconduct { lease, replica, is_signed }
        ),
    ]
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    let seconds = prop_oneof![8 => 0..200u64, 1 => 200..10_000u64];
    prop_oneof![
        2 => opening(),
        8 => claim_action(),
        8 => money_action(),
        5 => life_action(),
        2 => seconds.prop_map(|seconds| Action::Pass { seconds }),
    ]
}
