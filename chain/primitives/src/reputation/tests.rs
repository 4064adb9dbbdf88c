//! The arithmetic alone, and what attackers get out of it.

use super::{decay::FACTORS, *};
use crate::CASE;
use proptest::prelude::*;

const DAY: u64 = 86_400;
const RULES: Rules = Rules {
    half_life_seconds: 90 * 86_400,
    uptime_seconds: 30 * 86_400,
    pair_free: CASE,
    fault_min: CASE / 10,
};
const HALF_LIFE: u64 = 90 * DAY;

#[test]
fn factors_are_roots_of_a_half() {
    let square = |factor: u64| (u128::from(factor) * u128::from(factor)) >> 64;
    assert!(u128::from(u64::MAX / 2).abs_diff(square(FACTORS[0])) <= 2);
    for pair in FACTORS.windows(2) {
        assert!(u128::from(pair[0]).abs_diff(square(pair[1])) <= 2, "{pair:x?}");
    }
}

#[test]
fn half_is_gone_after_a_half_life() {
    assert_eq!(decayed(1_000, 0, 100), 1_000);
    assert_eq!(decayed(1_000, 100, 100), 500);
    assert_eq!(decayed(1_000, 200, 100), 250);
    // 1000 / √2 = 707.1, and a quarter of a half-life: 840.9.
    assert_eq!(decayed(1_000, 50, 100), 707);
    assert_eq!(decayed(1_000, 25, 100), 840);
    assert_eq!(decayed(1_000, 225, 100), 210);
}

#[test]
fn extremes_neither_overflow_nor_panic() {
    assert_eq!(decayed(u128::MAX, 1, 1), u128::MAX / 2);
    assert_eq!(decayed(u128::MAX, 127, 1), 1);
    assert_eq!(decayed(u128::MAX, 128, 1), 0);
    assert_eq!(decayed(u128::MAX, u64::MAX, 1), 0);
    assert_eq!(decayed(u128::MAX, u64::MAX, 0), 0);
    assert_eq!(decayed(7, 0, 0), 7);
    assert!(decayed(u128::MAX, 1, u32::MAX) > u128::MAX / 2);
    assert_eq!(weighed(u128::MAX, u128::MAX), u128::MAX);
    assert!(weighed(u128::MAX, 1) <= u128::from(u64::MAX));
    assert!(weighed(u128::MAX, u128::MAX - 1) < u128::MAX);
    let full = Tally { work: u128::MAX, uptime: u128::MAX, ..Default::default() };
    let mut all = Score { provider: full, publisher: full, fees: u128::MAX, updated_at: 0 };
    let mut other = all;
    let mut pair = Pair { fees: u128::MAX, brought: u128::MAX, ..Default::default() };
    pay(&mut all, &mut other, &mut pair, u128::MAX, 1, &RULES);
    let broken = pair.broken();
    for fault in [
        Fault::LeaseBroken,
        Fault::ChallengeLost,
        Fault::ContestLost,
        Fault::ComplaintUpheld,
        Fault::LeaseBroken,
    ] {
        all.provider.take(fault, broken, &RULES);
    }
    assert_eq!(all.provider.leases_broken, u128::MAX);
    assert_eq!(all.provider.score(), 0);
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let score = Score { fees: 5, updated_at: 100, ..Default::default() };
    assert_eq!(score.at(50, &RULES), score);
    let pair = Pair { fees: 5, updated_at: 100, ..Default::default() };
    assert_eq!(pair.at(50, &RULES), pair);
}

#[test]
fn what_faults_cost() {
    let tally = |work| Tally { work, ..Default::default() };
    let cost = |work, fault| {
        let mut tally = tally(work);
        let amount = tally.take(fault, 3 * CASE, &RULES);
        assert_eq!(tally.score(), work.saturating_sub(amount));
        assert_eq!(tally.lost(), amount);
        amount
    };
    // Of a small score the least amounts, of a large one a part.
    assert_eq!(cost(0, Fault::ChallengeLost), CASE);
    assert_eq!(cost(400 * CASE, Fault::ChallengeLost), 100 * CASE);
    assert_eq!(cost(0, Fault::ComplaintUpheld), CASE);
    assert_eq!(cost(400 * CASE, Fault::ComplaintUpheld), 50 * CASE);
    assert_eq!(cost(0, Fault::ContestLost), CASE / 2);
    assert_eq!(cost(400 * CASE, Fault::ContestLost), 25 * CASE);
    // A broken lease costs what its pair had brought, twice, however large the rest is.
    assert_eq!(cost(0, Fault::LeaseBroken), 6 * CASE + CASE / 10);
    assert_eq!(cost(400 * CASE, Fault::LeaseBroken), 6 * CASE + CASE / 10);
}

