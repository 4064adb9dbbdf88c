//! What payments, ends, challenges and contests do to scores.

use super::*;
use crate::{Pairs, Scores};
use casemate_primitives::reputation::Score;

#[test]
fn the_treasury_s_share_counts_for_both_sides_and_nothing_else_does() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        assert_eq!(score(PROVIDER), CASE);
        let publisher = Reputation::score_now(&PUBLISHER);
        assert_eq!((publisher.publisher.score(), publisher.fees), (CASE, CASE));
        assert_eq!(publisher.provider.score(), 0);
        // Without a share, however much was paid.
        let (to, native) = (OTHER_PROVIDER, Asset::Native);
        <Reputation as LeaseObserver<_>>::paid(&PUBLISHER, &to, native, 1_000 * CASE, 0);
        assert_eq!(Scores::<Test>::get(OTHER_PROVIDER), None);
        assert_eq!(Pairs::<Test>::get(PUBLISHER, OTHER_PROVIDER), None);
    });
}

#[test]
fn money_that_anyone_can_make_counts_for_nothing() {
    build_and_execute(|| {
        let own = Asset::Registered(7);
        <Reputation as LeaseObserver<_>>::paid(&PUBLISHER, &PROVIDER, own, CASE, u128::MAX);
        assert_eq!(score(PROVIDER), 0);
        assert_eq!(<() as AssetValue>::native_value(own, u128::MAX), 0);
    });
}

#[test]
fn an_account_that_leases_from_itself_has_nothing() {
    build_and_execute(|| {
        paid(PROVIDER, PROVIDER, 100 * CASE);
        ended(PROVIDER, PROVIDER, EndReason::Stopped, 100 * DAY);
        <Reputation as LeaseObserver<_>>::contested(&PROVIDER, &PROVIDER, true);
        assert_eq!(
            Reputation::score_now(&PROVIDER),
            Score { updated_at: START, ..Score::default() }
        );
        assert_eq!(Pairs::<Test>::iter().count(), 0);
    });
}

#[test]
fn scores_halve_in_a_half_life_without_being_touched() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        pass(HALF_LIFE);
        assert_eq!(score(PROVIDER), CASE / 2);
        pass(HALF_LIFE);
        assert_eq!(Reputation::reputation(PROVIDER).provider.work, CASE / 4);
        assert_eq!(Scores::<Test>::get(PROVIDER).unwrap().provider.work, CASE, "as stored");
        assert_eq!(Reputation::reputation(STRANGER).provider.score(), 0);
    });
}

/// Decision 0012: a pair that pays nobody else has the root of what it lost.
#[test]
fn self_dealing_by_a_pair_loses_against_strangers() {
    build_and_execute(|| {
        for _ in 0..100 {
            paid(PUBLISHER, PROVIDER, CASE);
        }
        for publisher in 1..5 {
            for _ in 0..25 {
                paid(publisher, OTHER_PROVIDER, CASE);
            }
        }
        assert_eq!(score(PROVIDER), 10 * CASE);
        assert_eq!(score(OTHER_PROVIDER), 20 * CASE, "the same money from four");
    });
}

/// Decision 0012: more accounts bring no more than what is lost.
#[test]
fn self_dealing_by_a_ring_costs_what_it_scores() {
    build_and_execute(|| {
        for publisher in 1_000..1_100 {
            paid(publisher, PROVIDER, CASE / 10);
        }
        assert_eq!(score(PROVIDER), 10 * CASE, "a hundred accounts lost 10 CASE");
        for publisher in 2_000..12_000 {
            paid(publisher, OTHER_PROVIDER, CASE / 1_000);
        }
        assert_eq!(score(OTHER_PROVIDER), 10 * CASE, "and so did ten thousand");
    });
}

#[test]
fn dealing_challenging_and_contesting_with_oneself_for_nothing_scores_nothing() {
    build_and_execute(|| {
        for _ in 0..50 {
            <Reputation as ChallengeObserver<_>>::won(&PROVIDER);
            <Reputation as LeaseObserver<_>>::contested(&PUBLISHER, &PROVIDER, true);
            ended(PUBLISHER, PROVIDER, EndReason::Stopped, 365 * DAY);
        }
        assert_eq!(score(PROVIDER), 0);
        let counts = Reputation::score_now(&PROVIDER).provider.counts;
        assert_eq!((counts.challenges_won, counts.leases_kept), (50, 50), "counted, and no more");
    });
}

