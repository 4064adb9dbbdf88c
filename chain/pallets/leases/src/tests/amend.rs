//! Prices that both sides change.

use super::*;
use casemate_primitives::Amendment;

/// From eleven hundred to twenty-two hundred a second.
fn amendment() -> Amendment {
    let prices = lease().terms.prices;
    Amendment {
        lease: LEASE,
        number: lease().before.map_or(0, |before| before.number) + 1,
        replaces: prices,
        prices: Prices { cpu_millicore_second: 2, memory_mib_second: 20, ..prices },
        second_min: 0,
        expires_at: Now::get() + 300,
    }
}

fn amend(amendment: Amendment) -> DispatchResult {
    let signature = pair("//v0").sign(&amendment.signing_payload(&GENESIS)).into();
    Leases::amend(origin(publisher()), amendment, signature)
}

#[test]
fn both_sides_sign() {
    build_and_execute(|| {
        open_active_lease();
        let new = amendment();
        let by = |who: AccountId32, uri: &str, genesis: &[u8; 32]| {
            let signature = pair(uri).sign(&new.signing_payload(genesis)).into();
            Leases::amend(origin(who), new, signature)
        };
        assert_noop!(by(stranger(), "//v0", &GENESIS), Error::<Test>::NotPublisher);
        assert_noop!(by(publisher(), "//v1", &GENESIS), Error::<Test>::QuoteSignature);
        assert_noop!(by(publisher(), "//v0", &[0; 32]), Error::<Test>::QuoteSignature);
        let late = Amendment { expires_at: Now::get() - 1, ..new };
        assert_noop!(amend(late), Error::<Test>::QuoteExpired);
        let long = Amendment { expires_at: Now::get() + 3_601, ..new };
        assert_noop!(amend(long), Error::<Test>::QuoteTooLong);
        let dear = Amendment { prices: Prices { cpu_millicore_second: 3, ..new.prices }, ..new };
        assert_noop!(amend(dear), Error::<Test>::SpendRateTooLow);
        let huge = Prices { cpu_millicore_second: Balance::MAX, ..new.prices };
        assert_noop!(amend(Amendment { prices: huge, ..new }), Error::<Test>::Overflow);
        assert_ok!(by(publisher(), "//v0", &GENESIS));
        // It held for the old prices, so it holds once.
        assert_noop!(by(publisher(), "//v0", &GENESIS), Error::<Test>::AmendmentOutdated);
        let elsewhere = Amendment { lease: LeaseId(5), ..new };
        assert_noop!(amend(elsewhere), Error::<Test>::NotFound);
    });
}

#[test]
fn the_last_record_under_the_old_prices_is_the_first_under_the_new() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        assert_ok!(amend(amendment()));
        pass(10);
        let old = record_after(None, 10);
        assert_ok!(claim(old));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND);
        assert_ok!(claim(record_after(Some(&old), 10)));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND + 10 * 2 * PRICE_PER_SECOND);
    });
}

#[test]
fn a_record_that_reaches_over_the_change_costs_the_lesser_of_both() {
    for (is_dearer, expected) in [(true, 20 * PRICE_PER_SECOND), (false, 20 * 100)] {
        build_and_execute(|| {
            open_active_lease();
            pass(10);
            let mut new = amendment();
            if !is_dearer {
                new.prices.cpu_millicore_second = 0;
                new.prices.memory_mib_second = 10;
            }
            assert_ok!(amend(new));
            pass(10);
            assert_ok!(claim(record_after(None, 20)));
            assert_eq!(lease().earned(), expected);
        });
    }
}

#[test]
fn what_came_before_the_last_change_is_claimed_before_the_next() {
    build_and_execute(|| {
        open_active_lease();
        let first = amendment();
        pass(10);
        assert_ok!(amend(first));
        pass(10);
        let back = Amendment { replaces: first.prices, prices: first.replaces, ..amendment() };
        assert_noop!(amend(back), Error::<Test>::ClaimFirst);
        assert_ok!(claim(record_after(None, 10)));
        assert_ok!(amend(back));
    });
}

#[test]
fn what_a_first_agent_may_still_be_paid_for_has_one_change_of_prices_too() {
    build_and_execute(|| {
        open_lease();
        let first = amendment();
        pass(10);
        assert_ok!(amend(first));
        pass(5);
        let back = || Amendment { replaces: first.prices, prices: first.replaces, ..amendment() };
        assert_noop!(amend(back()), Error::<Test>::ClaimFirst);
        // No agent is paid for what is longer ago than its evidence may be old.
        pass(BackpaySecondsMax::get() - 5);
        assert_ok!(amend(back()));
    });
}

#[test]
fn an_older_change_of_the_least_price_does_not_come_back() {
    build_and_execute(|| {
        open_active_lease();
        // The other prices stay as they are: they do not tell one change from another.
        let prices = lease().terms.prices;
        let least = |second_min| Amendment { prices, second_min, ..amendment() };
        let cheap = least(1);
        assert_ok!(amend(cheap));
        assert_ok!(claim(record_after(None, 1)));
        assert_ok!(amend(least(2_000)));
        let last = record_after(Some(&record_after(None, 1)), 1);
        assert_ok!(claim(last));
        assert_noop!(amend(cheap), Error::<Test>::AmendmentOutdated);
        // Nor is one brought before its time.
        let early = Amendment { number: 4, ..least(1) };
        assert_noop!(amend(early), Error::<Test>::AmendmentOutdated);
        assert_eq!(lease().terms.second_min, 2_000);
    });
}

#[test]
fn a_lease_that_ends_is_not_amended() {
    build_and_execute(|| {
        open_active_lease();
        let new = amendment();
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_noop!(amend(new), Error::<Test>::Closing);
    });
}
