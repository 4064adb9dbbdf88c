//! What has decayed is forgotten, and nothing else.

use super::*;
use crate::{Pairs, Scores};

/// A CASE is dust after ten half-lives: 1/1024 of it.
const TO_DUST: u64 = 10 * HALF_LIFE;

#[test]
fn a_pair_is_forgotten_once_it_is_dust() {
    build_and_execute(|| {
        let forget = |provider| Reputation::forget_pair(signed(STRANGER), PUBLISHER, provider);
        assert_noop!(forget(PROVIDER), Error::<Test>::NotFound);
        paid(PUBLISHER, PROVIDER, CASE);
        pass(TO_DUST - HALF_LIFE);
        assert_noop!(forget(PROVIDER), Error::<Test>::StillCounts);
        pass(HALF_LIFE);
        assert_noop!(
            Reputation::forget_pair(RuntimeOrigin::none(), PUBLISHER, PROVIDER),
            BadOrigin
        );
        assert_ok!(forget(PROVIDER));
        let (publisher, provider) = (PUBLISHER, PROVIDER);
        assert_eq!(last_event(), Event::PairForgotten { publisher, provider });
        assert_eq!(Pairs::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_break_is_not_forgotten_with_a_pair_that_paid_nothing() {
    build_and_execute(|| {
        ended(PUBLISHER, PROVIDER, EndReason::ProviderSilent, DAY);
        let forget = || Reputation::forget_pair(signed(STRANGER), PUBLISHER, PROVIDER);
        assert_noop!(forget(), Error::<Test>::StillCounts);
        // A lease that lived through the break brings no uptime from before it.
        ended(PUBLISHER, PROVIDER, EndReason::Stopped, 60 * DAY);
        paid(PUBLISHER, PROVIDER, 1_000);
        assert_eq!(Reputation::score_now(&PROVIDER).provider.uptime, 0);
        pass(HALF_LIFE + 1);
        assert_ok!(forget());
    });
}

#[test]
fn a_score_is_forgotten_once_all_of_it_is_dust() {
    build_and_execute(|| {
        let forget = |who| Reputation::forget_score(signed(STRANGER), who);
        assert_noop!(forget(PROVIDER), Error::<Test>::NotFound);
        paid(PUBLISHER, PROVIDER, CASE);
        // Faults don't vanish because nothing is left beside them.
        <Reputation as ChallengeObserver<_>>::lost(&OTHER_PROVIDER);
        pass(TO_DUST - HALF_LIFE);
        for who in [PUBLISHER, PROVIDER, OTHER_PROVIDER] {
            assert_noop!(forget(who), Error::<Test>::StillCounts);
        }
        pass(HALF_LIFE);
        assert_noop!(Reputation::forget_score(RuntimeOrigin::none(), PROVIDER), BadOrigin);
        for who in [PUBLISHER, PROVIDER, OTHER_PROVIDER] {
            assert_ok!(forget(who));
            assert_eq!(last_event(), Event::ScoreForgotten { who });
        }
        assert_eq!(Scores::<Test>::iter().count(), 0);
    });
}