#[test]
fn faults_are_forgotten_as_work_is() {
    let mut score = Score::default();
    score.provider.work = 400 * CASE;
    score.provider.take(Fault::ChallengeLost, 0, &RULES);
    let later = score.at(HALF_LIFE, &RULES);
    assert_eq!(later.provider.score(), score.provider.score() / 2);
    assert_eq!(later.provider.counts.challenges_lost, 1, "that it happened is not");
    assert!(later.at(200 * HALF_LIFE, &RULES).is_dust(&RULES));
}

/// Accounts, who have paid each other.
#[derive(Default)]
struct World {
    now: u64,
    scores: std::collections::BTreeMap<u8, Score>,
    pairs: std::collections::BTreeMap<(u8, u8), Pair>,
}

impl World {
    fn pay(&mut self, publisher: u8, provider: u8, fee: Balance) -> Balance {
        let [mut from, mut to] =
            [publisher, provider].map(|who| self.scores.get(&who).copied().unwrap_or_default());
        let pair = self.pairs.entry((publisher, provider)).or_default();
        let gained = pay(&mut from, &mut to, pair, fee, self.now, &RULES);
        self.scores.insert(publisher, from);
        self.scores.insert(provider, to);
        gained
    }

    fn score(&self, provider: u8) -> Balance {
        let score = self.scores.get(&provider).copied().unwrap_or_default();
        score.at(self.now, &RULES).provider.score()
    }
}

#[test]
fn a_pair_of_own_accounts_gets_the_root() {
    let mut world = World { now: DAY, ..Default::default() };
    for _ in 0..100 {
        world.pay(0, 100, CASE);
    }
    assert_eq!(world.score(100), 10 * CASE);
}

#[test]
fn many_publishers_that_pay_others_too_count_in_full() {
    let mut world = World { now: DAY, ..Default::default() };
    for publisher in 0..10 {
        world.pay(publisher, 101, 9 * CASE);
        world.pay(publisher, 100, 10 * CASE);
    }
    assert_eq!(world.score(100), 100 * CASE);
    // What is bought for one of two own providers costs the same for the other.
    assert_eq!(world.score(101), 10 * 3 * CASE, "nobody else was paid when these were");
}

#[test]
fn uptime_counts_up_to_half_more_and_a_break_begins_anew() {
    let mut world = World { now: DAY, ..Default::default() };
    assert_eq!(world.pay(0, 100, 1_000), 1_000);
    world.now += 15 * DAY;
    assert_eq!(world.pay(0, 100, 1_000), 1_250);
    world.now += 29 * DAY;
    assert_eq!(world.pay(0, 100, 1_000), 1_500);
    let pair = world.pairs.get_mut(&(0, 100)).unwrap();
    let brought = pair.brought;
    assert_eq!(pair.broken(), brought);
    assert_eq!(pair.broken(), 0, "taken back once");
    assert_eq!(world.pay(0, 100, 1_000), 1_000);
    // A lease that lived through the break does not undo it.
    world.pairs.get_mut(&(0, 100)).unwrap().kept(44 * DAY);
    assert_eq!(world.pay(0, 100, 1_000), 1_000);
    // Thirty days without payment: nobody knows whether it was up.
    world.now += 31 * DAY;
    assert_eq!(world.pay(0, 100, 1_000), 1_000);
}

#[test]
fn a_lease_that_is_paid_only_at_its_end_counts_with_its_life() {
    let mut world = World { now: 100 * DAY, ..Default::default() };
    let mut pair = Pair::default().at(world.now, &RULES);
    pair.kept(30 * DAY);
    world.pairs.insert((0, 100), pair);
    assert_eq!(world.pay(0, 100, 1_000), 1_500);
}