#[test]
fn a_long_lease_that_ended_as_agreed_counts_half_more() {
    build_and_execute(|| {
        ended(PUBLISHER, PROVIDER, EndReason::Stopped, 30 * DAY);
        paid(PUBLISHER, PROVIDER, CASE);
        assert_eq!(score(PROVIDER), CASE + CASE / 2);
        ended(PUBLISHER, OTHER_PROVIDER, EndReason::Reclaimed, 15 * DAY);
        paid(PUBLISHER, OTHER_PROVIDER, CASE);
        assert_eq!(score(OTHER_PROVIDER), CASE + CASE / 4);
    });
}

#[test]
fn a_broken_lease_takes_back_twice_what_its_publisher_brought() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        paid(OTHER_PUBLISHER, PROVIDER, CASE);
        ended(PUBLISHER, PROVIDER, EndReason::ProviderSilent, DAY);
        let amount = 2 * CASE + CASE / 10;
        let (who, side, fault) = (PROVIDER, Side::Provider, Fault::LeaseBroken);
        assert_eq!(last_event(), Event::Faulted { who, side, fault, amount });
        assert_eq!(score(PROVIDER), 0, "below zero there is nothing");
        // A second lease of the same two that falls with it costs the least.
        ended(PUBLISHER, PROVIDER, EndReason::Misconduct, DAY);
        let tally = Reputation::score_now(&PROVIDER).provider;
        assert_eq!(tally.leases_broken, amount + CASE / 10);
        assert_eq!(tally.counts.leases_broken, 2);
        // What is lost must be earned again before anything counts.
        paid(3, PROVIDER, CASE / 2);
        assert_eq!(score(PROVIDER), CASE / 2 - CASE / 5);
    });
}

#[test]
fn a_publisher_cannot_hurt_by_leases_that_never_start() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        for _ in 0..100 {
            ended(OTHER_PUBLISHER, PROVIDER, EndReason::NeverStarted, 60);
        }
        assert_eq!(score(PROVIDER), CASE);
    });
}

#[test]
fn lost_challenges_take_quarters_and_never_the_whole() {
    build_and_execute(|| {
        for publisher in 1_000..1_100 {
            paid(publisher, PROVIDER, CASE);
        }
        <Reputation as ChallengeObserver<_>>::lost(&PROVIDER);
        assert_eq!(score(PROVIDER), 75 * CASE);
        <Reputation as ChallengeObserver<_>>::lost(&PROVIDER);
        assert_eq!(score(PROVIDER), 56 * CASE + CASE / 4);
        // Winning them does not make up for it.
        <Reputation as ChallengeObserver<_>>::won(&PROVIDER);
        assert_eq!(score(PROVIDER), 56 * CASE + CASE / 4);
        assert_eq!(Reputation::score_now(&PROVIDER).provider.counts.challenges_lost, 2);
    });
}

#[test]
fn who_loses_a_contest_pays_for_it() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        <Reputation as LeaseObserver<_>>::contested(&PUBLISHER, &PROVIDER, true);
        assert_eq!(score(PROVIDER), CASE, "the winner neither gains nor loses");
        let publisher = Reputation::score_now(&PUBLISHER).publisher;
        assert_eq!((publisher.score(), publisher.contests_lost), (CASE / 2, CASE / 2));
        <Reputation as LeaseObserver<_>>::contested(&PUBLISHER, &PROVIDER, false);
        assert_eq!(score(PROVIDER), CASE / 2);
        assert_eq!(Reputation::score_now(&PUBLISHER).publisher.score(), CASE / 2);
    });
}

#[test]
fn sides_are_kept_apart() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        // The provider leases from somebody too, and contests without reason.
        <Reputation as LeaseObserver<_>>::contested(&PROVIDER, &OTHER_PROVIDER, true);
        assert_eq!(score(PROVIDER), CASE);
    });
}