/// A payment of an attacker between its own accounts, or time that passes.
fn dealing() -> impl Strategy<Value = (u8, u8, Balance, u64)> {
    let fee = prop_oneof![0..10u128, 0..CASE, 0..200 * CASE];
    (0..4u8, 100..103u8, fee, prop_oneof![3 => Just(0u64), 1 => 0..100 * DAY])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn decay_is_close_and_never_too_little(amount: u64, seconds in 0u64..40 * HALF_LIFE) {
        let exact = amount as f64 * (-(seconds as f64) / HALF_LIFE as f64).exp2();
        let ours = decayed(amount.into(), seconds, RULES.half_life_seconds) as f64;
        prop_assert!(ours <= exact * (1.0 + 1e-12) + 1e-6, "{ours} > {exact}");
        prop_assert!(ours + 2.0 >= exact * (1.0 - 1e-8), "{ours} < {exact}");
    }

    #[test]
    fn decay_is_monotone(amount: u128, more: u64, seconds: u64, later in 0u64..1_000_000) {
        let ours = decayed(amount, seconds, RULES.half_life_seconds);
        prop_assert!(ours <= amount);
        prop_assert!(decayed(amount.saturating_add(more.into()), seconds, RULES.half_life_seconds) >= ours);
        let later = decayed(amount, seconds.saturating_add(later), RULES.half_life_seconds);
        prop_assert!(later <= ours);
    }

    /// Touching an entry often gives no more than exact decay does.
    #[test]
    fn touching_gains_nothing(
        amount in 0u128..1_000_000 * CASE,
        steps in prop::collection::vec(0u64..DAY, 1..200),
    ) {
        let touched = steps.iter().fold(amount, |amount, seconds| {
            decayed(amount, *seconds, RULES.half_life_seconds)
        });
        let seconds: u64 = steps.iter().sum();
        let exact = amount as f64 * (-(seconds as f64) / HALF_LIFE as f64).exp2();
        prop_assert!(touched as f64 <= exact * (1.0 + 1e-10) + 1e-6, "{touched} > {exact}");
        let once = decayed(amount, seconds, RULES.half_life_seconds);
        let lost = once.saturating_sub(touched);
        prop_assert!(lost <= 1_000 + once / 1_000_000, "nor does it lose: {lost} of {once}");
    }

    #[test]
    fn the_weight_is_concave_and_below_the_fees(a: u64, b: u64, knee: u64, more: u64) {
        let [a, b, knee, more] = [a, b, knee, more].map(u128::from);
        let weight = |fees| weighed(fees, knee);
        prop_assert!(weight(a) <= a);
        prop_assert!(weight(a + b) >= weight(a));
        prop_assert!(weight(a + b) - weight(a) <= b, "no more than was paid");
        prop_assert!(weight(a + b) <= weight(a) + weight(b) + 1, "spreading never loses");
        prop_assert!(weighed(a, knee + more) >= weight(a), "others' fees never hurt");
    }

    /// The bounds of decision 0012, for any dealing of an attacker with itself.
    #[test]
    fn self_dealing_is_bounded_by_what_it_loses(
        dealings in prop::collection::vec(dealing(), 1..80),
    ) {
        let mut world = World { now: DAY, ..Default::default() };
        // What was lost, decayed as exactly as a float has it.
        let mut lost = std::collections::BTreeMap::<(u8, u8), f64>::new();
        let mut payments = 0.0;
        for (publisher, provider, fee, wait) in dealings {
            world.now += wait;
            let decay = (-(wait as f64) / HALF_LIFE as f64).exp2();
            lost.values_mut().for_each(|fees| *fees *= decay);
            let gained = world.pay(publisher, provider, fee);
            prop_assert!(gained <= fee + fee / 2);
            *lost.entry((publisher, provider)).or_default() += fee as f64;
            payments += 1.0;

            let total: f64 = lost.values().sum();
            let rounding = payments * 40.0 + total * 1e-9;
            let of = |provider: u8| {
                world.scores.get(&provider).copied().unwrap_or_default().at(world.now, &RULES).provider
            };
            let work: f64 = (100..103).map(|provider| of(provider).work as f64).sum();
            let score: f64 = (100..103).map(|provider| of(provider).score() as f64).sum();
            prop_assert!(work <= total + rounding, "{work} > {total}");
            prop_assert!(score <= 1.5 * total + rounding, "{score} > 1.5 * {total}");
            let free = RULES.pair_free as f64;
            for provider in 100..103 {
                let half = (total + 4.0 * free) / 2.0;
                let work = of(provider).work as f64;
                prop_assert!(work <= half + rounding, "{work} > {half}");
            }
        }
    }

    /// An owner of some publishers and one provider, against strangers that pay the same to a provider
    /// and something to others too.
    #[test]
    fn an_honest_provider_has_at_least_as_much(
        fees in prop::collection::vec((0..4u8, 0..100 * CASE, 0..100 * CASE, 0..20 * DAY), 1..40),
    ) {
        let mut ring = World { now: DAY, ..Default::default() };
        let mut strangers = World { now: DAY, ..Default::default() };
        let mut total = 0f64;
        for (publisher, fee, other, wait) in fees {
            ring.now += wait;
            strangers.now += wait;
            total = total * (-(wait as f64) / HALF_LIFE as f64).exp2() + fee as f64;
            ring.pay(publisher, 100, fee);
            strangers.pay(publisher, 101, other);
            strangers.pay(publisher, 100, fee);
            let rounding = 10_000 + ring.score(100) / 1_000_000;
            prop_assert!(strangers.score(100) + rounding >= ring.score(100));
            // And the ring that pays nobody else has no more than the root, and half for uptime.
            let root = (4.0 * RULES.pair_free as f64 * total).sqrt();
            prop_assert!(ring.score(100) as f64 <= 1.5 * root + 10_000.0);
        }
    }
}
